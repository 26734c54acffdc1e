//! Which queues may have a job: what a worker has heard, and when it looks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A shard of a plan.
pub type Place = ([u8; 32], u16);

/// Before a worker takes jobs from another's shard it gives that one so long: it has the keys in memory.
const COURTESY: Duration = Duration::from_millis(3);

/// Places where a bell was heard, each with the time from which on this worker looks there.
#[derive(Debug, Default)]
pub struct Bells {
    heard: Mutex<HashMap<Place, Instant>>,
    more: Notify,
}

impl Bells {
    /// There may be a job: at once for a worker at home there, else a little later.
    pub fn ring(&self, place: Place, home: bool) {
        let due = Instant::now() + if home { Duration::ZERO } else { COURTESY };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.entry(place).and_modify(|time| *time = due.min(*time)).or_insert(due);
        drop(heard);
        self.more.notify_one();
    }

    /// A place to look at now, which is then forgotten, or when there will be one.
    pub fn due(&self) -> Result<Place, Option<Instant>> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let first = heard.iter().min_by_key(|(_, due)| **due).map(|(place, due)| (*place, *due));
        match first {
            Some((place, due)) if due <= Instant::now() => {
                heard.remove(&place);
                Ok(place)
            }
            first => Err(first.map(|(_, due)| due)),
        }
    }

    /// Waits for the next bell.
    pub async fn next(&self) {
        self.more.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_comes_first_and_each_bell_is_heard_once() {
        let bells = Bells::default();
        bells.ring(([1; 32], 0), false);
        bells.ring(([1; 32], 1), true);
        assert_eq!(bells.due(), Ok(([1; 32], 1)));
        std::thread::sleep(COURTESY);
        assert_eq!(bells.due(), Ok(([1; 32], 0)));
        assert_eq!(bells.due(), Err(None));
    }
}

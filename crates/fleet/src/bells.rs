//! Which queues may have a job: what a worker has heard, and when it looks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A shard of a plan.
pub type Place = ([u8; 32], u16);

/// Places where a bell was heard, each with the time from which on this worker looks there.
#[derive(Debug, Default)]
pub struct Bells {
    heard: Mutex<HashMap<Place, Instant>>,
    more: Notify,
}

impl Bells {
    /// There may be a job, which this worker leaves to others for so long.
    pub fn ring(&self, place: Place, courtesy: Duration) {
        let due = Instant::now() + courtesy;
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
        bells.ring(([1; 32], 0), Duration::from_hours(1));
        bells.ring(([1; 32], 1), Duration::ZERO);
        assert_eq!(bells.due(), Ok(([1; 32], 1)));
        assert!(matches!(bells.due(), Err(Some(_))));
        bells.ring(([1; 32], 0), Duration::ZERO);
        assert_eq!(bells.due(), Ok(([1; 32], 0)));
        assert_eq!(bells.due(), Err(None));
    }
}

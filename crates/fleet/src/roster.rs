//! Who works: workers say every second that they live, fronts answer with the list of all. From that list
//! each worker knows which shards are its own, and a front how much it may send ahead. Both say how they are
//! when `fleet status` asks.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A worker that is not heard for so many of its beats is no more.
const MISSED: u32 = 4;

/// What a worker says of itself: to fronts every second, and to `fleet status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// What tells it from others: 16 hexadecimal digits, new at each start.
    pub worker: String,
    /// Its process.
    pub pid: u32,
    /// The models that it computes, by name.
    pub models: Vec<String>,
    /// The plans, by the first half of their digests.
    pub plans: Vec<String>,
    /// Inferences that it computes at once.
    pub threads: usize,
    /// Inferences that it computes now.
    pub busy: usize,
    /// Inferences since its start.
    pub computed: u64,
    /// Jobs that other workers had begun.
    pub redelivered: u64,
    /// Jobs whose keys were in memory.
    pub key_hits: u64,
    /// Jobs whose keys had to be read and expanded.
    pub key_misses: u64,
    /// Bytes of expanded keys in memory.
    pub key_bytes: usize,
    /// Seconds since its start.
    pub seconds: u64,
    /// Whether it ends when what it computes is done.
    pub draining: bool,
}

/// What a front says of itself to `fleet status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontState {
    /// What tells it from others: 16 hexadecimal digits, new at each start.
    pub front: String,
    /// Its process.
    pub pid: u32,
    /// The models that it serves, by name.
    pub models: Vec<String>,
    /// Requests whose jobs it sent, and whose answers are still to come.
    pub sent: usize,
    /// Requests that wait for their turn to be sent.
    pub waiting: usize,
    /// Seconds since its start.
    pub seconds: u64,
}

/// What a front answers a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The workers that live and take jobs, sorted.
    pub workers: Vec<String>,
    /// Milliseconds between two beats.
    pub every: u64,
}

/// What a front heard.
#[derive(Debug, Default)]
pub struct Roster(Mutex<BTreeMap<String, (Instant, Beat)>>);

impl Roster {
    /// A worker lives.
    pub fn hear(&self, beat: Beat) {
        let mut heard = self.lock();
        if beat.draining {
            heard.remove(&beat.worker);
        } else {
            heard.insert(beat.worker.clone(), (Instant::now(), beat));
        }
    }

    /// Those who live.
    pub fn list(&self) -> List {
        let mut heard = self.lock();
        let every = interval(heard.len());
        heard.retain(|_, (time, _)| time.elapsed() < every * MISSED);
        List { workers: heard.keys().cloned().collect(), every: every.as_millis() as u64 }
    }

    /// Inferences that those who live can compute at once, of all plans or of one.
    pub fn threads(&self, plan: Option<&str>) -> usize {
        let heard = self.lock();
        let every = interval(heard.len());
        let lives = heard.values().filter(|(time, _)| time.elapsed() < every * MISSED);
        let serves = |beat: &Beat| plan.is_none_or(|plan| beat.plans.iter().any(|other| other == plan));
        lives.filter(|(_, beat)| serves(beat)).map(|(_, beat)| beat.threads).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Instant, Beat)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two beats: longer where there are many, so that fronts hear a hundred a second at most.
fn interval(workers: usize) -> Duration {
    Duration::from_millis((10 * workers as u64).max(1000))
}

impl List {
    /// Whether a shard of a plan is this worker's own: of all workers, it comes first in an order that is
    /// another one for each shard. So when a worker comes or goes only its own shards move.
    pub fn is_home(&self, worker: &str, plan: &[u8; 32], shard: u16) -> bool {
        let weight = |worker: &str| {
            let shard = [&plan[..8], &shard.to_le_bytes()].concat();
            let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let hash = worker.as_bytes().iter().chain(&shard).fold(0x51_7cc1_b727_220a, |hash, byte| {
                let hash = mix(hash, byte);
                hash ^ (hash >> 29)
            });
            (hash, worker.to_string())
        };
        let mine = weight(worker);
        self.workers.iter().all(|other| other == worker || weight(other) < mine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(worker: &str) -> Beat {
        Beat {
            worker: worker.into(),
            pid: 1,
            models: vec![],
            plans: vec!["aa".into()],
            threads: 2,
            busy: 0,
            computed: 0,
            redelivered: 0,
            key_hits: 0,
            key_misses: 0,
            key_bytes: 0,
            seconds: 0,
            draining: false,
        }
    }

    #[test]
    fn workers_that_drain_are_no_longer_counted() {
        let roster = Roster::default();
        roster.hear(beat("a"));
        roster.hear(beat("b"));
        assert_eq!((roster.threads(None), roster.threads(Some("aa")), roster.threads(Some("bb"))), (4, 4, 0));
        roster.hear(Beat { draining: true, ..beat("a") });
        assert_eq!(roster.list().workers, ["b"]);
    }

    #[test]
    fn every_shard_has_one_home_and_few_move() {
        let names: Vec<String> = (0..10).map(|n| format!("worker-{n}")).collect();
        let home = |workers: &[String], shard| {
            let list = List { workers: workers.to_vec(), every: 0 };
            let homes: Vec<_> = workers.iter().filter(|w| list.is_home(w, &[7; 32], shard)).collect();
            assert_eq!(homes.len(), 1, "{homes:?}");
            homes[0].clone()
        };
        let mut counts = BTreeMap::new();
        for shard in 0..1000 {
            let (before, after) = (home(&names, shard), home(&names[1..], shard));
            assert!(before == after || before == names[0]);
            *counts.entry(before).or_insert(0) += 1;
        }
        assert!(counts.len() == 10 && counts.values().all(|count| (50..200).contains(count)), "{counts:?}");
    }
}

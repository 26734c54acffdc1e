//! Expanded keys in memory, up to a bound: the least recently used go first.

use crate::registry::Id;
use blindsight_ckks::wire::PlanDigest;
use blindsight_server::ClientKeys;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Expanded keys, by whose they are.
pub struct Cache {
    entries: Mutex<Entries>,
    bound: usize,
}

#[derive(Default)]
struct Entries {
    keys: HashMap<Id, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    plan: PlanDigest,
    keys: Arc<ClientKeys>,
    bytes: usize,
    used: u64,
    expires: Option<u64>,
}

impl Cache {
    /// For so many bytes.
    pub fn new(bound: usize) -> Self {
        Self { entries: Mutex::default(), bound }
    }

    /// The keys, where they are here, for this plan, and live at `now`.
    pub fn get(&self, id: &Id, plan: &PlanDigest, now: u64) -> Option<Arc<ClientKeys>> {
        let mut entries = self.lock();
        entries.clock += 1;
        let clock = entries.clock;
        let lives = |entry: &&mut Entry| entry.expires.is_none_or(|end| end > now);
        let entry = entries.keys.get_mut(id).filter(|entry| &entry.plan == plan).filter(lives)?;
        entry.used = clock;
        Some(entry.keys.clone())
    }

    /// Keeps keys, at the cost of those used longest ago. Requests that run on keys that go keep them until
    /// they end.
    pub fn insert(&self, id: Id, plan: PlanDigest, keys: Arc<ClientKeys>, expires: Option<u64>) {
        let bytes = keys.bytes();
        if bytes > self.bound {
            return;
        }
        let mut entries = self.lock();
        entries.remove(&id);
        while entries.bytes + bytes > self.bound {
            let oldest = entries.keys.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| id.clone());
            entries.remove(&oldest.expect("an empty cache has room"));
        }
        entries.clock += 1;
        let used = entries.clock;
        entries.bytes += bytes;
        entries.keys.insert(id, Entry { plan, keys, bytes, used, expires });
    }

    /// Drops keys, if they are here.
    pub fn remove(&self, id: &Id) {
        self.lock().remove(id);
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Entries {
    fn remove(&mut self, id: &Id) {
        if let Some(entry) = self.keys.remove(id) {
            self.bytes -= entry.bytes;
        }
    }
}

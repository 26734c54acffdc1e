//! What was found out once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

/// Values by what they depend on, found when they are first asked for.
pub struct Known<K, V>(Mutex<HashMap<K, V>>);

impl<K: Hash + Eq, V: Clone> Known<K, V> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// What is known, or else found out now. Threads may find the same at the same time; it is equal.
    pub fn get(&self, key: K, find: impl FnOnce() -> V) -> V {
        let known = || self.0.lock().expect("nothing panics while it is locked");
        if let Some(value) = known().get(&key) {
            return value.clone();
        }
        let value = find();
        known().insert(key, value.clone());
        value
    }
}

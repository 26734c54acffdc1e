//! Locks of what stays whole whatever happens while they are held.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// No one panics while holding such a lock; if one did, what it guards would still be whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

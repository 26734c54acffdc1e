//! Threads to spread work over.

use crate::failure::Outcome;
use blindsight_ring::parallel::Pool;

/// Does work that may spread over so many threads.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    Pool::new(threads)?.run(work)
}

//! Threads to spread work over.

use crate::failure::Outcome;

/// So many threads to spread work over; one is the caller's, without a pool.
pub struct Threads(Option<rayon::ThreadPool>);

impl Threads {
    pub fn new(threads: usize) -> Outcome<Self> {
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self((threads > 1).then(pool).transpose()?))
    }

    /// Does work that may spread over them.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.0 {
            None => work(),
            Some(pool) => pool.install(work),
        }
    }
}

/// Does work that may spread over so many threads.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    Threads::new(threads)?.run(work)
}

//! Threads that compute and do nothing else: one that is done takes the next work at once, with its memory
//! and its caches warm.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// So many of them. They end when this is dropped.
#[derive(Debug)]
pub struct Threads(Sender<Work>);

impl Threads {
    /// # Errors
    /// Where the system has no more.
    pub fn new(count: usize) -> io::Result<Self> {
        let (give, take) = channel::<Work>();
        let take = Arc::new(Mutex::new(take));
        for index in 0..count {
            let take = take.clone();
            let work_off = move || {
                loop {
                    let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(work) = next else { return };
                    work();
                }
            };
            thread::Builder::new().name(format!("compute-{index}")).spawn(work_off)?;
        }
        Ok(Self(give))
    }

    /// Does work on one of them. None where it panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, is_done) = oneshot::channel();
        let work = move || drop(catch_unwind(AssertUnwindSafe(work)).map(|result| done.send(result)));
        self.0.send(Box::new(work)).ok()?;
        is_done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_no_answer_and_the_thread_goes_on() {
        let threads = Threads::new(1).expect("a thread");
        assert_eq!(threads.run(|| -> u8 { panic!("as asked") }).await, None);
        assert_eq!(threads.run(|| 7).await, Some(7));
    }
}

//! A bounded queue in front of the threads that compute.

use crate::Limits;
use crate::refusal::{Outcome, Refusal};
use crate::tokens::ClientName;
use blindsight_protocol::Code;
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// Places for requests that are received, wait or are computed, and threads for those computed. The threads do nothing else: one that is done takes
/// the next request at once, with its memory and its caches warm.
pub struct Queue {
    places: Arc<Semaphore>,
    jobs: Sender<Job>,
    held: Arc<Mutex<HashMap<ClientName, usize>>>,
    per_client: usize,
    wait: Duration,
    capacity: usize,
}

/// A place in the queue: held from before the body is read until the answer is there, so that it bounds memory, too.
pub struct Place {
    held: Arc<Mutex<HashMap<ClientName, usize>>>,
    client: ClientName,
    _permit: OwnedSemaphorePermit,
}

type Job = Box<dyn FnOnce() + Send>;

/// Work that waits for a thread. Whoever comes first takes it: a thread to do it, or the client that waits no longer to drop it, and with it the
/// memory of its request.
struct Waiting<W>(Arc<Mutex<Option<W>>>);

impl<W> Waiting<W> {
    fn take(&self) -> Option<W> {
        lock(&self.0).take()
    }
}

impl<W> Drop for Waiting<W> {
    fn drop(&mut self) {
        self.take();
    }
}

impl Queue {
    /// # Errors
    /// Where the system has no more threads.
    pub fn new(limits: &Limits) -> std::io::Result<Self> {
        let capacity = limits.threads + limits.queue;
        let (jobs, next) = channel();
        let next = Arc::new(Mutex::new(next));
        for index in 0..limits.threads {
            let next = next.clone();
            thread::Builder::new().name(format!("compute-{index}")).spawn(move || work_off(&next))?;
        }
        Ok(Self {
            places: Arc::new(Semaphore::new(capacity)),
            jobs,
            held: Arc::default(),
            per_client: limits.places_per_client,
            wait: limits.wait,
            capacity,
        })
    }

    /// A place, if there is one for this client now.
    pub fn enter(&self, client: &ClientName) -> Outcome<Place> {
        let busy = |what| Refusal::for_now(Code::Busy, what);
        let permit = self.places.clone().try_acquire_owned();
        let permit =
            permit.map_err(|_| busy("all places in the queue are taken: try again after a moment"))?;
        let mut held = lock(&self.held);
        let mine = held.entry(client.clone()).or_default();
        if *mine >= self.per_client {
            return Err(busy(
                "this client holds all the places that one client may: wait for an answer first",
            ));
        }
        *mine += 1;
        drop(held);
        Ok(Place { held: self.held.clone(), client: client.clone(), _permit: permit })
    }

    /// Computes on a thread, when one is free. A request whose client has gone gives up its turn; a computation that has begun ends.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting(Arc::new(Mutex::new(Some(work))));
        let turn = waiting.0.clone();
        let job = move || {
            let Some(work) = lock(&turn).take() else { return };
            // Nobody may be there any more to hear it.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        };
        self.jobs.send(Box::new(job)).map_err(|_| Refusal::internal(&"no thread computes any more"))?;
        let mut answered = pin!(answered);
        let answer = match timeout(self.wait, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if waiting.take().is_some() => {
                return Err(Refusal::for_now(Code::Unavailable, "no thread became free in time: try again"));
            }
            Err(_) => answered.await,
        };
        match answer {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(panic)) => Err(Refusal::internal(&format!("a computation panicked: {}", said(&*panic)))),
            Err(gone) => Err(Refusal::internal(&gone)),
        }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.capacity - self.places.available_permits()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(mine) = held.get_mut(&self.client) {
            *mine -= 1;
            if *mine == 0 {
                held.remove(&self.client);
            }
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing")
}

/// What a computing thread does until the queue is gone.
fn work_off(next: &Mutex<Receiver<Job>>) {
    loop {
        let job = lock(next).recv();
        let Ok(job) = job else { return };
        job();
    }
}

/// No one panics while holding such a lock; if one did, what it guards would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A queue of one thread.
    fn queue(wait: Duration) -> Arc<Queue> {
        Arc::new(Queue::new(&Limits { threads: 1, wait, ..Limits::default() }).expect("a thread"))
    }

    /// Keeps the thread busy until the sender that it gives is dropped.
    async fn keep_busy(queue: &Arc<Queue>) -> mpsc::Sender<()> {
        let ((begun, has_begun), (end, until)) = (oneshot::channel(), mpsc::channel::<()>());
        let work = move || {
            begun.send(()).expect("someone waits");
            until.recv()
        };
        let queue = queue.clone();
        tokio::spawn(async move { queue.compute(work).await });
        has_begun.await.expect("the thread is free");
        end
    }

    #[tokio::test]
    async fn work_whose_client_goes_is_dropped_before_a_thread_is_free() {
        let queue = queue(Duration::from_secs(60));
        let busy = keep_busy(&queue).await;
        let request = Arc::new(());
        let held = request.clone();
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.compute(move || Arc::strong_count(&held)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&request), 2);
        waiting.abort();
        waiting.await.expect_err("it was aborted");
        assert_eq!(Arc::strong_count(&request), 1);
        drop(busy);
        assert_eq!(queue.compute(|| 7).await.expect("a free thread"), 7);
    }

    #[tokio::test]
    async fn work_that_waits_too_long_is_refused_and_never_done() {
        let queue = queue(Duration::from_millis(20));
        let busy = keep_busy(&queue).await;
        let refused = queue.compute(|| unreachable!("it was refused")).await.expect_err("no thread is free");
        assert_eq!(refused.code, Code::Unavailable);
        drop(busy);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let queue = queue(Duration::from_secs(60));
        let refused = queue.compute(|| -> () { panic!("as asked") }).await.expect_err("a panic");
        assert_eq!(refused.code, Code::Internal);
        assert_eq!(said(&*catch_unwind(|| panic!("as {}", "asked")).expect_err("a panic")), "as asked");
        assert_eq!(queue.compute(|| 7).await.expect("the thread goes on"), 7);
    }
}

//! A bounded queue in front of the threads that compute.

use crate::Limits;
use crate::lock::lock;
use crate::places::{Place, Places};
use crate::refusal::{Outcome, Refusal};
use crate::tokens::ClientName;
use crate::turns::Turns;
use blindsight_protocol::Code;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Places for requests that are received, wait or are computed, and threads for those computed. The threads
/// do nothing else: one that is done takes the next request at once, with its memory and its caches warm.
/// Clients take turns: of those that wait, the one that was served longest ago is next. So each that waits
/// has one request computed before any has a second one, a client that asks now and then does not stand
/// behind one that always asks, and a client with many requests delays its own and nobody else's. No client's
/// further request takes the last thread while another client may be back at once: see [`crate::turns`].
pub struct Queue {
    places: Places,
    jobs: Arc<Turns>,
    wait: Duration,
}

/// Work that waits for a thread. Whoever comes first takes it: a thread to do it, or the client that waits no
/// longer to drop it, and with it the memory of its request.
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

impl Drop for Queue {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

impl Queue {
    /// # Errors
    /// Where the system has no more threads.
    pub fn new(limits: &Limits) -> std::io::Result<Self> {
        let jobs = Arc::new(Turns::new(limits.threads));
        for index in 0..limits.threads {
            let jobs = jobs.clone();
            thread::Builder::new().name(format!("compute-{index}")).spawn(move || jobs.work_off())?;
        }
        let places =
            Places::new(limits.threads + limits.queue, limits.reserve, limits.places_per_client, "requests");
        Ok(Self { places, jobs, wait: limits.wait })
    }

    /// A place, if there is one for this client now.
    pub fn enter(&self, client: &ClientName) -> Outcome<Place> {
        self.places.enter(client)
    }

    /// Computes for a client on a thread, when it is its turn. A request whose client has gone gives up its
    /// turn; a computation that has begun ends.
    pub async fn compute<T: Send + 'static>(
        &self,
        client: &ClientName,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Outcome<T> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting(Arc::new(Mutex::new(Some(work))));
        let turn = waiting.0.clone();
        let job = move || {
            let Some(work) = lock(&turn).take() else { return };
            // Nobody may be there any more to hear it.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        };
        self.jobs.add(client, Box::new(job));
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
        self.places.taken()
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn name(name: &str) -> ClientName {
        name.parse().expect("a name")
    }

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
        tokio::spawn(async move { queue.compute(&name("busy"), work).await });
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
            async move { queue.compute(&name("alice"), move || Arc::strong_count(&held)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&request), 2);
        waiting.abort();
        waiting.await.expect_err("it was aborted");
        assert_eq!(Arc::strong_count(&request), 1);
        drop(busy);
        assert_eq!(queue.compute(&name("alice"), || 7).await.expect("a free thread"), 7);
    }

    #[tokio::test]
    async fn work_that_waits_too_long_is_refused_and_never_done() {
        let queue = queue(Duration::from_millis(20));
        let busy = keep_busy(&queue).await;
        let refused = queue
            .compute(&name("alice"), || unreachable!("it was refused"))
            .await
            .expect_err("no thread is free");
        assert_eq!(refused.code, Code::Unavailable);
        drop(busy);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let queue = queue(Duration::from_secs(60));
        let refused =
            queue.compute(&name("alice"), || -> () { panic!("as asked") }).await.expect_err("a panic");
        assert_eq!(refused.code, Code::Internal);
        assert_eq!(said(&*catch_unwind(|| panic!("as {}", "asked")).expect_err("a panic")), "as asked");
        assert_eq!(queue.compute(&name("alice"), || 7).await.expect("the thread goes on"), 7);
    }

    /// First come, first served would let bob wait for all of alice's.
    #[tokio::test]
    async fn clients_take_turns() {
        let queue = queue(Duration::from_secs(60));
        let busy = keep_busy(&queue).await;
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut all = vec![];
        for who in ["alice", "alice", "alice", "alice", "bob", "bob", "carol"] {
            let (queue, order) = (queue.clone(), order.clone());
            all.push(tokio::spawn(async move {
                queue.compute(&name(who), move || lock(&order).push(who)).await.map(|()| who)
            }));
            tokio::task::yield_now().await;
        }
        drop(busy);
        for done in all {
            done.await.expect("no panic").expect("computed");
        }
        let expected = ["alice", "bob", "carol", "alice", "bob", "alice", "alice"];
        assert_eq!(*lock(&order), expected);
    }

    /// A client that comes back while another one has waited all the time, with many requests, goes first:
    /// else it would wait for two of the other's each time.
    #[tokio::test]
    async fn who_was_served_longest_ago_is_next() {
        let queue = queue(Duration::from_secs(60));
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut all = vec![];
        for round in 0..3 {
            let busy = keep_busy(&queue).await;
            for who in ["alice", "alice", "bob"].into_iter().skip(usize::from(round > 0)) {
                let (queue, order) = (queue.clone(), order.clone());
                all.push(tokio::spawn(async move {
                    queue.compute(&name(who), move || lock(&order).push(who)).await.expect("computed")
                }));
                tokio::task::yield_now().await;
            }
            drop(busy);
            while lock(&order).len() < 3 + 2 * round {
                tokio::task::yield_now().await;
            }
        }
        // Alice was served last in the first round; from then on bob comes before her, who waits already.
        assert_eq!(*lock(&order), ["alice", "bob", "alice", "bob", "alice", "bob", "alice"]);
    }
}

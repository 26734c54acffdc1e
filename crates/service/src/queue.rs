//! A bounded queue in front of the threads that compute.

use crate::Limits;
use crate::refusal::{Outcome, Refusal};
use crate::tokens::ClientName;
use protocol::Code;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for requests that are received, wait or are computed, and threads for those computed.
pub struct Queue {
    places: Arc<Semaphore>,
    threads: Arc<Semaphore>,
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

impl Queue {
    pub fn new(limits: &Limits) -> Self {
        let capacity = limits.threads + limits.queue;
        Self {
            places: Arc::new(Semaphore::new(capacity)),
            threads: Arc::new(Semaphore::new(limits.threads)),
            held: Arc::default(),
            per_client: limits.places_per_client,
            wait: limits.wait,
            capacity,
        }
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
        let turn = tokio::time::timeout(self.wait, self.threads.clone().acquire_owned()).await;
        let Ok(Ok(thread)) = turn else {
            return Err(Refusal::for_now(Code::Unavailable, "no thread became free in time: try again"));
        };
        let job = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(thread);
            done
        });
        job.await.map_err(|panic| Refusal::internal(&panic))
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

/// No one panics while holding this lock; if one did, the counts would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

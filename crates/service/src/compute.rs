//! The seam between a service and what computes for it: [`Compute`]. [`Local`] computes here, on the threads
//! of this process.

use crate::ClientName;
use crate::catalogue::Served;
use crate::keyring::Keyring;
use crate::queue::Queue;
use crate::refusal::{Outcome, Refusal};
use crate::timing::Timing;
use blindsight_protocol::{Address, Code};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

/// What is there later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request that was received whole, of a client that may ask, with keys that are registered.
#[derive(Clone)]
pub struct Inference {
    /// The model, and the plan that it is served by.
    pub served: Arc<Served>,
    /// Who asks.
    pub client: ClientName,
    /// The client's keys.
    pub keys: Address,
    /// The request's frame: as long as the plan says, and not looked at yet.
    pub request: Arc<Vec<u8>>,
    /// What tells the request from others.
    pub id: String,
}

/// A reply's frame, and what was done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// The frame.
    pub reply: Vec<u8>,
    /// What was done, from the end of the request's body on.
    pub timing: Timing,
}

/// What computes for a service. A request goes to it; a reply or a refusal comes.
///
/// The outer refusal says that nothing was computed: what was counted for the request is taken back. The
/// inner one is what computing it gave. Where the future is dropped nobody waits any more: what has not begun
/// is not done.
pub trait Compute: fmt::Debug + Send + Sync {
    /// Computes for a client, when it is its turn.
    fn infer(&self, inference: Inference) -> Later<'_, Outcome<Outcome<Computed>>>;

    /// A client's keys were deleted: what is kept of them in memory goes.
    fn forget(&self, client: &ClientName, keys: &Address);
}

/// Computes in this process.
pub(crate) struct Local {
    queue: Arc<Queue>,
    keyring: Arc<Keyring>,
}

impl Local {
    pub fn new(queue: Arc<Queue>, keyring: Arc<Keyring>) -> Self {
        Self { queue, keyring }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Local")
    }
}

impl Compute for Local {
    fn infer(&self, inference: Inference) -> Later<'_, Outcome<Outcome<Computed>>> {
        Box::pin(async move {
            let (keyring, client, received) =
                (self.keyring.clone(), inference.client.clone(), Instant::now());
            let work = move || {
                let mut timing = Timing::default();
                timing.add("queue", received.elapsed());
                compute(&keyring, &inference, timing)
            };
            self.queue.compute(&client, work).await
        })
    }

    fn forget(&self, client: &ClientName, keys: &Address) {
        self.keyring.cache.remove(&(client.clone(), *keys));
    }
}

fn compute(keyring: &Keyring, inference: &Inference, mut timing: Timing) -> Outcome<Computed> {
    let Inference { served, client, keys, request, .. } = inference;
    let prepared = &served.prepared;
    let keys = timing.step("keys", || keyring.keys(served, &(client.clone(), *keys)))?;
    let request = timing.step("expand", || prepared.read_request(&keys, &request[..]));
    let request = request.map_err(|error| Refusal::new(Code::NotConforming, error.to_string()))?;
    let answer = timing.step("compute", || prepared.compute(&keys, request));
    let answer = answer.map_err(|error| Refusal::internal(&error))?;
    Ok(Computed { reply: prepared.write_reply(&answer), timing })
}

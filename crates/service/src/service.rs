//! The service: what all requests share.

use crate::audit::{Audit, Witness};
use crate::catalogue::{Catalogue, Served};
use crate::compute::{Compute, Local};
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::places::Places;
use crate::queue::Queue;
use crate::refusal::{Outcome, Refusal};
use crate::registry::{Id, Registry};
use crate::store::Store;
use crate::store_error::StoreError;
use crate::tokens::{Entry, State, TokenError, Tokens, now};
use crate::usage::{self, Charge, Counts, Usage};
use crate::{ClientName, Limits, Scope, Signer};
use blindsight_ckks::wire::hex;
use blindsight_protocol::{Code, SignedStatement};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the bounds on uploads are on, in refusals.
const UPLOADS: &str = "uploads of keys";

/// Models, keys and tokens, ready to answer requests.
pub struct Service {
    pub(crate) limits: Limits,
    pub(crate) catalogue: Catalogue,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) store: Arc<Store>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) compute: Arc<dyn Compute>,
    pub(crate) uploads: Places,
    pub(crate) metrics: Metrics,
    extras: Extras,
    closing: AtomicBool,
}

/// What a service does besides answering.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Extras {
    /// Where it writes down who had what done.
    pub audit: Option<Arc<Audit>>,
    /// What it signs statements about its models with.
    pub signer: Option<Arc<Signer>>,
    /// What computes in place of its own threads.
    pub compute: Option<Arc<dyn Compute>>,
    /// Where registered keys lie, in place of its own folder.
    pub registry: Option<Arc<dyn Registry>>,
    /// The tokens, with what is used of them, in place of those in its own folder.
    pub tokens: Option<SharedTokens>,
}

/// Tokens that several services accept, whose bounds hold for all of them together.
#[derive(Debug, Clone)]
pub struct SharedTokens {
    /// The tokens.
    pub tokens: Arc<Tokens>,
    /// Where their uses are counted.
    pub counts: Arc<dyn Counts>,
}

impl SharedTokens {
    /// Those in a folder that all services have.
    ///
    /// # Errors
    /// Where the tokens cannot be read.
    pub fn in_folder(folder: &Path) -> Result<Self, TokenError> {
        Ok(Self { tokens: Arc::new(Tokens::open(folder)?), counts: usage::in_folder(folder) })
    }
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tokens cannot be read.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// What was used of tokens cannot be read.
    #[error("what was used of tokens: {0}")]
    Usage(std::io::Error),
    /// There are no threads to compute on.
    #[error("cannot start the threads that compute: {0}")]
    Threads(std::io::Error),
}

impl Service {
    /// A service of these models, with what lasts in `folder`, which exists.
    ///
    /// # Errors
    /// Where the folder cannot be read or written, or another server has it.
    pub fn open(folder: &Path, catalogue: Catalogue, limits: Limits) -> Result<Arc<Self>, StartError> {
        Self::open_with(folder, catalogue, limits, Extras::default())
    }

    /// The same with what it does besides.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        folder: &Path,
        catalogue: Catalogue,
        limits: Limits,
        extras: Extras,
    ) -> Result<Arc<Self>, StartError> {
        let (tokens, usage) = match extras.tokens.clone() {
            Some(shared) => (shared.tokens, Usage::shared(shared.counts)),
            None => (Arc::new(Tokens::open(folder)?), Usage::open(folder).map_err(StartError::Usage)?),
        };
        let store = Arc::new(match extras.registry.clone() {
            Some(registry) => Store::with_registry(folder, registry, limits.quota)?,
            None => Store::open(folder, limits.quota)?,
        });
        // Where others compute, keys in memory here would serve nobody.
        let memory = if extras.compute.is_some() { 0 } else { limits.cache };
        let keyring = Arc::new(Keyring::new(store.clone(), memory));
        let queue = Arc::new(Queue::new(&limits).map_err(StartError::Threads)?);
        let local = || Arc::new(Local::new(queue.clone(), keyring.clone())) as Arc<dyn Compute>;
        let service = Self {
            catalogue,
            tokens,
            usage,
            compute: extras.compute.clone().unwrap_or_else(local),
            uploads: Places::new(limits.uploads, 0, limits.uploads_per_client, UPLOADS),
            metrics: Metrics::new(&keyring),
            store,
            keyring,
            queue,
            extras,
            closing: AtomicBool::new(false),
            limits,
        };
        service.sweep();
        Ok(Arc::new(service))
    }

    /// Whom it serves.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The figures for Prometheus.
    pub fn metrics(&self) -> String {
        self.metrics.text(self.queue.taken(), self.keyring.cache.bytes())
    }

    /// A witness of a request that begins now: the audit log's line, and what is counted where it is lost.
    pub(crate) fn witness(&self, asked: String, request_bytes: u64) -> Witness {
        let lost = self.metrics.audit_lost.clone();
        let on_loss = Box::new(move || {
            lost.inc();
        });
        Witness::new(self.extras.audit.clone(), asked, request_bytes, on_loss)
    }

    /// What the server signs of a model, if it signs.
    pub(crate) fn statement(&self, served: &Served) -> Option<SignedStatement> {
        let signer = self.extras.signer.as_ref()?;
        let digest = hex(&served.model_digest);
        Some(signer.sign(&served.summary.id, digest, served.summary.plan.clone()))
    }

    /// Does what may wait for a disk or a network, on a thread that may wait.
    pub(crate) async fn waiting<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let service = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&service)).await;
        done.map_err(|panic| Refusal::internal(&panic))?
    }

    /// From now on `/healthz` says that the server goes.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Deletes what is over: keys whose time has come, keys of revoked clients, uploads that were given up.
    pub(crate) fn sweep(&self) {
        let swept = self.tokens.list().map(|clients| {
            self.usage.retain(&clients.values().map(|entry| entry.sha256.clone()).collect());
            let gone = |name: &ClientName| clients.get(name).is_some_and(|entry| entry.revoked);
            self.store.sweep(gone, self.limits.abandoned)
        });
        match swept {
            Ok(Ok(over)) => over.iter().for_each(|id| self.forget(id)),
            Ok(Err(error)) => tracing::warn!(%error, "keys that are over could not be deleted"),
            Err(error) => tracing::warn!(%error, "tokens cannot be read"),
        }
    }

    /// Drops what is in memory of keys that were deleted.
    pub(crate) fn forget(&self, id: &Id) {
        self.keyring.cache.remove(id);
        self.compute.forget(&id.0, &id.1);
    }

    /// Writes down what was used of tokens; all of it where the server `ends`.
    pub(crate) fn note_usage(&self, ends: bool) {
        if let Err(error) = self.usage.flush(ends) {
            tracing::error!(%error, "what is used of tokens cannot be written down");
        }
    }

    /// The client that a token belongs to, and what is kept of the token.
    pub(crate) fn authenticate(&self, token: &str) -> Outcome<(ClientName, Entry)> {
        let refused = |detail: &str| Err(Refusal::new(Code::Unauthorized, detail));
        let found = self.tokens.look_up(token).map_err(|error| {
            tracing::error!(%error, "tokens");
            Refusal::for_now(Code::Unavailable, "the server cannot look at its tokens just now: try again")
        })?;
        let state = found.as_ref().map(|(_, entry)| entry.state(now()));
        match (found, state) {
            (Some(found), Some(State::Valid)) => Ok(found),
            (_, Some(State::Expired)) => refused("the token's time is over: ask for a new one"),
            _ => refused("the token is unknown or was revoked: ask for a new one"),
        }
    }

    /// Counts one inference under a token, if its rate and budget have room for it.
    pub(crate) async fn charge(self: &Arc<Self>, token: &Entry) -> Outcome<Charge> {
        if !self.usage.waits(token) {
            return self.usage.charge(token);
        }
        let token = token.clone();
        self.waiting(move |service| service.usage.charge(&token)).await
    }

    /// A model, where it is there for this token: one of others' looks as one that is not served.
    pub(crate) fn model(&self, id: &str, scope: &Scope) -> Outcome<Arc<Served>> {
        let served = self.catalogue.get(id).filter(|_| scope.allows(id)).cloned();
        served.ok_or_else(|| Refusal::new(Code::UnknownModel, "no such model here: see GET /v1/models"))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Active => Self::for_now(Code::UploadInProgress, &error.to_string()),
            StoreError::Quota { .. } => Self::new(Code::QuotaExceeded, error.to_string()),
            _ if error.is_full() => {
                let place = if matches!(error, StoreError::Registry { .. }) { "store" } else { "disk" };
                tracing::error!("the {place} is full");
                let detail = format!("the server's {place} is full; what had arrived is kept: try again");
                Self::for_now(Code::StorageFull, &detail)
            }
            _ => Self::internal(&error),
        }
    }
}

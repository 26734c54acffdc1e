//! A worker: takes jobs, computes, answers.
//!
//! A worker holds models and clients' evaluation keys, and no secret key, by type; of the store it reads
//! models, keys and requests, and tokens do not lie there. One line leads through it: a bell or a look around
//! -> a job -> keys and request -> a thread -> an answer, which the front acknowledges -> the job is done.

mod company;
mod compute;
mod jobs;

use crate::bells::{Bells, Place};
use crate::bus::{self, Bus, BusError};
use crate::depot::{Depot, DepotError, Shared};
use crate::figures::Figures;
use crate::front::milliseconds;
use crate::job::{Answer, Ending, Job};
use crate::keys;
use crate::models::{self, ModelError, Prepared};
use crate::roster::{Beat, List};
use crate::threads::Threads;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{AckKind, Message};
use blindsight_ckks::wire::FRAME_BYTES;
use blindsight_protocol::Code;
use blindsight_server::ClientKeys;
use blindsight_service::{Cache, Id, Timing};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, sleep_until, timeout};

/// How often a worker looks at all places, for jobs whose bell was lost or whose worker died.
const LOOK_AROUND: Duration = Duration::from_millis(250);
/// How often it looks whether a model is served by another plan.
const LOOK_AT_NAMES: Duration = Duration::from_secs(5);
/// For an answer to be taken by its front, which may come back, or be reached again.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// For one look at one place.
const FETCH_WAIT: Duration = Duration::from_secs(2);
/// So many places of others are looked at then.
const MOST_LOOKS: usize = 32;
/// The least and the most that a job is left to the worker at home.
const LEAST_COURTESY: Duration = Duration::from_millis(3);
const MOST_COURTESY: Duration = Duration::from_secs(1);
/// Up to so many workers hear all bells; more hear those of their own shards, and look around for others.
const FEW_WORKERS: usize = 32;

/// Sees jobs.
pub type Observer = Arc<dyn Fn(&Job) + Send + Sync>;

/// What a worker is to do.
#[derive(Clone)]
pub struct Options {
    /// The models, by name.
    pub models: Vec<String>,
    /// Inferences at once.
    pub threads: usize,
    /// Bytes of expanded keys in memory.
    pub key_memory: usize,
    /// Sees each job before it is computed: for tests and for logs of an application's own.
    pub observer: Option<Observer>,
}

/// Why a worker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The store.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// A model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// There are no threads to compute on.
    #[error("cannot start the threads that compute: {0}")]
    Threads(std::io::Error),
    /// A subscription.
    #[error("NATS: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
}

/// A worker of a fleet.
pub struct Worker {
    bus: Bus,
    depot: Depot,
    shared: Shared,
    options: Options,
    id: u64,
    prepared: RwLock<HashMap<[u8; 32], Arc<Prepared>>>,
    places: RwLock<Vec<(Place, PullConsumer)>>,
    list: Mutex<List>,
    bells: Bells,
    threads: Threads,
    cache: Cache,
    /// What it did, for Prometheus.
    pub figures: Figures,
    busy: AtomicUsize,
    /// Microseconds that keys took lately which were not in memory.
    fetching: AtomicU64,
    /// Where it looked last at places of others.
    turn: AtomicUsize,
    draining: AtomicBool,
    start: Instant,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({:016x})", self.id)
    }
}

impl Worker {
    /// A worker that is not ready yet: [`run`](Self::run) makes it so.
    ///
    /// # Errors
    /// Where there is no randomness for its name.
    pub fn new(bus: Bus, depot: Depot, shared: Shared, options: Options) -> Result<Arc<Self>, WorkerError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(WorkerError::Randomness)?;
        Ok(Arc::new(Self {
            bus,
            depot,
            shared,
            id: u64::from_le_bytes(id),
            prepared: RwLock::default(),
            places: RwLock::default(),
            list: Mutex::default(),
            bells: Bells::default(),
            threads: Threads::new(options.threads).map_err(WorkerError::Threads)?,
            cache: Cache::new(options.key_memory),
            figures: Figures::new(),
            busy: AtomicUsize::new(0),
            fetching: AtomicU64::new(0),
            turn: AtomicUsize::new(id[0].into()),
            draining: AtomicBool::new(false),
            start: Instant::now(),
            options,
        }))
    }

    /// Prepares the models, waiting for those that no front has published yet, and computes until `stop` is
    /// ready. What runs then ends, and is answered.
    ///
    /// # Errors
    /// Where a model cannot be prepared, or the bus takes no subscription.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let mut stop = pin!(stop);
        for name in self.options.models.clone() {
            tokio::select! {
                () = &mut stop => return Ok(()),
                added = self.add_first(&name) => added?,
            }
        }
        let tasks = [
            tokio::spawn(self.clone().live()),
            tokio::spawn(self.clone().hear_questions()),
            tokio::spawn(self.clone().hear_deletions()),
            tokio::spawn(self.clone().follow_names()),
        ];
        let slots = Arc::new(Semaphore::new(self.options.threads));
        let taking = tokio::spawn(self.clone().take(slots.clone()));
        stop.await;
        tracing::info!("draining: no more jobs are taken");
        self.draining.store(true, Ordering::Relaxed);
        self.bells.ring(([0; 32], 0), Duration::ZERO);
        let _ = taking.await;
        let _ = slots.acquire_many(self.options.threads as u32).await;
        let _ = self.bus.client.publish(bus::BEATS, self.beat_text().into()).await;
        let _ = self.bus.client.flush().await;
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(())
    }

    /// Whether it takes jobs.
    pub fn is_ready(&self) -> bool {
        let connected = self.bus.client.connection_state() == async_nats::connection::State::Connected;
        connected && !self.is_draining() && !self.places().is_empty()
    }

    /// The figures for Prometheus, as they stand.
    pub fn metrics(&self) -> String {
        self.figures.text(self.busy.load(Ordering::Relaxed), self.cache.bytes())
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn name(&self) -> String {
        format!("{:016x}", self.id)
    }
}

/// Models.
impl Worker {
    async fn add_first(&self, name: &str) -> Result<(), WorkerError> {
        let mut said = false;
        loop {
            if let Some(named) = models::named(&self.depot, name).await? {
                match self.add(name, named).await {
                    // The front that published it makes its consumers just now.
                    Err(WorkerError::Bus(_)) => {}
                    added => return added,
                }
            }
            if !said {
                tracing::info!(name, "waiting for a front that serves this model");
                said = true;
            }
            sleep(LOOK_AROUND).await;
        }
    }

    async fn add(&self, name: &str, named: crate::depot::Named) -> Result<(), WorkerError> {
        let mut places = vec![];
        for shard in 0..self.shared.shards {
            places.push(((named.plan, shard), self.bus.consumer(&named.plan, shard).await?));
        }
        let prepared = Arc::new(models::prepare(&self.depot, name, &named).await?);
        self.prepared.write().unwrap_or_else(PoisonError::into_inner).insert(named.plan, prepared);
        self.places.write().unwrap_or_else(PoisonError::into_inner).extend(places);
        Ok(())
    }

    /// Prepares what a model is served by anew. The plan before stays: its clients go on until they have new
    /// keys.
    async fn follow_names(self: Arc<Self>) {
        loop {
            sleep(LOOK_AT_NAMES).await;
            for name in &self.options.models {
                let Ok(Some(named)) = models::named(&self.depot, name).await else { continue };
                if self.prepared(&named.plan).is_some() {
                    continue;
                }
                match self.add(name, named).await {
                    // Its bells are heard from the next beat on, as if the others were new.
                    Ok(()) => *self.list() = List::default(),
                    Err(error) => tracing::warn!(%error, name, "a new plan cannot be prepared yet"),
                }
            }
        }
    }

    fn prepared(&self, plan: &[u8; 32]) -> Option<Arc<Prepared>> {
        self.prepared.read().unwrap_or_else(PoisonError::into_inner).get(plan).cloned()
    }

    fn places(&self) -> Vec<(Place, PullConsumer)> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

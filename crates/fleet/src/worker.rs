//! A worker: takes jobs, computes, answers.
//!
//! A worker holds models and clients' evaluation keys, and no secret key, by type; of the store it reads
//! models, keys and requests, and tokens do not lie there. One line leads through it: a bell or a look around
//! -> a job -> keys and request -> a thread -> an answer, which the front acknowledges -> the job is done.

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

/// Who else is there.
impl Worker {
    /// Says that it lives, and hears who else does.
    async fn live(self: Arc<Self>) {
        let mut bells = tokio::spawn(self.clone().hear_bells(List::default()));
        loop {
            let asked = self.bus.client.request(bus::BEATS, self.beat_text().into()).await;
            let list = asked.ok().and_then(|answer| serde_json::from_slice::<List>(&answer.payload).ok());
            if let Some(list) = list
                && list != *self.list()
            {
                *self.list() = list.clone();
                bells.abort();
                bells = tokio::spawn(self.clone().hear_bells(list));
            }
            let every = self.list().every.max(1000);
            sleep(Duration::from_millis(every)).await;
        }
    }

    /// Subscribes to the bells of all places, or where there are many workers to those of its own.
    async fn hear_bells(self: Arc<Self>, list: List) {
        let plans: Vec<[u8; 32]> =
            self.prepared.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        let mut heard = futures_util::stream::SelectAll::new();
        for plan in plans {
            let mut shards: Vec<String> = vec!["*".into()];
            if list.workers.len() > FEW_WORKERS {
                let home = |shard: &u16| list.is_home(&self.name(), &plan, *shard);
                shards = (0..self.shared.shards).filter(home).map(|shard| shard.to_string()).collect();
            }
            for shard in shards {
                match self.bus.client.subscribe(bus::bell_subject(&plan, &shard)).await {
                    Ok(bells) => heard.push(bells.map(move |bell| (plan, bell))),
                    Err(error) => tracing::warn!(%error, "bells are not heard"),
                }
            }
        }
        while let Some((plan, bell)) = heard.next().await {
            let shard = bell.subject.rsplit('.').next().and_then(|shard| shard.parse().ok());
            if let Some(shard) = shard.filter(|shard| *shard < self.shared.shards) {
                let home = list.is_home(&self.name(), &plan, shard);
                self.bells.ring((plan, shard), self.courtesy(home));
            }
        }
    }

    async fn hear_questions(self: Arc<Self>) {
        let Ok(mut questions) = self.bus.client.subscribe(bus::STATUS).await else { return };
        while let Some(question) = questions.next().await {
            if let Some(inbox) = question.reply {
                let _ = self.bus.client.publish(inbox, self.beat_text().into()).await;
            }
        }
    }

    async fn hear_deletions(self: Arc<Self>) {
        let Ok(mut deletions) = self.bus.client.subscribe(bus::FORGET).await else { return };
        while let Some(deleted) = deletions.next().await {
            let text = String::from_utf8_lossy(&deleted.payload);
            let id =
                text.split_once('/').and_then(|(name, keys)| Some((name.parse().ok()?, keys.parse().ok()?)));
            if let Some(id) = id {
                self.cache.remove(&id);
            }
        }
    }

    fn beat_text(&self) -> Vec<u8> {
        let prepared = self.prepared.read().unwrap_or_else(PoisonError::into_inner);
        let mut models: Vec<String> = prepared.values().map(|prepared| prepared.name.clone()).collect();
        models.sort();
        models.dedup();
        let figures = &self.figures;
        let beat = Beat {
            worker: self.name(),
            pid: std::process::id(),
            models,
            plans: prepared.keys().map(bus::short).collect(),
            threads: self.options.threads,
            busy: self.busy.load(Ordering::Relaxed),
            computed: figures.computed.get(),
            redelivered: figures.redelivered.get(),
            key_hits: figures.key_hits.get(),
            key_misses: figures.key_misses.get(),
            key_bytes: self.cache.bytes(),
            seconds: self.start.elapsed().as_secs(),
            draining: self.is_draining(),
        };
        serde_json::to_vec(&beat).expect("plain text and numbers")
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs.
impl Worker {
    /// Takes jobs, no more than there are threads.
    async fn take(self: Arc<Self>, slots: Arc<Semaphore>) {
        while let Ok(slot) = slots.clone().acquire_owned().await {
            let Some(message) = self.next().await else { return };
            tokio::spawn(self.clone().finish(message, slot));
        }
    }

    /// The next job; none once the worker drains.
    async fn next(&self) -> Option<Message> {
        let mut look_around = tokio::time::Instant::now();
        while !self.is_draining() {
            let due = match self.bells.due() {
                Ok(place) => {
                    let places = self.places();
                    let found = places.iter().find(|(other, _)| *other == place);
                    if let Some((place, consumer)) = found
                        && let Some(message) = self.fetch(*place, consumer, true).await
                    {
                        return Some(message);
                    }
                    continue;
                }
                Err(due) => due,
            };
            if look_around <= tokio::time::Instant::now() {
                if let Some(message) = self.look_around().await {
                    return Some(message);
                }
                look_around = tokio::time::Instant::now() + LOOK_AROUND.max(self.courtesy(false));
            }
            let wake = due.map_or(look_around, |due| look_around.min(due.into()));
            tokio::select! {
                () = self.bells.next() => {}
                () = sleep_until(wake) => {}
            }
        }
        None
    }

    /// How long it leaves a job to the worker at home, which has the keys in memory: about what it takes to
    /// get them here.
    fn courtesy(&self, home: bool) -> Duration {
        let keys = Duration::from_micros(self.fetching.load(Ordering::Relaxed));
        if home { Duration::ZERO } else { keys.clamp(LEAST_COURTESY, MOST_COURTESY) }
    }

    /// Looks at its own places, and at some of others, which are other ones each time.
    async fn look_around(&self) -> Option<Message> {
        let (list, name) = (self.list().clone(), self.name());
        let (own, mut others): (Vec<_>, Vec<_>) =
            self.places().into_iter().partition(|((plan, shard), _)| list.is_home(&name, plan, *shard));
        let turn = self.turn.fetch_add(MOST_LOOKS, Ordering::Relaxed);
        if !others.is_empty() {
            let turn = turn % others.len();
            others.rotate_left(turn);
        }
        for (place, consumer) in own.iter().chain(others.iter().take(MOST_LOOKS)) {
            if let Some(message) = self.fetch(*place, consumer, false).await {
                return Some(message);
            }
        }
        None
    }

    /// A job from a place, if there is one. Where a bell was heard at a place of its own it waits a moment,
    /// and where there are more jobs it will look there again.
    async fn fetch(&self, place: Place, consumer: &PullConsumer, heard: bool) -> Option<Message> {
        let home = self.list().is_home(&self.name(), &place.0, place.1);
        let fetch = async {
            let batch = match home && heard {
                true => consumer.batch().max_messages(1).expires(bus::MOMENT).messages().await,
                false => consumer.fetch().max_messages(1).messages().await,
            };
            batch.ok()?.next().await?.ok()
        };
        let Ok(message) = timeout(FETCH_WAIT, fetch).await else {
            // The bus is out of reach: it comes back by itself.
            sleep(LOOK_AROUND).await;
            return None;
        };
        let message = message?;
        if message.info().is_ok_and(|info| info.pending > 0) {
            self.bells.ring(place, self.courtesy(home));
        }
        Some(message)
    }

    /// Brings a job to its end.
    async fn finish(self: Arc<Self>, message: Message, slot: OwnedSemaphorePermit) {
        let delivered = message.info().map_or(1, |info| info.delivered);
        let (job, request) = match Job::read(&self.shared.key, &message.payload) {
            Ok((job, request)) => (job, request.len()),
            Err(error) => {
                tracing::warn!(%error, "a job that is none of this fleet's was dropped");
                self.figures.foreign.inc();
                let _ = message.ack_with(AckKind::Term).await;
                return;
            }
        };
        if delivered > 1 {
            self.figures.redelivered.inc();
        }
        if let Ok(info) = message.info() {
            let published = u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
            self.figures.waited(Duration::from_millis(milliseconds().saturating_sub(published)));
        }
        let keep_alive = KeepAlive::start(&message);
        let (ending, reply) = if delivered > bus::MOST_DELIVERIES {
            self.lay_aside(&job, &message).await
        } else if job.deadline < milliseconds() {
            (Ending::TooLate, vec![])
        } else {
            self.busy.fetch_add(1, Ordering::Relaxed);
            let start = message.payload.len() - request;
            let done = self.clone().compute(&job, message.payload.slice(start..)).await;
            self.busy.fetch_sub(1, Ordering::Relaxed);
            done
        };
        drop(slot);
        self.answer(&job, ending, &reply).await;
        drop(keep_alive);
        if let Err(error) = message.ack().await {
            tracing::warn!(%error, "a job that is done could not be acknowledged: it will come again");
        }
    }

    /// Every worker that began this job ended. It is kept for whoever looks after the fleet.
    async fn lay_aside(&self, job: &Job, message: &Message) -> (Ending, Vec<u8>) {
        tracing::error!(id = %job.id, client = %job.client, "a job that ended its workers was laid aside");
        self.figures.dead.inc();
        let letter = PublishMessage::build().payload(message.payload.clone()).message_id(job.id.to_string());
        let sent = self.bus.jetstream.send_publish(bus::dead_subject(&job.plan), letter).await;
        if let Ok(sent) = sent
            && let Err(error) = sent.await
        {
            tracing::warn!(%error, "it could not be kept");
        }
        (Ending::Dead, vec![])
    }

    /// Tells the front, until it has heard or is gone.
    async fn answer(&self, job: &Job, ending: Ending, reply: &[u8]) {
        let answer = Answer { id: job.id, worker: self.id, ending };
        let message: bytes::Bytes = answer.write(&self.shared.key, reply).into();
        let (subject, start) = (bus::answer_subject(job.front), Instant::now());
        while start.elapsed() < ANSWER_WAIT {
            if self.bus.client.request(subject.clone(), message.clone()).await.is_ok() {
                return;
            }
            sleep(LOOK_AROUND).await;
        }
        tracing::info!(id = %job.id, "nobody waits for this answer any more");
    }
}

/// Computing.
impl Worker {
    async fn compute(self: Arc<Self>, job: &Job, inline: bytes::Bytes) -> (Ending, Vec<u8>) {
        let mut timing = Timing::default();
        let Some(prepared) = self.prepared(&job.plan) else {
            return (Ending::refused(Code::Unavailable, "this worker does not compute that plan"), vec![]);
        };
        if let Some(observer) = &self.options.observer {
            observer(job);
        }
        let start = Instant::now();
        let gathered = self.gather(&prepared, job, inline).await;
        timing.add("store", start.elapsed());
        let (found, request) = match gathered {
            Ok(gathered) => gathered,
            Err(refused) => return (refused, vec![]),
        };
        let (worker, job) = (self.clone(), job.clone());
        let work = move || worker.infer(&prepared, &job, found, &request, timing);
        match self.threads.run(work).await {
            Some(Ok((timing, reply))) => {
                self.figures.computed(timing.of("compute").unwrap_or_default());
                (Ending::Computed(timing.to_numbers()), reply)
            }
            Some(Err(refused)) => (refused, vec![]),
            None => {
                tracing::error!("a computation panicked");
                (Ending::refused(Code::Internal, "the server failed; its log says why"), vec![])
            }
        }
    }

    /// The keys, from memory or as they lie in the store, and the request.
    async fn gather(
        &self,
        prepared: &Prepared,
        job: &Job,
        inline: bytes::Bytes,
    ) -> Result<(Found, bytes::Bytes), Ending> {
        let out_of_reach = |error: DepotError| {
            tracing::warn!(%error, id = %job.id, "the store does not give what a job needs");
            Ending::refused(Code::Unavailable, "the server's store is out of reach: try again")
        };
        let found = match self.cache.get(&id(job), &job.plan, 0) {
            Some(keys) => Found::InMemory(keys),
            None => {
                let bytes = (prepared.model.evaluation_keys_bytes() + FRAME_BYTES) as u64;
                let read = keys::read_keys(&self.depot, &job.client, &job.address(), bytes).await;
                let deleted = || Ending::refused(Code::UnknownKeys, "these keys were deleted just now");
                Found::InStore(read.map_err(out_of_reach)?.ok_or_else(deleted)?)
            }
        };
        if !job.stored {
            return Ok((found, inline));
        }
        let bytes = (prepared.model.request_bytes() + FRAME_BYTES) as u64;
        let read = self.depot.get(&job.request_path(), bytes).await.map_err(out_of_reach)?;
        // Whoever waited for it has gone, and took it along.
        let request = read.ok_or(Ending::TooLate)?;
        Ok((found, request.into()))
    }

    fn infer(
        &self,
        prepared: &Prepared,
        job: &Job,
        found: Found,
        request: &[u8],
        mut timing: Timing,
    ) -> Result<(Timing, Vec<u8>), Ending> {
        let model = &prepared.model;
        let wrong =
            |error: blindsight_server::Error| Ending::refused(Code::NotConforming, &error.to_string());
        if crate::job::checksum(request) != Some(job.request) {
            return Err(Ending::refused(Code::NotConforming, "the request is not the one that was sent"));
        }
        let gathered = timing.of("store").unwrap_or_default();
        let keys = timing.step("keys", || self.keys(prepared, job, found, gathered))?;
        let request = timing.step("expand", || model.read_request(&keys, request)).map_err(wrong)?;
        let answer = timing.step("compute", || model.compute(&keys, &request)).map_err(|error| {
            tracing::error!(%error, id = %job.id, "internal error");
            Ending::refused(Code::Internal, "the server failed; its log says why")
        })?;
        Ok((timing, model.write_reply(&answer)))
    }

    fn keys(
        &self,
        prepared: &Prepared,
        job: &Job,
        found: Found,
        gathered: Duration,
    ) -> Result<Arc<ClientKeys>, Ending> {
        let frame = match found {
            Found::InMemory(keys) => {
                self.figures.key_hits.inc();
                return Ok(keys);
            }
            Found::InStore(frame) => frame,
        };
        self.figures.key_misses.inc();
        let start = Instant::now();
        let keys = prepared.model.read_keys(&frame[..]);
        let keys = keys.map_err(|error| Ending::refused(Code::NotConforming, &error.to_string()))?;
        let keys = Arc::new(keys);
        let spent = (start.elapsed() + gathered).as_micros() as u64;
        let before = self.fetching.load(Ordering::Relaxed);
        let mean = if before == 0 { spent } else { (7 * before + spent) / 8 };
        self.fetching.store(mean, Ordering::Relaxed);
        self.cache.insert(id(job), job.plan, keys.clone(), None);
        Ok(keys)
    }
}

/// A client's keys, expanded, or their frame.
enum Found {
    InMemory(Arc<ClientKeys>),
    InStore(Vec<u8>),
}

fn id(job: &Job) -> Id {
    (job.client.clone(), job.address())
}

/// As long as this is there the bus is told that the job is being computed.
struct KeepAlive(tokio::task::JoinHandle<()>);

impl KeepAlive {
    fn start(message: &Message) -> Self {
        let message = message.clone();
        Self(tokio::spawn(async move {
            loop {
                sleep(bus::PROGRESS).await;
                let _ = message.ack_with(AckKind::Progress).await;
            }
        }))
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

//! A front's side of a fleet: [`Fleet`] is what computes for its service.
//!
//! A request gets its turn, as in one process: only about twice as many jobs as the workers compute at once
//! are sent ahead, so that clients take turns here and the queue there stays short. Then its job is published
//! and its answer awaited.

use crate::bus::{self, Bus, BusError};
use crate::depot::{Depot, Shared};
use crate::job::{self, Answer, FrontId, Job, JobId};
use crate::keys::StoredKeys;
use crate::roster::{Beat, FrontState, Roster};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use blindsight_protocol::{Address, Code};
use blindsight_service::{ClientName, Compute, Computed, Inference, Later, Outcome, Pass, Refusal};
use blindsight_service::{Registry, Turnstile};
use futures_util::StreamExt;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Jobs sent ahead where no worker is known: what the first one to come finds.
const LEAST_AHEAD: usize = 4;
/// After the time to wait is over, a job that was begun is given so long.
const GRACE: Duration = Duration::from_secs(60);
/// Between two looks at what was left behind.
const SWEEP: Duration = Duration::from_secs(60);
/// Between two attempts to publish.
const PAUSE: Duration = Duration::from_millis(200);

/// What becomes of a request: see [`Compute`].
type Answered = Outcome<Outcome<Computed>>;

/// Workers elsewhere, as a service sees them.
#[derive(Clone)]
pub struct Fleet(Arc<Front>);

struct Front {
    bus: Bus,
    depot: Depot,
    shared: Shared,
    id: FrontId,
    wait: Duration,
    runtime: Handle,
    turns: Turnstile,
    roster: Roster,
    waiting: Mutex<HashMap<JobId, oneshot::Sender<Answered>>>,
    models: Mutex<BTreeSet<String>>,
    plans: Mutex<BTreeSet<[u8; 32]>>,
    /// The highest number of a job that it has seen.
    newest: AtomicU64,
    /// Held while queues are made anew.
    recounts: tokio::sync::Mutex<()>,
    start: Instant,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fleet({})", self.0.id)
    }
}

impl Fleet {
    /// Joins a fleet as a front. A request waits `wait` to be begun.
    ///
    /// # Errors
    /// Where the bus cannot be used.
    pub async fn join(bus: Bus, depot: Depot, shared: Shared, wait: Duration) -> Result<Self, BusError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| BusError::JetStream(error.to_string()))?;
        let front = Arc::new(Front {
            bus,
            depot,
            shared,
            id: FrontId(u64::from_le_bytes(id)),
            wait,
            runtime: Handle::current(),
            turns: Turnstile::new(LEAST_AHEAD),
            roster: Roster::default(),
            waiting: Mutex::default(),
            models: Mutex::default(),
            plans: Mutex::default(),
            newest: AtomicU64::new(0),
            recounts: tokio::sync::Mutex::default(),
            start: Instant::now(),
        });
        front.clone().listen().await?;
        Ok(Self(front))
    }

    /// Makes what workers need to compute for a model by a plan.
    ///
    /// # Errors
    /// Where JetStream refuses.
    pub async fn offer(&self, model: &str, plan: &[u8; 32]) -> Result<(), BusError> {
        let last = self.0.bus.prepare(plan, self.0.shared.shards).await?;
        self.0.newest.fetch_max(last, Ordering::Relaxed);
        self.0.models.lock().unwrap_or_else(PoisonError::into_inner).insert(model.into());
        self.0.plans.lock().unwrap_or_else(PoisonError::into_inner).insert(*plan);
        Ok(())
    }

    /// The clients' keys, in the fleet's store.
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(StoredKeys::new(self.0.depot.clone(), self.0.runtime.clone()))
    }
}

impl Compute for Fleet {
    fn infer(&self, inference: Inference) -> Later<'_, Answered> {
        Box::pin(self.0.clone().infer(inference))
    }

    fn forget(&self, client: &ClientName, keys: &Address) {
        let (bus, text) = (self.0.bus.clone(), format!("{client}/{keys}"));
        self.0.runtime.spawn(async move { bus.client.publish(bus::FORGET, text.into()).await });
    }
}

impl Front {
    async fn infer(self: Arc<Self>, inference: Inference) -> Answered {
        let start = Instant::now();
        let _pass = self.turn(&inference.client).await?;
        let job = self.describe(&inference)?;
        let mut await_answer = Awaited::new(self.clone(), &job);
        if job.stored {
            self.lay_down(&job, &inference.request).await?;
        }
        await_answer.sequence = Some(self.publish(&job, &inference.request, start).await?);
        drop(inference);
        let answer = self.answer(&job, &mut await_answer.answer, start).await?;
        await_answer.sequence = None;
        let mut computed = match answer? {
            Ok(computed) => computed,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut all = blindsight_service::Timing::default();
        all.add("queue", start.elapsed().saturating_sub(computed.timing.total()));
        computed.timing = all.then(computed.timing);
        Ok(Ok(computed))
    }

    async fn turn(&self, client: &ClientName) -> Outcome<Pass> {
        let turn = timeout(self.wait, self.turns.enter(client)).await;
        turn.map_err(|_| Refusal::for_now(Code::Unavailable, "no worker became free in time: try again"))
    }

    fn describe(&self, inference: &Inference) -> Outcome<Job> {
        let Inference { served, client, keys, request, id } = inference;
        let number = u64::from_str_radix(id, 16).map_err(|error| Refusal::internal(&error))?;
        let not_a_frame = || Refusal::new(Code::NotConforming, "the request is no frame: it is too short");
        let room = self.bus.client.server_info().max_payload.saturating_sub(4096);
        let most_in_message = self.depot.most_in_message().min(room);
        Ok(Job {
            id: JobId(number),
            front: self.id,
            client: client.clone(),
            keys: keys.0,
            model: served.model_digest,
            plan: served.digest(),
            request: job::checksum(request).ok_or_else(not_a_frame)?,
            bytes: request.len() as u64,
            stored: request.len() > most_in_message,
            deadline: milliseconds() + self.wait.as_millis() as u64,
        })
    }

    async fn lay_down(&self, job: &Job, request: &Arc<Vec<u8>>) -> Outcome<()> {
        let laid = self.depot.put_for_now(&job.request_path(), request.clone()).await;
        laid.map_err(|error| {
            tracing::warn!(%error, "a request cannot be put into the store");
            let why = if error.is_full() { "full" } else { "out of reach" };
            Refusal::for_now(Code::Unavailable, &format!("the server's store is {why}: try again"))
        })
    }

    /// Publishes a job, until its time is over; how often does not matter, as its number is known. Gives
    /// where it stands in the stream.
    async fn publish(&self, job: &Job, request: &[u8], start: Instant) -> Outcome<u64> {
        let payload: bytes::Bytes =
            job.write(&self.shared.key, if job.stored { &[] } else { request }).into();
        let newest = self.newest.load(Ordering::Relaxed);
        loop {
            let error = match self.send(job, payload.clone(), newest).await {
                Ok(sequence) => return Ok(sequence),
                Err(error) => error,
            };
            if start.elapsed() > self.wait {
                tracing::warn!(%error, "a job cannot be published");
                let detail = "the server's queue is full or out of reach: try again";
                return Err(Refusal::for_now(Code::Unavailable, detail));
            }
            if error.kind() == PublishErrorKind::StreamNotFound {
                // It went with the disk of a server that was set up anew.
                let _ = self.bus.prepare(&job.plan, self.shared.shards).await;
            }
            sleep(PAUSE).await;
        }
    }

    /// Publishes a job, where the newest had this number before it was first tried.
    async fn send(&self, job: &Job, payload: bytes::Bytes, newest: u64) -> Result<u64, PublishError> {
        let shard = Job::shard(&job.client, self.shared.shards);
        let subject = bus::job_subject(&job.plan, shard);
        let message = PublishMessage::build().payload(payload).message_id(job.id.to_string());
        let acknowledged = self.bus.jetstream.send_publish(subject, message).await?;
        // The worker at home waits a moment for what comes right behind; so the bell need not.
        let rung = Instant::now();
        self.ring(&job.plan, shard).await;
        let sequence = acknowledged.await?.sequence;
        let counts_anew = sequence <= newest;
        if counts_anew {
            self.recount(sequence, newest).await?;
        }
        self.newest.fetch_max(sequence, Ordering::Relaxed);
        if counts_anew || rung.elapsed() > bus::MOMENT {
            self.ring(&job.plan, shard).await;
        }
        Ok(sequence)
    }

    /// The server lost count of jobs, and gave one this number: workers find them only in queues that are
    /// made anew, which whoever comes first sees to.
    async fn recount(&self, sequence: u64, before: u64) -> Result<(), PublishError> {
        let _one = self.recounts.lock().await;
        if self.newest.load(Ordering::Relaxed) < before {
            return Ok(());
        }
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for plan in plans {
            if let Err(error) = self.bus.recount(&plan, self.shared.shards).await {
                return Err(PublishError::with_source(PublishErrorKind::Other, error));
            }
        }
        self.newest.store(sequence, Ordering::Relaxed);
        Ok(())
    }

    /// Idle workers look at once. Where this is lost they do a little later.
    async fn ring(&self, plan: &[u8; 32], shard: u16) {
        let bell = bus::bell_subject(plan, &shard.to_string());
        let _ = self.bus.client.publish(bell, bytes::Bytes::new()).await;
    }

    async fn answer(
        &self,
        job: &Job,
        answer: &mut oneshot::Receiver<Answered>,
        start: Instant,
    ) -> Outcome<Answered> {
        let too_late = || Refusal::for_now(Code::Unavailable, "no worker answered in time: try again");
        let rest = self.wait.saturating_sub(start.elapsed());
        let answered = match timeout(rest, &mut *answer).await {
            Ok(answered) => answered,
            Err(_) if self.roster.threads(Some(&bus::short(&job.plan))) == 0 => return Err(too_late()),
            Err(_) => timeout(GRACE, answer).await.map_err(|_| too_late())?,
        };
        answered.map_err(|gone| Refusal::internal(&gone))
    }

    /// Hears workers and their answers as long as the front is there.
    async fn listen(self: Arc<Self>) -> Result<(), BusError> {
        let refused = |error: async_nats::SubscribeError| BusError::JetStream(error.to_string());
        let mut answers = self.bus.client.subscribe(bus::answer_subject(self.id)).await.map_err(refused)?;
        let mut beats = self.bus.client.subscribe(bus::BEATS).await.map_err(refused)?;
        let mut questions = self.bus.client.subscribe(bus::STATUS).await.map_err(refused)?;
        let [first, second, third, fourth] = [(); 4].map(|()| Arc::downgrade(&self));
        tokio::spawn(async move {
            while let Some(front) = third.upgrade() {
                front.sweep().await;
                drop(front);
                sleep(SWEEP).await;
            }
        });
        tokio::spawn(async move {
            while let Some(message) = answers.next().await {
                let Some(front) = first.upgrade() else { return };
                front.hear_answer(message).await;
            }
        });
        tokio::spawn(async move {
            while let Some(message) = beats.next().await {
                let Some(front) = second.upgrade() else { return };
                front.hear_beat(message).await;
            }
        });
        tokio::spawn(async move {
            while let Some(message) = questions.next().await {
                let Some(front) = fourth.upgrade() else { return };
                front.hear_question(message).await;
            }
        });
        Ok(())
    }

    /// Removes what fronts that ended left in the store: requests that nobody waits for, uploads that were
    /// given up.
    async fn sweep(&self) {
        for (folder, age) in [("requests", 2 * GRACE), ("uploads", Duration::from_hours(24))] {
            let Ok(objects) = self.depot.list(folder).await else { continue };
            let old = (milliseconds() / 1000).saturating_sub((self.wait + age).as_secs());
            for object in objects.iter().filter(|object| object.changed < old) {
                let _ = self.depot.remove(&object.path).await;
            }
        }
    }

    /// Hands an answer to whoever waits for it, and tells the worker whether somebody does.
    async fn hear_answer(&self, message: async_nats::Message) {
        let (answer, reply) = match Answer::read(&self.shared.key, &message.payload) {
            Ok(answer) => answer,
            Err(error) => return tracing::warn!(%error, "an answer that is none"),
        };
        let waits = self.lock().remove(&answer.id);
        let heard = waits.is_some_and(|waits| waits.send(answer.outcome(reply)).is_ok());
        if let Some(inbox) = message.reply {
            let _ = self.bus.client.publish(inbox, vec![u8::from(heard)].into()).await;
        }
    }

    async fn hear_beat(&self, message: async_nats::Message) {
        let Ok(beat) = serde_json::from_slice::<Beat>(&message.payload) else { return };
        self.roster.hear(beat);
        let list = self.roster.list();
        self.turns.widen((2 * self.roster.threads(None)).max(LEAST_AHEAD));
        let text = serde_json::to_vec(&list).expect("plain text and numbers");
        if let Some(inbox) = message.reply {
            let _ = self.bus.client.publish(inbox, text.into()).await;
        }
    }

    async fn hear_question(&self, message: async_nats::Message) {
        let Some(inbox) = message.reply else { return };
        let text = serde_json::to_vec(&self.state()).expect("plain text and numbers");
        let _ = self.bus.client.publish(inbox, text.into()).await;
    }

    fn state(&self) -> FrontState {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let (sent, waiting) = self.turns.count();
        let (front, seconds) = (self.id.to_string(), self.start.elapsed().as_secs());
        FrontState { front, pid: std::process::id(), models, sent, waiting, seconds }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, oneshot::Sender<Answered>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that somebody waits for. Where nobody does any more it is taken from the queue, and what was laid
/// down for it from the store.
struct Awaited {
    front: Arc<Front>,
    id: JobId,
    stored: Option<String>,
    sequence: Option<u64>,
    answer: oneshot::Receiver<Answered>,
}

impl Awaited {
    fn new(front: Arc<Front>, job: &Job) -> Self {
        let (answers, answer) = oneshot::channel();
        front.lock().insert(job.id, answers);
        let stored = job.stored.then(|| job.request_path());
        Self { front, id: job.id, stored, sequence: None, answer }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.front.lock().remove(&self.id);
        let (front, stored, sequence) = (self.front.clone(), self.stored.take(), self.sequence.take());
        if stored.is_none() && sequence.is_none() {
            return;
        }
        self.front.runtime.spawn(async move {
            if let Some(sequence) = sequence
                && let Ok(jobs) = front.bus.jetstream.get_stream_no_info(bus::JOBS).await
            {
                // It may be done already.
                let _ = jobs.delete_message(sequence).await;
            }
            if let Some(path) = stored
                && let Err(error) = front.depot.remove(&path).await
            {
                tracing::warn!(%error, "a request stays in the store until it is swept");
            }
        });
    }
}

/// Milliseconds since 1970.
pub fn milliseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

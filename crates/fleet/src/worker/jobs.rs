//! How a worker takes jobs and brings them to their end.

use super::*;

impl Worker {
    /// Takes jobs, no more than there are threads.
    pub(super) async fn take(self: Arc<Self>, slots: Arc<Semaphore>) {
        while let Ok(slot) = slots.clone().acquire_owned().await {
            let Some(message) = self.next().await else { return };
            tokio::spawn(self.clone().finish(message, slot));
        }
    }

    /// The next job; none once the worker drains.
    async fn next(&self) -> Option<Message> {
        let mut look_around = tokio::time::Instant::now();
        while !self.is_draining() {
            let due = match self.heard().await {
                Ok(message) => return Some(message),
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

    /// A job from a place where a bell was heard, or when there will be a place to look at.
    async fn heard(&self) -> Result<Message, Option<Instant>> {
        loop {
            let place = self.bells.due()?;
            let found = self.places().into_iter().find(|(other, _)| *other == place);
            if let Some((place, consumer)) = found
                && let Some(message) = self.fetch(place, &consumer, true).await
            {
                return Ok(message);
            }
        }
    }

    /// How long it leaves a job to the worker at home, which has the keys in memory: about what it takes to
    /// get them here.
    pub(super) fn courtesy(&self, home: bool) -> Duration {
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
        let Some((job, request)) = self.read(&message).await else { return };
        let keep_alive = KeepAlive::start(&message);
        let (ending, reply) = self.clone().end(&job, request, &message).await;
        drop(slot);
        self.answer(&job, ending, &reply).await;
        drop(keep_alive);
        if let Err(error) = message.ack().await {
            tracing::warn!(%error, "a job that is done could not be acknowledged: it will come again");
        }
    }

    /// The job of a message, and the request where it stands in it; none where no front sealed it.
    async fn read(&self, message: &Message) -> Option<(Job, bytes::Bytes)> {
        match Job::read(&self.shared.key, &message.payload) {
            Ok((job, request)) => {
                let start = message.payload.len() - request.len();
                Some((job, message.payload.slice(start..)))
            }
            Err(error) => {
                tracing::warn!(%error, "a job that is none of this fleet's was dropped");
                self.figures.foreign.inc();
                let _ = message.ack_with(AckKind::Term).await;
                None
            }
        }
    }

    /// Computes a job, unless it is too late for that, or has ended too many workers.
    async fn end(self: Arc<Self>, job: &Job, request: bytes::Bytes, message: &Message) -> (Ending, Vec<u8>) {
        let (mut delivered, mut age) = (1, Duration::ZERO);
        if let Ok(info) = message.info() {
            let published = u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
            (delivered, age) =
                (info.delivered, Duration::from_millis(milliseconds().saturating_sub(published)));
        }
        self.figures.waited(age);
        self.figures.redelivered.inc_by(u64::from(delivered > 1));
        if delivered > bus::MOST_DELIVERIES {
            return self.lay_aside(job, message).await;
        }
        if job.deadline < milliseconds() {
            return (Ending::TooLate, vec![]);
        }
        self.busy.fetch_add(1, Ordering::Relaxed);
        let done = self.clone().compute(job, request).await;
        self.busy.fetch_sub(1, Ordering::Relaxed);
        done
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

//! What a worker says of itself, and hears of others.

use super::*;

impl Worker {
    /// Says that it lives, and hears who else does.
    pub(super) async fn live(self: Arc<Self>) {
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

    pub(super) async fn hear_questions(self: Arc<Self>) {
        let Ok(mut questions) = self.bus.client.subscribe(bus::STATUS).await else { return };
        while let Some(question) = questions.next().await {
            if let Some(inbox) = question.reply {
                let _ = self.bus.client.publish(inbox, self.beat_text().into()).await;
            }
        }
    }

    pub(super) async fn hear_deletions(self: Arc<Self>) {
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

    pub(super) fn beat_text(&self) -> Vec<u8> {
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

    pub(super) fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

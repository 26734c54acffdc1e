//! How a worker computes a job: keys and request, a thread, a reply.

use super::*;

impl Worker {
    pub(super) async fn compute(self: Arc<Self>, job: &Job, inline: bytes::Bytes) -> (Ending, Vec<u8>) {
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
        let answer = timing.step("compute", || model.compute(&keys, request)).map_err(|error| {
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

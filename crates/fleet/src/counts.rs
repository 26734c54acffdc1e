//! What was used of a fleet's tokens, where its store is no folder: a document for each token in JetStream's
//! key-value store, changed by revision, so that a rate or budget holds for all fronts together.

use crate::bus::{Bus, BusError};
use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use blindsight_service::{Counter, Counters, Counts};
use futures_util::TryStreamExt;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Handle;

/// So often another front may be quicker, before one use is refused.
const ATTEMPTS: u32 = 100;
/// A token that is no more is forgotten when it was not used for so long; and so often that is looked for.
const UNUSED: Duration = Duration::from_hours(1);

/// The counts. Their functions wait for NATS: they are called on threads that may wait.
pub struct BusCounts {
    store: Store,
    runtime: Handle,
    /// When counts of tokens that are no more were forgotten last.
    swept: Mutex<Option<Instant>>,
}

impl fmt::Debug for BusCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BusCounts")
    }
}

impl BusCounts {
    /// The counts of a fleet, which a front made.
    ///
    /// # Errors
    /// Where there are none, or JetStream refuses.
    pub async fn open(bus: &Bus) -> Result<Self, BusError> {
        let store = bus.counts().await?;
        Ok(Self { store, runtime: Handle::current(), swept: Mutex::default() })
    }

    /// What is known of a token, and the revision that it is known by.
    async fn known(&self, token: &str) -> io::Result<(u64, Counter)> {
        let Some(entry) = self.store.entry(token).await.map_err(io::Error::other)? else {
            return Ok((0, Counter::default()));
        };
        let counter = match entry.operation {
            Operation::Put => serde_json::from_slice(&entry.value)?,
            _ => Counter::default(),
        };
        Ok((entry.revision, counter))
    }

    async fn edit(&self, token: &str, edit: &mut dyn FnMut(&mut Counter)) -> io::Result<()> {
        for attempt in 0..ATTEMPTS {
            let (revision, before) = self.known(token).await?;
            let mut counter = before.clone();
            edit(&mut counter);
            if counter == before {
                return Ok(());
            }
            let text = serde_json::to_vec(&counter)?;
            match self.store.update(token, text.into(), revision).await {
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    tokio::time::sleep(Duration::from_micros(u64::from(attempt) * 100)).await;
                }
                written => return written.map(|_| ()).map_err(io::Error::other),
            }
        }
        Err(io::Error::other("other fronts count this token all the time"))
    }

    async fn tokens(&self) -> io::Result<Vec<String>> {
        let subjects = self.store.stream.info_with_subjects(format!("{}>", self.store.prefix)).await;
        let subjects: Vec<_> =
            subjects.map_err(io::Error::other)?.try_collect().await.map_err(io::Error::other)?;
        Ok(subjects.iter().filter_map(|(subject, _)| subject.rsplit('.').next()).map(Into::into).collect())
    }

    /// Forgets tokens that are not among these, and were not used for so long: a new token is used before
    /// every front has heard of it.
    ///
    /// # Errors
    /// Where they cannot be listed or forgotten.
    pub async fn forget(&self, tokens: &HashSet<String>, unused: Duration) -> io::Result<()> {
        let before = SystemTime::now() - unused;
        for token in self.tokens().await?.into_iter().filter(|token| !tokens.contains(token)) {
            let entry = self.store.entry(&token).await.map_err(io::Error::other)?;
            if entry.is_some_and(|entry| SystemTime::from(entry.created) <= before) {
                let subject = format!("{}{token}", self.store.prefix);
                self.store.stream.purge().filter(subject).await.map_err(io::Error::other)?;
            }
        }
        Ok(())
    }
}

impl Counts for BusCounts {
    fn change(&self, token: &str, edit: &mut dyn FnMut(&mut Counter)) -> io::Result<()> {
        self.runtime.block_on(self.edit(token, edit))
    }

    fn all(&self) -> io::Result<Counters> {
        self.runtime.block_on(async {
            let mut all = Counters::new();
            for token in self.tokens().await? {
                let (_, counter) = self.known(&token).await?;
                all.insert(token, counter);
            }
            Ok(all)
        })
    }

    fn retain(&self, tokens: &HashSet<String>) -> io::Result<()> {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|time| time.elapsed() > UNUSED) {
            self.runtime.block_on(self.forget(tokens, UNUSED))?;
            *swept = Some(Instant::now());
        }
        Ok(())
    }
}

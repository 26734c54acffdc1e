//! The tokens of a fleet whose store is no folder: a document in the store, as the service knows it.
//!
//! Every request asks for tokens, so they are kept in memory, and looked at in the store every other second.
//! A token that was revoked is refused from then on. Where the store cannot be read for a minute, no token is
//! accepted: which ones were revoked meanwhile is not known.

use crate::depot::{Depot, DepotError, Seen};
use blindsight_service::{Document, Edit, Version};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Where they lie.
const PATH: &str = "tokens.json";
/// The most bytes of them: some hundred thousand clients.
const MOST: u64 = 64 << 20;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// For how long they are believed without a look.
const BELIEVED: Duration = Duration::from_secs(60);
/// So often somebody else may be quicker, before a change is given up.
const ATTEMPTS: usize = 20;

/// The document. Its changes wait for the store: they are made on threads that may wait.
#[derive(Debug)]
pub struct StoredTokens {
    depot: Depot,
    runtime: Handle,
    known: Mutex<Known>,
}

/// What was seen at the last look.
#[derive(Debug)]
struct Known {
    when: Instant,
    /// How often something new was seen.
    number: u64,
    state: Option<String>,
    bytes: Option<Vec<u8>>,
}

impl StoredTokens {
    /// The tokens in a store, which are looked at from now on.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub async fn open(depot: Depot) -> Result<Arc<Self>, DepotError> {
        let known = Known { when: Instant::now(), number: 0, state: None, bytes: None };
        let tokens = Arc::new(Self { depot, runtime: Handle::current(), known: Mutex::new(known) });
        tokens.look().await?;
        tokio::spawn(look_often(Arc::downgrade(&tokens)));
        Ok(tokens)
    }

    /// Takes notice of what is in the store.
    async fn look(&self) -> Result<(), DepotError> {
        let (when, state) = (Instant::now(), self.known().state.clone());
        match self.depot.newer(PATH, MOST, state.as_deref()).await? {
            Seen::Unchanged => {
                let mut known = self.known();
                known.when = known.when.max(when);
            }
            Seen::Absent => self.learn(when, None, None),
            Seen::Changed { state, bytes } => self.learn(when, Some(state), Some(bytes)),
        }
        Ok(())
    }

    fn learn(&self, when: Instant, state: Option<String>, bytes: Option<Vec<u8>>) {
        let mut known = self.known();
        if known.when <= when {
            *known = Known { when, number: known.number + 1, state, bytes };
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn edit(&self, edit: Edit<'_>) -> Result<bool, DepotError> {
        for _ in 0..ATTEMPTS {
            self.look().await?;
            let (state, bytes) = {
                let known = self.known();
                (known.state.clone(), known.bytes.clone())
            };
            let Some(changed) = edit(bytes.as_deref()) else { return Ok(true) };
            if self.depot.replace(PATH, changed, state.as_deref()).await? {
                // It is changed, whether or not it can be looked at just now.
                let _ = self.look().await;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Looks until nobody has the tokens any more.
async fn look_often(tokens: Weak<StoredTokens>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(tokens) = tokens.upgrade() else { return };
        if let Err(error) = tokens.look().await {
            tracing::warn!(%error, "tokens cannot be read; those known are accepted for a minute at most");
        }
    }
}

impl fmt::Display for StoredTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PATH} in the store")
    }
}

impl Document for StoredTokens {
    fn version(&self) -> io::Result<Option<Version>> {
        let known = self.known();
        if known.when.elapsed() > BELIEVED {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the store was not read for a minute"));
        }
        Ok(known.bytes.as_ref().map(|_| Version(0, known.number)))
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.known().bytes.clone())
    }

    fn change(&self, edit: Edit<'_>) -> io::Result<()> {
        match self.runtime.block_on(self.edit(edit)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("others change it all the time: try again")),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindsight_service::{TokenError, Tokens};

    async fn at(depot: &Depot) -> Tokens {
        Tokens::of(StoredTokens::open(depot.clone()).await.expect("readable")).expect("readable")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tokens_that_several_make_at_once_are_all_there_and_others_take_notice() {
        let depot = Depot::in_memory();
        let other = at(&depot).await;
        let makers: Vec<_> = (0..8)
            .map(|number| {
                let depot = depot.clone();
                tokio::spawn(async move {
                    let tokens = at(&depot).await;
                    tokio::task::block_in_place(|| {
                        tokens.create(&format!("client-{number}").parse().expect("a name"), None, false)
                    })
                })
            })
            .collect();
        let mut made = vec![];
        for maker in makers {
            made.push(maker.await.expect("no panic").expect("made"));
        }
        tokio::time::sleep(PAUSE + Duration::from_millis(500)).await;
        assert!(made.iter().all(|token| other.accepts(token.reveal()).expect("readable")));
        let name = "client-3".parse().expect("a name");
        tokio::task::block_in_place(|| {
            let again = other.create(&name, None, false);
            assert!(matches!(again, Err(TokenError::Exists(_))));
            other.revoke(&name).expect("revoked");
        });
        assert!(!other.accepts(made[3].reveal()).expect("readable"), "at once where it was revoked");
        let states = at(&depot).await.list().expect("readable");
        assert_eq!(states.values().filter(|entry| entry.revoked).count(), 1);
    }

    #[tokio::test]
    async fn tokens_that_nobody_looked_at_for_long_are_not_believed() {
        let tokens = StoredTokens::open(Depot::in_memory()).await.expect("readable");
        assert_eq!(tokens.version().expect("just looked at"), None);
        let Some(long_ago) = Instant::now().checked_sub(BELIEVED + Duration::from_secs(1)) else { return };
        tokens.known().when = long_ago;
        assert_eq!(tokens.version().expect_err("too long ago").kind(), io::ErrorKind::TimedOut);
    }
}

//! Clients' keys, ready to compute with: from memory, or else from where they are stored.

use crate::cache::Cache;
use crate::catalogue::Served;
use crate::refusal::{Outcome, Refusal};
use crate::registry::Id;
use crate::store::Store;
use crate::tokens::now;
use blindsight_protocol::Code;
use blindsight_server::ClientKeys;
use prometheus_client::metrics::counter::Counter;
use std::sync::Arc;

/// The keys of all clients, those used last in memory.
pub struct Keyring {
    pub store: Arc<Store>,
    pub cache: Cache,
    /// Requests whose keys were in memory.
    pub hits: Counter,
    /// Requests whose keys had to be read and expanded.
    pub misses: Counter,
}

impl Keyring {
    /// Keys of a store, and so many bytes of them in memory.
    pub fn new(store: Arc<Store>, bytes: usize) -> Self {
        Self { store, cache: Cache::new(bytes), hits: Counter::default(), misses: Counter::default() }
    }

    /// A client's keys for a model, from memory or from the store.
    pub fn keys(&self, served: &Served, id: &Id) -> Outcome<Arc<ClientKeys>> {
        if let Some(keys) = self.cache.get(id, &served.digest(), now()) {
            self.hits.inc();
            return Ok(keys);
        }
        self.misses.inc();
        let record = self.store.registered(id)?.ok_or_else(unknown)?;
        let keys = served.prepared.read_keys(self.store.frame(id)?);
        let keys = Arc::new(keys.map_err(|error| Refusal::new(Code::NotConforming, error.to_string()))?);
        self.cache.insert(id.clone(), served.digest(), keys.clone(), record.expires);
        if self.store.registered(id)?.is_none() {
            // They were deleted while they were read.
            self.cache.remove(id);
            return Err(unknown());
        }
        Ok(keys)
    }

    /// Whether it is known without waiting for anything that a client has these keys.
    pub fn knows(&self, served: &Served, id: &Id) -> bool {
        self.cache.get(id, &served.digest(), now()).is_some() || self.store.recalled(id).is_some()
    }

    /// Whether a client has these keys, before anything else is done for it.
    pub fn expect(&self, id: &Id) -> Outcome<()> {
        self.store.registered(id)?.map(|_| ()).ok_or_else(unknown)
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::UnknownKeys,
        "this client has registered no such keys: PUT /v1/keys/{digest}, and ask again",
    )
}

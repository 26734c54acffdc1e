//! The clients' keys in the store, as the service knows them: a [`Registry`].
//!
//! A frame is put first, then its record, which registers it. So a crash in between leaves bytes that nobody
//! knows, and never a record without its frame. Deleting goes the other way.

use crate::depot::{Depot, DepotError};
use crate::paused;
use blindsight_protocol::Address;
use blindsight_service::{ClientName, Id, Record, Registry, StoreError};
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The most bytes that evaluation keys have.
const MOST_KEYS: u64 = 1 << 40;
/// For how long a front believes that keys are registered before it looks again: another front may have
/// deleted them.
const MEMORY: Duration = Duration::from_secs(2);
/// The most records in that memory.
const MOST_REMEMBERED: usize = 10_000;

/// Where the frame of a client's keys lies.
pub fn frame_path((client, address): &Id) -> String {
    format!("keys/{client}/{address}")
}

fn record_path((client, address): &Id) -> String {
    format!("index/{client}/{address}")
}

/// The registry. Its functions wait for the store: they are called on threads that may wait.
#[derive(Debug)]
pub struct StoredKeys {
    depot: Depot,
    runtime: Handle,
    seen: Mutex<HashMap<Id, (Instant, Record)>>,
}

impl StoredKeys {
    /// Those in a store; `runtime` does the waiting.
    pub fn new(depot: Depot, runtime: Handle) -> Self {
        Self { depot, runtime, seen: Mutex::default() }
    }

    fn wait<T>(
        &self,
        what: &'static str,
        work: impl Future<Output = Result<T, DepotError>>,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(work).map_err(|error| StoreError::Registry {
            what,
            full: error.is_full(),
            source: error.into(),
        })
    }

    fn remember(&self, id: &Id, record: Option<Record>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_REMEMBERED {
            seen.retain(|_, (time, _)| time.elapsed() < MEMORY);
        }
        match record {
            Some(record) => drop(seen.insert(id.clone(), (Instant::now(), record))),
            None => drop(seen.remove(id)),
        }
    }

    async fn records(&self, folder: &str) -> Result<Vec<(Id, Record)>, DepotError> {
        let mut found = vec![];
        for object in self.depot.list(folder).await? {
            let Some(id) = id(&object.path) else { continue };
            if let Some(record) = self.depot.document(&object.path).await? {
                found.push((id, record));
            }
        }
        Ok(found)
    }
}

/// Whose keys, and which, a record is about.
fn id(path: &str) -> Option<Id> {
    let (client, address) = path.strip_prefix("index/")?.split_once('/')?;
    Some((client.parse().ok()?, address.parse().ok()?))
}

impl Registry for StoredKeys {
    fn recall(&self, id: &Id) -> Option<Record> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(id).filter(|(time, _)| time.elapsed() < MEMORY).map(|(_, record)| *record)
    }

    fn look_up(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        if let Some(record) = self.recall(id) {
            return Ok(Some(record));
        }
        let record = self.wait("looking up keys", self.depot.document(&record_path(id)))?;
        self.remember(id, record);
        Ok(record)
    }

    fn list(&self, client: Option<&ClientName>) -> Result<Vec<(Id, Record)>, StoreError> {
        let folder = client.map_or("index".into(), |client| format!("index/{client}"));
        self.wait("listing keys", self.records(&folder))
    }

    fn frame(&self, id: &Id) -> Result<Box<dyn Read + Send>, StoreError> {
        let path = frame_path(id);
        let read = async {
            let bytes = self.depot.get(&path, MOST_KEYS).await?;
            bytes.ok_or_else(|| DepotError::Damaged(path.clone()))
        };
        Ok(Box::new(Cursor::new(self.wait("reading keys", read)?)))
    }

    fn keep(&self, id: &Id, record: &Record, file: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_vec(record).expect("numbers");
        self.wait("registering keys", async {
            self.depot.put_file(&frame_path(id), file).await?;
            self.depot.put(&record_path(id), text).await?;
            paused::remove(&self.depot, id).await
        })?;
        self.remember(id, Some(*record));
        // What is left of it here is an upload of keys that are registered; it is swept after its time.
        let _ = std::fs::remove_file(file);
        Ok(())
    }

    fn remove(&self, id: &Id) -> Result<(), StoreError> {
        self.remember(id, None);
        self.wait("deleting keys", async {
            self.depot.remove(&record_path(id)).await?;
            self.depot.remove(&frame_path(id)).await
        })
    }

    fn sweeps_every(&self) -> Duration {
        Duration::from_hours(6)
    }

    fn resume(&self, id: &Id, here: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.wait("resuming an upload", paused::get(&self.depot, id, here))
    }

    fn pause(&self, id: &Id, file: &Path) -> Result<(), StoreError> {
        self.wait("keeping an upload", paused::put(&self.depot, id, file))
    }
}

/// Reads a client's keys, of so many bytes, from the store, and checks that they are those of the address.
///
/// # Errors
/// Where they cannot be read or are not those.
pub async fn read_keys(
    depot: &Depot,
    client: &ClientName,
    address: &Address,
    bytes: u64,
) -> Result<Option<Vec<u8>>, DepotError> {
    depot.checked(&frame_path(&(client.clone(), *address)), &address.0, bytes).await
}

//! Registered keys, in a [`Registry`], and the uploads that become such.
//!
//! A frame becomes registered in this order: its file is whole and synchronised; the registry keeps it, where
//! the last step, which commits, is its index. Only then is it acknowledged. A crash before leaves the
//! upload, whole, and it waits there for its client.

use crate::files::{at, length, remove};
use crate::lock::lock;
use crate::registry::{Id, Local, Record, Registry, files, path};
use crate::store_error::StoreError;
use crate::tokens::{ClientName, now};
use blindsight_ckks::wire::HEADER_BYTES;
use blindsight_protocol::Address;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// Registered keys, and uploads that are not whole yet, which lie in a folder of this process's own.
#[derive(Debug)]
pub struct Store {
    staging: PathBuf,
    registry: Arc<dyn Registry>,
    uploads: Mutex<HashMap<Id, Pending>>,
    /// When keys that are over were looked for among all.
    swept: Mutex<Instant>,
    quota: u64,
}

/// An upload that is not whole yet: how many bytes it will have, and whether somebody sends it now.
#[derive(Debug, Clone, Copy)]
struct Pending {
    total: u64,
    active: bool,
}

/// An upload that is under way: nobody else touches its file.
pub(crate) struct Upload {
    store: Arc<Store>,
    id: Id,
    path: PathBuf,
    received: u64,
}

impl Store {
    /// Opens a folder, makes what is missing, and settles what a crash left behind. One process at a time has
    /// a folder.
    ///
    /// # Errors
    /// Where the folder cannot be read or written, and where another process has it.
    pub fn open(folder: &Path, quota: u64) -> Result<Self, StoreError> {
        let (registry, unknown) = Local::open(folder)?;
        let store = Self::staged(folder, Arc::new(registry), quota)?;
        for (id, file) in unknown {
            let to = store.path(&id);
            let parent = to.parent().expect("a file of a client's");
            fs::create_dir_all(parent).and_then(|()| fs::rename(&file, &to)).map_err(at(&file))?;
        }
        store.settle()?;
        Ok(store)
    }

    /// The same with keys that are registered elsewhere: only uploads lie in the folder.
    ///
    /// # Errors
    /// Where the folder cannot be read or written.
    pub fn with_registry(folder: &Path, registry: Arc<dyn Registry>, quota: u64) -> Result<Self, StoreError> {
        let store = Self::staged(folder, registry, quota)?;
        store.settle()?;
        Ok(store)
    }

    fn staged(folder: &Path, registry: Arc<dyn Registry>, quota: u64) -> Result<Self, StoreError> {
        let staging = folder.join("uploads");
        fs::create_dir_all(&staging).map_err(at(&staging))?;
        let swept = Mutex::new(Instant::now());
        Ok(Self { staging, registry, uploads: Mutex::default(), swept, quota })
    }

    /// What is known of keys, if they are registered and live.
    pub(crate) fn registered(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        Ok(self.registry.look_up(id)?.filter(|record| record.lives(now())))
    }

    /// The same, where it is known without waiting for anything.
    pub(crate) fn recalled(&self, id: &Id) -> Option<Record> {
        self.registry.recall(id).filter(|record| record.lives(now()))
    }

    /// A client's registered keys, newest first.
    pub(crate) fn list(&self, client: &ClientName) -> Result<Vec<(Address, Record)>, StoreError> {
        let mut keys = self.registry.list(Some(client))?;
        keys.retain(|(_, record)| record.lives(now()));
        keys.sort_by_key(|(_, record)| std::cmp::Reverse(record.created));
        Ok(keys.into_iter().map(|(id, record)| (id.1, record)).collect())
    }

    /// Bytes that count against a client's quota: registered keys, and uploads in full.
    pub(crate) fn used(&self, client: &ClientName) -> Result<u64, StoreError> {
        self.used_by(&self.pending(), client, None)
    }

    /// The same, without one upload. An upload whose keys another front registered counts no more.
    fn used_by(
        &self,
        uploads: &HashMap<Id, Pending>,
        client: &ClientName,
        without: Option<&Id>,
    ) -> Result<u64, StoreError> {
        let registered = self.list(client)?;
        let is_registered = |address| registered.iter().any(|(other, _)| *other == address);
        let pending = uploads.iter().filter(|(id, _)| &id.0 == client && Some(*id) != without);
        let pending = pending.filter(|(id, _)| !is_registered(id.1)).map(|(_, pending)| pending.total);
        Ok(registered.iter().map(|(_, record)| record.bytes).chain(pending).sum())
    }

    /// How many bytes one client may store.
    pub(crate) fn quota(&self) -> u64 {
        self.quota
    }

    /// The frame of registered keys.
    pub(crate) fn frame(&self, id: &Id) -> Result<Box<dyn Read + Send>, StoreError> {
        self.registry.frame(id)
    }

    /// How much of an upload has arrived, and how much there will be.
    pub(crate) fn progress(&self, id: &Id) -> Result<(u64, Option<u64>), StoreError> {
        self.take_over(id)?;
        let total = self.pending().get(id).map(|pending| pending.total).filter(|total| *total > 0);
        Ok((length(&self.path(id))?, total))
    }

    /// What another front received of an upload comes here, where it is more than what is here.
    fn take_over(&self, id: &Id) -> Result<(), StoreError> {
        if self.pending().get(id).is_some_and(|pending| pending.active) {
            return Ok(());
        }
        let path = self.path(id);
        let Some(bytes) = self.registry.resume(id, length(&path)?)? else { return Ok(()) };
        let parent = path.parent().expect("a file of a client's");
        let written = fs::create_dir_all(parent).and_then(|()| crate::whole::write_whole(&path, &bytes));
        written.map_err(at(&path))?;
        if let Some(total) = announced(&path) {
            self.pending().entry(id.clone()).or_insert(Pending { total, active: false });
        }
        Ok(())
    }

    /// Begins an upload, or goes on with one.
    pub(crate) fn begin(self: &Arc<Self>, id: &Id) -> Result<Upload, StoreError> {
        self.take_over(id)?;
        let path = self.path(id);
        let mut uploads = self.pending();
        let pending = uploads.entry(id.clone()).or_insert(Pending { total: 0, active: false });
        if pending.active {
            return Err(StoreError::Active);
        }
        let received = length(&path)?;
        pending.active = true;
        Ok(Upload { store: self.clone(), id: id.clone(), path, received })
    }

    /// Deletes keys, registered or being sent. Nothing happens where there are none.
    pub(crate) fn delete(&self, id: &Id) -> Result<(), StoreError> {
        let mut uploads = self.pending();
        if uploads.get(id).is_some_and(|pending| pending.active) {
            return Err(StoreError::Active);
        }
        uploads.remove(id);
        remove(&self.path(id))?;
        self.registry.remove(id)
    }

    /// Deletes keys whose time is over, keys of clients that are `gone`, and uploads that nobody went on with
    /// for so long. Gives those deleted.
    pub(crate) fn sweep(
        &self,
        gone: impl Fn(&ClientName) -> bool,
        abandoned: Duration,
    ) -> Result<Vec<Id>, StoreError> {
        let mut over = self.registered_and_over(&gone)?;
        let pending: Vec<Id> = self.pending().keys().cloned().collect();
        for id in pending.into_iter().filter(|id| gone(&id.0) || self.is_abandoned(id, abandoned)) {
            match self.registered(&id)? {
                // Another front received the rest of them.
                Some(_) if !gone(&id.0) => self.give_up(&id)?,
                _ => over.push(id),
            }
        }
        over.retain(|id| match self.delete(id) {
            Ok(()) => true,
            Err(StoreError::Active) => false,
            Err(error) => {
                tracing::warn!(%error, "keys that should go could not be deleted");
                false
            }
        });
        Ok(over)
    }

    fn registered_and_over(&self, gone: impl Fn(&ClientName) -> bool) -> Result<Vec<Id>, StoreError> {
        let mut swept = lock(&self.swept);
        if swept.elapsed() < self.registry.sweeps_every() {
            return Ok(vec![]);
        }
        *swept = Instant::now();
        let now = now();
        let all = self.registry.list(None)?.into_iter();
        let over = all.filter(|(id, record)| !record.lives(now) || gone(&id.0));
        Ok(over.map(|(id, _)| id).collect())
    }

    /// Drops an upload that nobody sends now.
    fn give_up(&self, id: &Id) -> Result<(), StoreError> {
        let mut uploads = self.pending();
        if uploads.get(id).is_some_and(|pending| pending.active) {
            return Ok(());
        }
        uploads.remove(id);
        remove(&self.path(id))
    }

    fn is_abandoned(&self, id: &Id, after: Duration) -> bool {
        let modified = fs::metadata(self.path(id)).and_then(|m| m.modified());
        let age = modified.map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
        age.is_ok_and(|age| age >= after)
    }

    /// After a start: uploads are known again.
    fn settle(&self) -> Result<(), StoreError> {
        for id in files(&self.staging)? {
            match announced(&self.path(&id)) {
                Some(total) => drop(self.pending().insert(id, Pending { total, active: false })),
                None => remove(&self.path(&id))?,
            }
        }
        Ok(())
    }

    /// The file of an upload.
    fn path(&self, id: &Id) -> PathBuf {
        path(&self.staging, id)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Id, Pending>> {
        lock(&self.uploads)
    }
}

impl Upload {
    /// Bytes that have arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sets aside room for the whole frame, once its length is known.
    pub fn reserve(&self, total: u64) -> Result<(), StoreError> {
        let (store, client) = (&self.store, &self.id.0);
        // Under the lock: keys that are registered meanwhile would be counted neither here nor there.
        let mut uploads = store.pending();
        let used = store.used_by(&uploads, client, Some(&self.id))?;
        if used + total > store.quota {
            return Err(StoreError::Quota { wanted: total, used, quota: store.quota });
        }
        uploads.insert(self.id.clone(), Pending { total, active: true });
        Ok(())
    }

    /// What has arrived.
    pub fn open(&self) -> Result<File, StoreError> {
        File::open(&self.path).map_err(at(&self.path))
    }

    /// Adds a piece at the end.
    pub fn append(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        let written = self.append_to_file(piece);
        // On a full disk a part of the piece may have been written.
        self.received = length(&self.path)?;
        written.map_err(at(&self.path))
    }

    fn append_to_file(&self, piece: &[u8]) -> io::Result<()> {
        fs::create_dir_all(self.path.parent().expect("a file of a client's"))?;
        File::options().create(true).append(true).open(&self.path)?.write_all(piece)
    }

    /// Registers the frame, which is whole and conforming: afterwards it survives crashes.
    pub fn register(self, record: &Record) -> Result<(), StoreError> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(at(&self.path))?;
        self.store.registry.keep(&self.id, record, &self.path)
    }

    /// Lets other fronts go on with what has arrived.
    pub fn pause(&self) -> Result<(), StoreError> {
        self.store.registry.pause(&self.id, &self.path)
    }

    /// Drops what has arrived.
    pub fn discard(self) -> Result<(), StoreError> {
        remove(&self.path)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut uploads = self.store.pending();
        if self.path.exists() {
            uploads.entry(self.id.clone()).and_modify(|pending| pending.active = false);
        } else {
            uploads.remove(&self.id);
        }
    }
}

/// The length of the frame that a file begins with, by its header.
fn announced(path: &Path) -> Option<u64> {
    let mut head = [0; HEADER_BYTES];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    let payload = u64::from_le_bytes(*head.last_chunk().expect("eight bytes"));
    payload.checked_add(blindsight_ckks::wire::FRAME_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        ("alice".parse().expect("a name"), Address([number; 32]))
    }

    /// Keys that are registered elsewhere.
    #[derive(Debug)]
    struct Elsewhere(Id);

    impl Registry for Elsewhere {
        fn look_up(&self, id: &Id) -> Result<Option<Record>, StoreError> {
            let record = Record { plan: [0; 32], bytes: 100, created: now(), expires: None };
            Ok((*id == self.0).then_some(record))
        }
        fn list(&self, _: Option<&ClientName>) -> Result<Vec<(Id, Record)>, StoreError> {
            Ok(vec![])
        }
        fn frame(&self, _: &Id) -> Result<Box<dyn Read + Send>, StoreError> {
            unreachable!("nobody reads them here")
        }
        fn keep(&self, _: &Id, _: &Record, _: &Path) -> Result<(), StoreError> {
            unreachable!("nobody registers here")
        }
        fn remove(&self, id: &Id) -> Result<(), StoreError> {
            assert_ne!(*id, self.0, "registered keys are deleted");
            Ok(())
        }
    }

    /// A client that began here and went on elsewhere: what lies here is given up, and its keys stay.
    #[test]
    fn an_upload_that_ended_elsewhere_takes_no_keys_along() {
        let folder = std::env::temp_dir().join(format!("blindsight-elsewhere-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let registry = Arc::new(Elsewhere(id(1)));
        let store = Arc::new(Store::with_registry(&folder, registry, 1000).expect("a store"));
        for number in [1, 2] {
            let mut upload = store.begin(&id(number)).expect("nobody else sends it");
            upload.reserve(100).and_then(|()| upload.append(&[0; 50])).expect("room");
        }
        assert_eq!(store.sweep(|_| false, Duration::ZERO).expect("swept"), [id(2)]);
        assert!([1, 2].iter().all(|number| !store.path(&id(*number)).exists()));
        let _ = fs::remove_dir_all(&folder);
    }

    /// Registered bytes that were read before the lock was taken missed keys that were registered in between.
    #[test]
    fn a_quota_holds_while_keys_are_registered() {
        let folder = std::env::temp_dir().join(format!("blindsight-quota-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let store = Arc::new(Store::open(&folder, 200).expect("a store"));
        let record = Record { plan: [0; 32], bytes: 100, created: now(), expires: None };
        for round in 0..12_u8 {
            let upload = |number| {
                let mut upload = store.begin(&id(number)).expect("nobody else sends it");
                upload.reserve(100).and_then(|()| upload.append(&[0; 100])).map(|()| upload)
            };
            let [first, second] = [0, 1].map(|n| upload(3 * round + n).expect("room for two"));
            let reserved = std::thread::scope(|scope| {
                let finish = [first, second].map(|upload| scope.spawn(|| upload.register(&record)));
                let third = scope.spawn(|| (0..200).any(|_| upload(3 * round + 2).is_ok()));
                finish.into_iter().for_each(|done| done.join().expect("no panic").expect("registered"));
                third.join().expect("no panic")
            });
            assert!(!reserved, "round {round}: room for a third");
            (0..3).for_each(|n| store.delete(&id(3 * round + n)).expect("deleted"));
        }
        drop(store);
        let _ = fs::remove_dir_all(&folder);
    }
}

//! Registered keys: frames in files, an index in redb, uploads beside them.
//!
//! A frame becomes registered in this order: its file is whole and synchronised; it is renamed from
//! `uploads/` to `keys/`; the folder is synchronised; the index commits. Only then is it acknowledged. A
//! crash before the commit leaves a file that the index does not know: when the store opens it goes back to
//! the uploads, whole, and waits there for its client.

use crate::tokens::{ClientName, now};
use blindsight_ckks::wire::HEADER_BYTES;
use blindsight_protocol::Address;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// Whose keys, and which.
pub(crate) type Id = (ClientName, Address);

type IndexKey = (&'static str, [u8; 32]);
/// Plan, bytes, created, expires (0 for never).
type IndexValue = ([u8; 32], u64, u64, u64);
const KEYS: TableDefinition<'_, IndexKey, IndexValue> = TableDefinition::new("keys");

/// Why keys could not be stored or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The index.
    #[error("index: {0}")]
    Index(Box<redb::Error>),
    /// An upload of the same keys is under way.
    #[error("another upload of these keys is under way")]
    Active,
    /// The client's share is used up.
    #[error(
        "these keys take {wanted} bytes, {used} of the client's {quota} are taken: delete keys that are no longer used"
    )]
    Quota {
        /// Bytes of the keys.
        wanted: u64,
        /// Bytes registered and being sent.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
}

impl StoreError {
    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        let full = |e: &io::Error| {
            matches!(
                e.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            )
        };
        match self {
            Self::File { source, .. } => full(source),
            Self::Index(error) => matches!(&**error, redb::Error::Io(source) if full(source)),
            _ => false,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Index(Box::new(error.into()))
    }
}

/// What the index knows of registered keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub plan: [u8; 32],
    pub bytes: u64,
    pub created: u64,
    pub expires: Option<u64>,
}

impl Record {
    fn value(&self) -> IndexValue {
        (self.plan, self.bytes, self.created, self.expires.unwrap_or(0))
    }

    fn from_value((plan, bytes, created, expires): IndexValue) -> Self {
        Self { plan, bytes, created, expires: Some(expires).filter(|end| *end != 0) }
    }

    fn lives(&self, now: u64) -> bool {
        self.expires.is_none_or(|end| end > now)
    }
}

/// The folder in which everything that lasts lies. One process at a time owns it: the index is locked.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    index: Index,
    uploads: Mutex<HashMap<Id, Pending>>,
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
    /// Opens a folder, makes what is missing, and settles what a crash left behind.
    ///
    /// # Errors
    /// Where the folder cannot be read or written, and where another process has it.
    pub fn open(folder: &Path, quota: u64) -> Result<Self, StoreError> {
        for name in ["keys", "uploads"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(at(&path))?;
        }
        let index = Index::open(folder)?;
        let store = Self { folder: folder.to_path_buf(), index, uploads: Mutex::default(), quota };
        store.settle()?;
        Ok(store)
    }

    /// The index's entry, if the keys are registered and live.
    pub(crate) fn registered(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        let record =
            self.index.read(|table| Ok(table.get((id.0.as_str(), id.1.0))?.map(|value| value.value())))?;
        Ok(record.map(Record::from_value).filter(|record| record.lives(now())))
    }

    /// A client's registered keys, newest first.
    pub(crate) fn list(&self, client: &ClientName) -> Result<Vec<(Address, Record)>, StoreError> {
        let mut keys = self.all(|name| name == client.as_str())?;
        keys.retain(|(_, record)| record.lives(now()));
        keys.sort_by_key(|(_, record)| std::cmp::Reverse(record.created));
        Ok(keys.into_iter().map(|(id, record)| (id.1, record)).collect())
    }

    /// Bytes that count against a client's quota: registered keys, and uploads in full.
    pub(crate) fn used(&self, client: &ClientName) -> Result<u64, StoreError> {
        let uploads = self.pending();
        let registered: u64 = self.list(client)?.iter().map(|(_, record)| record.bytes).sum();
        let pending: u64 = uploads.iter().filter(|(id, _)| &id.0 == client).map(|(_, p)| p.total).sum();
        Ok(registered + pending)
    }

    /// How many bytes one client may store.
    pub(crate) fn quota(&self) -> u64 {
        self.quota
    }

    /// The frame of registered keys.
    pub(crate) fn frame(&self, id: &Id) -> Result<File, StoreError> {
        let path = self.path("keys", id);
        File::open(&path).map_err(at(&path))
    }

    /// How much of an upload has arrived, and how much there will be.
    pub(crate) fn progress(&self, id: &Id) -> Result<(u64, Option<u64>), StoreError> {
        let total = self.pending().get(id).map(|pending| pending.total).filter(|total| *total > 0);
        Ok((length(&self.path("uploads", id))?, total))
    }

    /// Begins an upload, or goes on with one.
    pub(crate) fn begin(self: &Arc<Self>, id: &Id) -> Result<Upload, StoreError> {
        let path = self.path("uploads", id);
        let mut uploads = self.pending();
        let pending = uploads.entry(id.clone()).or_insert(Pending { total: 0, active: false });
        if pending.active {
            return Err(StoreError::Active);
        }
        let received = length(&path)?;
        pending.active = true;
        Ok(Upload { store: self.clone(), id: id.clone(), path, received })
    }

    /// Deletes keys, registered or being sent. Nothing happens where there are none. The files go first: on a
    /// full disk that makes the room which the index needs.
    pub(crate) fn delete(&self, id: &Id) -> Result<(), StoreError> {
        let mut uploads = self.pending();
        if uploads.get(id).is_some_and(|pending| pending.active) {
            return Err(StoreError::Active);
        }
        uploads.remove(id);
        ["keys", "uploads"].into_iter().try_for_each(|kind| remove(&self.path(kind, id)))?;
        self.index.write(|table| table.remove((id.0.as_str(), id.1.0)).map(|_| ()))
    }

    /// Deletes keys whose time is over, keys of clients that are `gone`, and uploads that nobody went on with
    /// for so long. Gives those deleted.
    pub(crate) fn sweep(
        &self,
        gone: impl Fn(&ClientName) -> bool,
        abandoned: Duration,
    ) -> Result<Vec<Id>, StoreError> {
        let now = now();
        let over = self.all(|_| true)?.into_iter().filter(|(id, record)| !record.lives(now) || gone(&id.0));
        let mut over: Vec<Id> = over.map(|(id, _)| id).collect();
        let pending: Vec<Id> = self.pending().keys().cloned().collect();
        over.extend(pending.into_iter().filter(|id| gone(&id.0) || self.is_abandoned(id, abandoned)));
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

    fn is_abandoned(&self, id: &Id, after: Duration) -> bool {
        let modified = fs::metadata(self.path("uploads", id)).and_then(|m| m.modified());
        let age = modified.map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
        age.is_ok_and(|age| age >= after)
    }

    /// Registers a file that is whole, conforming and synchronised.
    fn register(&self, id: &Id, record: &Record) -> Result<(), StoreError> {
        let (from, to) = (self.path("uploads", id), self.path("keys", id));
        let folder = to.parent().expect("a file of a client's").to_path_buf();
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        fs::rename(&from, &to).map_err(at(&to))?;
        let kept = crate::whole::sync_folder(&folder).map_err(at(&folder)).and_then(|()| {
            self.index.write(|table| table.insert((id.0.as_str(), id.1.0), record.value()).map(|_| ()))
        });
        if kept.is_err() {
            // Not registered, so an upload still; where even this fails, opening the store does it.
            let _ = fs::rename(&to, &from);
        }
        kept
    }

    fn all(&self, client: impl Fn(&str) -> bool) -> Result<Vec<(Id, Record)>, StoreError> {
        self.index.read(|table| {
            let mut found = vec![];
            for entry in table.iter()? {
                let (key, value) = entry?;
                let (name, address) = key.value();
                if client(name)
                    && let Ok(name) = name.parse()
                {
                    found.push(((name, Address(address)), Record::from_value(value.value())));
                }
            }
            Ok(found)
        })
    }

    /// After a start: files and index are made to agree, and uploads are known again.
    fn settle(&self) -> Result<(), StoreError> {
        for id in self.files("keys")? {
            if self.registered(&id)?.is_none() {
                let (from, to) = (self.path("keys", &id), self.path("uploads", &id));
                let folder = to.parent().expect("a file of a client's");
                fs::create_dir_all(folder).and_then(|()| fs::rename(&from, &to)).map_err(at(&from))?;
            }
        }
        for (id, _) in self.all(|_| true)? {
            if !self.path("keys", &id).exists() {
                // A crash in the middle of a deletion, or files lost by other hands.
                tracing::warn!("registered keys have no file any more; they are forgotten");
                self.index.write(|table| table.remove((id.0.as_str(), id.1.0)).map(|_| ()))?;
            }
        }
        for id in self.files("uploads")? {
            match announced(&self.path("uploads", &id)) {
                Some(total) => drop(self.pending().insert(id, Pending { total, active: false })),
                None => remove(&self.path("uploads", &id))?,
            }
        }
        Ok(())
    }

    /// All files of one kind; what is not named like one of ours is left alone.
    fn files(&self, kind: &str) -> Result<Vec<Id>, StoreError> {
        let folder = self.folder.join(kind);
        let mut ids = vec![];
        for client in names(&folder)? {
            let Ok(name) = client.parse::<ClientName>() else { continue };
            let files = names(&folder.join(&client))?;
            ids.extend(files.iter().filter_map(|file| Some((name.clone(), file.parse().ok()?))));
        }
        Ok(ids)
    }

    fn path(&self, kind: &str, id: &Id) -> PathBuf {
        self.folder.join(kind).join(id.0.as_str()).join(id.1.to_string())
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Id, Pending>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
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
        let registered: u64 = store.list(client)?.iter().map(|(_, record)| record.bytes).sum();
        let others = uploads.iter().filter(|(id, _)| &id.0 == client && **id != self.id);
        let used = registered + others.map(|(_, pending)| pending.total).sum::<u64>();
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
        self.store.register(&self.id, record)
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

/// The database of what is registered. After an error of the disk redb takes no more writes until it is
/// opened anew, so it is closed then, and opened when it is needed next.
#[derive(Debug)]
struct Index {
    path: PathBuf,
    database: RwLock<Option<Database>>,
}

type ReadTable = redb::ReadOnlyTable<IndexKey, IndexValue>;
type WriteTable<'t> = redb::Table<'t, IndexKey, IndexValue>;

impl Index {
    fn open(folder: &Path) -> Result<Self, StoreError> {
        let index = Self { path: folder.join("index.redb"), database: RwLock::new(None) };
        index.with(|_| Ok(()))?;
        Ok(index)
    }

    fn read<T>(&self, look: impl Fn(&ReadTable) -> Result<T, redb::StorageError>) -> Result<T, StoreError> {
        self.with(|database| Ok(look(&database.begin_read()?.open_table(KEYS)?)?))
    }

    /// Changes the index, durably.
    fn write(
        &self,
        change: impl Fn(&mut WriteTable<'_>) -> Result<(), redb::StorageError>,
    ) -> Result<(), StoreError> {
        let written = self.with(|database| {
            let transaction = database.begin_write()?;
            change(&mut transaction.open_table(KEYS)?)?;
            Ok(transaction.commit()?)
        });
        if written.is_err() {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        written
    }

    /// Does something with the database, which is opened where it is not.
    fn with<T>(&self, act: impl Fn(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            return act(database);
        }
        let mut closed = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if closed.is_none() {
            *closed = Some(open_database(&self.path)?);
        }
        act(closed.as_ref().expect("it was opened"))
    }
}

/// Opens the database; the first time its table is made.
fn open_database(path: &Path) -> Result<Database, StoreError> {
    let database = Database::create(path)?;
    if let Err(redb::TableError::TableDoesNotExist(_)) = database.begin_read()?.open_table(KEYS) {
        let transaction = database.begin_write()?;
        transaction.open_table(KEYS)?;
        transaction.commit()?;
    }
    Ok(database)
}

/// The length of the frame that a file begins with, by its header.
fn announced(path: &Path) -> Option<u64> {
    let mut head = [0; HEADER_BYTES];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    let payload = u64::from_le_bytes(*head.last_chunk().expect("eight bytes"));
    payload.checked_add(blindsight_ckks::wire::FRAME_BYTES as u64)
}

fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let read = || -> io::Result<Vec<String>> {
        let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
        Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    };
    read().map_err(at(folder))
}

/// A file's length; 0 where there is none.
fn length(path: &Path) -> Result<u64, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(at(path)(source)),
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        ("alice".parse().expect("a name"), Address([number; 32]))
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

//! Where registered keys lie: [`Registry`]. [`Local`] is a folder and an index in redb.

use crate::files::{at, names, remove};
use crate::store_error::StoreError;
use crate::tokens::ClientName;
use blindsight_protocol::Address;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Whose keys, and which.
pub type Id = (ClientName, Address);

type IndexKey = (&'static str, [u8; 32]);
/// Plan, bytes, created, expires (0 for never).
type IndexValue = ([u8; 32], u64, u64, u64);
const KEYS: TableDefinition<'_, IndexKey, IndexValue> = TableDefinition::new("keys");

/// What is known of registered keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The digest of their plan.
    pub plan: [u8; 32],
    /// Bytes of their frame.
    pub bytes: u64,
    /// When they were registered: seconds since 1970.
    pub created: u64,
    /// When they are forgotten: seconds since 1970.
    pub expires: Option<u64>,
}

impl Record {
    fn value(&self) -> IndexValue {
        (self.plan, self.bytes, self.created, self.expires.unwrap_or(0))
    }

    fn from_value((plan, bytes, created, expires): IndexValue) -> Self {
        Self { plan, bytes, created, expires: Some(expires).filter(|end| *end != 0) }
    }

    /// Whether they are to be found at `now`.
    pub(crate) fn lives(&self, now: u64) -> bool {
        self.expires.is_none_or(|end| end > now)
    }
}

/// Frames of registered keys, and what is known of them. Its functions may wait for a disk or a network: they
/// are called on threads that may wait.
pub trait Registry: fmt::Debug + Send + Sync {
    /// What is known of keys, if they are registered.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn look_up(&self, id: &Id) -> Result<Option<Record>, StoreError>;

    /// What is known of keys without waiting for anything.
    fn recall(&self, _id: &Id) -> Option<Record> {
        None
    }

    /// The registered keys of a client, or of all.
    ///
    /// # Errors
    /// Where they cannot be listed.
    fn list(&self, client: Option<&ClientName>) -> Result<Vec<(Id, Record)>, StoreError>;

    /// The frame of registered keys.
    ///
    /// # Errors
    /// Where it cannot be opened.
    fn frame(&self, id: &Id) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Registers the frame in a file, which is whole, conforming and synchronised. Afterwards it survives
    /// crashes, and the file is gone; after an error the file is as it was, and nothing is registered.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn keep(&self, id: &Id, record: &Record, file: &Path) -> Result<(), StoreError>;

    /// Deletes keys. Nothing happens where there are none.
    ///
    /// # Errors
    /// Where they cannot be deleted.
    fn remove(&self, id: &Id) -> Result<(), StoreError>;

    /// How often keys that are over are looked for among all: looking at each may be much work.
    fn sweeps_every(&self) -> Duration {
        Duration::ZERO
    }

    /// The first bytes of an upload that another front received, if there are more than `here` of them.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn resume(&self, _id: &Id, _here: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    /// Lets other fronts go on with an upload that broke off.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn pause(&self, _id: &Id, _file: &Path) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A folder `keys`, and an index beside it. One process at a time has it: the index is locked.
#[derive(Debug)]
pub(crate) struct Local {
    keys: PathBuf,
    index: Index,
}

impl Local {
    /// Opens a folder, and gives the files that the index does not know, as a crash leaves them behind.
    pub fn open(folder: &Path) -> Result<(Self, Vec<(Id, PathBuf)>), StoreError> {
        let keys = folder.join("keys");
        fs::create_dir_all(&keys).map_err(at(&keys))?;
        let local = Self { keys, index: Index::open(folder)? };
        let unknown = local.settle()?;
        Ok((local, unknown))
    }

    /// Makes files and index agree.
    fn settle(&self) -> Result<Vec<(Id, PathBuf)>, StoreError> {
        let mut unknown = vec![];
        for id in files(&self.keys)? {
            if self.look_up(&id)?.is_none() {
                let path = self.path(&id);
                unknown.push((id, path));
            }
        }
        for (id, _) in self.list(None)? {
            if !self.path(&id).exists() {
                // A crash in the middle of a deletion, or files lost by other hands.
                tracing::warn!("registered keys have no file any more; they are forgotten");
                self.index.write(|table| table.remove((id.0.as_str(), id.1.0)).map(|_| ()))?;
            }
        }
        Ok(unknown)
    }

    fn path(&self, id: &Id) -> PathBuf {
        path(&self.keys, id)
    }
}

impl Registry for Local {
    fn look_up(&self, id: &Id) -> Result<Option<Record>, StoreError> {
        let record =
            self.index.read(|table| Ok(table.get((id.0.as_str(), id.1.0))?.map(|value| value.value())))?;
        Ok(record.map(Record::from_value))
    }

    fn list(&self, client: Option<&ClientName>) -> Result<Vec<(Id, Record)>, StoreError> {
        self.index.read(|table| {
            let mut found = vec![];
            for entry in table.iter()? {
                let (key, value) = entry?;
                let (name, address) = key.value();
                if client.is_none_or(|client| client.as_str() == name)
                    && let Ok(name) = name.parse()
                {
                    found.push(((name, Address(address)), Record::from_value(value.value())));
                }
            }
            Ok(found)
        })
    }

    fn frame(&self, id: &Id) -> Result<Box<dyn Read + Send>, StoreError> {
        let path = self.path(id);
        Ok(Box::new(File::open(&path).map_err(at(&path))?))
    }

    fn keep(&self, id: &Id, record: &Record, file: &Path) -> Result<(), StoreError> {
        let path = self.path(id);
        let folder = path.parent().expect("a file of a client's").to_path_buf();
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        fs::rename(file, &path).map_err(at(&path))?;
        let kept = crate::whole::sync_folder(&folder).map_err(at(&folder)).and_then(|()| {
            self.index.write(|table| table.insert((id.0.as_str(), id.1.0), record.value()).map(|_| ()))
        });
        if kept.is_err() {
            // Not registered, so an upload still; where even this fails, opening the store does it.
            let _ = fs::rename(&path, file);
        }
        kept
    }

    /// The file goes first: on a full disk that makes the room which the index needs.
    fn remove(&self, id: &Id) -> Result<(), StoreError> {
        remove(&self.path(id))?;
        self.index.write(|table| table.remove((id.0.as_str(), id.1.0)).map(|_| ()))
    }
}

/// The file of a client's keys in a folder.
pub(crate) fn path(folder: &Path, id: &Id) -> PathBuf {
    folder.join(id.0.as_str()).join(id.1.to_string())
}

/// All files of clients in a folder; what is not named like one of ours is left alone.
pub(crate) fn files(folder: &Path) -> Result<Vec<Id>, StoreError> {
    let mut ids = vec![];
    for client in names(folder)? {
        let Ok(name) = client.parse::<ClientName>() else { continue };
        let files = names(&folder.join(&client))?;
        ids.extend(files.iter().filter_map(|file| Some((name.clone(), file.parse().ok()?))));
    }
    Ok(ids)
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

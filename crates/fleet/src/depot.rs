//! The store that fronts and workers share: keys, large requests, models and plans, in a folder or in the
//! cloud. What is read is checked against its address by whoever reads it here.

use crate::seal::FleetKey;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error as StoreError, GetOptions, GetResult, ObjectStore, ObjectStoreExt, PutMode};
use object_store::{UpdateVersion, WriteMultipart};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use url::Url;

/// The version of how things lie in the store.
const VERSION: u32 = 1;
/// Where it stands what all agree on.
const AGREEMENT: &str = "fleet.json";
/// The most bytes of a document of ours in the store.
const MOST_DOCUMENT: u64 = 1 << 16;
/// The most bytes of a model's file or a plan.
pub const MOST_MODEL: u64 = 1 << 30;
/// Requests of up to so many bytes travel in messages; NATS takes 1 MiB with headers and descriptor.
const MOST_IN_MESSAGE: usize = 1_000_000;
/// The same beside a folder, which is quicker for larger ones: NATS copies a message from process to process
/// twice, and writes it to a disk, too.
const MOST_BESIDE_FOLDER: usize = 1 << 16;
/// Files are sent in parts of so many bytes.
const PART: usize = 8 << 20;

/// The store.
#[derive(Debug, Clone)]
pub struct Depot {
    objects: Arc<dyn ObjectStore>,
    /// The same for what is needed for a moment only: it is not made to survive a loss of power.
    passing: Arc<dyn ObjectStore>,
    prefix: Path,
    folder: Option<PathBuf>,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone)]
pub struct Object {
    /// Where it lies.
    pub path: String,
    /// When it was changed last: seconds since 1970.
    pub changed: u64,
    /// Its length.
    pub bytes: u64,
}

/// What is at a path, for somebody who knows an earlier state of it.
#[derive(Debug)]
pub enum Seen {
    /// Nothing.
    Absent,
    /// What is known.
    Unchanged,
    /// Something else.
    Changed {
        /// What the store calls this state.
        state: String,
        /// What it holds.
        bytes: Vec<u8>,
    },
}

/// Why the store does not give or take something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepotError {
    /// An address that is no store's.
    #[error("--store {0}: expected file:///FOLDER{1}")]
    Address(String, &'static str),
    /// The store.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// A file of this machine.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Something larger than it can be.
    #[error("{path} in the store has {found} bytes, expected at most {most}: it was damaged or replaced")]
    Length {
        /// Where.
        path: String,
        /// What it has.
        found: u64,
        /// What it may have.
        most: u64,
    },
    /// Bytes that are not those of their address, or that cannot be read.
    #[error("{0} in the store is not what its address says: it was damaged or replaced")]
    Damaged(String),
    /// A store that does not tell states apart.
    #[error("the store gave no ETag for {0}: fronts share tokens by it; use a store that has them")]
    Stateless(String),
    /// A store of another version.
    #[error("the store is of version {0}, this is version {VERSION}: run one version of fronts and workers")]
    Version(u32),
}

/// What all of a fleet agree on: written once, by whoever comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Agreement {
    version: u32,
    shards: u16,
    key: String,
}

/// What a fleet's fronts and workers share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The shards of clients.
    pub shards: u16,
    /// The key of their messages.
    pub key: FleetKey,
}

/// By which model and plan a name is served now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// SHA-256 of the model's file.
    pub model: [u8; 32],
    /// The plan's digest.
    pub plan: [u8; 32],
}

impl DepotError {
    /// Whether the store has no room left.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>()
                && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            {
                return true;
            }
            cause = error.source();
        }
        false
    }

    fn is_absent(&self) -> bool {
        matches!(self, Self::Store(StoreError::NotFound { .. }))
    }
}

impl Depot {
    /// The store at `file:///FOLDER`, which is made where it is missing, or, where the program was built with
    /// it, at `s3://BUCKET/PREFIX`; access to that is set by the environment, as `AWS_ACCESS_KEY_ID`.
    ///
    /// # Errors
    /// For other addresses, and where the folder cannot be made.
    pub fn open(address: &str) -> Result<Self, DepotError> {
        let also = if cfg!(feature = "s3") { " or s3://BUCKET/PREFIX" } else { " (built without s3)" };
        let wrong = || DepotError::Address(address.into(), also);
        let url = Url::parse(address).map_err(|_| wrong())?;
        match url.scheme() {
            "file" => {
                let folder = url.to_file_path().map_err(|()| wrong())?;
                std::fs::create_dir_all(&folder)?;
                let passing = LocalFileSystem::new_with_prefix(&folder)?;
                let objects = Arc::new(passing.clone().with_fsync(true));
                let (prefix, folder) = (Path::default(), Some(folder));
                Ok(Self { objects, passing: Arc::new(passing), prefix, folder })
            }
            #[cfg(feature = "s3")]
            "s3" => {
                // More than one library of cryptography may be linked in: this one is ours.
                let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
                let builder = object_store::aws::AmazonS3Builder::from_env().with_url(address);
                let prefix = Path::parse(url.path().trim_matches('/')).map_err(|_| wrong())?;
                let objects: Arc<dyn ObjectStore> = Arc::new(builder.build()?);
                Ok(Self { passing: objects.clone(), objects, prefix, folder: None })
            }
            _ => Err(wrong()),
        }
    }

    /// A store for tests, which knows states as one in the cloud does.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        Self { passing: objects.clone(), objects, prefix: Path::default(), folder: None }
    }

    /// The folder that the store is, if it is one: tokens lie there, too, and are not for workers.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// Requests of up to so many bytes travel in messages, larger ones through this store.
    pub fn most_in_message(&self) -> usize {
        if self.folder.is_some() { MOST_BESIDE_FOLDER } else { MOST_IN_MESSAGE }
    }

    fn path(&self, path: &str) -> Path {
        self.prefix.clone().join_all(path)
    }

    /// What a path holds, if there is anything; at most so many bytes.
    ///
    /// # Errors
    /// Where it is longer or cannot be read.
    pub async fn get(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, DepotError> {
        let found = match self.objects.get(&self.path(path)).await {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        Ok(Some(bounded(path, found, most).await?))
    }

    /// What a path holds, where that is not in the state that is known; at most so many bytes. Not for
    /// folders: their states are told by times.
    ///
    /// # Errors
    /// Where it is longer or cannot be read.
    pub async fn newer(&self, path: &str, most: u64, known: Option<&str>) -> Result<Seen, DepotError> {
        let options = GetOptions { if_none_match: known.map(Into::into), ..GetOptions::default() };
        let found = match self.objects.get_opts(&self.path(path), options).await {
            Err(StoreError::NotFound { .. }) => return Ok(Seen::Absent),
            Err(StoreError::NotModified { .. }) => return Ok(Seen::Unchanged),
            found => found?,
        };
        let state = found.meta.e_tag.clone().ok_or_else(|| DepotError::Stateless(path.into()))?;
        Ok(Seen::Changed { state, bytes: bounded(path, found, most).await? })
    }

    /// Puts bytes in place of what is in the state that is known, or where nothing is: whether it was so.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub async fn replace(&self, path: &str, bytes: Vec<u8>, known: Option<&str>) -> Result<bool, DepotError> {
        let Some(state) = known else { return self.put_first(path, bytes).await };
        let mode = PutMode::Update(UpdateVersion { e_tag: Some(state.into()), version: None });
        match self.objects.put_opts(&self.path(path), bytes.into(), mode.into()).await {
            Ok(_) => Ok(true),
            Err(StoreError::Precondition { .. } | StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts bytes, in place of what was there.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), DepotError> {
        self.objects.put(&self.path(path), bytes.into()).await?;
        Ok(())
    }

    /// The same for what is needed for a moment only.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn put_for_now(&self, path: &str, bytes: Arc<Vec<u8>>) -> Result<(), DepotError> {
        self.passing.put(&self.path(path), Bytes::from_owner(Held(bytes)).into()).await?;
        Ok(())
    }

    /// Puts bytes where nothing is: whether nothing was.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub async fn put_first(&self, path: &str, bytes: Vec<u8>) -> Result<bool, DepotError> {
        let path = self.path(path);
        match self.objects.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a file of this machine, part by part.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub async fn put_file(&self, path: &str, file: &std::path::Path) -> Result<(), DepotError> {
        self.put_file_from(path, file, 0).await
    }

    /// Puts what a file holds from a byte on.
    ///
    /// # Errors
    /// As [`put_file`](Self::put_file).
    pub async fn put_file_from(
        &self,
        path: &str,
        file: &std::path::Path,
        begin: u64,
    ) -> Result<(), DepotError> {
        let mut file = tokio::fs::File::open(file).await?;
        file.seek(io::SeekFrom::Start(begin)).await?;
        let mut upload =
            WriteMultipart::new_with_chunk_size(self.objects.put_multipart(&self.path(path)).await?, PART);
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece).await? {
                0 => break,
                count => upload.write(&piece[..count]),
            }
            upload.wait_for_capacity(2).await?;
        }
        upload.finish().await?;
        Ok(())
    }

    /// Removes what is at a path, if anything is.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub async fn remove(&self, path: &str) -> Result<(), DepotError> {
        match self.objects.delete(&self.path(path)).await.map_err(DepotError::from) {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    /// What lies below a folder.
    ///
    /// # Errors
    /// Where it cannot be listed.
    pub async fn list(&self, folder: &str) -> Result<Vec<Object>, DepotError> {
        let (folder, length) = (self.path(folder), self.prefix.as_ref().len());
        let objects: Vec<_> = self.objects.list(Some(&folder)).try_collect().await?;
        let path = |path: &Path| path.as_ref()[length..].trim_start_matches('/').to_string();
        let time = |time: i64| u64::try_from(time).unwrap_or(0);
        let object = |o: &object_store::ObjectMeta| Object {
            path: path(&o.location),
            changed: time(o.last_modified.timestamp()),
            bytes: o.size,
        };
        Ok(objects.iter().map(object).collect())
    }

    /// A document of ours, if it is there.
    ///
    /// # Errors
    /// Where it cannot be read or understood.
    pub async fn document<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<Option<T>, DepotError> {
        let Some(bytes) = self.get(path, MOST_DOCUMENT).await? else { return Ok(None) };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|_| DepotError::Damaged(path.into()))
    }

    /// What the fleet of this store agrees on. Where nothing is agreed on yet, it is `shards` and a new key.
    ///
    /// # Errors
    /// Where it cannot be read or written, and where it is of another version.
    pub async fn agree(&self, shards: u16) -> Result<Shared, DepotError> {
        if self.agreed().await?.is_none() {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(io::Error::from)?;
            let key = blindsight_protocol::Address(key).to_string();
            let agreement = Agreement { version: VERSION, shards: shards.max(1), key };
            let text = serde_json::to_vec_pretty(&agreement).expect("plain text and numbers");
            self.put_first(AGREEMENT, text).await?;
        }
        self.agreed().await?.ok_or_else(|| DepotError::Damaged(AGREEMENT.into()))
    }

    /// What the fleet of this store agrees on, if it does yet.
    ///
    /// # Errors
    /// As [`agree`](Self::agree).
    pub async fn agreed(&self) -> Result<Option<Shared>, DepotError> {
        let Some(agreed) = self.document::<Agreement>(AGREEMENT).await? else { return Ok(None) };
        if agreed.version != VERSION {
            return Err(DepotError::Version(agreed.version));
        }
        let damaged = |_| DepotError::Damaged(AGREEMENT.into());
        let key: blindsight_protocol::Address = agreed.key.parse().map_err(damaged)?;
        Ok(Some(Shared { shards: agreed.shards.max(1), key: FleetKey::new(&key.0) }))
    }

    /// A model's file, a plan or keys, by their SHA-256; of at most so many bytes.
    ///
    /// # Errors
    /// Where it is not what the address says.
    pub async fn checked(
        &self,
        path: &str,
        digest: &[u8; 32],
        most: u64,
    ) -> Result<Option<Vec<u8>>, DepotError> {
        let Some(bytes) = self.get(path, most).await? else { return Ok(None) };
        let found: [u8; 32] = Sha256::digest(&bytes).into();
        if &found == digest { Ok(Some(bytes)) } else { Err(DepotError::Damaged(path.into())) }
    }
}

/// The bytes of an object, if there are at most so many.
async fn bounded(path: &str, found: GetResult, most: u64) -> Result<Vec<u8>, DepotError> {
    let length = found.meta.size;
    if length > most {
        return Err(DepotError::Length { path: path.into(), found: length, most });
    }
    Ok(found.bytes().await?.into())
}

/// Bytes that somebody else holds, too: a large request is not copied to be written.
struct Held(Arc<Vec<u8>>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Joins a path of several parts to another.
trait Join {
    fn join_all(self, path: &str) -> Self;
}

impl Join for Path {
    fn join_all(self, path: &str) -> Self {
        path.split('/').fold(self, |whole, part| whole.join(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("blindsight-depot-{name}-{}", std::process::id())))
        }

        fn depot(&self) -> Depot {
            Depot::open(&format!("file://{}", self.0.display())).expect("a folder")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn all_who_come_agree_on_what_the_first_one_said() {
        let folder = Folder::new("agree");
        let depot = folder.depot();
        let first = depot.agree(8).await.expect("agreed");
        let second = folder.depot().agree(99).await.expect("agreed");
        assert_eq!((first.shards, second.shards), (8, 8));
        let sealed = first.key.seal(crate::seal::Purpose::Job, vec![1]);
        second.key.open(crate::seal::Purpose::Job, &sealed).expect("one key");
        depot.put("fleet.json", br#"{"version":2,"shards":1,"key":""}"#.to_vec()).await.expect("put");
        assert!(matches!(depot.agree(8).await, Err(DepotError::Version(2))));
        depot.put("fleet.json", b"{".to_vec()).await.expect("put");
        assert!(matches!(depot.agree(8).await, Err(DepotError::Damaged(_))));
    }

    #[tokio::test]
    async fn what_is_damaged_or_too_long_is_refused() {
        let folder = Folder::new("damaged");
        let depot = folder.depot();
        let digest = Sha256::digest(b"model").into();
        depot.put("models/a", b"model".to_vec()).await.expect("put");
        assert_eq!(depot.checked("models/a", &digest, 9).await.expect("whole"), Some(b"model".to_vec()));
        depot.put("models/a", b"modal".to_vec()).await.expect("put");
        assert!(matches!(depot.checked("models/a", &digest, 9).await, Err(DepotError::Damaged(_))));
        assert!(matches!(depot.get("models/a", 4).await, Err(DepotError::Length { found: 5, .. })));
        assert!(depot.get("models/b", 4).await.expect("nothing").is_none());
        depot.remove("models/b").await.expect("nothing to do");
        assert_eq!(depot.list("models").await.expect("one").len(), 1);
    }

    #[test]
    fn other_addresses_are_refused() {
        for wrong in ["", "/srv", "http://example.org", "file://host/srv", "ftp://a/b"] {
            assert!(matches!(Depot::open(wrong), Err(DepotError::Address(..))), "{wrong}");
        }
    }
}

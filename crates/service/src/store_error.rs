//! Why keys could not be stored or found.

use std::io;
use std::path::PathBuf;

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
    /// A registry that is no folder.
    #[error("{what}: {source}")]
    Registry {
        /// What was done.
        what: &'static str,
        /// Whether it has no room left.
        full: bool,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
            Self::Registry { full, .. } => *full,
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

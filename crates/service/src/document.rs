//! A small document that several processes read and change: [`Document`]. [`InFolder`] is a file.

use crate::whole::write_whole;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

/// What tells a state of a document from the others: numbers that nobody reads anything from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub u128, pub u64);

/// What a document holds, if there is one, to what it shall hold, if that changes.
pub type Edit<'a> = &'a mut dyn FnMut(Option<&[u8]>) -> Option<Vec<u8>>;

/// A document that is read often and changed as a whole. It shows where it lies.
pub trait Document: fmt::Debug + fmt::Display + Send + Sync {
    /// Which state it is in, or none where there is no document yet. Waits for no network.
    ///
    /// # Errors
    /// Where that is not known.
    fn version(&self) -> io::Result<Option<Version>>;

    /// What it holds, or none where there is no document yet. Waits for no network.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&self) -> io::Result<Option<Vec<u8>>>;

    /// Gives `edit` what it holds and puts what comes back in its place; nothing where none comes back. Where
    /// somebody else was quicker, `edit` is called again: its last call holds. May wait for a network: it is
    /// called on threads that may wait.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    fn change(&self, edit: Edit<'_>) -> io::Result<()>;
}

/// A file, and beside it one that is locked while it is changed.
#[derive(Debug)]
pub(crate) struct InFolder(pub PathBuf);

impl fmt::Display for InFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Document for InFolder {
    fn version(&self) -> io::Result<Option<Version>> {
        let Some(metadata) = there(fs::metadata(&self.0))? else { return Ok(None) };
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Some(Version(changed.as_nanos(), inode(&metadata))))
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        there(fs::read(&self.0))
    }

    fn change(&self, edit: Edit<'_>) -> io::Result<()> {
        let lock = File::create(self.0.with_extension("lock"))?;
        lock.lock()?;
        let changed = edit(self.read()?.as_deref());
        changed.map_or(Ok(()), |bytes| write_whole(&self.0, &bytes))
    }
}

/// What is there, if anything is.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Tells a file that was replaced from the one before, even within one tick of the clock.
#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

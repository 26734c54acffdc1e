//! Counts that several services share.

use super::{Counter, Counters, read, write};
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Where several services count the uses of tokens, by the SHA-256 of each. Its functions may wait for a disk
/// or a network: they are called on threads that may wait.
pub trait Counts: fmt::Debug + Send + Sync {
    /// Changes what is known of a token's use, which nobody else changes meanwhile. Where somebody was
    /// quicker, `edit` is called again, with what is known then: its last call holds.
    ///
    /// # Errors
    /// Where it cannot be read or written. It may have been changed then.
    fn change(&self, token: &str, edit: &mut dyn FnMut(&mut Counter)) -> io::Result<()>;

    /// Adds uses to what is known, and takes out of `uses` what was added.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    fn add(&self, uses: &mut Counters) -> io::Result<()> {
        while let Some((token, counter)) = uses.first_key_value() {
            self.change(token, &mut |known| known.add(counter.used))?;
            uses.pop_first();
        }
        Ok(())
    }

    /// What is known of all tokens.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn all(&self) -> io::Result<Counters>;

    /// Forgets all other tokens.
    ///
    /// # Errors
    /// Where they cannot be listed or forgotten.
    fn retain(&self, tokens: &HashSet<String>) -> io::Result<()>;
}

/// A file in a folder that all services have.
#[derive(Debug)]
pub(crate) struct SharedFile(pub PathBuf);

impl SharedFile {
    /// Changes the file as a whole, one service at a time.
    fn edit(&self, edit: impl FnOnce(&mut Counters)) -> io::Result<()> {
        let lock = File::create(self.0.with_extension("lock"))?;
        lock.lock()?;
        let mut counters = read(&self.0)?;
        let before = counters.clone();
        edit(&mut counters);
        if counters != before { write(&self.0, &counters) } else { Ok(()) }
    }
}

impl Counts for SharedFile {
    fn change(&self, token: &str, edit: &mut dyn FnMut(&mut Counter)) -> io::Result<()> {
        self.edit(|counters| edit(counters.entry(token.into()).or_default()))
    }

    fn add(&self, uses: &mut Counters) -> io::Result<()> {
        if uses.is_empty() {
            return Ok(());
        }
        self.edit(|known| {
            uses.iter().for_each(|(token, uses)| known.entry(token.clone()).or_default().add(uses.used));
        })?;
        uses.clear();
        Ok(())
    }

    fn all(&self) -> io::Result<Counters> {
        read(&self.0)
    }

    fn retain(&self, tokens: &HashSet<String>) -> io::Result<()> {
        self.edit(|counters| counters.retain(|token, _| tokens.contains(token)))
    }
}

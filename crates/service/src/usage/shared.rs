//! Counts that several services share.

use super::{Counter, Counters, parse};
use crate::document::{Document, InFolder};
use std::collections::HashSet;
use std::fmt;
use std::io;

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
pub(super) struct SharedFile(pub InFolder);

impl SharedFile {
    fn edit(&self, mut edit: impl FnMut(&mut Counters)) -> io::Result<()> {
        let mut edited = Ok(());
        let mut attempt = |bytes: Option<&[u8]>| -> io::Result<Option<Vec<u8>>> {
            let mut counters = parse(bytes)?;
            let before = counters.clone();
            edit(&mut counters);
            Ok(if counters == before { None } else { Some(serde_json::to_vec_pretty(&counters)?) })
        };
        self.0.change(&mut |bytes| {
            attempt(bytes).unwrap_or_else(|error| {
                edited = Err(error);
                None
            })
        })?;
        edited
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
        parse(self.0.read()?.as_deref())
    }

    fn retain(&self, tokens: &HashSet<String>) -> io::Result<()> {
        self.edit(|counters| counters.retain(|token, _| tokens.contains(token)))
    }
}

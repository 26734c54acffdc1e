//! How many replies were decrypted under a secret key.

use crate::{Error, Warning};
use std::fs;
use std::path::{Path, PathBuf};

/// After so many replies a client is advised to make new keys.
///
/// A server that forges replies and learns labels gets five coefficients of the secret key from each, with
/// scores of two digits ten (`SECURITY.md`). After so many it has an eighth of a key of 4096 coefficients by
/// labels, a quarter by scores; the others are left to be found by lattice attacks. Where nobody but the user
/// sees results, nothing is lost however many replies there are.
pub const REPLIES_OF_A_KEY: u64 = 100;

/// The count of the replies that were decrypted under one secret key, in a file beside the key's. It guards
/// against forgetting, not against whoever can write the file.
#[derive(Debug)]
pub struct ReplyCount(PathBuf);

impl ReplyCount {
    /// That of the secret key in this file.
    pub fn of(secret: &Path) -> Self {
        let mut name = secret.file_name().unwrap_or_default().to_os_string();
        name.push(".replies");
        Self(secret.with_file_name(name))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// How many there were.
    pub fn replies(&self) -> u64 {
        fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Counts one more, whatever it decrypts to; advice, where there were many.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn count(&self) -> Result<Option<Warning>, Error> {
        self.count_several(1)
    }

    /// The same for several that are decrypted together: writing the file takes longer than decrypting one.
    ///
    /// # Errors
    /// As [`ReplyCount::count`].
    pub fn count_several(&self, replies: u64) -> Result<Option<Warning>, Error> {
        let replies = self.replies().saturating_add(replies);
        fs::write(&self.0, format!("{replies}\n")).map_err(|source| Error::file("write", &self.0, source))?;
        Ok((replies > REPLIES_OF_A_KEY).then_some(Warning::ManyReplies { replies }))
    }
}

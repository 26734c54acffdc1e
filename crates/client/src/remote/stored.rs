//! The secret keys that a client keeps, one for each plan of each server.

use super::Error;
use crate::{Error as ClientError, ReplyCount};
use blindsight_protocol::Address;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A secret key that lies in a client's folder, and what it is for.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// What its files are called.
    pub name: String,
    /// What it is for.
    pub about: About,
    /// Where its evaluation keys are registered at the server, as far as is known here.
    pub registered: Option<Address>,
    /// How many replies were decrypted under it.
    pub replies: u64,
    /// Whether it is sealed with a passphrase.
    pub sealed: bool,
    folder: PathBuf,
}

/// What a secret key is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The server's address.
    pub server: String,
    /// The model's name there.
    pub model: String,
    /// The plan's digest, in hexadecimal.
    pub plan: String,
    /// When it was made: seconds since 1970.
    pub created: u64,
}

impl About {
    /// Of a key that is made now.
    pub(super) fn new(server: &str, model: &str, plan: String) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Self { server: server.into(), model: model.into(), plan, created: now }
    }

    /// Writes it down beside the key.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<(), ClientError> {
        let path = folder.join(format!("{name}.json"));
        let text = serde_json::to_vec_pretty(self).expect("text and numbers");
        fs::write(&path, text).map_err(|source| ClientError::file("write", &path, source))
    }
}

/// The secret keys in a folder, oldest first.
///
/// # Errors
/// Where the folder is there and cannot be read.
pub fn stored_keys(folder: &Path) -> Result<Vec<StoredKey>, Error> {
    let unread = |source| ClientError::file("read", folder, source);
    if !folder.exists() {
        return Ok(vec![]);
    }
    let mut keys = vec![];
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"));
        keys.extend(name.and_then(|name| StoredKey::read(folder, name)));
    }
    keys.sort_by(|a, b| (a.about.created, &a.name).cmp(&(b.about.created, &b.name)));
    Ok(keys)
}

impl StoredKey {
    fn read(folder: &Path, name: &str) -> Option<Self> {
        let about = serde_json::from_slice(&fs::read(folder.join(format!("{name}.json"))).ok()?).ok()?;
        let note = fs::read_to_string(folder.join(format!("{name}.keys"))).ok();
        let secret = folder.join(format!("{name}.secret"));
        Some(Self {
            sealed: crate::is_sealed(&secret).unwrap_or(false),
            name: name.into(),
            about,
            registered: note.and_then(|text| text.trim().parse().ok()),
            replies: ReplyCount::of(&secret).replies(),
            folder: folder.into(),
        })
    }

    /// Where the secret key lies: what [`seal_file`](crate::seal_file) and
    /// [`unseal_file`](crate::unseal_file) take.
    pub fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.secret", self.name))
    }

    /// Deletes the secret key and what lies beside it. What was encrypted under it cannot be read again.
    /// Files are unlinked, not overwritten. Registered evaluation keys are the server's to delete:
    /// [`Server::delete_keys`](super::Server::delete_keys).
    ///
    /// # Errors
    /// Where a file cannot be deleted.
    pub fn delete(&self) -> Result<(), Error> {
        // The description goes last: as long as anything is there it is listed.
        for what in ["secret", "keys", "secret.replies", "json"] {
            let path = self.folder.join(format!("{}.{what}", self.name));
            match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ClientError::file("delete", &path, source).into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

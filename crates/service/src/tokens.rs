//! Who may ask: bearer tokens, hashed at rest.
//!
//! A token is 256 random bits, so a plain hash protects it as well as a slow one would. Tokens live in a
//! document of their own, a file where nothing else is said, so that the command line can make and revoke
//! them while the server, which owns the index, runs; the server reads the document again when it has
//! changed.

use crate::document::{Document, InFolder, Version};
use crate::scope::Scope;
use blindsight_protocol::Address;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a client: 1 to 64 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit. It names a folder,
/// too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientName(Arc<str>);

/// A token. Prints only where it is asked for with [`Token::reveal`].
pub struct Token(String);

/// What is kept of a client's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// SHA-256 of the token, in hexadecimal.
    pub sha256: String,
    /// When it was made: seconds since 1970.
    pub created: u64,
    /// When it ends: seconds since 1970.
    pub expires: Option<u64>,
    /// Whether it was revoked. The entry stays, so that the server knows that the client's keys are to be
    /// deleted.
    pub revoked: bool,
    /// What it may be used for. A file from before there were scopes has none: everything.
    #[serde(default, flatten)]
    pub scope: Scope,
}

/// What a token is good for at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Accepted.
    Valid,
    /// Its time is over.
    Expired,
    /// Revoked.
    Revoked,
}

/// Why tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A name that cannot name a client.
    #[error(
        "{0:?} cannot name a client: expected 1 to 64 of a-z A-Z 0-9 . _ -, beginning with a letter or digit"
    )]
    Name(String),
    /// The client has a token.
    #[error("{0} has a token already: revoke it, or replace it, which keeps the client's keys")]
    Exists(ClientName),
    /// The client has no token.
    #[error("{0} has no token")]
    Unknown(ClientName),
    /// A document that cannot be read or written.
    #[error("cannot {action} {place}: {source}")]
    Document {
        /// `read` or `write`.
        action: &'static str,
        /// Where it lies.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// The document of tokens.
#[derive(Debug)]
pub struct Tokens {
    document: Arc<dyn Document>,
    read: Mutex<Read>,
}

/// What was read, and the state of the document then.
#[derive(Debug, Default)]
struct Read {
    version: Option<Version>,
    clients: Arc<Clients>,
}

type Clients = BTreeMap<ClientName, Entry>;

impl FromStr for ClientName {
    type Err = TokenError;

    fn from_str(name: &str) -> Result<Self, TokenError> {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins && name.len() <= 64 && name.chars().all(sound) {
            Ok(Self(name.into()))
        } else {
            Err(TokenError::Name(name.into()))
        }
    }
}

impl TryFrom<String> for ClientName {
    type Error = TokenError;

    fn try_from(name: String) -> Result<Self, TokenError> {
        name.parse()
    }
}

impl From<ClientName> for String {
    fn from(name: ClientName) -> Self {
        name.0.to_string()
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClientName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Token {
    fn generate() -> Result<Self, TokenError> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).map_err(TokenError::Randomness)?;
        Ok(Self(format!("bst_{}", Address(bits))))
    }

    /// The token itself, to be given to its client once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Entry {
    fn new(token: &Token, expires: Option<u64>, scope: Scope) -> Self {
        Self { sha256: hash(token.reveal()), created: now(), expires, revoked: false, scope }
    }

    /// What the token is good for at `time`, in seconds since 1970.
    pub fn state(&self, time: u64) -> State {
        match (self.revoked, self.expires) {
            (true, _) => State::Revoked,
            (false, Some(end)) if end <= time => State::Expired,
            (false, _) => State::Valid,
        }
    }
}

impl Tokens {
    /// The tokens in `folder`, which exists: in its file `tokens.json`.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn open(folder: &Path) -> Result<Self, TokenError> {
        Self::of(Arc::new(InFolder(folder.join("tokens.json"))))
    }

    /// The tokens in a document that other services may have, too.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn of(document: Arc<dyn Document>) -> Result<Self, TokenError> {
        let tokens = Self { document, read: Mutex::default() };
        tokens.current()?;
        Ok(tokens)
    }

    /// Every client that ever had a token.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn list(&self) -> Result<BTreeMap<ClientName, Entry>, TokenError> {
        Ok((*self.current()?).clone())
    }

    /// Makes a token for everything that is served, for a client that has none, or in place of the one it
    /// has.
    ///
    /// # Errors
    /// As [`create_scoped`](Self::create_scoped).
    pub fn create(
        &self,
        client: &ClientName,
        expires: Option<u64>,
        replace: bool,
    ) -> Result<Token, TokenError> {
        self.create_scoped(client, expires, Scope::default(), replace)
    }

    /// Makes a token that is good for `scope` only. What was used of the one that it replaces is not counted
    /// against it.
    ///
    /// # Errors
    /// Where the client has one and `replace` is not said, and where they cannot be written.
    pub fn create_scoped(
        &self,
        client: &ClientName,
        expires: Option<u64>,
        scope: Scope,
        replace: bool,
    ) -> Result<Token, TokenError> {
        let token = Token::generate()?;
        self.change(|clients| match clients.get(client) {
            Some(entry) if !entry.revoked && !replace => Err(TokenError::Exists(client.clone())),
            _ => {
                clients.insert(client.clone(), Entry::new(&token, expires, scope.clone()));
                Ok(())
            }
        })?;
        Ok(token)
    }

    /// Revokes a client's token, at once. The server will delete the client's keys.
    ///
    /// # Errors
    /// Where the client has none, and where they cannot be written.
    pub fn revoke(&self, client: &ClientName) -> Result<(), TokenError> {
        self.change(|clients| match clients.get_mut(client) {
            Some(entry) if !entry.revoked => {
                entry.revoked = true;
                Ok(())
            }
            _ => Err(TokenError::Unknown(client.clone())),
        })
    }

    /// The client that a token belongs to, and what is kept of the token.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn look_up(&self, token: &str) -> Result<Option<(ClientName, Entry)>, TokenError> {
        let (hash, clients) = (hash(token), self.current()?);
        // Comparing hashes of what is random and long tells nothing about tokens.
        let found = clients.iter().find(|(_, entry)| entry.sha256 == hash);
        Ok(found.map(|(client, entry)| (client.clone(), entry.clone())))
    }

    /// Whether a token is good for anything now.
    ///
    /// # Errors
    /// As [`look_up`](Self::look_up).
    pub fn accepts(&self, token: &str) -> Result<bool, TokenError> {
        Ok(self.look_up(token)?.is_some_and(|(_, entry)| entry.state(now()) == State::Valid))
    }

    /// What the document holds now.
    fn current(&self) -> Result<Arc<Clients>, TokenError> {
        let mut read = self.read.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let failed = |source| self.error("read", source);
        let version = self.document.version().map_err(failed)?;
        if read.version != version {
            let bytes = self.document.read().map_err(failed)?;
            *read = Read { version, clients: Arc::new(self.parse(bytes.as_deref())?) };
        }
        Ok(read.clients.clone())
    }

    fn parse(&self, bytes: Option<&[u8]>) -> Result<Clients, TokenError> {
        let read = bytes.map_or(Ok(Clients::new()), serde_json::from_slice);
        read.map_err(|error| self.error("read", error.into()))
    }

    /// Changes the document as a whole, one process at a time.
    fn change(&self, mut edit: impl FnMut(&mut Clients) -> Result<(), TokenError>) -> Result<(), TokenError> {
        let mut edited = Ok(());
        let mut attempt = |bytes: Option<&[u8]>| {
            let mut clients = self.parse(bytes)?;
            edit(&mut clients)?;
            serde_json::to_vec_pretty(&clients).map_err(|error| self.error("write", error.into()))
        };
        let changed = self.document.change(&mut |bytes| {
            let text = attempt(bytes);
            text.map_err(|error| edited = Err(error)).ok()
        });
        edited.and(changed.map_err(|source| self.error("write", source)))
    }

    fn error(&self, action: &'static str, source: io::Error) -> TokenError {
        TokenError::Document { action, place: self.document.to_string(), source }
    }
}

fn hash(token: &str) -> String {
    Address(Sha256::digest(token).into()).to_string()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

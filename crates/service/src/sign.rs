//! Signatures of models: which network a server says that it runs, by which plan, behind which certificate.

use crate::whole::write_whole;
use blindsight_protocol::{Address, SignedStatement, Statement};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The first line of a signing key's file.
const TITLE: &str = "blindsight signing key 1";

/// The holder of an Ed25519 signing key. Does not print it.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("blindsight-sign-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let file = folder.join("server.sign");
/// use blindsight_service::Signer;
///
/// let made = Signer::create(&file)?;
/// assert_eq!(Signer::read(&file)?.public(), made.public());
/// assert!(Signer::create(&file).is_err(), "a key is never overwritten");
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Signer {
    pair: Ed25519KeyPair,
    server: Option<String>,
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A file that cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that holds no signing key.
    #[error("{} is no signing key: expected the line {TITLE:?} and 64 hexadecimal digits", .0.display())]
    Format(PathBuf),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

impl Signer {
    /// Makes a key and writes it to a new file that only its owner can read.
    ///
    /// # Errors
    /// Where the file is there already or cannot be written.
    pub fn create(path: &Path) -> Result<Self, SignError> {
        if path.exists() {
            let source = io::ErrorKind::AlreadyExists.into();
            return Err(SignError::File { action: "write", path: path.into(), source });
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(SignError::Randomness)?;
        let text = Zeroizing::new(format!("{TITLE}\n{}\n", Address(*seed)));
        let failed = |source| SignError::File { action: "write", path: path.into(), source };
        write_whole(path, text.as_bytes()).map_err(failed)?;
        Self::from_seed(&seed).ok_or_else(|| SignError::Format(path.into()))
    }

    /// Reads the key that [`Signer::create`] made.
    ///
    /// # Errors
    /// Where the file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, SignError> {
        let failed = |source| SignError::File { action: "read", path: path.into(), source };
        let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
        let digits = text.trim().strip_prefix(TITLE).map(str::trim);
        let seed = digits.and_then(|digits| digits.parse::<Address>().ok());
        let signer = seed.and_then(|seed| Self::from_seed(&Zeroizing::new(seed.0)));
        signer.ok_or_else(|| SignError::Format(path.into()))
    }

    fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Some(Self { pair: Ed25519KeyPair::from_seed_unchecked(seed).ok()?, server: None })
    }

    /// The same for a server that shows the certificate with this fingerprint; none where a proxy shows its
    /// own.
    pub fn behind(self, certificate: Option<String>) -> Self {
        Self { server: certificate, ..self }
    }

    /// The public key, 64 hexadecimal digits: what a client pins.
    pub fn public(&self) -> String {
        let bytes: Result<[u8; 32], _> = self.pair.public_key().as_ref().try_into();
        Address(bytes.expect("an Ed25519 public key has 32 bytes")).to_string()
    }

    /// The signed statement about a model.
    pub(crate) fn sign(&self, model: &str, model_digest: String, plan: String) -> SignedStatement {
        let statement = Statement { model: model.into(), model_digest, plan, server: self.server.clone() };
        let signature = self.pair.sign(&statement.message());
        let signature = blindsight_ckks::wire::hex(signature.as_ref());
        SignedStatement { statement, key: self.public(), signature }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("public", &self.public()).finish_non_exhaustive()
    }
}

//! Secret keys sealed with a passphrase.
//!
//! The passphrase is stretched with Argon2id (RFC 9106), and the framed secret key encrypted under what comes
//! out with XChaCha20-Poly1305. `docs/formats.md` has the bytes. What a file asks of whoever opens it is
//! bounded before it is done.

use crate::store::{replace_secret, write_secret};
use crate::{Client, Error};
use argon2::{Algorithm, Argon2, Params, Version};
use blindsight_ckks::wire::{self, Expected, FRAME_BYTES, Kind, Length, PlanDigest, WireError};
use blindsight_layout::PublicPlan;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// The beginning of a sealed file, and its version.
const MAGIC: &[u8; 10] = b"BSSEALED\x01\x00";
/// KiB of memory, passes and lanes that new files ask for: RFC 9106's second choice, on one thread.
const COST: [u32; 3] = [64 << 10, 3, 1];
/// What a file may ask for: up to 256 MiB, 16 passes, 4 lanes.
const BOUNDS: [RangeInclusive<u32>; 3] = [8 << 10..=256 << 10, 1..=16, 1..=4];
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// Magic, version, costs, salt and nonce.
const HEAD_BYTES: usize = MAGIC.len() + 12 + SALT_BYTES + NONCE_BYTES;
/// No secret key has more coefficients; each takes two bits.
const LARGEST_KEY: usize = FRAME_BYTES + (1 << 16) / 4;

/// What a secret key is sealed with. Wiped when dropped, and never printed.
///
/// ```
/// use blindsight_client::Passphrase;
///
/// let passphrase = Passphrase::new("correct horse battery staple").expect("not empty");
/// assert_eq!(format!("{passphrase:?}"), "Passphrase(..)");
/// assert!(Passphrase::new("").is_none());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

/// Why a sealed key could not be opened or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No such file.
    #[error(
        "it is no sealed secret key: expected {HEAD_BYTES} bytes of head that begin with BSSEALED, version 1"
    )]
    Head,
    /// It asks for too much, or for too little to be safe.
    #[error("it asks for {what} {found}, and {low} to {high} are allowed: it was not made by this program")]
    Cost {
        /// `KiB of memory`, `passes` or `lanes`.
        what: &'static str,
        /// What it asks for.
        found: u32,
        /// The least.
        low: u32,
        /// The most.
        high: u32,
    },
    /// Longer or shorter than any sealed key.
    #[error("it has {0} bytes behind its head: no sealed secret key has")]
    Length(usize),
    /// Authentication failed.
    #[error("the passphrase is wrong, or the file is damaged")]
    Passphrase,
    /// A key that is to be sealed, and is.
    #[error("it is sealed already: unseal it first to give it another passphrase")]
    Already,
    /// A file that is to be sealed, and holds no secret key.
    #[error("it is no secret key: {0}")]
    NoKey(WireError),
    /// No memory for Argon2id.
    #[error("no memory to open it with: {0} KiB are needed")]
    Memory(u32),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

impl Passphrase {
    /// A passphrase; none of an empty text.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = Zeroizing::new(text.into());
        (!text.is_empty()).then_some(Self(text))
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Client {
    /// As [`Client::save`], sealed: nobody reads the secret key without the passphrase.
    ///
    /// # Errors
    /// As [`Client::save`], and where the system has no randomness or too little memory.
    pub fn save_sealed(&self, path: &Path, passphrase: &Passphrase) -> Result<(), Error> {
        let sealed = seal(&self.secret_key(), passphrase);
        let sealed = sealed.map_err(|source| Error::Sealed { path: path.into(), source })?;
        write_secret(path, &sealed, &wire::hex(&self.key_id()[..4]))
    }

    /// The client whose secret key [`Client::save_sealed`] stored.
    ///
    /// # Errors
    /// Where the passphrase is another one, and as [`Client::load`].
    pub fn load_sealed(
        plan: PublicPlan,
        digest: PlanDigest,
        path: &Path,
        passphrase: &Passphrase,
    ) -> Result<Self, Error> {
        let secret = open(&read_key(path)?, passphrase);
        let secret = secret.map_err(|source| Error::Sealed { path: path.into(), source })?;
        Self::read(plan, digest, secret.as_slice())
    }
}

/// Seals the secret key in a file that [`Client::save`] wrote; the file keeps its name. Either the sealed key
/// stands there afterwards, or the file is as it was. What it held before is unlinked, not overwritten: a
/// disk may keep it until it writes there again.
///
/// # Errors
/// For a file that is no secret key, or is sealed already, and as [`Client::save_sealed`].
pub fn seal_file(path: &Path, passphrase: &Passphrase) -> Result<(), Error> {
    rewrite(path, |secret| {
        if secret.starts_with(&MAGIC[..8]) {
            return Err(SealError::Already);
        }
        check_key(secret)?;
        seal(secret, passphrase).map(Zeroizing::new)
    })
}

/// Takes the seal off a secret key, as [`seal_file`] puts it on: whoever reads the file then has the key.
///
/// # Errors
/// For a file that is no sealed secret key, for another passphrase, and where it cannot be written.
pub fn unseal_file(path: &Path, passphrase: &Passphrase) -> Result<(), Error> {
    rewrite(path, |sealed| {
        let secret = open(sealed, passphrase)?;
        check_key(&secret)?;
        Ok(secret)
    })
}

/// Puts in place of a secret file what is made of its bytes.
fn rewrite(
    path: &Path,
    make: impl FnOnce(&[u8]) -> Result<Zeroizing<Vec<u8>>, SealError>,
) -> Result<(), Error> {
    // A link keeps leading to it.
    let path = &path.canonicalize().map_err(|source| Error::file("read", path, source))?;
    let made = make(&read_key(path)?).map_err(|source| Error::Sealed { path: path.into(), source })?;
    let mut random = [0; 8];
    let failed = |source| Error::Sealed { path: path.into(), source: SealError::Randomness(source) };
    getrandom::fill(&mut random).map_err(failed)?;
    replace_secret(path, &made, &wire::hex(&random))
}

/// A file as far as a secret key, sealed or not, may be long, and one byte more.
fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::file("read", path, source);
    let most = HEAD_BYTES + LARGEST_KEY + TAG_BYTES + 1;
    // At its full length from the start: a vector that grew would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    File::open(path).map_err(failed)?.take(most as u64).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Refuses what is not a whole framed secret key, of whatever plan.
fn check_key(bytes: &[u8]) -> Result<(), SealError> {
    let length = Length::AtMost(LARGEST_KEY - FRAME_BYTES);
    let expected = Expected { kind: Kind::SecretKey, plan: None, key: None, length };
    wire::open_in_place(bytes, &expected).map(drop).map_err(SealError::NoKey)
}

/// Whether a file begins as a sealed secret key.
///
/// # Errors
/// Where it cannot be read.
pub fn is_sealed(path: &Path) -> Result<bool, Error> {
    let failed = |source| Error::file("read", path, source);
    let mut head = vec![];
    File::open(path).map_err(failed)?.take(8).read_to_end(&mut head).map_err(failed)?;
    Ok(head == MAGIC[..8])
}

/// Encrypts a framed secret key.
fn seal(secret: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
    let mut random = [0; SALT_BYTES + NONCE_BYTES];
    getrandom::fill(&mut random).map_err(SealError::Randomness)?;
    let mut sealed = MAGIC.to_vec();
    COST.iter().for_each(|cost| sealed.extend(cost.to_le_bytes()));
    sealed.extend(random);
    let (salt, nonce) = random.split_at(SALT_BYTES);
    let payload = Payload { msg: secret, aad: &sealed };
    let encrypted = cipher(passphrase, salt, COST)?.encrypt(&xnonce(nonce), payload);
    sealed.extend(encrypted.map_err(|_| SealError::Length(secret.len()))?);
    Ok(sealed)
}

/// Decrypts what [`seal`] encrypted, after everything about it is checked that can be without the passphrase.
fn open(sealed: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (head, encrypted) = sealed.split_at_checked(HEAD_BYTES).ok_or(SealError::Head)?;
    let rest = head.strip_prefix(MAGIC).ok_or(SealError::Head)?;
    if !(FRAME_BYTES + TAG_BYTES..=LARGEST_KEY + TAG_BYTES).contains(&encrypted.len()) {
        return Err(SealError::Length(encrypted.len()));
    }
    let (costs, rest) = rest.split_at(12);
    let costs = checked(costs.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)))?;
    let (salt, nonce) = rest.split_at(SALT_BYTES);
    let payload = Payload { msg: encrypted, aad: head };
    let secret = cipher(passphrase, salt, costs)?.decrypt(&xnonce(nonce), payload);
    secret.map(Zeroizing::new).map_err(|_| SealError::Passphrase)
}

/// Costs within their bounds.
fn checked(found: impl Iterator<Item = u32>) -> Result<[u32; 3], SealError> {
    let mut costs = COST;
    let names = ["KiB of memory", "passes", "lanes"];
    for ((cost, found), (what, bounds)) in costs.iter_mut().zip(found).zip(names.into_iter().zip(&BOUNDS)) {
        if !bounds.contains(&found) {
            return Err(SealError::Cost { what, found, low: *bounds.start(), high: *bounds.end() });
        }
        *cost = found;
    }
    Ok(costs)
}

fn cipher(passphrase: &Passphrase, salt: &[u8], costs: [u32; 3]) -> Result<XChaCha20Poly1305, SealError> {
    let [memory, passes, lanes] = costs;
    let params = Params::new(memory, passes, lanes, Some(32)).expect("costs within their bounds");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = Zeroizing::new([0; 32]);
    let derived = argon.hash_password_into(passphrase.0.as_bytes(), salt, &mut *key);
    derived.map_err(|_| SealError::Memory(memory))?;
    let mut bytes = (*key).into();
    let cipher = XChaCha20Poly1305::new(&bytes);
    bytes.as_mut_slice().zeroize();
    Ok(cipher)
}

fn xnonce(bytes: &[u8]) -> XNonce {
    XNonce::try_from(bytes).expect("as long as it is written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| seal(&SECRET, &passphrase("right")).expect("sealed"));
    const SECRET: [u8; 2148] = [7; 2148];

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text).expect("not empty")
    }

    #[test]
    fn what_is_sealed_is_opened_with_its_passphrase_only() {
        assert_eq!(SEALED.len(), HEAD_BYTES + SECRET.len() + TAG_BYTES);
        assert_eq!(open(&SEALED, &passphrase("right")).expect("opened").as_slice(), SECRET);
        let wrong = open(&SEALED, &passphrase("Right")).expect_err("another passphrase");
        assert!(matches!(wrong, SealError::Passphrase), "{wrong}");
        let again = seal(&SECRET, &passphrase("right")).expect("sealed");
        assert_ne!(again, *SEALED, "salt and nonce are new each time");
        assert!(!SEALED.windows(8).any(|bytes| bytes == [7; 8]));
    }

    /// Every byte counts: each bit of the head and of the rest is authenticated.
    #[test]
    fn a_changed_byte_is_seen() {
        for at in [0, 9, 22, 37, 38, HEAD_BYTES - 1, HEAD_BYTES, SEALED.len() - 1] {
            let mut changed = SEALED.clone();
            changed[at] ^= 1;
            open(&changed, &passphrase("right")).expect_err("changed");
        }
    }

    #[test]
    fn costs_are_bounded_before_anything_is_done() {
        let asks = |at: usize, value: u32| {
            let mut sealed = SEALED.clone();
            sealed[at..at + 4].copy_from_slice(&value.to_le_bytes());
            open(&sealed, &passphrase("right")).expect_err("out of bounds")
        };
        for (at, values) in [(10, [0, 1, u32::MAX]), (14, [0, 17, u32::MAX]), (18, [0, 5, u32::MAX])] {
            for value in values {
                let error = asks(at, value);
                assert!(matches!(error, SealError::Cost { found, .. } if found == value), "{error}");
            }
        }
    }

    /// A whole frame around bytes that no plan is asked about.
    fn framed() -> Vec<u8> {
        let header = wire::Header { kind: Kind::SecretKey, plan: [3; 32], key: [4; 16] };
        wire::seal(&header, &[5; 2048])
    }

    #[test]
    fn a_file_is_sealed_and_unsealed_under_its_name() {
        let path = std::env::temp_dir().join(format!("blindsight-seal-{}.secret", std::process::id()));
        std::fs::write(&path, framed()).expect("writable");
        let (right, wrong) = (passphrase("right"), passphrase("wrong"));
        let refused = unseal_file(&path, &right).expect_err("not sealed");
        assert!(matches!(refused, Error::Sealed { source: SealError::Head, .. }), "{refused}");
        seal_file(&path, &right).expect("sealed");
        let sealed = std::fs::read(&path).expect("readable");
        assert_eq!(open(&sealed, &right).expect("opened").as_slice(), framed());
        for refused in [seal_file(&path, &right), unseal_file(&path, &wrong)] {
            refused.expect_err("it is sealed, with another passphrase");
            assert_eq!(std::fs::read(&path).expect("readable"), sealed, "it is as it was");
        }
        unseal_file(&path, &right).expect("unsealed");
        assert_eq!(std::fs::read(&path).expect("readable"), framed());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::remove_file(&path).expect("there");
    }

    #[test]
    fn what_is_no_secret_key_is_not_sealed() {
        let path = std::env::temp_dir().join(format!("blindsight-seal-{}.other", std::process::id()));
        let whole = framed();
        let mut changed = whole.clone();
        changed[100] ^= 1;
        let mut other = whole.clone();
        other[10] ^= 7;
        for bytes in [&b""[..], b"BSSEAL", &whole[..whole.len() - 1], &changed, &other, &vec![0; 1 << 20]] {
            std::fs::write(&path, bytes).expect("writable");
            let refused = seal_file(&path, &passphrase("right")).expect_err("no secret key");
            assert!(matches!(refused, Error::Sealed { source: SealError::NoKey(_), .. }), "{refused}");
            assert_eq!(std::fs::read(&path).expect("readable"), bytes, "it is as it was");
        }
        std::fs::remove_file(&path).expect("there");
        assert!(matches!(seal_file(&path, &passphrase("right")), Err(Error::File { .. })));
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_refused(cut in 0usize..HEAD_BYTES + 200, rest: Vec<u8>) {
            let mut bytes = SEALED[..cut].to_vec();
            bytes.extend(rest);
            // Where the costs are whole, the length is wrong or the passphrase is.
            prop_assert!(bytes == *SEALED || open(&bytes[..bytes.len().min(HEAD_BYTES + 100)], &passphrase("x")).is_err());
        }
    }
}

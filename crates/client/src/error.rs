use blindsight_ckks::wire::WireError;
use blindsight_network::Shape;
use std::path::{Path, PathBuf};

/// Why the client refused something. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More images than a request holds, or none.
    #[error("{actual} images: expected 1 to {most}, as many as a request of the plan holds")]
    Images {
        /// How many were asked for.
        actual: usize,
        /// How many a request holds.
        most: usize,
    },
    /// Bytes that are not what they should be.
    #[error("{what}: {source}")]
    Wire {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        source: WireError,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A secret key is never overwritten.
    #[error(
        "{} exists already: a secret key is never overwritten, as nothing encrypted under it could be read again; choose another name",
        .0.display()
    )]
    SecretExists(PathBuf),
    /// A secret key that is sealed, and no passphrase.
    #[error("{} is sealed: its passphrase is needed", .0.display())]
    PassphraseNeeded(PathBuf),
    /// A sealed secret key could not be opened or made.
    #[cfg(feature = "seal")]
    #[error("{}: {source}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: crate::SealError,
    },
    /// An image of another size or with other colours than the plan takes.
    #[error("an image of {actual} (channels x height x width): the plan takes {expected}")]
    ImageShape {
        /// What the plan takes.
        expected: Shape,
        /// What came.
        actual: Shape,
    },
    /// An image that cannot be normalised.
    #[error(transparent)]
    Image(#[from] blindsight_network::Error),
    /// The reply decrypts to noise.
    #[error(
        "the reply makes no sense under this key: a coefficient that must be zero is up to {found:.3}, at most {allowed:.3} is allowed; either the keys are wrong (make evaluation keys and request with one secret key, and send both again), or the image is so unlike any the model was made for that values overflowed"
    )]
    Garbage {
        /// The largest coefficient that should be zero.
        found: f64,
        /// What it may be at most.
        allowed: f64,
    },
    /// A score left the range that the plan can carry.
    #[error(
        "a score is out of the range that the plan can carry: it and its coarse copy are up to {found:.3} apart, at most {allowed:.3} is allowed; the image is unlike any the model was made for, or the model's score bound is too small; the scores are not known"
    )]
    WrappedAround {
        /// By how much a score and its coarse copy disagree at most.
        found: f64,
        /// By how much they may.
        allowed: f64,
    },
    /// A plan that does not fit.
    #[error(transparent)]
    Plan(#[from] blindsight_layout::Error),
    /// An error of the cryptography.
    #[error(transparent)]
    Ckks(#[from] blindsight_ckks::Error),
}

impl Error {
    /// The same, with figures that were decrypted no finer than powers of two times what is allowed: an exact
    /// one is an equation of the secret key, and messages get passed on.
    pub(crate) fn coarse(self) -> Self {
        let coarse = |found: f64, allowed: f64| allowed * (found / allowed).log2().ceil().exp2();
        match self {
            Self::Garbage { found, allowed } => Self::Garbage { found: coarse(found, allowed), allowed },
            Self::WrappedAround { found, allowed } => {
                Self::WrappedAround { found: coarse(found, allowed), allowed }
            }
            other => other,
        }
    }

    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_path_buf(), source }
    }
}

use ckks::wire::WireError;
use std::path::PathBuf;

/// Why the client refused something. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// An image that is not of the network's size or colours.
    #[error(transparent)]
    Image(#[from] network::Error),
    /// An input outside of the range that the plan's scales were set for.
    #[error(
        "input value {index} is {value}: the plan's scales were set for values from {least} to {largest}, and beyond them scores would be wrong without a sign; normalise the input as the model was trained"
    )]
    InputRange {
        /// The first such value.
        index: usize,
        /// Its value.
        value: f64,
        /// The least value allowed.
        least: f64,
        /// The largest value allowed.
        largest: f64,
    },
    /// A wrong number of input values.
    #[error("{actual} input values: the network takes {expected}")]
    InputLength {
        /// What the network takes.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// The reply decrypts to noise.
    #[error(
        "the reply does not decrypt under this key (wrong keys, or damaged): {found}"
    )]
    Garbage {
        /// What gave it away.
        found: String,
    },
    /// An error of the plan.
    #[error(transparent)]
    Plan(#[from] packing::Error),
    /// An error of the cryptography.
    #[error(transparent)]
    Ckks(#[from] ckks::Error),
}

//! A server over HTTPS.
//!
//! [`Server`] speaks the protocol of `docs/server.md`, one request at a time; [`RemoteClient`] is a
//! [`Client`](crate::Client) whose secret key lies in a folder and whose evaluation keys are registered at a
//! server: open it, then classify.
//!
//! What the server and others on the way can see does not depend on images, nor on what replies decrypt to:
//! which requests are sent, their order and their sizes follow from the plan and from the server's own
//! answers. `tests/visible.rs` lists them.
//!
//! What fails for the moment is tried again, for a bounded time: inference is stateless and uploads go on
//! where they broke off, so a repeated request does no harm. The secret key never leaves the folder.

mod connection;
mod pin;
mod registered;
mod server;
mod stored;
mod trust;

pub use connection::Peer;
pub use pin::SigningKey;
pub use registered::{Answer, RemoteClient, Secrets};
pub use server::{Reply, Server, Timing};
pub use stored::{About, StoredKey, stored_keys};
pub use trust::{Fingerprint, Trust};

use blindsight_protocol::{Code, Problem};
use std::time::Duration;

/// Why a server could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address that is none of a server.
    #[error("{address:?} is no address of a server: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A token that cannot be sent.
    #[error("the token holds characters that no token has")]
    Token,
    /// A certificate to trust that cannot be used.
    #[error("no certificate to trust: {0}")]
    Trust(String),
    /// No connection, or one that broke.
    #[error("{address}: {source}")]
    Connection {
        /// The server.
        address: String,
        /// What happened.
        source: std::io::Error,
    },
    /// The server refused.
    #[error("the server refused ({}): {}", .0.status, crate::printable(&.0.detail))]
    Refused(Problem),
    /// An answer that the protocol does not know.
    #[error("the server's answer is not understood: {}", crate::printable(.0))]
    Answer(String),
    /// The server does not show what its pinned key signed.
    #[error("the server's model is not what the pinned key signed: {}; nothing was made for it", crate::printable(.0))]
    Signature(String),
    /// The plan costs more than was agreed to.
    #[error("the plan asks for {0}: not agreed to")]
    Declined(crate::Cost),
    /// There is not exactly one model to choose.
    #[error("the server serves {}: name one", crate::printable(&.0.join(", ")))]
    Choose(Vec<String>),
    /// A plan that cannot be used.
    #[error(transparent)]
    Plan(#[from] blindsight_protocol::Error),
    /// What the client itself refuses.
    #[error(transparent)]
    Client(#[from] crate::Error),
}

impl Error {
    /// The reason of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    fn is_transient(&self) -> bool {
        let passing = [
            Code::Busy,
            Code::RateExceeded,
            Code::Unavailable,
            Code::Timeout,
            Code::UploadInProgress,
            Code::StorageFull,
        ];
        match self {
            Self::Connection { source, .. } => source.kind() != std::io::ErrorKind::InvalidData,
            Self::Refused(problem) => passing.contains(&problem.code),
            _ => false,
        }
    }

    /// How long to wait before the same request may succeed, where the server says so: after that the token's
    /// rate allows it again. None where waiting does not help, as with a budget that is used up.
    ///
    /// ```
    /// use blindsight_client::remote::Error;
    /// use blindsight_protocol::{Allowance, Code, Problem};
    /// use std::time::Duration;
    ///
    /// let refused = |code, retry_after| {
    ///     let allowance = Some(Allowance { limit: 10, period: None, remaining: 0, retry_after });
    ///     let (title, detail) = ("Too Many Requests".into(), "used up".into());
    ///     Error::Refused(Problem { title, status: 429, code, detail, allowance })
    /// };
    /// assert_eq!(refused(Code::RateExceeded, Some(7)).retry_after(), Some(Duration::from_secs(7)));
    /// assert_eq!(refused(Code::BudgetExceeded, None).retry_after(), None);
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(problem) => problem.allowance?.retry_after.map(Duration::from_secs),
            _ => None,
        }
    }
}

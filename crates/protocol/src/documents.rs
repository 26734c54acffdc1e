//! The JSON documents.

use blindsight_network::Sample;
use serde::{Deserialize, Serialize};

/// The models that a server serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// One entry for each.
    pub models: Vec<Model>,
}

/// A model, and what to expect of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name in paths.
    pub id: String,
    /// The plan's digest, in hexadecimal.
    pub plan: String,
    /// The name of the plan's representation.
    pub representation: String,
    /// What the plan is best at.
    pub objective: String,
    /// What a reply may hold.
    pub reply: String,
    /// The ring degree.
    pub ring_degree: usize,
    /// `log2(QP)`.
    pub log_qp: f64,
    /// What the security table grants.
    pub security_bits: u32,
    /// The images that it takes.
    pub input: InputShape,
    /// A name for each score.
    pub labels: Vec<String>,
    /// Exact length of the frame of evaluation keys.
    pub evaluation_key_bytes: u64,
    /// Exact length of a request's frame.
    pub request_bytes: u64,
    /// Exact length of a reply's frame.
    pub reply_bytes: u64,
    /// What its file says of it for people.
    #[serde(default)]
    pub about: About,
}

/// What a model's file says of it for people. Nothing of this is part of a plan, and no result follows from
/// it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The data set that it was trained on, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// One line on the model, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The share of test images that are classified rightly, from 0 to 1, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// What each number of an input is called, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// Inputs to try it with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// The shape of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputShape {
    /// Colours.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// How much of evaluation keys has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// The keys' address.
    pub digest: String,
    /// Bytes that have arrived.
    pub received: u64,
    /// Bytes of the whole frame, once its header has arrived.
    pub total: Option<u64>,
    /// Whether the keys are registered.
    pub complete: bool,
}

/// A client's own keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Registered keys, newest first.
    pub keys: Vec<Key>,
    /// Bytes that count against the quota.
    pub used_bytes: u64,
    /// Bytes that the client may use.
    pub quota_bytes: u64,
}

/// Registered evaluation keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Their address.
    pub digest: String,
    /// The digest of their plan, in hexadecimal.
    pub plan: String,
    /// Bytes of their frame.
    pub bytes: u64,
    /// When they were registered: seconds since 1970.
    pub created: u64,
    /// When they are forgotten: seconds since 1970.
    pub expires: Option<u64>,
}

/// A refusal (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What the status means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The reason, for programs.
    pub code: Code,
    /// What was expected, what came and what to do, for people.
    pub detail: String,
    /// The token's bound that refused the request, where one did.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Allowance>,
}

/// A bound of a token on inferences, and how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Inferences that the bound allows: in each period, or all together where there is none.
    pub limit: u64,
    /// The period in seconds; none for a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    /// Inferences that are left now.
    pub remaining: u64,
    /// Seconds after which the next one is allowed; none where waiting does not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// Not understood.
    BadRequest,
    /// Another version of the protocol.
    UnsupportedVersion,
    /// No token, or one that is unknown, revoked or expired.
    Unauthorized,
    /// No such path.
    NotFound,
    /// No such method on this path.
    MethodNotAllowed,
    /// No such model.
    UnknownModel,
    /// This client has no such keys.
    UnknownKeys,
    /// The body came too slowly.
    Timeout,
    /// Another upload of the same keys is under way.
    UploadInProgress,
    /// The upload does not stand at that offset.
    WrongOffset,
    /// A body without a length.
    LengthRequired,
    /// More bytes than the plan implies.
    TooLarge,
    /// Bytes that are not what the plan asks for.
    NotConforming,
    /// All places in the queue are taken.
    Busy,
    /// The token's rate is used up for the moment.
    RateExceeded,
    /// The token's budget is used up for good.
    BudgetExceeded,
    /// Shutting down, or the request waited too long.
    Unavailable,
    /// The client's share of the disk is used up.
    QuotaExceeded,
    /// The server's disk is full.
    StorageFull,
    /// A fault of the server.
    Internal,
    /// A code of a later server.
    #[serde(other)]
    Unknown,
}

//! Names of the headers that are the protocol's own.

/// The protocol version that the sender speaks.
pub const VERSION: &str = "blindsight-version";
/// The address of the evaluation keys to compute with.
pub const KEYS: &str = "blindsight-keys";
/// In a request: where in the frame the body begins. In an answer: bytes of the frame that have arrived.
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// Whether the keys are registered: a structured boolean, `?1` or `?0`.
pub const UPLOAD_COMPLETE: &str = "upload-complete";
/// The server's milliseconds, step by step.
pub const SERVER_TIMING: &str = "server-timing";
/// What tells a request from others, in the server's log and audit log.
pub const REQUEST_ID: &str = "blindsight-request-id";

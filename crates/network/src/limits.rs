//! What is refused as absurd. Every bound is checked before memory is taken for the thing that it bounds.

use crate::Error;

/// The largest model file, in bytes (512 MiB).
pub const MODEL_BYTES: u64 = 512 << 20;
/// The most protobuf fields of a model outside its tensors' data: bounds the memory that parsing takes.
pub const MODEL_FIELDS: usize = 1 << 18;
/// The largest extent of an image, kernel, stride, dilation or padding in one direction, and the most groups.
pub const DIMENSION: usize = 1 << 16;
/// The most weights and biases of a whole graph.
pub const PARAMETERS: usize = 1 << 26;
/// The most weights and coefficients of a model beyond one for each byte of its file: what constants that
/// stand for many channels, or for many layers, may become.
pub const PARAMETERS_BESIDE_BYTES: usize = 1 << 20;
/// The most elements of one layer's output.
pub const TENSOR_ELEMENTS: usize = 1 << 22;
/// The most elements of all layers' outputs together.
pub const TOTAL_ELEMENTS: usize = 1 << 26;
/// The most multiplications of one inference.
pub const MULTIPLICATIONS: u64 = 1 << 36;
/// The most multiplications spent on merging two linear layers; beyond it they stay two.
pub const MERGE_MULTIPLICATIONS: u64 = 1 << 32;

/// Refuses `actual` above `limit`; `what` names the thing, with its unit.
pub(crate) fn check(what: impl FnOnce() -> String, actual: u64, limit: u64) -> Result<(), Error> {
    if actual <= limit { Ok(()) } else { Err(Error::TooLarge { what: what(), actual, limit }) }
}

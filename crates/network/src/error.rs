use std::path::PathBuf;

/// Why a model or an image was refused. Every variant names the cause and the figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something is larger than its limit (see [`crate::limits`]).
    #[error("{what}: {actual}, more than the limit of {limit}")]
    TooLarge {
        /// What was counted, with its unit.
        what: String,
        /// The figure found.
        actual: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// The bytes are no ONNX model: truncated, garbage, or of another kind.
    #[error("not a readable ONNX model: {reason}")]
    NotOnnx {
        /// What was wrong.
        reason: String,
    },
    /// An operator outside the supported list.
    #[error("operator {operator} (node {node:?}) is not supported: {}; supported are {}", crate::onnx::remedy(operator), crate::onnx::SUPPORTED.join(", "))]
    Operator {
        /// The operator, with its domain where that is not ONNX's own.
        operator: String,
        /// The node's name.
        node: String,
    },
    /// A supported operator in a form that is not.
    #[error("{operator} (node {node:?}): expected {expected}, got {actual}")]
    Form {
        /// The operator.
        operator: String,
        /// The node's name.
        node: String,
        /// The form that is supported.
        expected: String,
        /// The form found.
        actual: String,
    },
    /// A node's input is neither an initialiser, nor the network's input, nor made by an earlier node.
    #[error(
        "node {node:?} needs tensor {tensor:?}, but the file has no initialiser and no earlier node of that name"
    )]
    MissingTensor {
        /// The node's name.
        node: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A node that reads what only a later one makes: nodes out of order, or in a circle.
    #[error(
        "node {node:?} reads tensor {tensor:?}, which is made later: nodes must stand in the order in which they are \
         computed, and in no circle"
    )]
    Order {
        /// The node's name.
        node: String,
        /// The tensor's name.
        tensor: String,
    },
    /// A shape, length or count that does not fit.
    #[error("{what}: expected {expected}, got {actual}")]
    Mismatch {
        /// What was measured.
        what: String,
        /// What fits.
        expected: String,
        /// What came.
        actual: String,
    },
    /// A weight, coefficient or product of weights that is not a finite number.
    #[error("{what}: value {index} is {value}, expected a finite number")]
    NotFinite {
        /// The tensor.
        what: String,
        /// The index of the first such value.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A metadata entry of the model that cannot be understood.
    #[error("model metadata {key} = {value:?}: expected {expected}")]
    Metadata {
        /// The entry's key.
        key: String,
        /// The entry's value, cut to a readable length.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// An image of another size or with other colours than expected.
    #[error("image: expected {expected}, got {actual}")]
    Image {
        /// What was expected.
        expected: String,
        /// What came.
        actual: String,
    },
}

/// Refuses the first value that is not finite.
pub(crate) fn check_finite(what: &str, values: &[f64]) -> Result<(), Error> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { what: what.to_string(), index, value: values[index] }),
    }
}

/// Refuses a length other than the expected one.
pub(crate) fn check_length(
    what: impl FnOnce() -> String,
    expected: usize,
    actual: usize,
) -> Result<(), Error> {
    if expected == actual {
        return Ok(());
    }
    Err(Error::Mismatch { what: what(), expected: expected.to_string(), actual: actual.to_string() })
}

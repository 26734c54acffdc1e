use crate::notices::short;
use blindsight_layout::Error as LayoutError;

/// Why a model cannot be planned, or a plan not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model is not of a shape that a plan of the literature runs.
    #[error("the model folds to {found}: expected {expected}")]
    Chain {
        /// The fused layers.
        found: String,
        /// What can be planned.
        expected: &'static str,
    },
    /// A representation that does not exist, or is not offered.
    #[error("representation '{asked}' is {reason}; offered are {offered}")]
    Representation {
        /// What was asked for.
        asked: String,
        /// Unknown, or not offered yet.
        reason: &'static str,
        /// The names that are offered.
        offered: String,
    },
    /// An objective or reply that does not exist, or is not offered.
    #[error("{what} '{asked}' is not offered: {reason}")]
    NotOffered {
        /// What kind of option.
        what: &'static str,
        /// What was asked for.
        asked: String,
        /// Why not, and what is.
        reason: &'static str,
    },
    /// No plan keeps the error, the keys or the memory small enough.
    #[error("the best plan needs {limit} of {}: at most {} is allowed; {}", figure(*.actual), figure(*.allowed), .limit.remedy())]
    Limit {
        /// What is limited.
        limit: Limit,
        /// The least that was found.
        actual: f64,
        /// The limit.
        allowed: f64,
    },
    /// A score bound that scores of usual inputs exceed.
    #[error(
        "the scores (layer {layer}) reach {}, but blindsight.score_bound is {}, too small for them: say {} in the metadata, or leave it out to have it estimated",
        short(*.reached), short(*.bound), short(*.suggested)
    )]
    ScoreBound {
        /// The last layer.
        layer: String,
        /// The largest score that is known to occur.
        reached: f64,
        /// What the file says that none exceeds.
        bound: f64,
        /// A bound that would do.
        suggested: f64,
    },
    /// Values of a layer that no ciphertext holds.
    #[error(
        "values of layer {layer} reach {} on a probe input, and at most {} fits there: check blindsight.input_range, mean and std, and scale the weights so that values stay near one (the score bound is {})",
        short(*.reached), short(*.most), short(*.bound)
    )]
    Magnitude {
        /// The layer.
        layer: String,
        /// The largest magnitude.
        reached: f64,
        /// The largest that fits.
        most: f64,
        /// What no score should exceed.
        bound: f64,
    },
    /// A layer without weights: what follows is the same for every input.
    #[error(
        "no weight of layer {layer} is other than zero, so the scores do not depend on the input: there is nothing to compute"
    )]
    Constant {
        /// The layer.
        layer: String,
    },
    /// A plan file that is damaged, or no plan file at all.
    #[error(transparent)]
    Wire(#[from] blindsight_ckks::wire::WireError),
    /// A plan that was made for another model.
    #[error("the plan was made for a model with digest {expected}, but this model's is {actual}")]
    OtherModel {
        /// The plan's.
        expected: String,
        /// The model's.
        actual: String,
    },
    /// Something that does not fit, or a plan that is not consistent.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// An error of the circuit.
    #[error(transparent)]
    Circuit(#[from] blindsight_circuit::Error),
    /// An error of the cryptography.
    #[error(transparent)]
    Ckks(#[from] blindsight_ckks::Error),
    /// An error of the model.
    #[error(transparent)]
    Network(#[from] blindsight_network::Error),
    /// An error of the layers.
    #[error(transparent)]
    Layers(blindsight_layers::Error),
}

/// What a plan may have only so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The predicted error of a score: [`crate::Options::max_error`].
    Error,
    /// Bytes of the evaluation keys: [`crate::Options::max_key_bytes`].
    KeyBytes,
    /// Bytes of the encoded model and of an inference's values: [`crate::Options::max_memory`].
    Memory,
}

impl Limit {
    /// What to do where it is exceeded.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Error => "allow more, ask for another representation, or for a larger ring",
            Self::KeyBytes => "allow more by --max-key-bytes, or ask for another representation",
            Self::Memory => "allow more by --memory, or ask for another representation",
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Error => "an allowed score error",
            Self::KeyBytes => "evaluation key bytes",
            Self::Memory => "server memory (encoded model and values of an inference), in bytes,",
        })
    }
}

impl Error {
    pub(crate) fn does_not_fit(
        what: impl Into<String>,
        actual: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        LayoutError::does_not_fit(what, actual, expected).into()
    }

    pub(crate) fn plan(what: impl Into<String>) -> Self {
        LayoutError::Plan(what.into()).into()
    }

    /// Whether something does not fit, which may fit another ring.
    pub(crate) fn is_misfit(&self) -> bool {
        matches!(self, Self::Layout(LayoutError::DoesNotFit { .. }))
    }

    /// Whether this is limited and there is no plan within the limit.
    pub(crate) fn is_beyond(&self, limit: Limit) -> bool {
        matches!(self, Self::Limit { limit: own, .. } if *own == limit)
    }
}

impl From<blindsight_layers::Error> for Error {
    fn from(error: blindsight_layers::Error) -> Self {
        match error {
            blindsight_layers::Error::Layout(error) => error.into(),
            blindsight_layers::Error::Circuit(error) => error.into(),
            blindsight_layers::Error::Network(error) => error.into(),
            other => Self::Layers(other),
        }
    }
}

/// Whole figures as they are, others with three digits.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2e}") }
}

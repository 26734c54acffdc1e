/// Why a model cannot be planned, or a plan not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model is not of a shape that any kernel chain here runs.
    #[error("the model folds to {found}: expected {expected}")]
    Layers {
        /// The folded layers.
        found: String,
        /// What can be planned.
        expected: &'static str,
    },
    /// Something does not fit.
    #[error("{what} is {actual}: expected {expected}")]
    DoesNotFit {
        /// What does not fit.
        what: String,
        /// What it is.
        actual: String,
        /// What it may be.
        expected: String,
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
    /// No plan keeps the error or the keys small enough.
    #[error("the best plan has {what} of {}: at most {} is allowed; allow more, or ask for another representation", figure(*.actual), figure(*.allowed))]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The least that was found.
        actual: f64,
        /// The limit.
        allowed: f64,
    },
    /// A plan file that is not one, or is not consistent.
    #[error("the plan is not valid: {0}")]
    Plan(String),
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
    /// An input value outside the range that the scales were set for.
    #[error(
        "input value {index} is {value}: expected {least} to {largest}; normalise the image as the plan says"
    )]
    Range {
        /// Which value.
        index: usize,
        /// The value.
        value: f64,
        /// The least allowed.
        least: f64,
        /// The largest allowed.
        largest: f64,
    },
    /// A wrong number of values.
    #[error("{what}: {actual} values given, expected {expected}")]
    Length {
        /// Of what.
        what: &'static str,
        /// What was expected.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// An error of the circuit.
    #[error(transparent)]
    Circuit(#[from] blindsight_circuit::Error),
    /// An error of the cryptography.
    #[error(transparent)]
    Ckks(#[from] blindsight_ckks::Error),
    /// An error of the model.
    #[error(transparent)]
    Network(#[from] blindsight_network::Error),
}

impl Error {
    pub(crate) fn does_not_fit(
        what: impl Into<String>,
        actual: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::DoesNotFit { what: what.into(), actual: actual.to_string(), expected: expected.into() }
    }
}

/// Whole figures as they are, others with three digits.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2e}") }
}

/// Why a layout, a public plan or a reply is not one, or values do not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// A plan that is none, or is not consistent.
    #[error("the plan is not valid: {0}")]
    Plan(String),
    /// An error of the cryptography.
    #[error(transparent)]
    Ckks(#[from] blindsight_ckks::Error),
}

impl Error {
    /// The error that something does not fit.
    pub fn does_not_fit(what: impl Into<String>, actual: impl ToString, expected: impl Into<String>) -> Self {
        Self::DoesNotFit { what: what.into(), actual: actual.to_string(), expected: expected.into() }
    }
}

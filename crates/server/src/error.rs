use blindsight_ckks::wire::WireError;

/// Why the server refused something.
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
    /// A model that the plan does not fit.
    #[error(transparent)]
    Plan(#[from] blindsight_planner::Error),
    /// A circuit that cannot be encoded or run.
    #[error(transparent)]
    Circuit(#[from] blindsight_circuit::Error),
    /// An error of the cryptography.
    #[error(transparent)]
    Ckks(#[from] blindsight_ckks::Error),
}

/// Why a network has no layers, or layers cannot be computed as chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of a layout, or of a choice.
    #[error(transparent)]
    Layout(#[from] blindsight_layout::Error),
    /// An error of the circuit.
    #[error(transparent)]
    Circuit(#[from] blindsight_circuit::Error),
    /// An error of the model.
    #[error(transparent)]
    Network(#[from] blindsight_network::Error),
}

impl Error {
    /// The error that something does not fit.
    pub fn does_not_fit(what: impl Into<String>, actual: impl ToString, expected: impl Into<String>) -> Self {
        Self::Layout(blindsight_layout::Error::does_not_fit(what, actual, expected))
    }

    /// The error that a plan is not valid.
    pub fn plan(what: impl Into<String>) -> Self {
        Self::Layout(blindsight_layout::Error::Plan(what.into()))
    }
}

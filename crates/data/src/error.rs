use std::path::{Path, PathBuf};

/// Why an input or a data set was refused: where, what was expected, what was found.
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
    /// Something is not what it should be.
    #[error("{place}: expected {expected}, found {found}{}", after_semicolon(*remedy))]
    Unfit {
        /// The file and the place in it: a row and a column's name, an index.
        place: String,
        /// What would fit.
        expected: String,
        /// What is there.
        found: String,
        /// What to do, where that is not plain.
        remedy: Option<&'static str>,
    },
    /// Something is larger than its limit (see [`crate::limits`]).
    #[error("{place}: {actual} {what}, more than the limit of {limit}")]
    TooLarge {
        /// The file.
        place: String,
        /// What was counted.
        what: &'static str,
        /// The figure found.
        actual: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// The network refuses what came of it.
    #[error(transparent)]
    Network(#[from] blindsight_network::Error),
}

fn after_semicolon(remedy: Option<&str>) -> String {
    remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default()
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn unfit(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Unfit { place: place.into(), expected: expected.into(), found: found.into(), remedy: None }
    }

    /// The same with what to do.
    pub(crate) fn remedy(self, text: &'static str) -> Self {
        match self {
            Self::Unfit { place, expected, found, .. } => {
                Self::Unfit { place, expected, found, remedy: Some(text) }
            }
            other => other,
        }
    }
}

/// Refuses `actual` above `limit`.
pub(crate) fn check(place: &str, what: &'static str, actual: u64, limit: u64) -> Result<(), Error> {
    if actual <= limit { Ok(()) } else { Err(Error::TooLarge { place: place.into(), what, actual, limit }) }
}

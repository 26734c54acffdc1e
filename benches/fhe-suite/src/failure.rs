//! What a process fails with: what was being done, and the cause.

use std::error::Error;
use std::fmt;

/// Why a process failed.
#[derive(Debug)]
pub struct Failure(String);

/// What a process returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that has no cause below.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Says what was being done when something failed.
pub trait During<T> {
    /// Puts `what` before the failure.
    fn during(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Into<Failure>> During<T> for Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{}: {}", what(), error.into())))
    }
}

//! Leveled RNS-CKKS.
mod error;
pub mod parameters;
pub use error::Error;
pub use parameters::{Level, Parameters, ParametersLiteral, Scale};

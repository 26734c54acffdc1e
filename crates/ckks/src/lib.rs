//! Leveled RNS-CKKS over the conjugate-invariant ring: approximate arithmetic on encrypted vectors of real
//! numbers.
//!
//! # Concepts
//!
//! * [`ParametersLiteral`] is validated into [`Parameters`] (128 bits of security or an error), and these
//!   into a [`Context`]: tables that encoder, client and server share.
//! * A vector of up to `N` real *slots* is encoded at a [`Scale`] and a [`Level`] as a [`PlainFactor`] (to
//!   multiply by) or a [`PlainSummand`] (to add or encrypt).
//! * A [`SecretKey`] encrypts to [`SeededCiphertext`]s and decrypts. [`SeededEvaluationKeys`] are generated
//!   for exactly the rotations and levels that a circuit needs ([`KeyRequirements`]), and expanded to
//!   [`EvaluationKeys`] on the server.
//! * An [`Evaluator`] computes on [`Ciphertext`]s. It has no secret key and no way to hold one.
//! * [`Pointwise`] chains of scalar sums, squares and products with plaintexts run over many ciphertexts at
//!   once, block by block. Where one ends [`Unrelinearised`], in three parts, it takes no key.
//! * [`noise`] predicts the error of every operation.
//!
//! # Contract
//!
//! Scales are exact numbers: an operation whose operands disagree in level or scale is refused. A [`Level`]
//! is the number of rescales left; all costs fall with it. Operations run on the caller's thread, and over
//! blocks of limbs in parallel inside a rayon pool (`blindsight_ring::parallel`).
//!
//! # Non-goals
//!
//! No bootstrapping, no complex slots, nothing of networks or tensors.

mod blocks;
pub mod ciphertext;
mod context;
pub mod encoder;
mod encryption;
mod error;
pub mod evaluator;
pub mod keys;
mod keyswitch;
pub mod linear;
pub mod masking;
pub mod noise;
pub mod parameters;
pub mod pointwise;
mod random;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;
mod woven;

pub use ciphertext::{Ciphertext, Parts, Reply, SeededCiphertext, Unrelinearised};
pub use context::Context;
pub use encoder::{Encoding, Extension, MOST_REPEATS, PlainFactor, PlainSummand, most_repeats};
pub use error::Error;
pub use evaluator::{Evaluator, Rescale};
pub use keys::{EvaluationKeys, KeyPurpose, KeyRequirements, PublicKey, SecretKey, SeededEvaluationKeys};
pub use linear::{GiantOrder, GiantStep, LinearTransform, Term};
pub use parameters::{Demands, Level, Parameters, ParametersLiteral, Scale, Security};
pub use pointwise::{Pointwise, ScalarRow};
pub use random::Randomness;

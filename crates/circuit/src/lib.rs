//! Homomorphic circuits: operations with static level and scale, and three executors for them.
//!
//! # Concepts
//!
//! * A [`Circuit`] is a list of nodes in static single assignment. Each node is one [`Operation`] of the
//!   evaluator in `ckks`, with the level and scale of its result. [`Builder`] computes both and refuses what
//!   does not fit, with the figures.
//! * Plaintexts ([`PlainSpec`]) are functions from weights to slots ([`Numbers`]): a circuit can be counted
//!   without making any.
//! * [`scalar`] chains sum scalar multiples of many values, square them, and sum products with plaintexts;
//!   the encrypted executor computes each as a whole.
//! * The **clear** executor ([`clear::run`]) computes on plain slots. It is the definition of what a circuit
//!   means.
//! * The **dry run** ([`dry_run`]) counts operations and the work below them; [`CostModel`] turns work into
//!   time, [`predict()`] gives the error of each output, simulated with the variances in
//!   `blindsight_ckks::noise`.
//! * The **encrypted** executor ([`encrypted::Program`]) runs on ciphertexts, without any secret; [`backend`]
//!   is what it runs them by.
//!
//! # Example
//!
//! `x^2`, and each slot of it added to its neighbour: built, run on plain slots, and counted.
//!
//! ```
//! use blindsight_circuit::{Builder, Output, Reading, clear, dry_run};
//! use blindsight_ckks::{Level, ParametersLiteral, Rescale, Scale};
//!
//! let literal = ParametersLiteral {
//!     degree: 4096,
//!     moduli: vec![268369921, 67043329],
//!     special: vec![1073692673],
//!     digit_limbs: 1,
//! };
//! let mut builder = Builder::new(literal.validate()?);
//! let x = builder.input(Level(1), Scale::bits(26.0))?;
//! let square = builder.multiply(x, x, Rescale::Yes)?;
//! let moved = builder.rotate(square, 1)?;
//! let value = builder.add(square, moved)?;
//! let circuit = builder.finish(vec![Output { value, reading: Reading::Slots }])?;
//!
//! let slots = (0..4096).map(f64::from).collect();
//! assert_eq!(clear::run(&circuit, &[slots])?[0][2], 2.0 * 2.0 + 3.0 * 3.0);
//! assert_eq!(dry_run(&circuit).totals.key_switches(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contract
//!
//! What the dry run counts is what the encrypted run does, to the last transform; the decrypted outputs are
//! those of the clear run up to an error of the predicted deviation.
//!
//! # Non-goals
//!
//! Nothing here knows of tensors, layouts or networks: that is `layers`, which builds circuits.

mod at_use;
pub mod backend;
mod builder;
mod chain;
mod circuit;
pub mod clear;
mod cost;
mod counts;
mod dry;
mod embedding;
pub mod encrypted;
mod error;
mod interpret;
mod keys;
mod parts;
mod plain;
mod plaintext;
mod plaintexts;
mod predict;
pub mod scalar;
mod sums;
mod tally;
mod value;
mod working_memory;

pub use builder::{Builder, LayerStart};
pub use circuit::{
    Circuit, GiantStep, Label, LabelInput, Node, Operation, Output, Plain, Reading, Span, Term, Value,
};
pub use cost::{CostModel, UNITS};
pub use counts::{Counts, Work};
pub use dry::{DryRun, LayerRun, dry_run};
pub use embedding::Embedding;
pub use error::Error;
pub use plain::{Factors, Numbers, PlainSpec, Role};
pub use predict::{Prediction, predict};
pub use scalar::{ProductStage, ScalarRows, SumStage};
pub use tally::{BabySteps, Hoisting, Tally, TransformShape};
pub use working_memory::working_bytes;

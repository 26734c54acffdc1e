//! Representations of tensors, layer kernels from one to another, plans, and the planner.
//!
//! # Concepts
//!
//! * A [`Representation`] says for each slot of each ciphertext which element of a tensor lies there, copies and all.
//! * A *kernel* builds, on a circuit's builder, the operations that take a layer from one representation to another. Its cost is the dry
//!   run of what it builds; its meaning is the clear run.
//! * A [`Choice`] fixes what is free in a family of plans: how many taps share a ciphertext, where copies lie, how diagonals are split,
//!   how sums are folded. With model and parameters it determines the circuit.
//! * [`planner::plan`] finds the best choice for an objective. A [`Plan`] pins it; its [`PublicPlan`] is all that a client needs.
//!
//! # The family *taps, copies, periodic, coefficients*
//!
//! For networks that fold to a linear layer on the image, a square, a dense layer, a square and a dense layer:
//!
//! 1. The client writes, for each tap of the first layer's window, the pixel it sees at every output position, in as many copies as fit
//!    ([`TapLayout`]). The convolution is then a product and a sum; where several taps share a ciphertext, neighbouring copies are added.
//! 2. The copies of the output are shifted against each other modulo the padded number of hidden rows, so each meets different diagonals of
//!    the hidden layer: few diagonals cover all. A fold over all slots sums each row and leaves the result repeated everywhere.
//! 3. A constant one may be carried along as one element more: then biases are weights and need no addition.
//! 4. The last layer's scores are coefficients of one product ([`ReplyLayout`]). Nothing but them can be read from the reply.
//!
//! # Contract
//!
//! A plan's circuit computes, on plain slots, what the network computes. The same model, parameters and choice give the same circuit on
//! every machine. Plans from outside are checked before they are used.
//!
//! # Non-goals
//!
//! Nothing here holds or needs a secret.

mod assemble;
mod chain;
mod choice;
mod error;
pub mod explain;
mod forms;
mod kernels;
mod layout;
mod linear;
mod literature;
mod parameters;
mod placement;
mod plan;
pub mod planner;
mod probe;
mod reply;
mod search;
pub mod sizes;
mod windows;

pub use choice::{Choice, LayerChoice};
pub use error::Error;
pub use explain::{Explanation, explain};
pub use kernels::{FoldChoice, NOMINAL_SCALE, Preference, Split};
pub use layout::{Axis, Blocks, Digit, Layout};
pub use literature::Lola;
pub use parameters::parameters;
pub use plan::{LARGEST_PLAN_BYTES, Plan, PublicPlan, Recipe};
pub use reply::{ReplyForm, ReplyLayout, Scores, Verdict};
pub use windows::{InputLayout, Windows};

#[cfg(test)]
mod tests;

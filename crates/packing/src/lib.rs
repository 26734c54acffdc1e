//! Representations of tensors, layer kernels from one to another, plans, and the planner.
//!
//! # Concepts
//!
//! * A [`Layout`] says for each slot of each ciphertext which element of a tensor lies there, copies and all: coordinates in mixed radix, a
//!   stride for each digit, blocks that are copies or partial sums. An [`InputLayout`] is the image itself, what the first layer's
//!   windows see of it, or a batch of images.
//! * A *kernel* builds, on a circuit's builder, the operations that take a layer from one layout to another. Its cost is known before
//!   anything is built; its meaning is the clear run.
//! * A [`Choice`] fixes for each linear layer the layout of its partial sums, how diagonals are split and how sums are folded. With model
//!   and parameters it determines the circuit.
//! * [`planner::plan`] finds the cheapest path through layouts for an objective. A [`Plan`] pins it; its [`PublicPlan`] is all that a client
//!   needs. The plans of the literature are recipes beside it.
//!
//! # What the planner combines
//!
//! 1. *Windows*: the client writes, for each tap of the first layer's window, the pixel it sees at every output position ([`Windows`]). The
//!    convolution is then a product and a sum; where several taps share a ciphertext, neighbouring blocks are added.
//! 2. *Hybrid diagonals*: any linear layer between any two layouts. Copies of the input that are shifted against each other meet different
//!    diagonals, and a row's weights are shared out among its classes of partial sums, so few diagonals cover all. Later maps keep the
//!    rows of the first picture; the gaps that strides leave hold other maps.
//! 3. *Ones*: a constant one may be carried along as one element more: then biases are weights and need no addition.
//! 4. *Scores*: coefficients of one product, or values that repeat over all slots ([`ReplyLayout`]). Nothing but them can be read.
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
pub mod batch;
mod chain;
mod choice;
mod error;
pub mod explain;
mod forms;
mod kernels;
mod layer_graph;
mod layout;
mod linear;
mod literature;
mod objective;
mod options;
mod parameters;
mod placement;
mod plan;
pub mod planner;
mod reasons;
mod reply;
mod search;
mod sharing;
pub mod sizes;
mod slot_set;
mod steps;
mod windows;

pub use choice::{Choice, LayerChoice};
pub use error::Error;
pub use explain::{Explanation, explain};
pub use kernels::{FoldChoice, PolynomialKernel, Preference, ProductKernel, Split};
pub use layout::{Axis, Blocks, Digit, Layout};
pub use literature::Lola;
pub use parameters::{candidates, candidates_at, nominal_scale, parameters};
pub use plan::{LARGEST_PLAN_BYTES, Plan, PublicPlan, Recipe};
pub use reply::{ReplyForm, ReplyLayout, Scores, Verdict};
pub use windows::{InputLayout, Windows};

#[cfg(test)]
mod tests;

//! Layer kernels: how to compute a layer from one layout to another.
//!
//! # Concepts
//!
//! * A [`LayerGraph`] is a fused network as kernels see it: linear layers of one or more terms, and what acts
//!   on their outputs element by element.
//! * A [`LayerKernel`] computes linear layers in one way: [`Im2colKernel`] the first convolution over what
//!   the client wrote out, [`DiagonalKernel`] any layer between any two layouts, [`CoefficientKernel`] the
//!   last layer as coefficients of one product. It says which forms it can bring a tensor into, what that
//!   costs under a [`CostFunction`], and builds the operations. Its cost is known before anything is built;
//!   its meaning is the clear run.
//! * A [`PointwiseKernel`] acts on a tensor as it lies: polynomials and products.
//! * A [`Choice`] fixes for each linear layer the kernel and its figures. With the network and the parameters
//!   it determines the circuit ([`assemble`]).
//!
//! # Example
//!
//! A shipped network as kernels see it: a convolution and a dense layer, and a square between them.
//!
//! ```
//! use blindsight_layers::LayerGraph;
//! use blindsight_network::Model;
//!
//! let onnx = include_bytes!("../../../models/lola-small-mnist.onnx");
//! let model = Model::from_bytes("lola-small-mnist", onnx)?;
//! let graph = LayerGraph::new(&model.graph, &model.metadata)?;
//! assert_eq!(graph.depth(), 3);
//! assert!(graph.begins_with_im2col());
//! assert_eq!(graph.last().rows(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contract
//!
//! A circuit computes, on plain slots, what the network computes. The same network, parameters and choice
//! give the same circuit on every machine. Choices from outside are checked before they are used.
//!
//! # Non-goals
//!
//! Which kernel and which layout is best, the planner decides.

mod assemble;
pub mod candidates;
mod choice;
mod coefficients;
mod cost;
mod diagonals;
mod error;
mod graph;
mod im2col;
mod kernel;
mod kernels;
mod known;
mod linear;
mod maps;
mod pointwise;
mod polynomial;
mod product;
mod reply_rows;
mod rotate_and_sum;
mod rows;
mod slot_set;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod words;

pub use assemble::{Assembly, assemble, input_level, reasons, reply};
pub use choice::{Choice, LayerChoice};
pub use coefficients::{CoefficientKernel, coefficient_factor};
pub use cost::{Cost, CostFunction, Resources};
pub use diagonals::DiagonalKernel;
pub use diagonals::build::diagonal_set;
pub use diagonals::costs::{hoisted, products};
pub use diagonals::giant_steps::{GiantSteps, Shapes, VisitMarks};
pub use diagonals::set::DiagonalSet;
pub use diagonals::split::{Preference, Split};
pub use diagonals::ways::{Units, spans, strides, units};
pub use error::Error;
pub use graph::{Layer, LayerGraph, Operand, Pointwise, PointwiseOperation, Term};
pub use im2col::{Im2colKernel, im2col};
pub use kernel::{Arrangement, Form, LayerKernel, Network, Site, Step, StepCosts};
pub use kernels::ALL as KERNELS;
pub use linear::Linear;
pub use maps::{Cut, scalar_sum};
pub use pointwise::{PointwiseKernel, pointwise_counts};
pub use polynomial::PolynomialKernel;
pub use product::ProductKernel;
pub use rotate_and_sum::{RotateAndSum, add_bias};
pub use rows::{Interleave, Placed, RowSum, replicate, stack, stacked_rows};

//! Convolutional networks in the clear: what a Blindsight model is before anything is encrypted.
//!
//! The crate reads an ONNX file into a typed graph of operators, checks every shape, fuses it to linear
//! nodes, polynomials and products, and runs it on ordinary numbers. It knows nothing of encryption: the
//! `packing` crate takes a fused network from here; nor of files of images and data sets: `blindsight-data`
//! reads those.
//!
//! # The path of a model
//!
//! 1. [`Model::load`] reads ONNX bytes into a [`Graph`] and its [`Metadata`]. Arithmetic, element by element,
//!    is a polynomial here whichever way a file spells it; constants are computed away.
//!    Activations that are no polynomials are nodes, however they are spelled; what stands at the end and the
//!    client can apply is a [`FinalActivation`]. [`Model::examine`] says all that is in the way, at once.
//! 2. [`Graph::infer`] computes the scores of one input; [`Graph::trace`] keeps every node's output.
//! 3. [`Graph::fused`] gives the equal network that an encrypted plan is made of, a [`Fused`]: linear nodes
//!    of one or more terms, squares and polynomials of higher degree, and products.
//!
//! # Contract
//!
//! - A tensor is a `Vec<f64>` in the order channel, row, column of its [`Shape`]; a vector of n is `(n, 1,
//!   1)`.
//! - A [`Graph`] may be built by hand: every operation checks it first and answers an inconsistent one with
//!   an [`Error`], never a panic.
//! - Bytes from outside are checked against [`limits`] before memory is taken for them.
//! - Arithmetic is in `f64`. The fused network equals the graph but for rounding, about 1e-12 relative.
//!
//! # Not meant for
//!
//! Training, general ONNX (several inputs or outputs, sequences, control flow, arithmetic on integers), and
//! speed beyond what an accuracy over a test set asks for.

mod activation;
mod clean;
mod error;
mod examine;
mod final_activation;
mod fused;
mod fusion;
mod graph;
mod image;
mod infer;
mod layer;
pub mod limits;
mod metadata;
mod model;
mod onnx;
mod operator;
pub mod probe;
mod shape;

#[cfg(test)]
mod testing;

pub use activation::{Activation, MaxPool};
pub use error::Error;
pub use examine::{Declared, Examination, Problem};
pub use final_activation::FinalActivation;
pub use fused::{Fused, FusedNode, FusedOperation, LinearMap, LinearTerm, Polynomial, Source, Sparse};
pub use graph::{Graph, Node};
pub use image::Image;
pub use layer::{Affine, AveragePool, Bias, Convolution, Dense, Padding};
pub use metadata::{Metadata, Sample, ValueRange};
pub use model::{FarOut, Model};
pub use operator::{Operator, Selection};
pub use shape::Shape;

//! Convolutional networks in the clear: what a Blindsight model is before anything is encrypted.
//!
//! The crate reads an ONNX file into a typed graph of layers, checks every shape, folds neighbouring linear layers
//! into one and runs the network on ordinary numbers. It also reads the images and data sets that networks are
//! evaluated on. It knows nothing of encryption: the `packing` crate takes a folded graph from here.
//!
//! # The path of a model
//!
//! 1. [`Model::load`] reads ONNX bytes into a [`Graph`] and its [`Metadata`]. Batch normalisation, pooling and
//!    activations are layers of their own here, as in the file.
//! 2. [`Graph::infer`] computes the scores of one input; [`Graph::trace`] keeps every layer's output.
//! 3. [`Graph::folded`] gives the equal graph that an encrypted plan is made of: linear layers
//!    ([`Convolution`] or [`Dense`]) and pure squares.
//!
//! # Contract
//!
//! - A tensor is a `Vec<f64>` in the order channel, row, column of its [`Shape`]; a vector of n is `(n, 1, 1)`.
//! - A [`Graph`] may be built by hand: every operation checks it first and answers an inconsistent one with an
//!   [`Error`], never a panic.
//! - Bytes from outside are checked against [`limits`] before memory is taken for them.
//! - Arithmetic is in `f64`. The folded graph equals the original but for rounding, about 1e-12 relative.
//!
//! # Not meant for
//!
//! Training, general ONNX (branches, sequences, control flow, quantised types), and speed beyond what an accuracy
//! over a test set asks for.

mod dataset;
mod error;
mod fold;
mod fused;
mod graph;
mod image;
mod infer;
mod layer;
pub mod limits;
mod metadata;
mod model;
mod onnx;
mod shape;

#[cfg(test)]
mod testing;

pub use dataset::{Dataset, Split};
pub use error::Error;
pub use fused::{Fused, FusedNode, FusedOperation, LinearMap, LinearTerm, Polynomial, Source, Sparse};
pub use graph::Graph;
pub use image::Image;
pub use layer::{Affine, AveragePool, Bias, Convolution, Dense, Layer, LayerKind, Padding, Quadratic};
pub use metadata::{Metadata, ValueRange};
pub use model::{FarOut, Model};
pub use shape::Shape;

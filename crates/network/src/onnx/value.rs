//! What a name of a file stands for.

use std::rc::Rc;

use super::polynomial::Polynomial;
use super::tensor::Constant;
use crate::{Error, FinalActivation, Source};

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Value<'a> {
    Constant(Constant<'a>),
    Tensor(Rc<Tensor>),
}

/// A tensor that depends on the input: a polynomial, element by element, in a node of the same shape.
#[derive(Clone)]
pub(super) struct Tensor {
    pub source: Source,
    /// The dimensions after the batch.
    pub dims: Vec<usize>,
    pub polynomial: Polynomial,
    /// The node that made it.
    pub made_by: String,
}

impl Tensor {
    /// What a node of the graph is, as it is.
    pub(super) fn of(source: Source, dims: Vec<usize>, made_by: &str) -> Self {
        Self { source, dims, polynomial: Polynomial::identity(), made_by: made_by.to_string() }
    }
}

/// Scores to which the client applies something.
#[derive(Clone)]
pub(super) struct FinalValue {
    pub scores: Rc<Tensor>,
    pub activation: FinalActivation,
    /// The operator that is applied, and its node: what to refuse where the network goes on.
    pub operator: String,
    pub node: String,
}

impl FinalValue {
    /// The error that a network goes on after what only its end may have.
    pub(super) fn refused(&self) -> Error {
        Error::Operator { operator: self.operator.clone(), node: self.node.clone() }
    }
}

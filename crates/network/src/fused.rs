//! What an encrypted plan is made of: linear layers of one or more inputs, polynomials and products.

use crate::error::check_length;
use crate::layer::{Bias, Convolution, Dense};
use crate::{Error, Shape, infer};

/// Where a node's operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The network's input.
    Input,
    /// The node at this position.
    Node(usize),
}

/// A network after layer fusion: its nodes in topological order, the last of them linear, whose output is the
/// scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// The input's shape.
    pub input: Shape,
    /// The nodes; each reads the input or nodes before it.
    pub nodes: Vec<FusedNode>,
}

/// One node of a [`Fused`] network.
#[derive(Clone, Debug, PartialEq)]
pub struct FusedNode {
    /// The name: that of the largest part, where several were fused.
    pub name: String,
    /// The shape of its output.
    pub shape: Shape,
    /// What it computes.
    pub operation: FusedOperation,
}

/// What a node of a [`Fused`] network computes.
#[derive(Clone, Debug, PartialEq)]
pub enum FusedOperation {
    /// `bias + sum over the terms of map(source)`. A residual sum is a term whose map is an identity, or a
    /// scaling of each channel; a concatenation's reader has a term for each of its parts.
    Linear {
        /// What is summed.
        terms: Vec<LinearTerm>,
        /// What is added.
        bias: Bias,
    },
    /// A polynomial of degree 2 or more, element by element.
    Polynomial {
        /// What it reads.
        source: Source,
        /// The polynomial.
        polynomial: Polynomial,
    },
    /// The product of two tensors of one shape, element by element.
    Product([Source; 2]),
}

/// One summand of a linear node.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearTerm {
    /// What it reads.
    pub source: Source,
    /// What it makes of it.
    pub map: LinearMap,
}

/// A linear map, without bias.
#[derive(Clone, Debug, PartialEq)]
pub enum LinearMap {
    /// A convolution whose bias is zero.
    Convolution(Convolution),
    /// A dense layer whose bias is zero.
    Dense(Dense),
    /// Any other.
    Sparse(Sparse),
}

/// A linear map by its weights that are not zero, row by row; elements in the order channel, row, column.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    /// Where each row's weights begin, and after the last row where they end.
    pub starts: Vec<usize>,
    /// The element of the input that each weight multiplies, rising within a row.
    pub columns: Vec<u32>,
    /// The weights.
    pub weights: Vec<f64>,
}

/// `sum over k of coefficients[k][channel] x^k`, element by element.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    /// For each power from 0 on a coefficient for each channel; the last power has one that is not zero.
    pub coefficients: Vec<Vec<f64>>,
}

impl Polynomial {
    /// `x^2` on so many channels.
    pub fn square(channels: usize) -> Self {
        Self { coefficients: vec![vec![0.0; channels], vec![0.0; channels], vec![1.0; channels]] }
    }

    /// The highest power.
    pub fn degree(&self) -> usize {
        self.coefficients.len() - 1
    }

    /// Whether it is `x^2` in every channel.
    pub fn is_square(&self) -> bool {
        let all = |k: usize, value: f64| self.coefficients[k].iter().all(|c| *c == value);
        self.degree() == 2 && all(0, 0.0) && all(1, 0.0) && all(2, 1.0)
    }

    /// The value at `x` in a channel, by Horner's rule.
    pub fn at(&self, channel: usize, x: f64) -> f64 {
        self.coefficients.iter().rev().fold(0.0, |sum, of_power| sum * x + of_power[channel])
    }

    /// How many levels it takes: `ceil(log2(degree + 1))`, and one for a square.
    pub fn depth(&self) -> usize {
        if self.is_square() { 1 } else { (self.degree() + 1).next_power_of_two().ilog2() as usize }
    }
}

impl Sparse {
    /// The weights of a row: columns and values.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        self.columns[range.clone()].iter().map(|c| *c as usize).zip(self.weights[range].iter().copied())
    }
}

impl LinearMap {
    /// Adds the map of `input`, of shape `from`, to `output`, of shape `to`.
    pub(crate) fn add_to(&self, from: Shape, to: Shape, input: &[f64], output: &mut [f64]) {
        let part = match self {
            Self::Convolution(c) => infer::convolve(c, from, to, input),
            Self::Dense(d) => infer::multiply(d, input),
            Self::Sparse(s) => {
                (0..to.elements()).map(|row| s.row(row).map(|(c, w)| w * input[c]).sum()).collect()
            }
        };
        output.iter_mut().zip(part).for_each(|(o, p)| *o += p);
    }
}

impl Fused {
    /// The shape of what an operand reads.
    pub fn shape(&self, source: Source) -> Shape {
        match source {
            Source::Input => self.input,
            Source::Node(index) => self.nodes[index].shape,
        }
    }

    /// The scores of one input, in the order channel, row, column.
    ///
    /// Fails where the input's length is not that of its shape.
    pub fn infer(&self, input: &[f64]) -> Result<Vec<f64>, Error> {
        Ok(self.trace(input)?.pop().unwrap_or_else(|| input.to_vec()))
    }

    /// The outputs of all nodes for one input; fails as [`Fused::infer`] does.
    pub fn trace(&self, input: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        check_length(|| format!("input values ({})", self.input), self.input.elements(), input.len())?;
        let mut outputs: Vec<Vec<f64>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let get = |source: Source| match source {
                Source::Input => input,
                Source::Node(index) => outputs[index].as_slice(),
            };
            outputs.push(self.compute(node, get));
        }
        Ok(outputs)
    }

    pub(crate) fn compute<'v>(&self, node: &FusedNode, get: impl Fn(Source) -> &'v [f64]) -> Vec<f64> {
        match &node.operation {
            FusedOperation::Linear { terms, bias } => {
                let mut sum = bias.elements(node.shape);
                for term in terms {
                    let from = self.shape(term.source);
                    term.map.add_to(from, node.shape, get(term.source), &mut sum);
                }
                sum
            }
            FusedOperation::Polynomial { source, polynomial } => {
                let positions = node.shape.positions();
                let values = get(*source).iter().enumerate();
                values.map(|(i, x)| polynomial.at(i / positions, *x)).collect()
            }
            FusedOperation::Product([a, b]) => get(*a).iter().zip(get(*b)).map(|(a, b)| a * b).collect(),
        }
    }
}

//! What acts on tensors element by element: layouts stay as they are.

use crate::graph::{Layer, PointwiseOperation};
use crate::polynomial::PolynomialKernel;
use crate::product::ProductKernel;
use blindsight_circuit::{Builder, Counts, Error, Value};
use blindsight_ckks::{Level, Parameters, Scale};
use blindsight_layout::Layout;

/// An operation on tensors in one layout.
pub enum PointwiseKernel {
    /// A polynomial.
    Polynomial(PolynomialKernel),
    /// A product of two tensors.
    Product,
}

impl PointwiseKernel {
    /// The kernel for tensors in a layout, in which they are whole.
    pub fn new(operation: &PointwiseOperation, layout: &Layout) -> Self {
        match operation {
            PointwiseOperation::Polynomial(_, polynomial) => {
                Self::Polynomial(PolynomialKernel::new(polynomial, layout))
            }
            PointwiseOperation::Product(_) => Self::Product,
        }
    }

    /// Whether it can act on what is summed from this layout. Where blocks are not cyclic some slots hold
    /// anything: its square does no harm, but higher powers could be beyond the modulus.
    pub fn reads(operation: &PointwiseOperation, output: &Layout) -> bool {
        let harmless = match operation {
            PointwiseOperation::Polynomial(_, polynomial) => polynomial.is_square(),
            PointwiseOperation::Product(_) => true,
        };
        harmless || output.blocks.parts == 1 || output.is_cyclic()
    }

    /// What it costs on so many ciphertexts at a level.
    pub fn cost(&self, parameters: &Parameters, level: Level, ciphertexts: usize) -> Counts {
        match self {
            Self::Polynomial(kernel) => kernel.cost(parameters, level, ciphertexts),
            Self::Product => ProductKernel::cost(parameters, level, ciphertexts),
        }
    }

    /// The scale of its operand at which errors are about the smallest, where that is not the nominal one.
    pub fn input_scale(&self, parameters: &Parameters, level: Level) -> Option<Scale> {
        match self {
            Self::Polynomial(kernel) if !kernel.is_square() => Some(kernel.input_scale(parameters, level)),
            Self::Polynomial(_) | Self::Product => None,
        }
    }

    /// The operation on its operands' ciphertexts, all at one level.
    pub fn build(&self, b: &mut Builder, operands: &[Vec<Value>]) -> Result<Vec<Value>, Error> {
        match (self, operands) {
            (Self::Polynomial(kernel), [values]) => kernel.build(b, values),
            (Self::Product, [left, right]) => ProductKernel::build(b, left, right),
            (_, other) => Err(Error::Inputs { expected: 1, actual: other.len() }),
        }
    }

    /// Why it is computed as it is; nothing where there was nothing to choose.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Polynomial(kernel) if !kernel.is_square() => Some(kernel.reason()),
            Self::Polynomial(_) | Self::Product => None,
        }
    }
}

/// What all that acts element by element on a layer's output is counted to take, where that is summed from
/// this layout; `None` where it cannot act there.
pub fn pointwise_counts(layer: &Layer, parameters: &Parameters, output: &Layout) -> Option<Counts> {
    if !layer.pointwise.iter().all(|pointwise| PointwiseKernel::reads(&pointwise.operation, output)) {
        return None;
    }
    let layout = &output.sums();
    let counts = layer.pointwise.iter().map(|pointwise| {
        let kernel = PointwiseKernel::new(&pointwise.operation, layout);
        kernel.cost(parameters, pointwise.level, layout.ciphertexts)
    });
    Some(counts.sum())
}

//! What acts on tensors element by element: layouts stay as they are.

use crate::layer_graph::PointwiseOperation;
use blindsight_circuit::{Builder, Cost, Counts, Error, Value};
use blindsight_ckks::{Level, Parameters, Rescale};

/// What an operation costs on so many ciphertexts at a level.
pub(crate) fn cost(
    operation: &PointwiseOperation,
    parameters: &Parameters,
    level: Level,
    ciphertexts: usize,
) -> Counts {
    match operation {
        PointwiseOperation::Polynomial(_, polynomial) if polynomial.is_square() => {
            Cost::new(parameters, level).multiply(Rescale::Yes) * ciphertexts
        }
        PointwiseOperation::Polynomial(..) => todo!("polynomials"),
        PointwiseOperation::Product(_) => Cost::new(parameters, level).multiply(Rescale::Yes) * ciphertexts,
    }
}

/// The operation on its operands' ciphertexts, all at one level.
pub(crate) fn build(
    operation: &PointwiseOperation,
    b: &mut Builder,
    operands: &[Vec<Value>],
) -> Result<Vec<Value>, Error> {
    let pairs = match operation {
        PointwiseOperation::Polynomial(_, polynomial) if polynomial.is_square() => {
            operands[0].iter().map(|v| (*v, *v)).collect::<Vec<_>>()
        }
        PointwiseOperation::Polynomial(..) => todo!("polynomials"),
        PointwiseOperation::Product(_) => {
            operands[0].iter().copied().zip(operands[1].iter().copied()).collect()
        }
    };
    pairs.into_iter().map(|(left, right)| b.multiply(left, right, Rescale::Yes)).collect()
}

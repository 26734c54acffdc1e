use blindsight_circuit::{Builder, Counts, Error, Tally, Value};
use blindsight_ckks::{Level, Parameters, Rescale};

/// The product of two tensors in one layout, element by element. One level below the lower one.
///
/// Scales are free: the result's is the product of both, over the prime. Ones stay ones; slots without an
/// element hold the product of what lay there.
#[derive(Debug, Clone, Copy)]
pub struct ProductKernel;

impl ProductKernel {
    /// Ciphertext by ciphertext. Cost: [`cost`](Self::cost).
    ///
    /// # Errors
    /// Where the tensors are not of as many ciphertexts, or no level is left.
    pub fn build(b: &mut Builder, left: &[Value], right: &[Value]) -> Result<Vec<Value>, Error> {
        if left.len() != right.len() {
            return Err(Error::Inputs { expected: left.len(), actual: right.len() });
        }
        left.iter().zip(right).map(|(left, right)| multiply(b, *left, *right)).collect()
    }

    /// What [`build`](Self::build) will count on so many ciphertexts, where the lower tensor is at this
    /// level.
    pub fn cost(parameters: &Parameters, lower: Level, ciphertexts: usize) -> Counts {
        Tally::new(parameters, lower).multiply(Rescale::Yes) * ciphertexts
    }
}

fn multiply(b: &mut Builder, left: Value, right: Value) -> Result<Value, Error> {
    let level = b.level(left)?.min(b.level(right)?);
    let mut lowered = |value| if b.level(value)? == level { Ok(value) } else { b.drop_level(value, level) };
    let (left, right) = (lowered(left)?, lowered(right)?);
    b.multiply(left, right, Rescale::Yes)
}

//! One plaintext in a scheme's form.

use crate::Error;
use crate::backend::Scheme;
use crate::circuit::Circuit;
use crate::plain::{PlainSpec, Role};
use blindsight_ckks::Extension;

/// A plaintext to multiply by, or one to add.
#[derive(PartialEq)]
pub(crate) enum Encoded<F, A> {
    Factor(F),
    Summand(A),
}

/// A plaintext of a scheme.
pub(crate) type Of<S> = Encoded<<S as Scheme>::Factor, <S as Scheme>::Summand>;

/// One of a circuit's plaintexts, by its index, encoded.
pub(crate) fn encoded<S: Scheme>(circuit: &Circuit, scheme: &S, index: usize) -> Result<Of<S>, Error> {
    let spec = &circuit.plains()[index];
    encode(scheme, spec, &numbers(circuit, spec)?)
}

/// The numbers of a plaintext, which repeat as it says.
pub(crate) fn numbers(circuit: &Circuit, spec: &PlainSpec) -> Result<Vec<f64>, Error> {
    let numbers = spec.numbers.make();
    if !spec.repeats_as_said(&numbers, circuit.slots()) {
        return Err(Error::Repeats { expected: spec.repeats });
    }
    Ok(numbers)
}

/// A plaintext in the scheme's form for its role.
pub(crate) fn encode<S: Scheme>(scheme: &S, spec: &PlainSpec, numbers: &[f64]) -> Result<Of<S>, Error> {
    let (level, scale) = (spec.level, spec.scale);
    let factor = |extension| Ok(Encoded::Factor(scheme.factor(numbers, level, scale, extension)?));
    match spec.role {
        Role::Factor => factor(Extension::Plain),
        Role::ExtendedFactor => factor(Extension::Extended),
        Role::Summand(encoding) => Ok(Encoded::Summand(scheme.summand(numbers, encoding, level, scale)?)),
    }
}

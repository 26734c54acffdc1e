//! One part of a circuit's plaintexts in a scheme's form.

use crate::backend::Scheme;
use crate::circuit::{Circuit, GiantStep};
use crate::parts::{Part, giant_steps};
use crate::plain::{PlainSpec, Role};
use crate::{Error, Plain};
use blindsight_ckks::{Extension, Term};

/// A plaintext to multiply by, one to add, or the factors of a giant step.
pub(crate) enum Encoded<S: Scheme> {
    Factor(S::Factor),
    Summand(S::Summand),
    GiantStep(S::GiantStep),
}

impl<S: Scheme> Encoded<S> {
    /// A part of a circuit, encoded.
    pub fn new(circuit: &Circuit, scheme: &S, part: Part) -> Result<Self, Error> {
        match part {
            Part::Plain(index) => {
                let spec = &circuit.plains()[index];
                Self::plain(scheme, spec, &numbers(circuit, spec)?)
            }
            Part::GiantStep { node, index } => {
                let steps = Self::giant_steps(circuit, scheme, &giant_steps(circuit, node)[index..=index])?;
                Ok(steps.into_iter().next().expect("one was asked for"))
            }
        }
    }

    /// A plaintext in the scheme's form for its role.
    pub fn plain(scheme: &S, spec: &PlainSpec, numbers: &[f64]) -> Result<Self, Error> {
        match spec.role {
            Role::Factor | Role::ExtendedFactor => Ok(Self::Factor(factor(scheme, spec, numbers)?)),
            Role::Summand(encoding) => {
                Ok(Self::Summand(scheme.summand(numbers, encoding, spec.level, spec.scale)?))
            }
        }
    }

    /// Giant steps of a transform of the circuit, made together.
    pub fn giant_steps(circuit: &Circuit, scheme: &S, steps: &[GiantStep]) -> Result<Vec<Self>, Error> {
        let spec = |plain: Plain| &circuit.plains()[plain.index()];
        let term = |term: &crate::Term| {
            let repeats = spec(term.plain).repeats;
            Term { input: term.input, baby_step: term.baby_step, repeats }
        };
        let shape = |step: &GiantStep| (step.rotation, step.terms.iter().map(term).collect());
        let shapes: Vec<(usize, Vec<Term>)> = steps.iter().map(shape).collect();
        let steps = scheme.giant_steps(&shapes, |step, term| {
            let spec = spec(steps[step].terms[term].plain);
            factor(scheme, spec, &numbers(circuit, spec)?)
        })?;
        Ok(steps.into_iter().map(Self::GiantStep).collect())
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Factor(factor) => S::factor_bytes(factor),
            Self::Summand(summand) => S::summand_bytes(summand),
            Self::GiantStep(giant_step) => S::giant_step_bytes(giant_step),
        }
    }

    /// Whether both are one plaintext, which may stand for either; giant steps do not.
    pub fn is_same_plaintext(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Factor(a), Self::Factor(b)) => a == b,
            (Self::Summand(a), Self::Summand(b)) => a == b,
            _ => false,
        }
    }
}

fn factor<S: Scheme>(scheme: &S, spec: &PlainSpec, numbers: &[f64]) -> Result<S::Factor, Error> {
    let extension = if spec.role == Role::ExtendedFactor { Extension::Extended } else { Extension::Plain };
    scheme.factor(numbers, spec.level, spec.scale, extension)
}

/// The numbers of a plaintext, which repeat as it says.
pub(crate) fn numbers(circuit: &Circuit, spec: &PlainSpec) -> Result<Vec<f64>, Error> {
    let numbers = spec.numbers.make();
    if !spec.repeats_as_said(&numbers, circuit.slots()) {
        return Err(Error::Repeats { expected: spec.repeats });
    }
    Ok(numbers)
}

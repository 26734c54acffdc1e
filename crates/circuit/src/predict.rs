//! Predicted errors: the circuit on plain slots of a probe, and beside each value the variance of the error it would have encrypted.
//!
//! Variances are those of `ckks::noise`, of slots in integer units. They need the mean squares of messages and plaintexts, which the
//! probe gives; errors of different values, and of different slots of one, are taken as independent.

use crate::circuit::{Circuit, Node, Operation, Output, Reading, Value};
use crate::clear::Clear;
use crate::interpret::{self, Executor, Live};
use crate::{Error, Giant, Plain};
use ckks::noise::{self, Variance};
use ckks::{Level, Parameters, Rescale};
use std::collections::BTreeSet;

/// What an output will be, and how wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The output of the clear run: slots, or the coefficients that are read.
    pub values: Vec<f64>,
    /// The standard deviation of the error of each, in the values' units.
    pub deviation: f64,
}

/// Runs the circuit on a probe and predicts the error of each output.
///
/// # Errors
/// Where the probe does not fit the inputs, and where a value of the probe would overflow the modulus of its level.
pub fn predict(circuit: &Circuit, probe: &[Vec<f64>]) -> Result<Vec<Prediction>, Error> {
    let clear = Clear::new(circuit, probe)?;
    let mut predictor = Predictor { circuit, clear, read_in_part: read_in_part(circuit) };
    let estimates = interpret::run(circuit, &mut predictor)?;
    let outputs = circuit.outputs().iter().zip(estimates);
    Ok(outputs.map(|(output, estimate)| predictor.prediction(output, estimate)).collect())
}

/// A value on plain slots, and the variance of its error.
#[derive(Clone)]
struct Estimate {
    slots: Vec<f64>,
    variance: Variance,
}

impl Estimate {
    fn mean_square(&self) -> f64 {
        mean_square(&self.slots)
    }
}

struct Predictor<'a> {
    circuit: &'a Circuit,
    clear: Clear<'a>,
    /// For each value that nothing but coefficients of outputs depends on, those coefficients.
    read_in_part: Vec<Option<BTreeSet<usize>>>,
}

impl Predictor<'_> {
    fn parameters(&self) -> &Parameters {
        self.circuit.parameters()
    }

    fn prediction(&self, output: &Output, estimate: Estimate) -> Prediction {
        let (parameters, scale) = (self.parameters(), self.circuit.node(output.value).scale);
        let deviation = match output.reading {
            Reading::Slots => estimate.variance.sqrt() / scale.0,
            Reading::Coefficients(_) => noise::coefficient_deviation(parameters, estimate.variance, scale),
        };
        Prediction { values: self.clear.read(output, estimate.slots), deviation }
    }

    /// The variance after an optional rescale at `level`.
    fn rescaled(&self, variance: Variance, level: Level, rescale: Rescale) -> Variance {
        match rescale {
            Rescale::No => variance,
            Rescale::Yes => {
                variance / self.parameters().modulus(level).powi(2) + noise::division(self.parameters())
            }
        }
    }

    /// The variance after a mod-down, which is one division with the rescale.
    fn divided(&self, variance: Variance, level: Level, rescale: Rescale) -> Variance {
        match rescale {
            Rescale::No => variance + noise::division(self.parameters()),
            Rescale::Yes => self.rescaled(variance, level, rescale),
        }
    }

    /// The variance of `value * plain`.
    fn product(
        &self,
        value: Value,
        variance: Variance,
        mean_square: f64,
        plain: Plain,
    ) -> Result<Variance, Error> {
        let factor = self::mean_square(&self.clear.plain(plain)?);
        let (scale, factor_scale) = (self.circuit.node(value).scale, self.circuit.plain(plain).scale);
        Ok(noise::plain_product(self.parameters(), (variance, mean_square, scale), (factor, factor_scale)))
    }

    fn giant(
        &self,
        value: Value,
        operand: &Estimate,
        giant: &Giant,
        level: Level,
    ) -> Result<Variance, Error> {
        let (key, mean_square) = (noise::key_product(self.parameters(), level), operand.mean_square());
        let mut sum = 0.0;
        for (baby, plain) in &giant.terms {
            let switched = if *baby == 0 { 0.0 } else { key };
            sum += self.product(value, operand.variance + switched, mean_square, *plain)?;
        }
        let turned = if giant.rotation == 0 { 0.0 } else { key + noise::division(self.parameters()) };
        Ok(sum + turned)
    }

    fn variance(&self, node: &Node, values: &Live<Estimate>) -> Result<Variance, Error> {
        let parameters = self.parameters();
        let level_of = |v: Value| self.circuit.node(v).level;
        let operand = |v: Value| {
            let estimate = values.get(v);
            (estimate.variance, estimate.mean_square(), self.circuit.node(v).scale)
        };
        Ok(match &node.operation {
            Operation::Input => unreachable!("inputs are given, not computed"),
            Operation::Dot { terms, rescale } => {
                let mut sum = 0.0;
                for (value, plain) in terms {
                    let (variance, mean_square, _) = operand(*value);
                    sum += self.product(*value, variance, mean_square, *plain)?;
                }
                self.rescaled(sum, level_of(terms[0].0), *rescale)
            }
            Operation::Add(a, b) | Operation::Sub(a, b) => values.get(*a).variance + values.get(*b).variance,
            Operation::AddPlain(value, _) => values.get(*value).variance + noise::rounding(parameters),
            Operation::Multiply { a, b, rescale } => {
                let product = if a == b {
                    noise::square(operand(*a))
                } else {
                    noise::product(operand(*a), operand(*b))
                };
                let level = level_of(*a);
                self.divided(product + noise::key_product(parameters, level), level, *rescale)
            }
            Operation::Rotate(value, 0) => values.get(*value).variance,
            Operation::Rotate(value, _) => {
                values.get(*value).variance + noise::key_switch(parameters, level_of(*value))
            }
            Operation::Transform { value, giants, rescale } => {
                let level = level_of(*value);
                let parts = giants.iter().map(|g| self.giant(*value, values.get(*value), g, level));
                self.divided(parts.sum::<Result<Variance, Error>>()?, level, *rescale)
            }
            Operation::Fold { value, stages, rescale } => {
                let (level, last) = (level_of(*value), stages.len() - 1);
                let key = noise::key_product(parameters, level);
                stages.iter().enumerate().fold(values.get(*value).variance, |variance, (index, stage)| {
                    let rotations = stage.len() as f64;
                    let sum = variance * (1.0 + rotations) + key * rotations;
                    self.divided(sum, level, if index == last { *rescale } else { Rescale::No })
                })
            }
            Operation::Rescale(value) => {
                self.rescaled(values.get(*value).variance, level_of(*value), Rescale::Yes)
            }
            Operation::DropLevel(value, _) => values.get(*value).variance,
        })
    }

    /// The largest coefficient magnitude that must not wrap around: of all, or of those that are read.
    fn magnitude(&self, value: Value, slots: &[f64]) -> f64 {
        let largest = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, |m: f64, x| m.max(x.abs()));
        match &self.read_in_part[value.index()] {
            None => largest(&mut slots.iter().copied()),
            Some(indices) => {
                let output =
                    Output { value, reading: Reading::Coefficients(indices.iter().copied().collect()) };
                largest(&mut self.clear.read(&output, slots.to_vec()).into_iter())
            }
        }
    }
}

impl Executor for Predictor<'_> {
    type Value = Estimate;

    fn input(&mut self, index: usize, node: &Node) -> Result<Estimate, Error> {
        Ok(Estimate { slots: self.clear.input(index, node)?, variance: noise::fresh(self.parameters()) })
    }

    fn evaluate(&mut self, node: &Node, values: &mut Live<Estimate>) -> Result<Estimate, Error> {
        let slots = self.clear.compute(&node.operation, |v| values.get(v).slots.as_slice())?;
        Ok(Estimate { slots, variance: self.variance(node, values)? })
    }

    /// A coefficient is a mean of slots times cosines, so no coefficient exceeds the largest slot.
    fn observe(&mut self, value: Value, node: &Node, computed: &Estimate) -> Result<(), Error> {
        let magnitude = self.magnitude(value, &computed.slots);
        let (needed, available) =
            ((magnitude * node.scale.0).log2() + 1.0, self.parameters().log_q(node.level));
        if needed > available {
            let (operation, value) = (node.operation.name(), value.index());
            let (scale, level) = (node.scale, node.level);
            return Err(Error::Overflow { operation, value, magnitude, scale, needed, available, level });
        }
        Ok(())
    }
}

/// For each value, the coefficients that are read of it where nothing else depends on it. Operations that act on each coefficient by
/// itself hand this on to their operands: what wraps around in other coefficients stays there.
fn read_in_part(circuit: &Circuit) -> Vec<Option<BTreeSet<usize>>> {
    let mut readings: Vec<Vec<Option<BTreeSet<usize>>>> = vec![vec![]; circuit.nodes().len()];
    for output in circuit.outputs() {
        readings[output.value.index()].push(match &output.reading {
            Reading::Slots => None,
            Reading::Coefficients(indices) => Some(indices.iter().copied().collect()),
        });
    }
    let mut read = vec![None; circuit.nodes().len()];
    for (index, node) in circuit.nodes().iter().enumerate().rev() {
        let all: Option<Vec<_>> = std::mem::take(&mut readings[index]).into_iter().collect();
        read[index] = all.map(|sets| sets.into_iter().flatten().collect::<BTreeSet<usize>>());
        let handed_on = match node.operation {
            Operation::Add(..) | Operation::Sub(..) | Operation::AddPlain(..) => read[index].clone(),
            Operation::Rescale(..) | Operation::DropLevel(..) => read[index].clone(),
            _ => None,
        };
        node.operation.operands().iter().for_each(|v| readings[v.index()].push(handed_on.clone()));
    }
    read
}

fn mean_square(slots: &[f64]) -> f64 {
    slots.iter().map(|z| z * z).sum::<f64>() / slots.len() as f64
}

//! The clear executor: the circuit on plain slots, exactly as the encrypted one computes it but for noise.

use crate::Error;
use crate::circuit::{Circuit, Node, Operation, Output, Plain, Reading, Value};
use crate::embedding::Embedding;
use crate::interpret::{self, Executor, Live};
use crate::plain::{Numbers, Role};
use blindsight_ckks::Encoding;

/// The outputs of the circuit for these slots of its inputs: all slots of an output, or the coefficients that
/// are read of it.
///
/// # Errors
/// Where the number of inputs, or of the slots of one, is not the circuit's.
pub fn run(circuit: &Circuit, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
    let mut clear = Clear::new(circuit, inputs)?;
    let values = interpret::run(circuit, &mut clear)?;
    Ok(circuit.outputs().iter().zip(values).map(|(output, slots)| clear.read(output, slots)).collect())
}

/// As [`run`], but returns all values that the circuit computes, in the order of its nodes: to look at what
/// lies between.
pub fn trace(circuit: &Circuit, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
    let mut trace = Trace { clear: Clear::new(circuit, inputs)?, values: vec![] };
    interpret::run(circuit, &mut trace)?;
    Ok(trace.values)
}

/// Computes slots.
pub(crate) struct Clear<'a> {
    circuit: &'a Circuit,
    inputs: &'a [Vec<f64>],
    /// How many slots a value has here.
    slots: usize,
    embedding: Embedding,
}

impl<'a> Clear<'a> {
    pub fn new(circuit: &'a Circuit, inputs: &'a [Vec<f64>]) -> Result<Self, Error> {
        let (expected, slots) = (circuit.inputs().len(), circuit.slots());
        if inputs.len() != expected {
            return Err(Error::Inputs { expected, actual: inputs.len() });
        }
        // Where slots do not meet, some of them are a circuit's worth of their own.
        let given = inputs.first().map_or(slots, Vec::len);
        let slots = if circuit.is_slotwise() && (1..slots).contains(&given) { given } else { slots };
        if let Some(wrong) = inputs.iter().find(|i| i.len() != slots) {
            return Err(Error::Length { what: "an input", expected: slots, actual: wrong.len() });
        }
        Ok(Self { circuit, inputs, slots, embedding: Embedding::new(circuit.slots()) })
    }

    /// The slots of an input.
    pub fn given(&self, index: usize) -> &'a [f64] {
        &self.inputs[index]
    }

    /// How many slots a value has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    pub fn read(&self, output: &Output, slots: Vec<f64>) -> Vec<f64> {
        match &output.reading {
            Reading::Slots => slots,
            Reading::Coefficients(indices) => {
                indices.iter().map(|i| self.embedding.coefficient(&slots, *i)).collect()
            }
        }
    }

    /// The slots that a plaintext stands for.
    pub fn plain(&self, plain: Plain) -> Result<Vec<f64>, Error> {
        let spec = self.circuit.plain(plain);
        let (numbers, slots) = (spec.numbers.make(), self.circuit.slots());
        let fits = match spec.role {
            Role::Summand(Encoding::Coefficients) => numbers.len() <= slots,
            _ => numbers.len() == slots,
        };
        if !fits {
            return Err(Error::Length { what: spec.role.name(), expected: slots, actual: numbers.len() });
        }
        if spec.role != Role::Summand(Encoding::Coefficients) {
            return Ok(numbers);
        }
        let mut values = vec![0.0; slots];
        self.embedding.add_coefficients(&numbers, &mut values);
        Ok(values)
    }

    /// The slots of a factor within a chain.
    pub fn factor(&self, numbers: &Numbers) -> Result<Vec<f64>, Error> {
        let (numbers, expected) = (numbers.make(), self.circuit.slots());
        match numbers.len() {
            length if length == expected => Ok(numbers),
            actual => Err(Error::Length { what: "a factor", expected, actual }),
        }
    }

    /// What an operation gives for operands that `get` looks up and plaintexts that `plain` makes.
    pub fn compute<'v>(
        &self,
        operation: &Operation,
        get: impl Fn(Value) -> &'v [f64],
        mut plain: impl FnMut(Plain) -> Result<Vec<f64>, Error>,
    ) -> Result<Vec<f64>, Error> {
        let slots = self.slots;
        Ok(match operation {
            Operation::Input(_) => unreachable!("inputs are given, not computed"),
            Operation::Dot { terms, .. } => {
                let mut sum = vec![0.0; slots];
                for (value, factor) in terms {
                    accumulate(&mut sum, &plain(*factor)?, get(*value), 0);
                }
                sum
            }
            Operation::Add(a, b) => zip(get(*a), get(*b), |x, y| x + y),
            Operation::Sub(a, b) => zip(get(*a), get(*b), |x, y| x - y),
            Operation::AddPlain(value, summand) => zip(get(*value), &plain(*summand)?, |x, y| x + y),
            Operation::Multiply { a, b, .. } => zip(get(*a), get(*b), |x, y| x * y),
            Operation::Rotate(value, steps) => rotated(get(*value), *steps),
            Operation::Transform { values, giant_steps, .. } => {
                let mut sum = vec![0.0; slots];
                for giant_step in giant_steps {
                    let mut part = vec![0.0; slots];
                    for term in &giant_step.terms {
                        accumulate(&mut part, &plain(term.plain)?, get(values[term.input]), term.baby_step);
                    }
                    part.rotate_left(giant_step.rotation);
                    sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
                }
                sum
            }
            Operation::RotateAndSum { value, stages, .. } => {
                stages.iter().fold(get(*value).to_vec(), |v, stage| rotate_and_sum_stage(&v, stage))
            }
            Operation::Sum { stage, row } => {
                let mut sum = vec![stage.rows.row(*row).constant; slots];
                for (value, weight) in stage.terms(*row) {
                    sum.iter_mut().zip(get(value)).for_each(|(s, v)| *s += weight * v);
                }
                sum
            }
            Operation::Square(value) => get(*value).iter().map(|v| v * v).collect(),
            Operation::Product { stage, row } => {
                let mut sum = vec![0.0; slots];
                for (value, numbers) in stage.inputs.iter().zip(&stage.rows[*row]) {
                    accumulate(&mut sum, &self.factor(numbers)?, get(*value), 0);
                }
                sum
            }
            Operation::Rescale(value) | Operation::DropLevel(value, _) => get(*value).to_vec(),
            Operation::Reduce { value, .. } | Operation::Divide { value, .. } => get(*value).to_vec(),
        })
    }
}

impl Executor for Clear<'_> {
    type Value = Vec<f64>;

    fn input(&mut self, index: usize, _node: &Node) -> Result<Vec<f64>, Error> {
        Ok(self.inputs[index].clone())
    }

    fn evaluate(
        &mut self,
        _value: Value,
        node: &Node,
        values: &mut Live<Vec<f64>>,
    ) -> Result<Vec<f64>, Error> {
        self.compute(&node.operation, |v| values.get(v).as_slice(), |p| self.plain(p))
    }
}

/// Keeps every value.
struct Trace<'a> {
    clear: Clear<'a>,
    values: Vec<Vec<f64>>,
}

impl Executor for Trace<'_> {
    type Value = Vec<f64>;

    fn input(&mut self, index: usize, node: &Node) -> Result<Vec<f64>, Error> {
        self.clear.input(index, node)
    }

    fn evaluate(
        &mut self,
        value: Value,
        node: &Node,
        values: &mut Live<Vec<f64>>,
    ) -> Result<Vec<f64>, Error> {
        self.clear.evaluate(value, node, values)
    }

    fn observe(&mut self, _value: Value, _node: &Node, computed: &Vec<f64>) -> Result<(), Error> {
        self.values.push(computed.clone());
        Ok(())
    }
}

/// `sum += factor * value rotated by steps`.
pub(crate) fn accumulate(sum: &mut [f64], factor: &[f64], value: &[f64], steps: usize) {
    let rotated = value[steps..].iter().chain(&value[..steps]);
    sum.iter_mut().zip(factor).zip(rotated).for_each(|((s, f), v)| *s += f * v);
}

fn rotated(value: &[f64], steps: usize) -> Vec<f64> {
    [&value[steps..], &value[..steps]].concat()
}

pub(crate) fn rotate_and_sum_stage(value: &[f64], stage: &[usize]) -> Vec<f64> {
    let mut sum = value.to_vec();
    for steps in stage {
        sum.iter_mut().zip(rotated(value, *steps)).for_each(|(s, v)| *s += v);
    }
    sum
}

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
}

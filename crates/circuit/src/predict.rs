//! Predicted errors: the circuit on plain slots of a probe, with errors injected where the encrypted run makes them.
//!
//! The variances are those of `blindsight_ckks::noise`. Errors are simulated and not propagated by formula, because folds make copies whose
//! errors are the same ones: how they add up in the end depends on all that happens to them. A fresh error has coefficients that are
//! independent and of one variance; the embedding is orthogonal, so its slots are, too. Its distribution does not matter, only its
//! variance, so the uniform one does.
//!
//! Every operation is named where errors are injected: one without a formula does not compile.

use crate::Error;
use crate::circuit::{Circuit, Giant, Node, Operation, Output, Plain, Reading, Term, Value};
use crate::clear::{Clear, fold_stage};
use crate::interpret::{self, Executor, Live};
use crate::plain::Role;
use crate::scalar::SumStage;
use blindsight_ckks::noise::{self, Variance};
use blindsight_ckks::pointwise::rounded_weight;
use blindsight_ckks::{Rescale, Scale};
use std::collections::BTreeSet;

/// What an output will be, and how wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The output of the clear run: slots, or the coefficients that are read.
    pub values: Vec<f64>,
    /// The root mean square of their errors, in the values' units.
    pub deviation: f64,
    /// The same for each value by itself: values may differ in what they are sums of.
    pub deviations: Vec<f64>,
}

/// How many runs are averaged over: fewer for large circuits, which take their time and have many errors to average over in each run.
fn runs(circuit: &Circuit) -> u64 {
    let least = if circuit.nodes().len() > MOST_NODES_TO_REPEAT { 1 } else { 2 };
    (MOST_PLAINTEXTS / circuit.plains().len().max(1)).clamp(least, 8) as u64
}

/// How many plaintexts are made in all runs, about.
const MOST_PLAINTEXTS: usize = 1000;
/// Circuits of more nodes are run once.
const MOST_NODES_TO_REPEAT: usize = 10_000;

/// Runs the circuit on a probe and predicts the error of each output. The same probe gives the same prediction.
///
/// # Errors
/// Where the probe does not fit the inputs, and where a value of the probe would overflow the modulus of its level.
pub fn predict(circuit: &Circuit, probe: &[Vec<f64>]) -> Result<Vec<Prediction>, Error> {
    let mut checked =
        Checked { circuit, clear: Clear::new(circuit, probe)?, read_in_part: read_in_part(circuit) };
    let exact = interpret::run(circuit, &mut checked)?;
    let mut predictions: Vec<Prediction> = circuit
        .outputs()
        .iter()
        .zip(exact)
        .map(|(output, slots)| {
            let values = checked.clear.read(output, slots);
            Prediction { deviation: 0.0, deviations: vec![0.0; values.len()], values }
        })
        .collect();
    let runs = runs(circuit);
    for run in 1..=runs {
        let mut noisy = Noisy { circuit, clear: Clear::new(circuit, probe)?, random: Random(run) };
        let wrong = interpret::run(circuit, &mut noisy)?;
        for ((prediction, output), slots) in predictions.iter_mut().zip(circuit.outputs()).zip(wrong) {
            let read = noisy.clear.read(output, slots);
            for ((square, a), b) in prediction.deviations.iter_mut().zip(&read).zip(&prediction.values) {
                *square += (a - b).powi(2) / runs as f64;
            }
        }
    }
    for prediction in &mut predictions {
        prediction.deviations.iter_mut().for_each(|square| *square = square.sqrt());
        prediction.deviation = mean_square(&prediction.deviations).sqrt();
    }
    Ok(predictions)
}

/// Computes exact slots, and checks that the moduli hold them.
struct Checked<'a> {
    circuit: &'a Circuit,
    clear: Clear<'a>,
    /// For each value that nothing but coefficients of outputs depends on, those coefficients.
    read_in_part: Vec<Option<BTreeSet<usize>>>,
}

impl Checked<'_> {
    /// The largest coefficient magnitude that must not wrap around: of all, or of those that are read. A coefficient is a mean of
    /// slots times cosines, so none exceeds the largest slot.
    fn magnitude(&self, value: Value, slots: &[f64]) -> f64 {
        let largest = |numbers: &[f64]| numbers.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        match &self.read_in_part[value.index()] {
            None => largest(slots),
            Some(indices) => {
                let output =
                    Output { value, reading: Reading::Coefficients(indices.iter().copied().collect()) };
                largest(&self.clear.read(&output, slots.to_vec()))
            }
        }
    }
}

impl Executor for Checked<'_> {
    type Value = Vec<f64>;

    fn input(&mut self, index: usize, node: &Node) -> Result<Vec<f64>, Error> {
        self.clear.input(index, node)
    }

    fn evaluate(&mut self, node: &Node, values: &mut Live<Vec<f64>>) -> Result<Vec<f64>, Error> {
        self.clear.evaluate(node, values)
    }

    fn observe(&mut self, value: Value, node: &Node, computed: &Vec<f64>) -> Result<(), Error> {
        let magnitude = self.magnitude(value, computed);
        let needed = (magnitude * node.scale.0).log2() + 1.0;
        let available = self.circuit.parameters().log_q(node.level);
        if needed > available {
            let (operation, value) = (node.operation.name(), value.index());
            let (scale, level) = (node.scale, node.level);
            return Err(Error::Overflow { operation, value, magnitude, scale, needed, available, level });
        }
        Ok(())
    }
}

/// Computes slots with errors.
struct Noisy<'a> {
    circuit: &'a Circuit,
    clear: Clear<'a>,
    random: Random,
}

/// A small generator (xorshift64*): it need not be secure, only the same everywhere.
struct Random(u64);

impl Random {
    /// Uniform of variance one.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (word as f64 / (1u64 << 52) as f64 - 1.0) * 3f64.sqrt()
    }

    /// Adds an error of this variance, in integer units at this scale.
    fn add_error(&mut self, slots: &mut [f64], variance: Variance, scale: Scale) {
        let deviation = variance.sqrt() / scale.0;
        slots.iter_mut().for_each(|z| *z += deviation * self.next());
    }
}

impl Noisy<'_> {
    /// What the division at the end of an operation adds, at the result's scale: of a rescale, a mod-down, or both in one.
    fn add_division(&mut self, slots: &mut [f64], scale: Scale) {
        self.random.add_error(slots, noise::division(self.circuit.parameters()), scale);
    }

    fn scale(&self, value: Value) -> Scale {
        self.circuit.node(value).scale
    }

    fn fold(&mut self, value: Value, slots: &[f64], stages: &[Vec<usize>], result: Scale) -> Vec<f64> {
        let scale = self.scale(value);
        let key = self.key(value);
        let mut folded = slots.to_vec();
        for (index, stage) in stages.iter().enumerate() {
            folded = fold_stage(&folded, stage);
            self.random.add_error(&mut folded, key * stage.len() as f64, scale);
            self.add_division(&mut folded, if index + 1 == stages.len() { result } else { scale });
        }
        folded
    }

    /// A sum with rounded weights; the constant's rounding is nothing beside theirs.
    fn sum(
        &self,
        stage: &SumStage,
        row: usize,
        node: &Node,
        values: &Live<Vec<f64>>,
    ) -> Result<Vec<f64>, Error> {
        let mut sum = vec![stage.rows.row(row).constant; self.clear.slots()];
        for (value, weight) in stage.terms(row) {
            let weight = f64::from(rounded_weight(weight, stage.scale, node.level)?) / stage.scale.0;
            sum.iter_mut().zip(values.get(value)).for_each(|(s, v)| *s += weight * v);
        }
        Ok(sum)
    }

    /// A relinearisation, where there is a square, and rescales. The first is one division with it.
    fn reduce(&mut self, value: Value, rescales: usize, slots: &mut [f64]) {
        let (parameters, node) = (self.circuit.parameters(), self.circuit.node(value));
        let mut scale = node.scale;
        if self.circuit.parts(value) > 2 {
            self.random.add_error(slots, noise::key_product(parameters, node.level), scale);
            if rescales == 0 {
                self.add_division(slots, scale);
            }
        }
        for dropped in 0..rescales {
            scale.0 /= parameters.modulus(blindsight_ckks::Level(node.level.0 - dropped));
            self.add_division(slots, scale);
        }
    }

    /// The operation on erroneous operands and rounded plaintexts, and the mean squares of those.
    fn compute(&mut self, node: &Node, values: &Live<Vec<f64>>) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let (clear, circuit, random) = (&self.clear, self.circuit, &mut self.random);
        let mut mean_squares = vec![];
        let rounded = |plain: Plain| {
            let mut slots = clear.plain(plain)?;
            mean_squares.push(mean_square(&slots));
            random.add_error(&mut slots, noise::rounding(circuit.parameters()), circuit.plain(plain).scale);
            Ok(slots)
        };
        let slots = clear.compute(&node.operation, |v| values.get(v).as_slice(), rounded)?;
        Ok((slots, mean_squares))
    }
}

impl Noisy<'_> {
    /// Adds the error that an operation makes by itself, beyond those of its operands and plaintexts.
    fn add_own(&mut self, node: &Node, slots: &mut [f64], mean_squares: Vec<f64>) {
        match &node.operation {
            Operation::Multiply { a, b, .. } => {
                let scale = Scale(self.scale(*a).0 * self.scale(*b).0);
                self.add_switch(slots, *a, scale, node.scale);
            }
            Operation::Rotate(value, 1..) => self.add_switch(slots, *value, node.scale, node.scale),
            Operation::Transform { values, giants, .. } => {
                let Term { input, plain, .. } = giants[0].terms[0];
                let scale = Scale(self.scale(values[input]).0 * self.circuit.plain(plain).scale.0);
                let key = self.key(values[0]);
                let variance = transform_variance(self.circuit, key, giants, mean_squares.into_iter());
                self.random.add_error(slots, variance, scale);
                self.add_division(slots, node.scale);
            }
            Operation::Reduce { value, rescales } => self.reduce(*value, *rescales, slots),
            Operation::Dot { rescale: Rescale::Yes, .. } | Operation::Rescale(_) => {
                self.add_division(slots, node.scale);
            }
            Operation::Fold { .. } | Operation::Sum { .. } => {
                unreachable!("its errors are made while it is computed")
            }
            Operation::Input => unreachable!("a fresh error is the input's"),
            // Exact, whatever errors the operands have: an unreduced square is no more than its words.
            Operation::Dot { rescale: Rescale::No, .. } | Operation::Square(_) => {}
            Operation::Add(..) | Operation::Sub(..) | Operation::AddPlain(..) => {}
            Operation::Rotate(_, 0) | Operation::DropLevel(..) => {}
        }
    }

    /// What a key-switch of a value adds: its key product at one scale and the division after it at another.
    fn add_switch(&mut self, slots: &mut [f64], value: Value, scale: Scale, divided: Scale) {
        let key = self.key(value);
        self.random.add_error(slots, key, scale);
        self.add_division(slots, divided);
    }

    /// The variance of a key product at a value's level.
    fn key(&self, value: Value) -> Variance {
        noise::key_product(self.circuit.parameters(), self.circuit.node(value).level)
    }
}

/// What the key-switches inside a linear transform add before the last division. Plaintexts, whose mean squares come in the order of the
/// terms, multiply the babies' errors.
fn transform_variance(
    circuit: &Circuit,
    key: Variance,
    giants: &[Giant],
    mut mean_squares: impl Iterator<Item = f64>,
) -> Variance {
    let division = noise::division(circuit.parameters());
    let giant = |giant: &Giant| {
        let babies = giant.terms.iter().zip(&mut mean_squares).filter(|(term, _)| term.baby != 0);
        let amplified = |(term, factor): (&Term, f64)| {
            let plain = circuit.plain(term.plain);
            // Of a transform that is hoisted once each baby has been brought down.
            let down = if plain.role == Role::Factor { division } else { 0.0 };
            (key + down) * factor * plain.scale.0.powi(2)
        };
        let switched = if giant.rotation == 0 { 0.0 } else { key + division };
        babies.map(amplified).sum::<f64>() + switched
    };
    giants.iter().map(giant).sum()
}

impl Executor for Noisy<'_> {
    type Value = Vec<f64>;

    fn input(&mut self, index: usize, node: &Node) -> Result<Vec<f64>, Error> {
        let mut slots = self.clear.input(index, node)?;
        self.random.add_error(&mut slots, noise::fresh(self.circuit.parameters()), node.scale);
        Ok(slots)
    }

    fn evaluate(&mut self, node: &Node, values: &mut Live<Vec<f64>>) -> Result<Vec<f64>, Error> {
        match &node.operation {
            Operation::Fold { value, stages, .. } => {
                Ok(self.fold(*value, values.get(*value), stages, node.scale))
            }
            Operation::Sum { stage, row } => self.sum(stage, *row, node, values),
            _ => {
                let (mut slots, mean_squares) = self.compute(node, values)?;
                self.add_own(node, &mut slots, mean_squares);
                Ok(slots)
            }
        }
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
            Operation::Input | Operation::Dot { .. } | Operation::Multiply { .. } => None,
            Operation::Rotate(..) | Operation::Transform { .. } | Operation::Fold { .. } => None,
            Operation::Sum { .. } | Operation::Square(_) | Operation::Reduce { .. } => None,
        };
        node.operation.operands().iter().for_each(|v| readings[v.index()].push(handed_on.clone()));
    }
    read
}

fn mean_square(slots: &[f64]) -> f64 {
    slots.iter().map(|z| z * z).sum::<f64>() / slots.len() as f64
}

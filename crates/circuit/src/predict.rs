//! Predicted errors: the circuit on plain slots of a probe, with errors injected where the encrypted run
//! makes them.
//!
//! The variances are those of `blindsight_ckks::noise`. Errors are simulated and not propagated by formula,
//! because rotate-and-sum makes copies whose errors are the same ones: how they add up in the end depends on
//! all that happens to them. A fresh error has coefficients that are independent and of one variance; the
//! embedding is orthogonal, so its slots are, too. Its distribution does not matter, only its variance, so
//! the uniform one does.
//!
//! Every operation is named where errors are injected: one without a formula does not compile.

use crate::Error;
use crate::circuit::{Circuit, GiantStep, Node, Operation, Output, Plain, Reading, Term, Value};
use crate::clear::{Clear, accumulate, rotate_and_sum_stage};
use crate::interpret::{self, Executor, Live};
use crate::plain::Role;
use crate::scalar::{ProductStage, SumStage};
use blindsight_ckks::noise::{self, Variance};
use blindsight_ckks::pointwise::rounded_weight;
use blindsight_ckks::{Rescale, Scale};
use blindsight_ring::parallel;
use std::collections::BTreeSet;

/// What an output will be, and how wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The output of the clear run: slots, or the coefficients that are read.
    pub values: Vec<f64>,
    /// For each run with errors those of the values, in their units. Errors of one run may depend on each
    /// other: what is computed of the values is wrong by what is computed of these.
    pub errors: Vec<Vec<f64>>,
}

impl Prediction {
    /// The root mean square of all errors.
    pub fn deviation(&self) -> f64 {
        mean_square(&self.errors.concat()).sqrt()
    }
}

/// How many runs are averaged over: fewer for large circuits, which take their time.
fn runs(circuit: &Circuit) -> u64 {
    if circuit.nodes().len() > MOST_NODES_TO_REPEAT {
        return 1;
    }
    (MOST_PLAINTEXTS / circuit.plains().len().max(1)).clamp(4, 8) as u64
}

/// How many plaintexts are made in all runs, about.
const MOST_PLAINTEXTS: usize = 1000;
/// Circuits of more nodes are run once.
const MOST_NODES_TO_REPEAT: usize = 10_000;

/// Runs the circuit on a probe and predicts the error of each output. The same probe gives the same
/// prediction.
///
/// # Errors
/// Where the probe does not fit the inputs, and where a value of the probe would overflow the modulus of its
/// level.
pub fn predict(circuit: &Circuit, probe: &[Vec<f64>]) -> Result<Vec<Prediction>, Error> {
    let clear = Clear::new(circuit, probe)?;
    let noisy =
        (1..=runs(circuit)).map(|run| Noisy { circuit, clear: &clear, random: Random(run) }).collect();
    let checked = Checked { circuit, clear: &clear, read_in_part: read_in_part(circuit) };
    let mut lanes = Lanes { checked, noisy };
    let outputs = interpret::run(circuit, &mut lanes)?;
    let predictions = circuit.outputs().iter().zip(outputs).map(|(output, lanes)| {
        let mut read = lanes.into_iter().map(|slots| clear.read(output, slots));
        let values = read.next().expect("the first lane is the exact one");
        let error = |wrong: Vec<f64>| wrong.iter().zip(&values).map(|(a, b)| a - b).collect();
        let errors = read.map(error).collect();
        Prediction { values, errors }
    });
    Ok(predictions.collect())
}

/// All runs at once, so that each plaintext is made once: the exact one first, then those with errors.
struct Lanes<'a> {
    checked: Checked<'a>,
    noisy: Vec<Noisy<'a>>,
}

impl Lanes<'_> {
    /// Sums of products with plaintexts in all lanes, giant step by giant step, each with its rotation; and
    /// the mean square of each plaintext. Inside a rayon pool threads compute different giant steps.
    fn sums(&mut self, steps: &[(usize, Vec<Product<'_>>)]) -> Result<(Vec<Vec<f64>>, Vec<f64>), Error> {
        let lanes = 1 + self.noisy.len();
        let computed = parallel::map(steps.iter(), |(_, products)| self.checked.step(products, lanes));
        let (mut sums, mut mean_squares) = (vec![vec![0.0; self.checked.clear.slots()]; lanes], vec![]);
        for ((rotation, _), step) in steps.iter().zip(computed) {
            let Step { mut parts, deviations, mean_squares: of_step } = step?;
            mean_squares.extend(of_step);
            for (noisy, part) in self.noisy.iter_mut().zip(&mut parts[1..]) {
                part.iter_mut()
                    .zip(&deviations)
                    .for_each(|(z, deviation)| *z += deviation * noisy.random.next());
            }
            for (sum, part) in sums.iter_mut().zip(&mut parts) {
                part.rotate_left(*rotation);
                sum.iter_mut().zip(part).for_each(|(s, p)| *s += *p);
            }
        }
        Ok((sums, mean_squares))
    }

    /// A row of products within a chain, in all lanes.
    fn row(
        &mut self,
        stage: &ProductStage,
        row: usize,
        values: &Live<Vec<Vec<f64>>>,
    ) -> Result<Vec<Vec<f64>>, Error> {
        let clear = self.checked.clear;
        let (mut sums, mut roundings) =
            (vec![vec![0.0; clear.slots()]; 1 + self.noisy.len()], vec![0.0; clear.slots()]);
        let rounding = noise::rounding(self.checked.circuit.parameters()) / stage.scale.0.powi(2);
        for (value, numbers) in stage.inputs.iter().zip(&stage.rows[row]) {
            let (factor, lanes) = (clear.factor(numbers)?, values.get(*value));
            sums.iter_mut().zip(lanes).for_each(|(sum, lane)| accumulate(sum, &factor, lane, 0));
            add_squares(&mut roundings, rounding, &lanes[0], 0);
        }
        for (noisy, sum) in self.noisy.iter_mut().zip(&mut sums[1..]) {
            let slots = sum.iter_mut().zip(&roundings);
            slots.for_each(|(z, variance)| *z += variance.sqrt() * noisy.random.next());
        }
        Ok(sums)
    }

    /// An operation that is a sum of products with plaintexts; `None` for any other.
    fn products<'v>(
        operation: &Operation,
        values: &'v Live<Vec<Vec<f64>>>,
    ) -> Option<Vec<(usize, Vec<Product<'v>>)>> {
        match operation {
            Operation::Dot { terms, .. } => {
                let product = |(value, plain): &(Value, Plain)| Product {
                    plain: *plain,
                    lanes: values.get(*value),
                    baby_step: 0,
                };
                Some(vec![(0, terms.iter().map(product).collect())])
            }
            Operation::Transform { values: read, giant_steps, .. } => {
                let product = |term: &Term| Product {
                    plain: term.plain,
                    lanes: values.get(read[term.input]),
                    baby_step: term.baby_step,
                };
                let step = |giant_step: &GiantStep| {
                    (giant_step.rotation, giant_step.terms.iter().map(product).collect())
                };
                Some(giant_steps.iter().map(step).collect())
            }
            _ => None,
        }
    }
}

/// The variance of the rounding of a plaintext's slots.
fn rounding(circuit: &Circuit, plain: Plain) -> Variance {
    noise::rounding(circuit.parameters()) / circuit.plain(plain).scale.0.powi(2)
}

/// Adds to the variance of each slot what a factor's rounding, of this variance, makes of a rotated value:
/// roundings of factors are independent of each other, so one draw stands for all of a sum.
fn add_squares(variances: &mut [f64], rounding: Variance, value: &[f64], steps: usize) {
    let rotated = value[steps..].iter().chain(&value[..steps]);
    variances.iter_mut().zip(rotated).for_each(|(variance, z)| *variance += rounding * z * z);
}

/// A product of a plaintext and a value, in all lanes, rotated.
struct Product<'v> {
    plain: Plain,
    lanes: &'v [Vec<f64>],
    baby_step: usize,
}

impl Executor for Lanes<'_> {
    type Value = Vec<Vec<f64>>;

    fn input(&mut self, index: usize, node: &Node) -> Result<Self::Value, Error> {
        let exact = self.checked.clear.given(index);
        let noisy = self.noisy.iter_mut().map(|noisy| noisy.input(exact, node));
        Ok(std::iter::once(exact.to_vec()).chain(noisy).collect())
    }

    fn evaluate(
        &mut self,
        _value: Value,
        node: &Node,
        values: &mut Live<Self::Value>,
    ) -> Result<Self::Value, Error> {
        if let Some(steps) = Self::products(&node.operation, values) {
            let (mut sums, mean_squares) = self.sums(&steps)?;
            for (noisy, sum) in self.noisy.iter_mut().zip(&mut sums[1..]) {
                noisy.add_own(node, sum, &mean_squares);
            }
            return Ok(sums);
        }
        if let Operation::Product { stage, row } = &node.operation {
            return self.row(stage, *row, values);
        }
        let exact = self.checked.clear.compute(
            &node.operation,
            |v| values.get(v)[0].as_slice(),
            |p| self.checked.clear.plain(p),
        )?;
        let noisy = self.noisy.iter_mut().enumerate();
        let noisy = noisy.map(|(lane, noisy)| noisy.evaluate(node, |v| values.get(v)[1 + lane].as_slice()));
        std::iter::once(Ok(exact)).chain(noisy).collect()
    }

    fn observe(&mut self, value: Value, node: &Node, computed: &Self::Value) -> Result<(), Error> {
        self.checked.observe(value, node, &computed[0])
    }
}

/// Computes exact slots, and checks that the moduli hold them.
struct Checked<'a> {
    circuit: &'a Circuit,
    clear: &'a Clear<'a>,
    /// For each value that nothing but coefficients of outputs depends on, those coefficients.
    read_in_part: Vec<Option<BTreeSet<usize>>>,
}

/// A giant step, before it is rotated.
struct Step {
    /// Its sum in each lane, without the roundings of its plaintexts.
    parts: Vec<Vec<f64>>,
    /// The deviation that these have in each slot.
    deviations: Vec<f64>,
    /// The mean square of each of its plaintexts.
    mean_squares: Vec<f64>,
}

impl Checked<'_> {
    /// A giant step in so many lanes.
    fn step(&self, products: &[Product<'_>], lanes: usize) -> Result<Step, Error> {
        let slots = self.clear.slots();
        let (mut parts, mut variances, mut mean_squares) =
            (vec![vec![0.0; slots]; lanes], vec![0.0; slots], vec![]);
        for Product { plain, lanes, baby_step } in products {
            let factor = self.clear.plain(*plain)?;
            mean_squares.push(mean_square(&factor));
            for (part, value) in parts.iter_mut().zip(*lanes) {
                accumulate(part, &factor, value, *baby_step);
            }
            add_squares(&mut variances, rounding(self.circuit, *plain), &lanes[0], *baby_step);
        }
        let deviations = variances.into_iter().map(f64::sqrt).collect();
        Ok(Step { parts, deviations, mean_squares })
    }

    /// The largest coefficient magnitude that must not wrap around: of all, or of those that are read. A
    /// coefficient is a mean of slots times cosines, so none exceeds the largest slot.
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

    /// Refuses a value whose coefficients would wrap around.
    fn observe(&self, value: Value, node: &Node, computed: &[f64]) -> Result<(), Error> {
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
    clear: &'a Clear<'a>,
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
    /// What the division at the end of an operation adds, at the result's scale: of a rescale, a mod-down, or
    /// both in one.
    fn add_division(&mut self, slots: &mut [f64], scale: Scale) {
        self.random.add_error(slots, noise::division(self.circuit.parameters()), scale);
    }

    fn scale(&self, value: Value) -> Scale {
        self.circuit.node(value).scale
    }

    fn rotate_and_sum(
        &mut self,
        value: Value,
        slots: &[f64],
        stages: &[Vec<usize>],
        result: Scale,
    ) -> Vec<f64> {
        let scale = self.scale(value);
        let key = self.key(value);
        let mut summed = slots.to_vec();
        for (index, stage) in stages.iter().enumerate() {
            summed = rotate_and_sum_stage(&summed, stage);
            self.random.add_error(&mut summed, key * stage.len() as f64, scale);
            self.add_division(&mut summed, if index + 1 == stages.len() { result } else { scale });
        }
        summed
    }

    /// A sum with rounded weights; the constant's rounding is nothing beside theirs.
    fn sum<'v>(
        &self,
        stage: &SumStage,
        row: usize,
        node: &Node,
        get: impl Fn(Value) -> &'v [f64],
    ) -> Result<Vec<f64>, Error> {
        let mut sum = vec![stage.rows.row(row).constant; self.clear.slots()];
        for (value, weight) in stage.terms(row) {
            let weight = f64::from(rounded_weight(weight, stage.scale, node.level)?) / stage.scale.0;
            sum.iter_mut().zip(get(value)).for_each(|(s, v)| *s += weight * v);
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

    /// Rounds a plaintext's slots: an error of the variance of [`rounding`].
    fn round(&mut self, slots: &mut [f64], plain: Plain) {
        self.random.add_error(slots, rounding(self.circuit, plain), Scale(1.0));
    }

    fn input(&mut self, exact: &[f64], node: &Node) -> Vec<f64> {
        let mut slots = exact.to_vec();
        self.random.add_error(&mut slots, noise::fresh(self.circuit.parameters()), node.scale);
        slots
    }

    /// An operation that is no sum of products with plaintexts, on erroneous operands.
    fn evaluate<'v>(&mut self, node: &Node, get: impl Fn(Value) -> &'v [f64]) -> Result<Vec<f64>, Error> {
        match &node.operation {
            Operation::RotateAndSum { value, stages, .. } => {
                Ok(self.rotate_and_sum(*value, get(*value), stages, node.scale))
            }
            Operation::Sum { stage, row } => self.sum(stage, *row, node, get),
            operation => {
                let clear = self.clear;
                let rounded = |plain: Plain| {
                    let mut slots = clear.plain(plain)?;
                    self.round(&mut slots, plain);
                    Ok(slots)
                };
                let mut slots = clear.compute(operation, get, rounded)?;
                self.add_own(node, &mut slots, &[]);
                Ok(slots)
            }
        }
    }
}

impl Noisy<'_> {
    /// Adds the error that an operation makes by itself, beyond those of its operands and plaintexts.
    fn add_own(&mut self, node: &Node, slots: &mut [f64], mean_squares: &[f64]) {
        match &node.operation {
            Operation::Multiply { a, b, .. } => {
                let scale = Scale(self.scale(*a).0 * self.scale(*b).0);
                self.add_switch(slots, *a, scale, node.scale);
            }
            Operation::Rotate(value, 1..) => self.add_switch(slots, *value, node.scale, node.scale),
            Operation::Transform { values, giant_steps, .. } => {
                let Term { input, plain, .. } = giant_steps[0].terms[0];
                let scale = Scale(self.scale(values[input]).0 * self.circuit.plain(plain).scale.0);
                let key = self.key(values[0]);
                let variance =
                    transform_variance(self.circuit, key, giant_steps, mean_squares.iter().copied());
                self.random.add_error(slots, variance, scale);
                self.add_division(slots, node.scale);
            }
            Operation::Reduce { value, rescales } => self.reduce(*value, *rescales, slots),
            Operation::Divide { rescales: 0, .. } => {}
            Operation::Divide { .. } => {
                let variance = noise::division_unrelinearised(self.circuit.parameters());
                self.random.add_error(slots, variance, node.scale);
            }
            Operation::Dot { rescale: Rescale::Yes, .. } | Operation::Rescale(_) => {
                self.add_division(slots, node.scale);
            }
            Operation::RotateAndSum { .. } | Operation::Sum { .. } | Operation::Product { .. } => {
                unreachable!("its errors are made while it is computed")
            }
            Operation::Input(_) => unreachable!("a fresh error is the input's"),
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

/// What the key-switches inside a linear transform add before the last division. Plaintexts, whose mean
/// squares come in the order of the terms, multiply the baby steps' errors.
fn transform_variance(
    circuit: &Circuit,
    key: Variance,
    giant_steps: &[GiantStep],
    mut mean_squares: impl Iterator<Item = f64>,
) -> Variance {
    let division = noise::division(circuit.parameters());
    let giant_step = |giant_step: &GiantStep| {
        let baby_steps =
            giant_step.terms.iter().zip(&mut mean_squares).filter(|(term, _)| term.baby_step != 0);
        let amplified = |(term, factor): (&Term, f64)| {
            let plain = circuit.plain(term.plain);
            // Of a transform that is hoisted once each baby step has been brought down.
            let down = if plain.role == Role::Factor { division } else { 0.0 };
            (key + down) * factor * plain.scale.0.powi(2)
        };
        let switched = if giant_step.rotation == 0 { 0.0 } else { key + division };
        baby_steps.map(amplified).sum::<f64>() + switched
    };
    giant_steps.iter().map(giant_step).sum()
}

/// For each value, the coefficients that are read of it where nothing else depends on it. Operations that act
/// on each coefficient by itself hand this on to their operands: what wraps around in other coefficients
/// stays there.
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
            Operation::Divide { .. } => read[index].clone(),
            Operation::Input(_) | Operation::Dot { .. } | Operation::Multiply { .. } => None,
            Operation::Rotate(..) | Operation::Transform { .. } | Operation::RotateAndSum { .. } => None,
            Operation::Sum { .. } | Operation::Square(_) | Operation::Product { .. } => None,
            Operation::Reduce { .. } => None,
        };
        node.operation.operands().iter().for_each(|v| readings[v.index()].push(handed_on.clone()));
    }
    read
}

fn mean_square(slots: &[f64]) -> f64 {
    slots.iter().map(|z| z * z).sum::<f64>() / slots.len() as f64
}

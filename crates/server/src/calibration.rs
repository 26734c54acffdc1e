//! How long this machine takes for the units of work that the cost model counts.
//!
//! First each unit is timed by itself, with its words in the first caches. Then whole kernels run as a
//! model's do, at several degrees and with nothing of them left in the caches, and the units are fitted to
//! their times: least squares of the relative errors, with a pull towards the first figures that decides
//! where kernels do not tell units apart. Keys and ciphertexts are of zeros: no time depends on their
//! content.

use crate::Error;
use blindsight_circuit::encrypted::Program;
use blindsight_circuit::{
    Builder, Circuit, CostModel, GiantStep, Numbers, Output, Plain, Reading, Role, Term, UNITS, Value,
};
use blindsight_circuit::{Work, dry_run};
use blindsight_ckks::wire::{self, WireError};
use blindsight_ckks::{Ciphertext, Context, EvaluationKeys, Evaluator, GiantOrder, Rescale};
use blindsight_ring::kernels::{self, Pair};
use blindsight_ring::{Automorphism, Basis, Conversion, IntegerRows, Kernel, Modulus, NttTable};
use std::time::Instant;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The fitted figures.
    pub costs: CostModel,
    /// The kernels that they were fitted to.
    pub kernels: Vec<KernelTime>,
}

/// A kernel's time, and what the fitted figures make of it.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// What the kernel does.
    pub kernel: &'static str,
    /// The ring degree.
    pub degree: usize,
    /// Measured, in microseconds.
    pub measured: f64,
    /// Predicted, in microseconds.
    pub predicted: f64,
}

/// How many steps [`measure`] has.
pub const STEPS: usize = 1 + KERNELS.len() * DEGREES.len();

/// Measures the machine's figures on one core; `progress` is told each step's number as it is done.
///
/// # Errors
/// None on a machine that has the kernel.
pub fn measure(kernel: Kernel, mut progress: impl FnMut(usize)) -> Result<Calibration, Error> {
    let mut alone = Bench::new(kernel).map_err(blindsight_ckks::Error::from)?.costs();
    alone.expansion = expansion(kernel)?;
    progress(1);
    let mut timed = vec![];
    for (degree, levels) in DEGREES {
        let parameters = blindsight_planner::parameters(degree, levels)?;
        for (name, build) in KERNELS {
            let mut builder = Builder::new(parameters.clone());
            let value = build(&mut builder)?;
            let circuit = builder.finish(vec![Output { value, reading: Reading::Slots }])?;
            timed.push(Timed {
                name,
                degree,
                work: dry_run(&circuit).totals.work,
                time: time(circuit, kernel)?,
            });
            progress(1 + timed.len());
        }
    }
    let costs = fitted(&alone, &timed);
    let kernels = timed.into_iter().map(|t| KernelTime {
        kernel: t.name,
        degree: t.degree,
        measured: t.time,
        predicted: costs.microseconds(&t.work, t.degree),
    });
    Ok(Calibration { kernels: kernels.collect(), costs })
}

/// The degrees that kernels run at, with as many levels as circuits have there.
const DEGREES: [(usize, usize); 3] = [(8192, 5), (16384, 7), (32768, 9)];

type Build = fn(&mut Builder) -> Result<Value, blindsight_circuit::Error>;

/// Kernels of circuits, from those that are all transforms to those that are all reading.
const KERNELS: [(&str, Build); 7] = [
    ("4 rotations", rotations),
    ("3 squares, rescaled", squares),
    ("5 products, rescaled", products),
    ("sum of 15 rotations", rotate_and_sum),
    ("transform, 8 x 8 diagonals", transform),
    ("sum of 64 products", sum),
    ("sum of 128 extended products", extended_sum),
];

fn input(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    b.input(b.parameters().max_level(), b.parameters().nominal_scale())
}

/// A plaintext for products with `value`, different for each `number`.
fn plain(
    b: &mut Builder,
    role: Role,
    value: Value,
    number: usize,
) -> Result<Plain, blindsight_circuit::Error> {
    let (level, scale, slots) =
        (b.level(value)?, b.scale_towards(value, b.parameters().nominal_scale())?, b.slots());
    b.plain(role, level, scale, Numbers::new(move || vec![1.0 / (number + 1) as f64; slots]))
}

fn rotations(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    let value = input(b)?;
    (1..=4).try_fold(value, |value, steps| b.rotate(value, steps))
}

fn squares(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    let value = input(b)?;
    (0..3).try_fold(value, |value, _| b.multiply(value, value, Rescale::Yes))
}

fn products(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    let value = input(b)?;
    (0..5).try_fold(value, |value, number| {
        let factor = plain(b, Role::Factor, value, number)?;
        b.dot(vec![(value, factor)], Rescale::Yes)
    })
}

fn rotate_and_sum(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    let value = input(b)?;
    b.rotate_and_sum(value, vec![(1..16).collect()], Rescale::No)
}

fn transform(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    let value = input(b)?;
    let mut giant_steps = vec![];
    for rotation in (0..64).step_by(8) {
        let term = |baby_step| {
            Ok(Term {
                input: 0,
                baby_step,
                plain: plain(b, Role::ExtendedFactor, value, rotation + baby_step)?,
            })
        };
        giant_steps.push(GiantStep {
            rotation,
            terms: (0..8).map(term).collect::<Result<_, blindsight_circuit::Error>>()?,
        });
    }
    b.transform(vec![value], giant_steps, GiantOrder::Apart, Rescale::Yes)
}

fn sum(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    let term = |number| {
        let value = input(b)?;
        Ok((value, plain(b, Role::Factor, value, number)?))
    };
    let terms = (0..64).map(term).collect::<Result<_, blindsight_circuit::Error>>()?;
    b.dot(terms, Rescale::Yes)
}

fn extended_sum(b: &mut Builder) -> Result<Value, blindsight_circuit::Error> {
    let value = input(b)?;
    let term =
        |number| Ok(Term { input: 0, baby_step: 0, plain: plain(b, Role::ExtendedFactor, value, number)? });
    let terms = (0..128).map(term).collect::<Result<_, blindsight_circuit::Error>>()?;
    b.transform(vec![value], vec![GiantStep { rotation: 0, terms }], GiantOrder::Apart, Rescale::Yes)
}

/// A kernel that ran.
struct Timed {
    name: &'static str,
    degree: usize,
    work: Work,
    /// In microseconds.
    time: f64,
}

/// The microseconds of a run of the circuit.
fn time(circuit: Circuit, kernel: Kernel) -> Result<f64, Error> {
    let context = Context::new(circuit.parameters().clone(), kernel)?;
    let keys =
        zero_keys(&circuit, &context).map_err(|source| Error::Wire { what: "keys of zeros", source })?;
    let inputs = zero_inputs(circuit.inputs().len(), &context)
        .map_err(|source| Error::Wire { what: "ciphertexts of zeros", source })?;
    let program = Program::encode(circuit, &context)?;
    let evaluator = Evaluator::new(&context, &keys);
    program.run(&evaluator, &inputs)?;
    let other = words(OTHER_LIMBS);
    let run = |_| {
        read(&other);
        let start = Instant::now();
        program.run(&evaluator, &inputs)?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    (0..REPETITIONS).map(run).try_fold(f64::INFINITY, |least, time: Result<_, Error>| Ok(least.min(time?)))
}

/// Parsing and expanding a limb of a request.
fn expansion(kernel: Kernel) -> Result<f64, Error> {
    const CIPHERTEXTS: usize = 8;
    let (degree, levels) = DEGREES[0];
    let context = Context::new(blindsight_planner::parameters(degree, levels)?, kernel)?;
    let limbs = CIPHERTEXTS * context.parameters().limbs(context.parameters().max_level());
    zero_inputs(CIPHERTEXTS, &context)
        .map_err(|source| Error::Wire { what: "ciphertexts of zeros", source })?;
    Ok(microseconds(1, || drop(zero_inputs(CIPHERTEXTS, &context))) / limbs as f64)
}

fn zero_keys(circuit: &Circuit, context: &Context) -> Result<EvaluationKeys, WireError> {
    let needed = circuit.keys();
    let bytes = vec![0; wire::evaluation_keys_bytes(context.parameters(), &needed)];
    Ok(wire::read_evaluation_keys(context, &bytes, &needed)?.expand(context))
}

fn zero_inputs(count: usize, context: &Context) -> Result<Vec<Ciphertext>, WireError> {
    let level = context.parameters().max_level();
    let scale = context.parameters().nominal_scale();
    let bytes = vec![0; wire::ciphertexts_bytes(context.parameters(), level, count)];
    let seeded = wire::read_ciphertexts(context, &bytes, count, level, scale)?;
    Ok(seeded.into_iter().map(|c| c.expand(context.basis(level))).collect())
}

/// How much a unit's relative distance from its first figure weighs against a kernel's relative error.
const PULL: f64 = 0.05;

/// The figures that explain the kernels' times best, near to those of the units alone.
///
/// With `B` the units' shares of each time as the first figures have it, and `1 + d` what the figures are
/// multiplied by, it minimises `|B (1 + d) - 1|^2 + PULL |d|^2`, where `(B^T B + PULL) d = B^T (1 - B 1)`.
fn fitted(alone: &CostModel, kernels: &[Timed]) -> CostModel {
    let mut equations = [[0.0; UNITS + 1]; UNITS];
    for kernel in kernels {
        let multiples = CostModel::multiples(&kernel.work, kernel.degree);
        let share: [f64; UNITS] = std::array::from_fn(|u| multiples[u] * alone.units()[u] / kernel.time);
        let rest = 1.0 - share.iter().sum::<f64>();
        for (equation, a) in equations.iter_mut().zip(share) {
            equation.iter_mut().zip(share.iter().chain([&rest])).for_each(|(sum, b)| *sum += a * b);
        }
    }
    equations.iter_mut().enumerate().for_each(|(u, equation)| equation[u] += PULL);
    let changes = solved(equations);
    // A figure is at least a tenth of the first one: no unit is free.
    let units = std::array::from_fn(|u| alone.units()[u] * (1.0 + changes[u]).max(0.1));
    CostModel { expansion: alone.expansion, ..CostModel::from_units(units) }
}

/// Gauss-Jordan elimination; the matrix is positive definite, so no pivot is small.
fn solved(mut equations: [[f64; UNITS + 1]; UNITS]) -> [f64; UNITS] {
    for column in 0..UNITS {
        let pivot = equations[column].map(|x| x / equations[column][column]);
        equations[column] = pivot;
        for row in (0..UNITS).filter(|row| *row != column) {
            let factor = equations[row][column];
            equations[row].iter_mut().zip(pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    equations.map(|equation| equation[UNITS])
}

/// The degree that the cost model's figures are for.
const DEGREE: usize = 8192;
/// Primes of the size that circuits use, the least first.
const PRIMES: [u32; 6] = [66551809, 66813953, 67043329, 67239937, 67502081, 268369921];
/// Terms of a sum of products, as many as circuits have.
const TERMS: usize = 16;
/// Repetitions of which the fastest counts: what it would be on an idle machine.
const REPETITIONS: usize = 15;
/// Limbs (128 MiB of them) that caches do not hold: they stand for other clients' runs.
const OTHER_LIMBS: usize = 4096;

struct Bench {
    kernel: Kernel,
    basis: Basis,
}

impl Bench {
    fn new(kernel: Kernel) -> Result<Self, blindsight_ring::Error> {
        Ok(Self { kernel, basis: Basis::new(DEGREE, &PRIMES, kernel)? })
    }

    /// Each unit by itself.
    fn costs(&self) -> CostModel {
        let limbs = words(OTHER_LIMBS);
        CostModel {
            ntt: self.ntt(),
            multiply_accumulate: self.multiply_accumulate(),
            permutation: self.permutation(),
            conversion: self.conversion(),
            pass: self.pass(),
            stream: microseconds(1, || read(&limbs)) / OTHER_LIMBS as f64,
            scalar_product: self.scalar_product(),
            expansion: 0.0,
        }
    }

    fn table(&self) -> &NttTable {
        self.basis.table(0)
    }

    fn modulus(&self) -> Modulus {
        self.basis.modulus(0)
    }

    fn ntt(&self) -> f64 {
        let mut limb = words(1);
        let both = microseconds(64, || {
            kernels::ntt_forward(self.kernel, self.table(), &mut limb);
            kernels::ntt_inverse(self.kernel, self.table(), &mut limb);
        });
        both / 2.0
    }

    /// A weight of a dense layer over a block of words.
    fn scalar_product(&self) -> f64 {
        const INPUTS: usize = 800;
        const WIDTH: usize = 192;
        let weight = |row: i32, input: u32| (input, (row * 31 + input as i32 * 17) % 8000 - 4000);
        let row = |row| (0..INPUTS as u32).map(|input| weight(row, input)).collect();
        let matrix: Vec<_> = (0..IntegerRows::MOST as i32).map(row).collect();
        let blocks = IntegerRows::blocks(&matrix);
        let (x, mut out) = (words((INPUTS * WIDTH).div_ceil(DEGREE)), words(1));
        let (constants, out) = ([0; IntegerRows::MOST], &mut out[..IntegerRows::MOST * WIDTH]);
        let all = microseconds(4, || {
            for rows in &blocks {
                let constants = (&constants[..rows.rows().len()], 0);
                kernels::sum_rows(self.kernel, self.modulus(), rows, constants, &x, out, WIDTH);
            }
        });
        all / (matrix.len() * INPUTS * WIDTH) as f64 * DEGREE as f64
    }

    /// A pair of limbs times a shared one is two multiply-accumulates.
    fn multiply_accumulate(&self) -> f64 {
        let (left, shared) = (words(2), words(TERMS));
        let (mut first, mut second) = (words(1), words(1));
        let left = [&left[..DEGREE], &left[DEGREE..]];
        let terms: Vec<Pair<'_>> = shared.chunks_exact(DEGREE).map(|shared| Pair { left, shared }).collect();
        let sum = microseconds(16, || {
            kernels::dot_pair(self.kernel, self.modulus(), &terms, [&mut first, &mut second]);
        });
        sum / (2 * TERMS) as f64
    }

    fn permutation(&self) -> f64 {
        let rotation = Automorphism::rotation(DEGREE, 5);
        let (limb, mut out) = (words(1), words(1));
        microseconds(64, || rotation.apply(self.kernel, &limb, &mut out))
    }

    /// From two primes to four others: eight products.
    fn conversion(&self) -> f64 {
        let moduli: Vec<Modulus> = self.basis.moduli().collect();
        let conversion = Conversion::new(&moduli[..2], &moduli[2..], self.kernel);
        let (limb, mut out) = (words(1), words(1));
        let all = microseconds(16, || {
            let lift = conversion.lift(&[&limb, &limb]);
            (0..4).for_each(|target| lift.write(target, &mut out));
        });
        all / 8.0
    }

    fn pass(&self) -> f64 {
        let (mut a, b) = (words(1), words(1));
        microseconds(64, || kernels::add(self.kernel, self.modulus(), &mut a, &b))
    }
}

/// Reads all words.
fn read(words: &[u32]) {
    let mut sums = [0u32; 64];
    for lines in words.chunks_exact(sums.len()) {
        sums.iter_mut().zip(lines).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    std::hint::black_box(sums);
}

/// Words of so many limbs, all below every prime.
fn words(limbs: usize) -> Vec<u32> {
    (0..(limbs * DEGREE) as u32).map(|i| i.wrapping_mul(2_654_435_761) % PRIMES[0]).collect()
}

/// Microseconds of one call: the least over repetitions of the mean of `calls`.
fn microseconds(calls: usize, mut work: impl FnMut()) -> f64 {
    let mean = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e6 / calls as f64
    };
    (0..REPETITIONS).map(mean).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times that a model explains exactly give that model back, but for the pull.
    #[test]
    fn the_fit_finds_the_figures_behind_the_times() {
        let alone = CostModel::default();
        let truth = CostModel::from_units(std::array::from_fn(|u| alone.units()[u] * (0.8 + 0.1 * u as f64)));
        let timed = |u: usize, degree: usize| {
            let mut work = Work { ntts: 5, multiply_accumulates: 5, ..Work::default() };
            match u {
                0 => work.ntts = 1000,
                1 => work.multiply_accumulates = 1000,
                2 => work.permutations = 1000,
                3 => work.conversions = 1000,
                4 => work.passes = 1000,
                5 => work.scalar_products = 1000,
                _ => work.streamed = 1000,
            }
            Timed { name: "", degree, work, time: truth.microseconds(&work, degree) }
        };
        let kernels: Vec<_> = (0..UNITS).flat_map(|u| [timed(u, 8192), timed(u, 16384)]).collect();
        for (found, expected) in fitted(&alone, &kernels).units().into_iter().zip(truth.units()) {
            assert!((found / expected - 1.0).abs() < 0.05, "{found}, expected {expected}");
        }
    }
}

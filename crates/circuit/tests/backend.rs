//! Another backend than the CPU's: plain slots. What the executor asks of a backend is all that a circuit
//! needs.

use blindsight_circuit::backend::{Backend, Scheme, Stage};
use blindsight_circuit::encrypted::Program;
use blindsight_circuit::{
    Builder, Circuit, Error, GiantStep, Numbers, Output, Reading, Role, ScalarRows, Value, clear,
};
use blindsight_ckks::{
    Encoding, Extension, GiantOrder, Level, ParametersLiteral, Rescale, ScalarRow, Scale, Term,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SLOTS: usize = 64;
/// How many sums of products a circuit for helpers has.
const SUMS: usize = 40;
const SCALE: Scale = Scale((1u64 << 26) as f64);

/// What numbers that are none get.
const REFUSED: Error = Error::Repeats { expected: 77 };

/// Slots at the level and scale that the circuit gives inputs; nothing looks at those of other values.
#[derive(Default)]
struct Slots {
    /// How many sums of products were computed.
    dots: AtomicUsize,
    /// Where each of these waits until plaintexts of the next one were made: the last of which they were.
    made: Option<Arc<AtomicUsize>>,
}

impl Slots {
    /// Fails where nobody makes any while it waits.
    fn wait_for_helpers(&self, position: usize) {
        let Some(made) = &self.made else { return };
        let start = Instant::now();
        while made.load(Ordering::SeqCst) < (position + 1).min(SUMS - 1) {
            assert!(start.elapsed() < Duration::from_secs(60), "no helper goes ahead of sum {position}");
            std::thread::yield_now();
        }
    }
}

type Vector = Vec<f64>;

impl Scheme for Slots {
    type Ciphertext = Vector;
    type Unrelinearised = Vector;
    type Factor = Vector;
    type Summand = Vector;
    type GiantStep = (usize, Vec<(Term, Vector)>);
    type Chain = Vec<Stage<Vector>>;

    fn level_and_scale(_: &Vector) -> (Level, Scale) {
        (Level(5), SCALE)
    }

    fn factor(&self, slots: &[f64], _: Level, _: Scale, _: Extension) -> Result<Vector, Error> {
        if slots[0].is_nan() { Err(REFUSED) } else { Ok(slots.to_vec()) }
    }

    fn giant_steps(
        &self,
        shapes: &[(usize, Vec<Term>)],
        factor: impl Fn(usize, usize) -> Result<Vector, Error>,
    ) -> Result<Vec<Self::GiantStep>, Error> {
        let step = |(step, (rotation, terms)): (usize, &(usize, Vec<Term>))| {
            let terms = terms.iter().enumerate().map(|(term, shape)| Ok((*shape, factor(step, term)?)));
            Ok((*rotation, terms.collect::<Result<_, Error>>()?))
        };
        shapes.iter().enumerate().map(step).collect()
    }

    fn giant_step_bytes((_, terms): &Self::GiantStep) -> usize {
        terms.iter().map(|(_, factor)| size_of_val(&factor[..])).sum()
    }

    fn summand(&self, numbers: &[f64], encoding: Encoding, _: Level, _: Scale) -> Result<Vector, Error> {
        assert_eq!(encoding, Encoding::Slots);
        Ok(numbers.to_vec())
    }

    fn chain(
        &self,
        _: usize,
        _: Level,
        _: Scale,
        stages: impl Iterator<Item = Stage<Vector>>,
    ) -> Result<Vec<Stage<Vector>>, Error> {
        Ok(stages.collect())
    }

    fn factor_bytes(factor: &Vector) -> usize {
        size_of_val(&factor[..])
    }

    fn summand_bytes(summand: &Vector) -> usize {
        size_of_val(&summand[..])
    }

    fn chain_bytes(_: &Vec<Stage<Vector>>) -> usize {
        0
    }
}

fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vector {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

fn rotated(a: &[f64], steps: usize) -> Vector {
    [&a[steps..], &a[..steps]].concat()
}

fn total(parts: impl Iterator<Item = Vector>) -> Vector {
    parts.fold(vec![0.0; SLOTS], |sum, part| zip(&sum, &part, |a, b| a + b))
}

fn sum(values: &[Vector], row: &ScalarRow) -> Vector {
    let term = |(at, weight): &(u32, f64)| values[*at as usize].iter().map(|v| weight * v).collect();
    total(row.terms.iter().map(term).chain([vec![row.constant; SLOTS]]))
}

impl Backend for Slots {
    type Scheme = Self;

    fn scheme(&self) -> &Self {
        self
    }

    fn dot(&self, terms: &[(&Vector, &Vector)], _: Rescale) -> Result<Vector, Error> {
        self.wait_for_helpers(self.dots.fetch_add(1, Ordering::SeqCst));
        Ok(total(terms.iter().map(|(a, b)| zip(a, b, |a, b| a * b))))
    }

    fn add(&self, a: &Vector, b: &Vector) -> Result<Vector, Error> {
        Ok(zip(a, b, |a, b| a + b))
    }

    fn sub(&self, a: &Vector, b: &Vector) -> Result<Vector, Error> {
        Ok(zip(a, b, |a, b| a - b))
    }

    fn add_plain(&self, a: Vector, summand: &Vector) -> Result<Vector, Error> {
        Ok(zip(&a, summand, |a, b| a + b))
    }

    fn multiply(&self, a: &Vector, b: &Vector, _: Rescale) -> Result<Vector, Error> {
        Ok(zip(a, b, |a, b| a * b))
    }

    fn rotate(&self, a: &Vector, steps: usize) -> Result<Vector, Error> {
        Ok(rotated(a, steps))
    }

    fn transform(
        &self,
        inputs: &[&Vector],
        giant_steps: &[&(usize, Vec<(Term, Vector)>)],
        _: GiantOrder,
        _: Rescale,
    ) -> Result<Vector, Error> {
        let product = |(term, factor): &(Term, Vector)| {
            zip(&rotated(inputs[term.input], term.baby_step), factor, |a, b| a * b)
        };
        let sum =
            |(rotation, terms): &&(usize, Vec<_>)| rotated(&total(terms.iter().map(product)), *rotation);
        Ok(total(giant_steps.iter().map(sum)))
    }

    fn rotate_and_sum(&self, a: Vector, stages: &[Vec<usize>], _: Rescale) -> Result<Vector, Error> {
        let stage = |a: Vector, steps: &Vec<usize>| total(steps.iter().chain(&[0]).map(|s| rotated(&a, *s)));
        Ok(stages.iter().fold(a, stage))
    }

    fn rescale(&self, a: Vector) -> Result<Vector, Error> {
        Ok(a)
    }

    fn drop_level(&self, a: Vector, _: Level) -> Result<Vector, Error> {
        Ok(a)
    }

    fn chain(&self, inputs: &[&Vector], chain: &Vec<Stage<Vector>>, _: usize) -> Result<Vec<Vector>, Error> {
        let mut values: Vec<Vector> = inputs.iter().map(|v| v.to_vec()).collect();
        for stage in chain {
            values = match stage {
                Stage::Sums(rows, _) => rows.iter().map(|row| sum(&values, row)).collect(),
                Stage::Squares => values.iter().map(|v| zip(v, v, |a, b| a * b)).collect(),
                Stage::Products(rows) => {
                    let product = |(value, factor): (&Vector, &Vector)| zip(value, factor, |a, b| a * b);
                    rows.iter().map(|row| total(values.iter().zip(row).map(product))).collect()
                }
            };
        }
        Ok(values)
    }

    fn chain_unrelinearised(
        &self,
        inputs: &[&Vector],
        chain: &Vec<Stage<Vector>>,
        rescales: usize,
    ) -> Result<Vec<Vector>, Error> {
        Backend::chain(self, inputs, chain, rescales)
    }

    fn add_plain_unrelinearised(&self, a: Vector, summand: &Vector) -> Result<Vector, Error> {
        self.add_plain(a, summand)
    }
}

fn numbers(seed: usize) -> Vector {
    (0..SLOTS).map(|slot| ((slot * 37 + seed * 11) % 17) as f64 / 17.0 - 0.5).collect()
}

fn literal() -> ParametersLiteral {
    ParametersLiteral {
        degree: SLOTS,
        moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
        special: vec![268271617, 268238849],
        digit_limbs: 2,
    }
}

/// A circuit of every operation.
fn circuit() -> Result<Circuit, Error> {
    let mut builder = Builder::new(literal().validate_insecure().expect("parameters"));
    let b = &mut builder;
    let plain = |b: &mut Builder, role, value, seed| {
        let (level, scale) = (b.level(value)?, b.scale_towards(value, SCALE)?);
        b.plain(role, level, scale, Numbers::new(move || numbers(seed)))
    };
    let (x, y) = (b.input(Level(5), SCALE)?, b.input(Level(5), SCALE)?);
    let terms = vec![(x, plain(b, Role::Factor, x, 1)?), (y, plain(b, Role::Factor, y, 2)?)];
    let v = b.dot(terms, Rescale::Yes)?;
    let rotated = b.rotate(v, 5)?;
    let u = b.sub(v, rotated)?;
    let v = b.add(v, u)?;
    let term = |input, baby_step, plain| blindsight_circuit::Term { input, baby_step, plain };
    let factors = [plain(b, Role::ExtendedFactor, v, 3)?, plain(b, Role::ExtendedFactor, v, 4)?];
    let terms = vec![term(0, 3, factors[0]), term(1, 0, factors[1])];
    let giant_steps = vec![GiantStep { rotation: 8, terms }];
    let v = b.transform(vec![v, u], giant_steps, GiantOrder::Apart, Rescale::No)?;
    let v = b.rescale(v)?;
    let v = b.rotate_and_sum(v, vec![vec![1, 2], vec![9]], Rescale::No)?;
    let v = b.add_plain(v, Encoding::Slots, Numbers::new(|| numbers(5)))?;
    let squares = b.squares(&[v, v])?;
    let rows = |row| ScalarRow { terms: vec![(0, 0.5), (1, row as f64)], constant: 0.25 };
    let sums = b.sums(&squares, ScalarRows::new(2, rows), Scale(128.0))?;
    let reduced = b.reduce(&sums, 1)?;
    let product = b.multiply(reduced[0], reduced[1], Rescale::Yes)?;
    let value = b.drop_level(product, Level(0))?;
    let squares = b.squares(&reduced)?;
    let factors = vec![[6, 7].map(|seed| Numbers::new(move || numbers(seed))).to_vec()];
    let products = b.products(&squares, factors, Scale(128.0))?;
    let divided = b.divide(&products, 1)?;
    let unrelinearised = b.add_plain(divided[0], Encoding::Slots, Numbers::new(|| numbers(8)))?;
    let output = |value| Output { value, reading: Reading::Slots };
    builder.finish(vec![output(value), output(unrelinearised)])
}

#[test]
fn a_backend_of_plain_slots_gives_the_clear_run() {
    let (circuit, inputs) = (circuit().unwrap(), [numbers(7), numbers(8)]);
    let program = Program::encode_by(circuit.clone(), &Slots::default()).unwrap();
    assert_eq!(program.bytes(), 6 * SLOTS * size_of::<f64>());
    let run = program.run(&Slots::default(), &inputs).unwrap();
    let expected = clear::run(&circuit, &inputs).unwrap();
    let computed = run.outputs.iter().chain(&run.unrelinearised).flatten();
    assert_eq!([run.outputs.len(), run.unrelinearised.len()], [1, 1]);
    for (value, expected) in computed.zip(expected.iter().flatten()) {
        assert!((value - expected).abs() < 1e-12 * expected.abs().max(1.0), "{value}: expected {expected}");
    }
    // Whenever plaintexts are encoded, they are the same.
    for helpers in [0, 1, 3] {
        let at_use = Program::encode_at_use(circuit.clone(), &Slots::default(), helpers).unwrap();
        assert_eq!(at_use.bytes(), 0);
        for _ in 0..2 {
            let again = at_use.run(&Slots::default(), &inputs).unwrap();
            assert_eq!(again.outputs, run.outputs);
            assert_eq!(again.unrelinearised, run.unrelinearised);
        }
    }
}

/// [`SUMS`] sums of products, each with three plaintexts of its own, whose numbers are those that `made`
/// gives for the position of the sum.
fn many_sums(made: impl Fn(usize) -> Vector + Clone + Send + Sync + 'static) -> Circuit {
    let mut b = Builder::new(literal().validate_insecure().expect("parameters"));
    let input = b.input(Level(5), SCALE).unwrap();
    let mut sums: Vec<Value> = vec![];
    for position in 0..SUMS {
        let plain = |b: &mut Builder| {
            let made = made.clone();
            b.plain(Role::Factor, Level(5), SCALE, Numbers::new(move || made(position))).unwrap()
        };
        let terms = (0..3).map(|_| (input, plain(&mut b))).collect();
        sums.push(b.dot(terms, Rescale::Yes).unwrap());
    }
    let sum = sums.into_iter().reduce(|a, c| b.add(a, c).unwrap()).unwrap();
    b.finish(vec![Output { value: sum, reading: Reading::Slots }]).unwrap()
}

#[test]
fn helpers_go_ahead_by_one_operation_and_no_further() {
    for helpers in [0, 1, 3] {
        let made = Arc::new(AtomicUsize::new(0));
        let waited_for = (helpers > 0).then(|| made.clone());
        let scheme = Arc::new(Slots { made: waited_for, ..Slots::default() });
        let (counting, furthest) = (scheme.clone(), Arc::new(AtomicUsize::new(0)));
        let seen = furthest.clone();
        let circuit = many_sums(move |position| {
            made.fetch_max(position, Ordering::SeqCst);
            seen.fetch_max(position.saturating_sub(counting.dots.load(Ordering::SeqCst)), Ordering::SeqCst);
            numbers(position)
        });
        let program = Program::encode_at_use(circuit, &*scheme, helpers).unwrap();
        program.run(&*scheme, &[numbers(7)]).unwrap();
        assert_eq!(scheme.dots.load(Ordering::SeqCst), SUMS);
        // An operation counts as done at its start, where the one after it may be made.
        let most = if helpers == 0 { 0 } else { 1 };
        assert!(furthest.load(Ordering::SeqCst) <= most, "{helpers} helpers: {furthest:?}");
    }
}

#[test]
fn what_goes_wrong_ahead_of_a_run_ends_it() {
    for (helpers, bad) in [0, 1, 3].into_iter().flat_map(|helpers| [0, 20, 39].map(|bad| (helpers, bad))) {
        let run = |made: fn(usize, usize) -> Vector| {
            let circuit = many_sums(move |position| made(position, bad));
            let program = Program::encode_at_use(circuit, &Slots::default(), helpers).unwrap();
            program.run(&Slots::default(), &[numbers(7)]).map(|run| run.outputs)
        };
        let refused = run(|position, bad| if position == bad { vec![f64::NAN] } else { numbers(position) });
        assert_eq!(refused.unwrap_err(), REFUSED);
        let panicking =
            || run(|position, bad| if position == bad { panic!("a bug") } else { numbers(position) });
        assert!(std::panic::catch_unwind(panicking).is_err(), "{helpers} helpers, operation {bad}");
    }
}

//! The three executors agree: decrypted outputs with the clear run, errors with the prediction, counts with
//! what was done.

use blindsight_circuit::encrypted::Program;
use blindsight_circuit::{
    Builder, Circuit, Counts, Error, GiantStep, Hoisting, Numbers, Output, Reading, Role, ScalarRows, Term,
    Value, Work, clear, dry_run, predict,
};
use blindsight_ckks::{
    Ciphertext, Context, Encoding, EvaluationKeys, Evaluator, GiantOrder, Level, ParametersLiteral,
    Randomness, Rescale, ScalarRow, Scale, SecretKey, SeededEvaluationKeys, most_repeats,
};
use blindsight_ring::parallel::Pool;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::Arc;

const DEGREE: usize = 64;

fn literal() -> ParametersLiteral {
    ParametersLiteral {
        degree: DEGREE,
        moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
        special: vec![268271617, 268238849],
        digit_limbs: 2,
    }
}

fn builder() -> Builder {
    Builder::new(literal().validate_insecure().unwrap())
}

const INPUT_SCALE: Scale = Scale((1u64 << 26) as f64);
/// The coefficients that random circuits are read at.
const READ: [usize; 3] = [0, 1, 5];

fn numbers(seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..DEGREE).map(|_| next()).collect()
}

fn constant(seed: u64) -> Numbers {
    Numbers::new(move || numbers(seed))
}

/// One operation of a random circuit.
#[derive(Debug, Clone)]
enum Step {
    Dot(usize),
    AddPlain,
    AddCoefficients,
    Double,
    Difference,
    Square,
    Rotate(usize),
    Transform { baby_steps: usize, giant_steps: usize },
    RotateAndSum(Vec<Vec<usize>>),
    Drop,
    Chain { sums_first: bool, square: bool, width: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let steps = prop::collection::vec(0..DEGREE, 1..4);
    prop_oneof![
        (1usize..4).prop_map(Step::Dot),
        Just(Step::AddPlain),
        Just(Step::AddCoefficients),
        Just(Step::Double),
        Just(Step::Difference),
        Just(Step::Square),
        (0..DEGREE).prop_map(Step::Rotate),
        (1usize..5, 1usize..4)
            .prop_map(|(baby_steps, giant_steps)| Step::Transform { baby_steps, giant_steps }),
        prop::collection::vec(steps.prop_map(|s| s.into_iter().map(|k| k.max(1)).collect()), 1..3)
            .prop_map(Step::RotateAndSum),
        Just(Step::Drop),
        (any::<bool>(), any::<bool>(), 1usize..8).prop_map(|(sums_first, square, width)| Step::Chain {
            sums_first,
            square,
            width
        }),
    ]
}

/// Appends a step; what rescales does so, and brings the scale back to the input's.
fn append(b: &mut Builder, v: Value, step: &Step, seed: u64) -> Result<Value, Error> {
    let level = b.level(v)?;
    match step {
        Step::Dot(terms) => {
            let scale = b.scale_towards(v, INPUT_SCALE)?;
            let terms =
                (0..*terms as u64).map(|t| Ok((v, b.plain(Role::Factor, level, scale, constant(seed + t))?)));
            let terms = terms.collect::<Result<_, Error>>()?;
            b.dot(terms, Rescale::Yes)
        }
        Step::AddPlain => b.add_plain(v, Encoding::Slots, constant(seed)),
        Step::AddCoefficients => {
            b.add_plain(v, Encoding::Coefficients, Numbers::new(move || numbers(seed)[..3].to_vec()))
        }
        Step::Double => b.add(v, v),
        Step::Difference => {
            let rotated = b.rotate(v, 1)?;
            b.sub(v, rotated)
        }
        Step::Square => b.multiply(v, v, Rescale::Yes),
        Step::Rotate(steps) => b.rotate(v, *steps),
        Step::Transform { baby_steps, giant_steps } => {
            let scale = b.scale_towards(v, INPUT_SCALE)?;
            let mut inputs = vec![v];
            if baby_steps * giant_steps > 1 {
                inputs.push(b.rotate(v, 7)?);
            }
            let hoisting = if seed.is_multiple_of(3) { Hoisting::Once } else { Hoisting::Twice };
            let mut steps = vec![];
            for g in 0..*giant_steps {
                let mut terms = vec![];
                for baby_step in 0..*baby_steps {
                    let input = (g + baby_step) % inputs.len();
                    let numbers = constant(seed + (g * baby_steps + baby_step) as u64);
                    let plain = b.plain(hoisting.role(), level, scale, numbers)?;
                    // Baby steps and giant steps that go backwards, cyclically.
                    terms.push(Term { input, baby_step: baby_step * (DEGREE - 3) % DEGREE, plain });
                }
                steps.push(GiantStep { rotation: g * (DEGREE - 16) % DEGREE, terms });
            }
            let order = if seed.is_multiple_of(2) { GiantOrder::Apart } else { GiantOrder::Chained };
            b.transform(inputs, steps, order, Rescale::Yes)
        }
        Step::RotateAndSum(stages) => b.rotate_and_sum(v, stages.clone(), Rescale::No),
        Step::Chain { sums_first, square, width } => {
            let values = [v, b.rotate(v, 3)?, v];
            chain(b, &values, [*sums_first, *square && level > Level(2)], *width, seed)
        }
        Step::Drop => match level.below() {
            Some(below) => b.drop_level(v, below),
            None => Ok(v),
        },
    }
}

/// Sparse rows, one of them without a term.
fn rows(count: usize, inputs: usize, seed: u64) -> ScalarRows {
    ScalarRows::new(count, move |row| {
        let weights = numbers(seed + row as u64);
        let term = |i: usize| (i as u32, if weights[i] > 0.3 || row == 2 { 0.0 } else { weights[i] / 2.0 });
        ScalarRow {
            terms: (0..inputs).map(term).collect(),
            constant: if row == 1 { 0.0 } else { weights[20] },
        }
    })
}

/// A chain that brings the scale back to the input's, and the sum of what it gives.
fn chain(
    b: &mut Builder,
    values: &[Value],
    [sums_first, square]: [bool; 2],
    width: usize,
    seed: u64,
) -> Result<Value, Error> {
    let (level, rescales) = (b.level(values[0])?, if square { 2 } else { 1 });
    let dropped: f64 = (0..rescales).map(|i| b.parameters().modulus(Level(level.0 - i))).product();
    let (mut values, mut scale) = (values.to_vec(), b.scale(values[0])?.0);
    if sums_first {
        values = b.sums(&values, rows(width, values.len(), seed), Scale(128.0))?;
        scale *= 128.0;
    }
    if square {
        values = b.squares(&values)?;
        scale *= scale;
    }
    let last = Scale(INPUT_SCALE.0 * dropped / scale);
    values = b.sums(&values, rows(3, values.len(), seed + 50), last)?;
    let reduced = b.reduce(&values, rescales)?;
    let sum = b.add(reduced[0], reduced[1])?;
    b.add(sum, reduced[2])
}

fn random_circuit(steps: &[Step]) -> Circuit {
    let mut b = builder();
    let mut v = b.input(Level(5), INPUT_SCALE).unwrap();
    let unread = b.input(Level(5), INPUT_SCALE).unwrap();
    v = b.add(v, unread).unwrap();
    for (i, step) in steps.iter().enumerate() {
        // Where no level is left the chain ends, one level above the last for the sake of headroom.
        if b.level(v).unwrap() <= Level(1) {
            break;
        }
        v = append(&mut b, v, step, 1000 * i as u64 + 7).unwrap();
    }
    let whole = Output { value: v, reading: Reading::Slots };
    let part = Output { value: v, reading: Reading::Coefficients(READ.to_vec()) };
    b.finish(vec![whole, part]).unwrap()
}

struct Machine {
    context: Arc<Context>,
    secret: SecretKey,
    keys: EvaluationKeys,
    randomness: Randomness,
}

impl Machine {
    fn new(circuit: &Circuit, seed: u8) -> Self {
        let context = Context::new(circuit.parameters().clone(), blindsight_ring::Kernel::detect()).unwrap();
        let mut randomness = Randomness::from_test_seed(seed.into());
        let secret = SecretKey::generate(&context, &mut randomness);
        let keys =
            SeededEvaluationKeys::generate(&context, &secret, &circuit.keys(), &mut randomness, |_| ())
                .unwrap();
        let keys = keys.expand(&context);
        Self { context, secret, keys, randomness }
    }

    fn encrypt(&mut self, slots: &[f64], level: Level) -> Ciphertext {
        let seeded =
            self.secret.encrypt(&self.context, slots, level, INPUT_SCALE, &mut self.randomness).unwrap();
        seeded.expand(self.context.basis(level))
    }
}

/// What a random circuit does and gives under the keys of a seed: its slots, and the coefficients that are
/// read.
fn encrypted(circuit: &Circuit, inputs: &[Vec<f64>], seed: u8) -> (Counts, [Vec<f64>; 2]) {
    let mut machine = Machine::new(circuit, seed);
    let ciphertexts: Vec<_> = inputs.iter().map(|i| machine.encrypt(i, Level(5))).collect();
    let program = Program::encode(circuit.clone(), &machine.context).unwrap();
    let evaluator = Evaluator::new(&machine.context, &machine.keys);
    let run = program.run(&evaluator, &ciphertexts).unwrap();
    let at_use = Program::encode_at_use(circuit.clone(), &*machine.context, 2).unwrap();
    let again = at_use.run(&evaluator, &ciphertexts).unwrap();
    assert!(again.outputs == run.outputs, "plaintexts made at use");
    assert!(run.encoding.is_zero(), "they were there");
    assert_eq!(again.encoding.is_zero(), circuit.plains().is_empty(), "only then a run waits for them");
    let slots = machine.secret.decrypt(&machine.context, &run.outputs[0]);
    let coefficients = machine.secret.decrypt_coefficients(&machine.context, &run.outputs[1]);
    (run.counts, [slots, READ.map(|i| coefficients[i]).to_vec()])
}

/// The root mean square of each output's errors over the keys of so many seeds, and what a run did.
fn measured(
    circuit: &Circuit,
    inputs: &[Vec<f64>],
    expected: &[Vec<f64>],
    seeds: Range<u8>,
) -> (Counts, [f64; 2]) {
    let (mut done, mut squares, keys) = (Counts::default(), [0.0; 2], seeds.len() as f64);
    for seed in seeds {
        let (counts, outputs) = encrypted(circuit, inputs, seed);
        for ((square, output), expected) in squares.iter_mut().zip(&outputs).zip(expected) {
            let sum: f64 = output.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
            *square += sum / output.len() as f64 / keys;
        }
        done = counts;
    }
    (done, squares.map(f64::sqrt))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn executors_agree(steps in prop::collection::vec(step(), 1..7), seed in 0u8..200) {
        let circuit = random_circuit(&steps);
        let inputs = [numbers(u64::from(seed) + 1), numbers(u64::from(seed) + 501)];
        let expected = clear::run(&circuit, &inputs).unwrap();
        let Ok(predicted) = predict(&circuit, &inputs) else {
            // Repeated squares and sums may overflow; then there is nothing to compare.
            return Ok(());
        };
        prop_assert_eq!(&predicted[0].values, &expected[0]);
        let in_pool = Pool::new(3).unwrap().run(|| predict(&circuit, &inputs));
        prop_assert!(in_pool.as_ref() == Ok(&predicted), "threads change no prediction");
        let (counts, errors) = measured(&circuit, &inputs, &expected, seed..seed + 16);
        prop_assert_eq!(Counts { work: Work::default(), ..dry_run(&circuit).totals }, counts);
        // Squares of squares and sums may leave an output that is wrong by one large slot's error, of which
        // the prediction averages eight draws and the measurement sixteen: the deviation of eight is a
        // quarter of the true one once in 100,000 times.
        for (error, predicted) in errors.iter().zip(&predicted) {
            let deviation = predicted.deviation();
            prop_assert!(*error < 4.0 * deviation, "error {error} where {deviation} was predicted");
        }
    }
}

/// A chain by itself, on many ciphertexts: with two threads as with one, and bit for bit.
#[test]
fn a_chain_runs_on_many_values() {
    let mut b = builder();
    let inputs: Vec<Value> = (0..50).map(|_| b.input(Level(4), Scale(2f64.powi(21))).unwrap()).collect();
    let hidden = b.sums(&inputs, rows(30, 50, 900), Scale(2f64.powi(12))).unwrap();
    let squares = b.squares(&hidden).unwrap();
    let last = b.sums(&squares, rows(4, 30, 990), Scale(2f64.powi(12))).unwrap();
    let reduced = b.reduce(&last, 2).unwrap();
    let outputs = reduced.into_iter().map(|value| Output { value, reading: Reading::Slots }).collect();
    let circuit = b.finish(outputs).unwrap();

    let slots: Vec<Vec<f64>> = (0..50).map(numbers).collect();
    let expected = clear::run(&circuit, &slots).unwrap();
    let few: Vec<Vec<f64>> = slots.iter().map(|s| s[..5].to_vec()).collect();
    assert_eq!(clear::run(&circuit, &few).unwrap()[0], expected[0][..5], "slots do not meet");
    let predicted = predict(&circuit, &slots).unwrap();

    let mut machine = Machine::new(&circuit, 9);
    let scale = Scale(2f64.powi(21));
    let mut encrypt = |s: &Vec<f64>| {
        let seeded = machine.secret.encrypt(&machine.context, s, Level(4), scale, &mut machine.randomness);
        seeded.unwrap().expand(machine.context.basis(Level(4)))
    };
    let ciphertexts: Vec<Ciphertext> = slots.iter().map(&mut encrypt).collect();
    let program = Program::encode(circuit.clone(), &machine.context).unwrap();
    assert_eq!(program.bytes(), circuit.chain_bytes());
    let evaluator = Evaluator::new(&machine.context, &machine.keys);
    let run = program.run(&evaluator, &ciphertexts).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let spread = pool.install(|| program.run(&evaluator, &ciphertexts).unwrap());
    assert_eq!(run.outputs, spread.outputs);
    assert_eq!(Counts { work: Work::default(), ..dry_run(&circuit).totals }, run.counts);
    for ((output, expected), predicted) in run.outputs.iter().zip(&expected).zip(&predicted) {
        let slots = machine.secret.decrypt(&machine.context, output);
        let largest = slots.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(
            largest < 8.0 * predicted.deviation(),
            "{largest} where {} is the deviation",
            predicted.deviation()
        );
    }
}

#[test]
fn what_lies_between_stages_is_taken_by_nothing_else() {
    let mut b = builder();
    let scale = Scale(4096.0);
    let inputs = [b.input(Level(4), INPUT_SCALE).unwrap(), b.input(Level(4), INPUT_SCALE).unwrap()];
    assert!(matches!(b.reduce(&inputs, 1), Err(Error::Empty { .. })));
    let sums = b.sums(&inputs, rows(2, 2, 1), scale).unwrap();
    let unreduced = |result: Result<Value, Error>| assert!(matches!(result, Err(Error::Unreduced { .. })));
    unreduced(b.add(sums[0], sums[1]));
    unreduced(b.rotate(sums[0], 1));
    unreduced(b.multiply(sums[0], sums[1], Rescale::No));
    unreduced(b.squares(&sums[..1]).map(|v| v[0]));
    unreduced(b.squares(&[sums[1], sums[0]]).map(|v| v[0]));
    let squares = b.squares(&sums).unwrap();
    unreduced(b.squares(&squares).map(|v| v[0]));
    unreduced(b.reduce(&sums, 1).map(|v| v[0]));
    assert_eq!(b.reduce(&squares, 5), Err(Error::NoLevelLeft { operation: "reduction" }));
    let last = Output { value: squares[0], reading: Reading::Slots };
    assert!(matches!(b.finish(vec![last]), Err(Error::Unreduced { .. })));
}

/// The predicted deviation is the measured one, not only a bound: over many keys, for a circuit of all
/// operations.
#[test]
fn prediction_is_the_measured_error() {
    let steps = [
        Step::Dot(2),
        Step::Square,
        Step::Transform { baby_steps: 4, giant_steps: 3 },
        Step::RotateAndSum(vec![vec![8], vec![16, 32, 48]]),
        Step::Rotate(5),
    ];
    let circuit = random_circuit(&steps);
    let inputs = [numbers(3), numbers(4)];
    let predicted = predict(&circuit, &inputs).unwrap();
    let expected = clear::run(&circuit, &inputs).unwrap();
    let (_, [measured, _]) = measured(&circuit, &inputs, &expected, 0..40);
    let ratio = measured / predicted[0].deviation();
    assert!((0.6..1.5).contains(&ratio), "measured {measured:e}, predicted {:e}", predicted[0].deviation());
}

/// A circuit of every operation, with and without rescales, whose first output is read in coefficients and
/// whose second in slots.
fn every_operation(parameters: blindsight_ckks::Parameters) -> Result<Circuit, Error> {
    let mut builder = Builder::new(parameters);
    let b = &mut builder;
    let factor = |b: &mut Builder, role, value| {
        let (level, scale) = (b.level(value)?, b.scale_towards(value, INPUT_SCALE)?);
        b.plain(role, level, scale, constant(level.0 as u64))
    };
    let (x, y) = (b.input(Level(5), INPUT_SCALE)?, b.input(Level(5), INPUT_SCALE)?);
    let plain = factor(b, Role::Factor, x)?;
    let v = b.dot(vec![(x, plain), (y, plain)], Rescale::Yes)?;
    let v = b.add(v, v)?;
    let rotated = b.rotate(v, 5)?;
    let v = b.sub(v, rotated)?;
    let v = b.rotate(v, 0)?;
    let v = b.add_plain(v, Encoding::Slots, constant(1))?;
    let v = b.add_plain(v, Encoding::Coefficients, Numbers::new(|| vec![0.5; 3]))?;
    let v = b.multiply(v, v, Rescale::Yes)?;
    let u = b.rotate(v, 3)?;
    let plain = factor(b, Role::ExtendedFactor, v)?;
    let term = |input, baby_step, plain| Term { input, baby_step, plain };
    let several = vec![term(0, 0, plain), term(0, 61, plain), term(0, 2, plain), term(1, 1, plain)];
    let giant_steps = vec![
        GiantStep { rotation: 0, terms: several },
        GiantStep { rotation: 48, terms: vec![term(1, 0, plain), term(0, 61, plain)] },
    ];
    let v = b.transform(vec![v, u], giant_steps, GiantOrder::Apart, Rescale::Yes)?;
    let plain = factor(b, Role::ExtendedFactor, v)?;
    let giant_steps = vec![GiantStep { rotation: 1, terms: vec![term(0, 0, plain)] }];
    let w = b.transform(vec![v], giant_steps, GiantOrder::Apart, Rescale::No)?;
    let w = hoisted_once(b, w)?;
    let w = b.rescale(w)?;
    let w = b.rotate_and_sum(w, vec![vec![1], vec![2, 3]], Rescale::No)?;
    let plain = factor(b, Role::Factor, v)?;
    let v = b.dot(vec![(v, plain)], Rescale::No)?;
    let v = b.rotate_and_sum(v, vec![vec![8], vec![16]], Rescale::Yes)?;
    let v = b.multiply(v, w, Rescale::No)?;
    let v = b.drop_level(v, Level(0))?;
    let w = b.drop_level(w, Level(0))?;
    let read = Output { value: v, reading: Reading::Coefficients(vec![0, 3]) };
    builder.finish(vec![read, Output { value: w, reading: Reading::Slots }])
}

/// Transforms whose baby steps are brought down: without and with giant steps, apart and chained.
fn hoisted_once(b: &mut Builder, value: Value) -> Result<Value, Error> {
    let (level, mut sum) = (b.level(value)?, value);
    for (rotations, order) in [
        (vec![0], GiantOrder::Apart),
        (vec![0, 8, 16], GiantOrder::Apart),
        (vec![8, 16], GiantOrder::Chained),
        (vec![0, 16], GiantOrder::Chained),
    ] {
        let scale = Scale(1.0);
        let plain = b.plain(Role::Factor, level, scale, constant(level.0 as u64))?;
        let terms = || [0, 1, 2].map(|baby_step| Term { input: 0, baby_step, plain }).to_vec();
        let giant_steps =
            rotations.into_iter().map(|rotation| GiantStep { rotation, terms: terms() }).collect();
        sum = b.transform(vec![sum], giant_steps, order, Rescale::No)?;
    }
    Ok(sum)
}

/// The dry run's transforms are those of a run, whatever the digits and special primes.
#[test]
fn the_dry_run_counts_the_transforms_that_a_run_computes() {
    let large = blindsight_ring::primes::search(DEGREE, 1 << 28, 1 << 27, 1 << 28);
    for (digit_limbs, special) in [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3), (4, 4), (6, 8)] {
        let mut literal = ParametersLiteral { digit_limbs, special: large[..special].to_vec(), ..literal() };
        // A digit of one prime under one special prime: two bits of room.
        literal.moduli[0] = 67109633;
        let circuit = every_operation(literal.validate_insecure().unwrap()).unwrap();
        let mut machine = Machine::new(&circuit, 9);
        let inputs = [1, 2].map(|seed| machine.encrypt(&numbers(seed), Level(5)));
        let program = Program::encode(circuit.clone(), &machine.context).unwrap();
        let evaluator = Evaluator::new(&machine.context, &machine.keys);
        let before = blindsight_ring::kernels::transforms();
        let run = program.run(&evaluator, &inputs).unwrap();
        evaluator.reply(&run.outputs[0], &[0, 3]).unwrap();
        evaluator.reply(&run.outputs[1], &(0..DEGREE).collect::<Vec<_>>()).unwrap();
        let computed = blindsight_ring::kernels::transforms() - before;
        assert_eq!(dry_run(&circuit).totals.work.ntts, computed, "{digit_limbs} limbs, {special} special");
    }
}

#[test]
fn equal_plaintexts_are_kept_once() {
    let bytes = |seeds: [u64; 3]| {
        let mut b = builder();
        let v = b.input(Level(2), INPUT_SCALE).unwrap();
        let scale = b.scale_towards(v, INPUT_SCALE).unwrap();
        let terms = seeds.map(|seed| (v, b.plain(Role::Factor, Level(2), scale, constant(seed)).unwrap()));
        let value = b.dot(terms.into(), Rescale::Yes).unwrap();
        let circuit = b.finish(vec![Output { value, reading: Reading::Slots }]).unwrap();
        let context = Context::new(circuit.parameters().clone(), blindsight_ring::Kernel::detect()).unwrap();
        Program::encode(circuit, &context).unwrap().bytes()
    };
    let each = 3 * DEGREE * size_of::<u32>();
    assert_eq!([bytes([1, 2, 3]), bytes([1, 2, 1]), bytes([1, 1, 1])], [3 * each, 2 * each, each]);
}

/// Inputs come into a circuit in any order, and keep their places.
#[test]
fn inputs_have_places() {
    let (level, scale) = (Level(1), Scale::bits(20.0));
    let parameters = || literal().validate_insecure().unwrap();
    let mut b = Builder::new(parameters());
    let right = b.input_at(1, level, scale).unwrap();
    let left = b.input_at(0, level, scale).unwrap();
    assert!(matches!(b.input_at(1, level, scale), Err(Error::InputPlace { index: 1 })));
    let difference = b.sub(left, right).unwrap();
    let circuit = b.finish(vec![Output { value: difference, reading: Reading::Slots }]).unwrap();
    assert_eq!(circuit.inputs(), [left, right]);
    let inputs = [numbers(1), numbers(2)];
    let expected: Vec<f64> = inputs[0].iter().zip(&inputs[1]).map(|(a, b)| a - b).collect();
    assert_eq!(clear::run(&circuit, &inputs).unwrap(), [expected]);
    let mut b = Builder::new(parameters());
    let second = b.input_at(1, level, scale).unwrap();
    let gap = b.finish(vec![Output { value: second, reading: Reading::Slots }]);
    assert!(matches!(gap, Err(Error::InputPlace { index: 0 })));
}

#[test]
fn inputs_of_the_wrong_number_level_or_scale_are_refused() {
    let circuit = random_circuit(&[Step::AddPlain]);
    let mut machine = Machine::new(&circuit, 1);
    let program = Program::encode(circuit.clone(), &machine.context).unwrap();
    let right = machine.encrypt(&numbers(1), Level(5));
    let low = machine.encrypt(&numbers(1), Level(4));
    let evaluator = Evaluator::new(&machine.context, &machine.keys);
    let number = program.run(&evaluator, std::slice::from_ref(&right)).unwrap_err();
    assert_eq!(number, Error::Inputs { expected: 2, actual: 1 });
    let level = program.run(&evaluator, &[right, low]).unwrap_err();
    assert!(matches!(level, Error::InputType { index: 1, level: Level(4), expected_level: Level(5), .. }));
}

#[test]
fn overflow_is_found_with_its_figures() {
    let mut b = builder();
    let input = b.input(Level(0), INPUT_SCALE).unwrap();
    let summed = b.rotate_and_sum(input, vec![vec![1], vec![2], vec![4]], Rescale::No).unwrap();
    let circuit = b.finish(vec![Output { value: summed, reading: Reading::Slots }]).unwrap();
    let fits = predict(&circuit, &[vec![0.2; DEGREE]]);
    assert!(fits.is_ok());
    let error = predict(&circuit, &[vec![0.5; DEGREE]]).unwrap_err();
    assert!(matches!(error, Error::Overflow { magnitude: 4.0, level: Level(0), .. }), "{error}");
}

#[test]
fn what_wraps_around_in_coefficients_that_nobody_reads_is_no_overflow() {
    let mut b = builder();
    let input = b.input(Level(1), INPUT_SCALE).unwrap();
    let scale = b.scale_towards(input, INPUT_SCALE).unwrap();
    let eight = b.plain(Role::Factor, Level(1), scale, Numbers::new(|| vec![8.0; DEGREE])).unwrap();
    let product = b.dot(vec![(input, eight)], Rescale::Yes).unwrap();
    let read = |indices: Vec<usize>| vec![Output { value: product, reading: Reading::Coefficients(indices) }];
    // Slots all ones: coefficient 0 is one, the others are zero.
    let ones = [vec![1.0; DEGREE]];
    let mut other = builder();
    std::mem::swap(&mut other, &mut b);
    let circuit = other.finish(read(vec![1, 2])).unwrap();
    assert!(predict(&circuit, &ones).is_ok());
    let mut machine = Machine::new(&circuit, 5);
    let ciphertext = machine.encrypt(&ones[0], Level(1));
    let program = Program::encode(circuit, &machine.context).unwrap();
    let evaluator = Evaluator::new(&machine.context, &machine.keys);
    let run = program.run(&evaluator, &[ciphertext]).unwrap();
    let reply = evaluator.reply(&run.outputs[0], &[1, 2]).unwrap();
    let values = machine.secret.decrypt_reply(&machine.context, &reply, &[1, 2]);
    assert!(values.iter().all(|v| v.abs() < 1e-3), "{values:?}");
}

#[test]
fn a_builder_refuses_what_does_not_fit() {
    let mut b = builder();
    let v = b.input(Level(0), INPUT_SCALE).unwrap();
    let high = b.input(Level(1), INPUT_SCALE).unwrap();
    let scaled = b.input(Level(0), Scale(1e6)).unwrap();
    assert_eq!(b.rescale(v), Err(Error::NoLevelLeft { operation: "rescale" }));
    assert_eq!(
        b.add(v, high),
        Err(Error::LevelMismatch { operation: "addition", left: Level(0), right: Level(1) })
    );
    assert!(matches!(b.add(v, scaled), Err(Error::ScaleMismatch { .. })));
    assert_eq!(
        b.rotate(v, DEGREE),
        Err(Error::Rotation { operation: "rotation", steps: DEGREE, slots: DEGREE })
    );
    assert_eq!(b.dot(vec![], Rescale::No), Err(Error::Empty { operation: "dot product" }));
    assert!(b.input(Level(6), INPUT_SCALE).is_err());
    assert_eq!(
        b.input(Level(0), Scale(f64::NAN)).unwrap_err().to_string(),
        "scale NaN: expected a positive finite number"
    );
    let extended = b.plain(Role::ExtendedFactor, Level(0), INPUT_SCALE, constant(1)).unwrap();
    assert!(matches!(b.dot(vec![(v, extended)], Rescale::No), Err(Error::PlainRole { .. })));
    assert!(matches!(b.drop_level(v, Level(1)), Err(Error::LevelMismatch { .. })));
    let giant_step =
        |input| vec![GiantStep { rotation: 0, terms: vec![Term { input, baby_step: 0, plain: extended }] }];
    let missing = b.transform(vec![v], giant_step(1), GiantOrder::Apart, Rescale::No);
    assert_eq!(missing, Err(Error::TermInput { input: 1, count: 1 }));
    let unread = b.transform(vec![v, v], giant_step(0), GiantOrder::Apart, Rescale::No);
    assert_eq!(unread, Err(Error::UnreadInput { input: 1, count: 2 }));
    let other_level = b.transform(vec![v, high], giant_step(1), GiantOrder::Apart, Rescale::No);
    assert!(matches!(other_level, Err(Error::LevelMismatch { .. })));
}

/// A factor that repeats is as much smaller as it says, in counts and in bytes; numbers that do not are
/// refused.
#[test]
fn factors_that_repeat_are_smaller() {
    let of = |repeats: usize, numbers: Vec<f64>| {
        let mut b = builder();
        let input = b.input(Level(1), INPUT_SCALE).unwrap();
        let numbers = Numbers::new(move || numbers.clone()).repeating(repeats);
        let plain = b.plain(Role::Factor, Level(1), INPUT_SCALE, numbers).unwrap();
        let product = b.dot(vec![(input, plain)], Rescale::No).unwrap();
        b.finish(vec![Output { value: product, reading: Reading::Slots }]).unwrap()
    };
    let circuit = |repeats: usize| of(repeats, numbers(1)[..DEGREE / repeats].repeat(repeats));
    let mut machine = Machine::new(&circuit(1), 5);
    let most = most_repeats(DEGREE);
    for repeats in [1, 2, most, DEGREE] {
        let (circuit, smaller) = (circuit(repeats), repeats.min(most));
        assert_eq!(circuit.plains()[0].repeats, smaller);
        let streamed = dry_run(&circuit).totals.work.streamed;
        assert_eq!(streamed, 4 + 2u64.div_ceil(smaller as u64));
        let program = Program::encode(circuit, &machine.context).unwrap();
        assert_eq!(program.bytes(), 2 * DEGREE / smaller * size_of::<u32>());
    }
    let wrong = [numbers(1), numbers(1)[..DEGREE / 2].to_vec()];
    for wrong in wrong {
        let circuit = of(2, wrong);
        let input = [machine.encrypt(&numbers(1), Level(1))];
        let at_use = Program::encode_at_use(circuit.clone(), &*machine.context, 2).unwrap();
        let evaluator = Evaluator::new(&machine.context, &machine.keys);
        let errors = [
            Program::encode(circuit, &machine.context).unwrap_err(),
            at_use.run(&evaluator, &input).unwrap_err(),
        ];
        assert_eq!(errors, [(); 2].map(|()| Error::Repeats { expected: 2 }));
    }
}

/// Sums, squares and products on three inputs, divided by all primes, and a plaintext added: no key.
fn without_keys(b: &mut Builder) -> Result<Vec<Value>, Error> {
    let inputs = (0..3).map(|_| b.input(Level(3), INPUT_SCALE)).collect::<Result<Vec<_>, _>>()?;
    let sums = b.sums(&inputs, rows(2, 3, 5), Scale(1024.0))?;
    let squares = b.squares(&sums)?;
    let factors = |row: u64| vec![constant(40 + row), constant(50 + row)];
    let products = b.products(&squares, vec![factors(0), factors(1)], Scale(2f64.powi(20)))?;
    let divided = b.divide(&products, 3)?;
    let bias = |b: &mut Builder, v| b.add_plain(v, Encoding::Coefficients, Numbers::new(|| vec![0.5; 3]));
    divided.into_iter().map(|value| bias(b, value)).collect()
}

#[test]
fn a_chain_without_keys_agrees_with_the_clear_run() {
    let mut b = builder();
    let values = without_keys(&mut b).unwrap();
    let reading = || Reading::Coefficients(READ.to_vec());
    let outputs = values.into_iter().map(|value| Output { value, reading: reading() }).collect();
    let circuit = b.finish(outputs).unwrap();
    assert_eq!(circuit.keys(), blindsight_ckks::KeyRequirements::default());
    let inputs = [numbers(1), numbers(2), numbers(3)];
    let (expected, predicted) = (clear::run(&circuit, &inputs).unwrap(), predict(&circuit, &inputs).unwrap());
    let (mut squares, mut count) = (0.0, 0);
    for seed in 0..40 {
        let mut machine = Machine::new(&circuit, seed);
        let ciphertexts = inputs.each_ref().map(|slots| machine.encrypt(slots, Level(3)));
        let program = Program::encode(circuit.clone(), &machine.context).unwrap();
        assert!(program.bytes() as u64 <= 2 * 2 * 4 * (DEGREE * 4) as u64 + 2048);
        let evaluator = Evaluator::new(&machine.context, &machine.keys);
        let before = blindsight_ring::kernels::transforms();
        let run = program.run(&evaluator, &ciphertexts).unwrap();
        let replies: Vec<_> =
            run.unrelinearised.iter().map(|v| evaluator.reply_unrelinearised(v, &READ).unwrap()).collect();
        let computed = blindsight_ring::kernels::transforms() - before;
        let dry = dry_run(&circuit).totals;
        assert_eq!(dry.work.ntts, computed);
        assert_eq!(Counts { work: Work::default(), ..dry }, run.counts);
        assert!(run.outputs.is_empty() && run.unrelinearised.len() == 2);
        let at_use = Program::encode_at_use(circuit.clone(), &*machine.context, 2).unwrap();
        assert!(at_use.run(&evaluator, &ciphertexts).unwrap().unrelinearised == run.unrelinearised);
        for (reply, expected) in replies.iter().zip(&expected) {
            let read = machine.secret.decrypt_reply(&machine.context, reply, &READ);
            let errors = read.iter().zip(expected).map(|(x, y)| (x - y).powi(2));
            (squares, count) = (squares + errors.sum::<f64>(), count + READ.len());
        }
    }
    let measured = (squares / count as f64).sqrt();
    let ratio = measured / (predicted[0].deviation().hypot(predicted[1].deviation()) / 2f64.sqrt());
    assert!((0.7..1.4).contains(&ratio), "{ratio} times the predicted error of {predicted:?}");
}

#[test]
fn what_was_not_relinearised_is_taken_by_nothing_but_plaintexts() {
    let mut b = builder();
    let value = without_keys(&mut b).unwrap()[0];
    let refused = |result: Result<Value, Error>| {
        assert!(matches!(result, Err(Error::Unrelinearised { .. })), "{result:?}");
    };
    refused(b.add(value, value));
    refused(b.sub(value, value));
    refused(b.multiply(value, value, Rescale::No));
    refused(b.rotate(value, 1));
    refused(b.rotate_and_sum(value, vec![vec![1]], Rescale::No));
    refused(b.rescale(value));
    refused(b.drop_level(value, Level(0)));
    refused(b.squares(&[value]).map(|v| v[0]));
    refused(b.sums(&[value], rows(1, 1, 1), Scale(2.0)).map(|v| v[0]));
    let plain = b.plain(Role::Factor, Level(0), Scale(2.0), constant(1)).unwrap();
    refused(b.dot(vec![(value, plain)], Rescale::No));
    let input = b.input(Level(3), INPUT_SCALE).unwrap();
    let sums = b.sums(&[input], rows(1, 1, 1), Scale(2.0)).unwrap();
    assert_eq!(b.divide(&sums, 1), Err(Error::NotSquared));
    let squares = b.squares(&sums).unwrap();
    assert_eq!(b.divide(&squares, 4), Err(Error::NoLevelLeft { operation: "division" }));
    let length = b.products(&squares, vec![vec![]], Scale(2.0));
    assert!(matches!(length, Err(Error::Length { expected: 1, actual: 0, .. })), "{length:?}");
}

use super::*;
use crate::product::ProductKernel;
use crate::testing::Random;
use blindsight_circuit::encrypted::Program;
use blindsight_circuit::{Circuit, Output, Reading, Work, clear, dry_run, predict};
use blindsight_ckks::{Context, Evaluator, ParametersLiteral, Randomness, SecretKey, SeededEvaluationKeys};
use blindsight_layout::Blocks;
use blindsight_network::Shape;
use proptest::prelude::*;

const SLOTS: usize = 64;
const LEVELS: usize = 7;

fn parameters() -> Parameters {
    parameters_near(26)
}

/// Levels of primes below a power of two.
fn parameters_near(bits: u32) -> Parameters {
    let below = |bits: u32, count: usize| {
        let primes = blindsight_ring::primes::search(SLOTS, 1 << bits, (1 << bits) - (1 << 20), 1 << bits);
        primes[..count].to_vec()
    };
    let moduli = [below(28, 1), below(bits, LEVELS)].concat();
    let literal = ParametersLiteral { degree: SLOTS, moduli, special: below(30, 2), digit_limbs: 2 };
    literal.validate_insecure().unwrap()
}

/// A polynomial whose values on [-1, 1] are at most one; powers that `keep` says.
fn polynomial(degree: usize, channels: usize, keep: impl Fn(usize) -> bool, seed: u64) -> Polynomial {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let each = 1.0 / (degree + 1) as f64;
    let power = |power: usize| {
        let numbers = random.values(channels, each * each / 3.0);
        if keep(power) || power == degree { numbers } else { vec![0.0; channels] }
    };
    Polynomial { coefficients: (0..=degree).map(power).collect() }
}

/// A bounded function's series: coefficients of Chebyshev polynomials, written in powers, whose coefficients
/// are large.
fn series(degree: usize) -> Polynomial {
    let mut sum = vec![0.0; degree + 1];
    let [mut before, mut now] = [vec![1.0], vec![0.0, 1.0]];
    for k in 0..=degree {
        let coefficient = 0.4 / (k + 1) as f64 * if k % 3 == 1 { -1.0 } else { 1.0 };
        sum.iter_mut().zip(&before).for_each(|(s, c)| *s += coefficient * c);
        let mut next: Vec<f64> = std::iter::once(0.0).chain(now.iter().map(|c| 2.0 * c)).collect();
        next.iter_mut().zip(&before).for_each(|(n, c)| *n -= c);
        (before, now) = (now, next);
    }
    Polynomial { coefficients: sum.into_iter().map(|c| vec![c]).collect() }
}

/// Layouts of several ciphertexts, of replicas, and with ones.
fn layout() -> impl Strategy<Value = Layout> {
    let figures = (1usize..4, 1usize..8, 1usize..8, 1usize..4, any::<bool>());
    figures.prop_map(|(channels, height, width, replicas, one)| {
        let layout = Layout::packed(Shape { channels, height, width }, SLOTS);
        let elements = layout.shape.elements();
        let layout =
            if one && !elements.is_multiple_of(SLOTS) { layout.with_bias_slot(elements) } else { layout };
        let spacing = SLOTS / 3;
        if layout.extent() > spacing {
            return layout;
        }
        layout.with_blocks(Blocks { count: replicas, spacing, parts: 1 })
    })
}

fn circuit(kernel: &PolynomialKernel, ciphertexts: usize, level: usize) -> Circuit {
    let scale = kernel.input_scale(&parameters(), Level(level));
    circuit_at(parameters(), kernel, ciphertexts, level, scale)
}

fn circuit_at(
    parameters: Parameters,
    kernel: &PolynomialKernel,
    ciphertexts: usize,
    level: usize,
    scale: Scale,
) -> Circuit {
    let mut b = Builder::new(parameters);
    let inputs: Vec<Value> = (0..ciphertexts).map(|_| b.input(Level(level), scale).unwrap()).collect();
    let outputs = kernel.build(&mut b, &inputs).unwrap();
    for output in &outputs {
        assert_eq!(b.level(*output).unwrap(), Level(level - kernel.depth()));
        assert!(b.scale(*output).unwrap().agrees(b.parameters().nominal_scale()));
    }
    let slots = |value| Output { value, reading: Reading::Slots };
    b.finish(outputs.into_iter().map(slots).collect()).unwrap()
}

/// Inputs that fill all slots, those of nobody too; the one where it is carried.
fn inputs(layout: &Layout, seed: u64) -> Vec<Vec<f64>> {
    let (placement, mut random) = (Placement::new(layout), Random(seed | 1));
    let mut slots = random.values(layout.ciphertexts * SLOTS, 1.0 / 3.0);
    for (position, slot) in slots.iter_mut().enumerate() {
        if placement.at(position).is_some_and(|(_, element)| element == placement.elements) {
            *slot = 1.0;
        }
    }
    slots.chunks(SLOTS).map(<[f64]>::to_vec).collect()
}

/// What a slot should hold.
fn expected(polynomial: &Polynomial, layout: &Layout, placement: &Placement, at: usize, x: f64) -> f64 {
    match placement.at(at) {
        None => 0.0,
        Some((_, element)) if element == placement.elements => 1.0,
        Some((_, element)) => polynomial.at(element / layout.shape.positions(), x),
    }
}

/// What a dry run counts, without reading the outputs.
fn counts(circuit: &Circuit) -> Counts {
    let read: usize =
        circuit.outputs().iter().map(|o| circuit.parameters().limbs(circuit.node(o.value).level)).sum();
    let mut counts = dry_run(circuit).totals;
    counts.work.ntts -= read as u64;
    counts
}

/// What a run gives under the keys of a seed, and what it did.
fn encrypted(circuit: &Circuit, inputs: &[Vec<f64>], seed: u64) -> (Counts, Vec<Vec<f64>>) {
    let context = Context::new(circuit.parameters().clone(), blindsight_ring::Kernel::detect()).unwrap();
    let mut randomness = Randomness::from_test_seed(seed);
    let secret = SecretKey::generate(&context, &mut randomness);
    let keys = SeededEvaluationKeys::generate(&context, &secret, &circuit.keys(), &mut randomness, |_| ());
    let keys = keys.unwrap().expand(&context);
    let mut encrypt = |(slots, value): (&Vec<f64>, Value)| {
        let (level, scale) = (circuit.node(value).level, circuit.node(value).scale);
        let seeded = secret.encrypt(&context, slots, level, scale, &mut randomness).unwrap();
        seeded.expand(context.basis(level))
    };
    let ciphertexts: Vec<_> = inputs.iter().zip(circuit.inputs()).map(&mut encrypt).collect();
    let program = Program::encode(circuit.clone(), &context).unwrap();
    let run = program.run(&Evaluator::new(&context, &keys), &ciphertexts).unwrap();
    (run.counts, run.outputs.iter().map(|output| secret.decrypt(&context, output)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// On plain slots it is Horner's rule, ones stay ones, and nothing lies where nothing lay; the cost is
    /// the dry run's.
    #[test]
    fn it_is_the_polynomial(
        layout in layout(), degree in 2usize..=31, kept in any::<u32>(), above in 0usize..3, seed in any::<u64>(),
    ) {
        layout.validate().unwrap();
        let polynomial = polynomial(degree, layout.shape.channels, |k| kept >> k & 1 == 1, seed);
        let kernel = PolynomialKernel::new(&polynomial, &layout);
        let level = kernel.depth() + above;
        let circuit = circuit(&kernel, layout.ciphertexts, level);
        prop_assert_eq!(kernel.depth(), polynomial.depth());
        prop_assert_eq!(kernel.cost(circuit.parameters(), Level(level), layout.ciphertexts), counts(&circuit));

        let (inputs, placement) = (inputs(&layout, seed), Placement::new(&layout));
        let outputs = clear::run(&circuit, &inputs).unwrap().concat();
        for (at, (x, value)) in inputs.concat().into_iter().zip(outputs).enumerate() {
            let expected = expected(&polynomial, &layout, &placement, at, x);
            prop_assert!((value - expected).abs() < 1e-12, "{value} at {x}: expected {expected}");
            let exact = placement.at(at).is_none_or(|(_, element)| element == placement.elements);
            prop_assert!(!exact || value == expected, "{value}: expected exactly {expected}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_polynomial_on_ciphertexts(
        layout in layout(), degree in 2usize..=31, kept in any::<u32>(), seed in any::<u64>(),
    ) {
        let polynomial = polynomial(degree, layout.shape.channels, |k| kept >> k & 1 == 1, seed);
        let kernel = PolynomialKernel::new(&polynomial, &layout);
        let circuit = circuit(&kernel, layout.ciphertexts, kernel.depth() + 1);
        let inputs = inputs(&layout, seed);
        let predicted = predict(&circuit, &inputs).unwrap();
        let (done, outputs) = encrypted(&circuit, &inputs, seed);
        prop_assert_eq!(Counts { work: Work::default(), ..counts(&circuit) }, done);
        for (output, predicted) in outputs.iter().zip(&predicted) {
            let squares = output.iter().zip(&predicted.values).map(|(a, b)| (a - b).powi(2));
            let error = (squares.sum::<f64>() / SLOTS as f64).sqrt();
            prop_assert!(error < 4.0 * predicted.deviation(), "{error} where {} is the deviation", predicted.deviation());
        }
    }
}

#[test]
fn the_predicted_error_is_the_measured_one() {
    let layout = Layout::packed(Shape { channels: 1, height: 8, width: 8 }, SLOTS);
    for degree in [2, 3, 4, 7, 15, 31] {
        let kernel = PolynomialKernel::new(&series(degree), &layout);
        let circuit = circuit(&kernel, 1, kernel.depth() + 1);
        let inputs = inputs(&layout, 77);
        let predicted = &predict(&circuit, &inputs).unwrap()[0];
        let keys = 40;
        let square = |seed| {
            let (_, outputs) = encrypted(&circuit, &inputs, seed);
            outputs[0].iter().zip(&predicted.values).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
        };
        let measured = ((0..keys).map(square).sum::<f64>() / (keys * SLOTS as u64) as f64).sqrt();
        let ratio = measured / predicted.deviation();
        let (measured, deviation) = (measured.log2(), predicted.deviation().log2());
        println!("{}: measured 2^{measured:.2}, predicted 2^{deviation:.2}", kernel.reason());
        assert!((0.67..1.5).contains(&ratio), "degree {degree}: {ratio} of what was predicted");
    }
}

fn deviation(circuit: &Circuit, layout: &Layout) -> f64 {
    predict(circuit, &inputs(layout, 5)).unwrap()[0].deviation()
}

/// Primes a bit from the scale: squares would double that four times, if the input did not come at the scale
/// that makes up for it.
#[test]
fn primes_may_lie_far_from_the_scale() {
    let layout = Layout::packed(Shape { channels: 1, height: 8, width: 8 }, SLOTS);
    let kernel = PolynomialKernel::new(&series(31), &layout);
    let [near, far] = [26, 27].map(|bits| {
        let parameters = parameters_near(bits);
        let scale = kernel.input_scale(&parameters, Level(LEVELS));
        deviation(&circuit_at(parameters, &kernel, 1, LEVELS, scale), &layout)
    });
    assert!((0.3..1.5).contains(&(far / near)), "{far:e} where it is {near:e} at primes near the scale");
}

#[test]
fn the_input_scale_asked_for_keeps_errors_small() {
    let layout = Layout::packed(Shape { channels: 1, height: 8, width: 8 }, SLOTS);
    for degree in [7, 15, 31] {
        let kernel = PolynomialKernel::new(&series(degree), &layout);
        let nominal = deviation(&circuit_at(parameters(), &kernel, 1, 6, Scale::bits(26.0)), &layout);
        let asked_for = deviation(&circuit(&kernel, 1, 6), &layout);
        assert!(
            1.5 * asked_for < nominal,
            "degree {degree}: {asked_for:e} and {nominal:e} at the nominal scale"
        );
    }
}

/// Products of ciphertexts and with plaintexts, for polynomials that lack no power.
#[test]
fn it_takes_few_products() {
    let layout = Layout::packed(Shape { channels: 1, height: 1, width: 1 }, SLOTS);
    let products = |degree: usize| {
        let kernel = PolynomialKernel::new(&series(degree), &layout);
        let counts = kernel.cost(&parameters(), Level(kernel.depth()), 1);
        (counts.ciphertext_multiplications, counts.plaintext_multiplications)
    };
    let expected = [
        (2, (1, 2)),
        (3, (2, 2)),
        (4, (3, 3)),
        (5, (4, 3)),
        (6, (4, 4)),
        (7, (5, 4)),
        (8, (5, 7)),
        (12, (6, 10)),
        (15, (8, 11)),
        (16, (8, 13)),
        (27, (11, 21)),
        (31, (13, 23)),
    ];
    assert_eq!(expected.map(|(degree, _)| (degree, products(degree))), expected);
    let square = PolynomialKernel::new(&Polynomial::square(1), &layout);
    assert_eq!(
        square.cost(&parameters(), Level(1), 3),
        Tally::new(&parameters(), Level(1)).multiply(Rescale::Yes) * 3
    );
}

#[test]
fn too_few_levels_or_values_are_refused() {
    let layout = Layout::packed(Shape { channels: 1, height: 1, width: 1 }, SLOTS);
    let kernel = PolynomialKernel::new(&series(7), &layout);
    let mut b = Builder::new(parameters());
    let low = b.input(Level(2), Scale::bits(26.0)).unwrap();
    assert_eq!(kernel.build(&mut b, &[low]), Err(Error::NoLevelLeft { operation: "polynomial" }));
    assert_eq!(kernel.build(&mut b, &[low, low]), Err(Error::Inputs { expected: 1, actual: 2 }));
}

#[test]
fn a_product_is_at_the_level_below_the_lower_factor() {
    let mut b = Builder::new(parameters());
    let left = [3, 3].map(|level| b.input(Level(level), Scale::bits(26.0)).unwrap());
    let right = [2, 2].map(|level| b.input(Level(level), Scale(3e7)).unwrap());
    assert!(ProductKernel::build(&mut b, &left, &right[..1]).is_err());
    let products = ProductKernel::build(&mut b, &left, &right).unwrap();
    assert_eq!(b.level(products[0]).unwrap(), Level(1));
    let outputs = products.into_iter().map(|value| Output { value, reading: Reading::Slots });
    let circuit = b.finish(outputs.collect()).unwrap();
    assert_eq!(ProductKernel::cost(circuit.parameters(), Level(2), 2), counts(&circuit));
    let slots: Vec<Vec<f64>> = (1..5).map(|seed| Random(seed).values(SLOTS, 1.0)).collect();
    let products = clear::run(&circuit, &slots).unwrap();
    assert_eq!(products[1][5], slots[1][5] * slots[3][5]);
    let (_, outputs) = encrypted(&circuit, &slots, 3);
    assert!((outputs[0][7] - products[0][7]).abs() < 1e-4);
}

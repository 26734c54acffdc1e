//! Where operations end: the last level, the largest numbers, operands that do not match.

use crate::common::{Setup, giant_step, map_of, random_slots, rotated};
use blindsight_ckks::{
    Ciphertext, Encoding, Error, Evaluator, Extension, GiantOrder, GiantStep, KeyRequirements, Level,
    LinearTransform, PlainFactor, Rescale, Scale, Term,
};

const N: usize = 256;

fn setup() -> Setup {
    let mut requirements = KeyRequirements::default();
    requirements.relinearise_at(Level(5));
    [1, 2, 128].iter().for_each(|&k| requirements.rotate_at(k, Level(5)));
    Setup::new(N, 2, &requirements, 8)
}

fn factor(setup: &Setup, slots: &[f64], level: usize, bits: f64, extension: Extension) -> PlainFactor {
    setup.context.encode_factor(slots, Level(level), Scale::bits(bits), extension).unwrap()
}

fn ones(setup: &Setup, level: usize, bits: f64) -> PlainFactor {
    factor(setup, &[1.0; N], level, bits, Extension::Extended)
}

/// The first input rotated by one, times a factor.
fn one_term(factor: PlainFactor) -> GiantStep {
    giant_step(0, &[(0, 1, factor)])
}

fn apart(step: &GiantStep) -> LinearTransform<'_> {
    map_of(std::slice::from_ref(step), GiantOrder::Apart)
}

fn assert_near(setup: &Setup, ciphertext: &Ciphertext, expected: &[f64], tolerance: f64) {
    let slots = setup.secret.decrypt(&setup.context, ciphertext);
    for (j, (x, y)) in slots.iter().zip(expected).enumerate() {
        assert!((x - y).abs() < tolerance, "slot {j}: {x}, expected {y}");
    }
}

#[test]
fn nothing_is_rescaled_at_level_zero() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let a = setup.encrypt(&random_slots(N, 1), Level(0), Scale::bits(12.0));
    let plain = factor(&setup, &[1.0], 0, 12.0, Extension::Plain);
    assert_eq!(evaluator.rescale(a.clone()), Err(Error::NoLevelLeft));
    assert_eq!(evaluator.multiply_plain(&a, &plain, Rescale::Yes), Err(Error::NoLevelLeft));
    assert_eq!(evaluator.multiply(&a, &a, Rescale::Yes), Err(Error::NoLevelLeft));
    assert_eq!(evaluator.square(&a, Rescale::Yes), Err(Error::NoLevelLeft));
    assert_eq!(
        evaluator.transform(&[&a], &apart(&one_term(ones(&setup, 0, 12.0))), Rescale::Yes),
        Err(Error::NoLevelLeft)
    );
    assert_eq!(evaluator.rotate_and_sum(a.clone(), &[vec![1]], Rescale::Yes), Err(Error::NoLevelLeft));
    assert_eq!(evaluator.rotate_and_sum(a, &[], Rescale::Yes), Err(Error::NoLevelLeft));
}

#[test]
fn a_circuit_goes_down_to_the_last_level() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let x = random_slots(N, 2);
    let (mut a, mut expected) = (setup.encrypt(&x, Level(5), Scale::bits(26.0)), x);
    let mut scale = a.scale().0;
    for level in (0..5).rev() {
        let q = setup.context.parameters().modulus(a.level());
        a = evaluator.square(&a, Rescale::Yes).unwrap();
        scale = scale * scale / q;
        expected.iter_mut().for_each(|x| *x *= *x);
        assert_eq!((a.level(), a.scale()), (Level(level), Scale(scale)), "scales are exact");
        assert_near(&setup, &a, &expected, 1e-3);
    }
    assert_eq!(evaluator.square(&a, Rescale::Yes), Err(Error::NoLevelLeft));
}

#[test]
fn operands_of_different_levels_are_refused() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let at = |level| setup.encrypt(&[1.0], Level(level), Scale::bits(26.0));
    let (a, b) = (at(3), at(2));
    let mismatch = Err(Error::LevelMismatch { left: Level(3), right: Level(2) });
    let summand = setup.context.encode_summand(&[1.0], Encoding::Slots, Level(2), Scale::bits(26.0)).unwrap();
    let plain = factor(&setup, &[1.0], 2, 26.0, Extension::Plain);
    assert_eq!(evaluator.add(&a, &b), mismatch);
    assert_eq!(evaluator.sub(&a, &b), mismatch);
    assert_eq!(evaluator.add_plain(a.clone(), &summand), mismatch);
    assert_eq!(evaluator.multiply(&a, &b, Rescale::No), mismatch);
    assert_eq!(evaluator.transform(&[&a], &apart(&one_term(ones(&setup, 2, 26.0))), Rescale::No), mismatch);
    let mismatch = Err(Error::LevelMismatch { left: Level(2), right: Level(3) });
    assert_eq!(evaluator.multiply_plain(&a, &plain, Rescale::No), mismatch);
    assert_eq!(evaluator.drop_level(b.clone(), Level(3)), mismatch);
    assert_eq!(evaluator.drop_level(b.clone(), Level(2)).unwrap(), b);
    let reply = evaluator.reply(&b, &[0]);
    assert_eq!(reply, Err(Error::LevelMismatch { left: Level(2), right: Level(0) }));
    let reply = evaluator.reply(&at(0), &[0, N]);
    assert_eq!(reply, Err(Error::NoSuchCoefficient { index: N, degree: N }));
    let message = evaluator.add(&a, &b).unwrap_err().to_string();
    assert_eq!(message, "operands at level 3 and level 2: expected the same level");
}

#[test]
fn operands_of_different_scales_are_refused() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let at = |bits| setup.encrypt(&[1.0], Level(2), Scale::bits(bits));
    let (a, b) = (at(26.0), at(25.0));
    let mismatch = Err(Error::ScaleMismatch { left: Scale::bits(26.0), right: Scale::bits(25.0) });
    let summand = setup.context.encode_summand(&[1.0], Encoding::Slots, Level(2), Scale::bits(25.0)).unwrap();
    assert_eq!(evaluator.add(&a, &b), mismatch);
    assert_eq!(evaluator.sub(&a, &b), mismatch);
    assert_eq!(evaluator.add_plain(a.clone(), &summand), mismatch);
    let plain = |bits| factor(&setup, &[1.0], 2, bits, Extension::Plain);
    let dot = evaluator.dot(&[(&a, &plain(20.0)), (&b, &plain(20.0))], Rescale::No);
    assert_eq!(dot, Err(Error::ScaleMismatch { left: Scale::bits(45.0), right: Scale::bits(46.0) }));
    // It is the products that must agree.
    assert!(evaluator.dot(&[(&a, &plain(20.0)), (&b, &plain(21.0))], Rescale::No).is_ok());
    let (one, other) = (ones(&setup, 2, 26.0), factor(&setup, &[1.0], 2, 25.0, Extension::Extended));
    let two_terms = |input| giant_step(0, &[(0, 1, one.clone()), (input, 2, other.clone())]);
    let transformed = evaluator.transform(&[&a], &apart(&two_terms(0)), Rescale::No);
    assert_eq!(transformed, Err(Error::ScaleMismatch { left: Scale::bits(52.0), right: Scale::bits(51.0) }));
    // Here too it is the products: the second input's scale is twice the first's.
    let twice = setup.encrypt(&[1.0], Level(2), Scale::bits(27.0));
    assert!(evaluator.transform(&[&a, &twice], &apart(&two_terms(1)), Rescale::No).is_ok());
    // What the rounding of f64 does to a scale is forgiven.
    let near = setup.encrypt(&[1.0], Level(2), Scale(2f64.powi(26) * (1.0 + 1e-14)));
    assert!(evaluator.add(&a, &near).is_ok());
    let product = evaluator.multiply(&a, &b, Rescale::No).unwrap();
    assert_eq!(product.scale(), Scale::bits(51.0), "products take any two scales");
}

#[test]
fn vectors_of_zeros_stay_zero() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let zero = setup.encrypt(&[], Level(2), Scale::bits(26.0));
    let x = setup.encrypt(&random_slots(N, 3), Level(2), Scale::bits(26.0));
    let nothing = vec![0.0; N];
    assert_near(&setup, &zero, &nothing, 1e-4);
    assert_near(&setup, &evaluator.multiply(&zero, &x, Rescale::Yes).unwrap(), &nothing, 1e-3);
    assert_near(&setup, &evaluator.sub(&x, &x).unwrap(), &nothing, 1e-30);
    let plain = factor(&setup, &[], 2, 26.0, Extension::Plain);
    assert_near(&setup, &evaluator.multiply_plain(&x, &plain, Rescale::No).unwrap(), &nothing, 1e-30);
    assert_near(&setup, &evaluator.multiply_scalar(&x, 0.0, Scale::bits(20.0)).unwrap(), &nothing, 1e-30);
}

#[test]
fn extreme_numbers() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    // Every slot as large as the modulus allows: the constant coefficient is all of them, just below q_0 / 2.
    let largest = 2f64.powi(26) * 1.99;
    for value in [largest, -largest] {
        let a = setup.encrypt(&[value; N], Level(0), Scale(1.0));
        assert_near(&setup, &a, &[value; N], 1e3);
        assert_near(&setup, &evaluator.rotate(&a, 128).unwrap(), &[value; N], 1e4);
    }
    // Weights of very different size, in one plaintext.
    let x = random_slots(N, 4);
    let a = setup.encrypt(&x, Level(5), Scale::bits(26.0));
    let weights: Vec<f64> =
        (0..N).map(|j| if j % 2 == 0 { 2f64.powi(20) } else { -2f64.powi(-18) }).collect();
    let plain = factor(&setup, &weights, 5, 40.0, Extension::Plain);
    let product = evaluator.multiply_plain(&a, &plain, Rescale::Yes).unwrap();
    let slots = setup.secret.decrypt(&setup.context, &product);
    for (j, slot) in slots.iter().enumerate() {
        // The input's error of about 2^-19 is multiplied, too.
        let tolerance = if j % 2 == 0 { 50.0 } else { 1e-6 };
        assert!(
            (slot - x[j] * weights[j]).abs() < tolerance,
            "slot {j}: {slot}, expected {}",
            x[j] * weights[j]
        );
    }
    // Scalars up to 62 bits.
    let scaled = evaluator.multiply_scalar(&a, -1.0, Scale::bits(61.9)).unwrap();
    let expected: Vec<f64> = x.iter().map(|x| -x).collect();
    let a_error = setup.errors(&a, &x).iter().fold(0.0, |m: f64, e| m.max(e.abs())) / 2f64.powi(26);
    assert!(scaled.scale().log2() > 87.8 && a_error < 1e-4);
    let dropped = evaluator.rescale(evaluator.rescale(scaled).unwrap()).unwrap();
    assert_near(&setup, &dropped, &expected, 1e-4);
}

#[test]
fn scalars_out_of_range_are_refused() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let a = setup.encrypt(&[1.0], Level(5), Scale::bits(26.0));
    for number in [4.0, -4.0, f64::NAN, f64::INFINITY] {
        let product = evaluator.multiply_scalar(&a, number, Scale::bits(60.0));
        assert!(
            matches!(product, Err(Error::Overflow { available: 62.0, level: Level(5), .. })),
            "{product:?}"
        );
    }
    for scale in [0.0, -2.0, f64::NAN, f64::INFINITY] {
        let product = evaluator.multiply_scalar(&a, 1.0, Scale(scale));
        assert!(matches!(product, Err(Error::InvalidScale(_))), "{product:?}");
    }
}

#[test]
fn messages_of_up_to_78_bits_are_decrypted() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let coefficients: Vec<f64> =
        (0..N).map(|i| (if i % 2 == 0 { 1.0 } else { -1.0 }) * i as f64 / N as f64).collect();
    let slots = setup.context.coefficients_to_slots(&coefficients).unwrap();
    for (level, bits) in [(0, 26.0), (1, 52.0), (2, 77.0), (3, 77.0), (5, 77.0)] {
        let a = setup.encrypt(&slots, Level(level), Scale::bits(20.0));
        let large = evaluator.multiply_scalar(&a, 1.0, Scale::bits(bits - 20.0)).unwrap();
        for (i, c) in setup.secret.decrypt_coefficients(&setup.context, &large).iter().enumerate() {
            assert!(
                (c - coefficients[i]).abs() < 30.0 / 2f64.powi(20),
                "coefficient {i} at {bits} bits: {c}"
            );
        }
    }
}

#[test]
fn folds_without_stages_and_rotations_all_the_way_round() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let x = random_slots(N, 6);
    let a = setup.encrypt(&x, Level(2), Scale::bits(52.0));
    assert_eq!(evaluator.rotate_and_sum(a.clone(), &[], Rescale::No).unwrap(), a);
    let rescaled = evaluator.rescale(a.clone()).unwrap();
    assert_eq!(evaluator.rotate_and_sum(a.clone(), &[], Rescale::Yes).unwrap(), rescaled);
    // A stage without steps adds nothing: only the division's rounding.
    assert_near(&setup, &evaluator.rotate_and_sum(a.clone(), &[vec![]], Rescale::No).unwrap(), &x, 1e-9);
    let half = evaluator.rotate(&a, 128).unwrap();
    assert_near(&setup, &half, &rotated(&x, 128), 1e-9);
    assert_near(&setup, &evaluator.rotate(&half, 128).unwrap(), &x, 1e-9);
}

#[test]
fn dropped_levels_are_those_of_an_encryption_there() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let x = random_slots(N, 7);
    let high = setup.encrypt(&x, Level(5), Scale::bits(25.0));
    for level in 0..=5 {
        let dropped = evaluator.drop_level(high.clone(), Level(level)).unwrap();
        assert_eq!((dropped.level(), dropped.scale()), (Level(level), high.scale()));
        assert_eq!(dropped.bytes(), 2 * (level + 1) * N * 4);
        assert_near(&setup, &dropped, &x, 1e-4);
        // And it goes on working there.
        assert_near(&setup, &evaluator.rotate(&dropped, 1).unwrap(), &rotated(&x, 1), 1e-3);
    }
}

#[test]
#[should_panic(expected = "a sum has factors")]
fn a_giant_step_has_terms() {
    giant_step(0, &[]);
}

#[test]
#[should_panic(expected = "1 repeats: expected 2")]
fn a_factor_repeats_as_often_as_was_said() {
    let setup = setup();
    let terms = vec![Term { input: 0, baby_step: 0, repeats: 2 }];
    let factor = factor(&setup, &random_slots(N, 1), 2, 26.0, Extension::Plain);
    let _ = GiantStep::together(&[(0, terms)], |_, _| Ok::<_, Error>(factor.clone()));
}

/// More inputs and more baby steps than are worked on at a time, spread unevenly over giant steps.
#[test]
fn a_transform_of_many_inputs_and_babies() {
    let mut requirements = KeyRequirements::default();
    (1..N).for_each(|k| requirements.rotate_at(k, Level(1)));
    let setup = Setup::new(N, 2, &requirements, 10);
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let slots: Vec<Vec<f64>> = (0..20).map(|i| random_slots(N, i)).collect();
    let inputs: Vec<_> = slots.iter().map(|x| setup.encrypt(x, Level(1), Scale::bits(26.0))).collect();
    let baby_steps = |input: usize| if input == 3 { 0..200 } else { 0..input % 4 + 1 };
    let steps: Vec<(usize, usize)> = (0..20).flat_map(|i| baby_steps(i).map(move |b| (i, b))).collect();
    let diagonals: Vec<_> = (0..steps.len()).map(|k| random_slots(N, 100 + k as u64)).collect();
    for extension in [Extension::Extended, Extension::Plain] {
        let factors: Vec<_> = diagonals.iter().map(|d| factor(&setup, d, 1, 20.0, extension)).collect();
        let mut giant_steps = [0, 7, 100].map(|rotation| (rotation, vec![]));
        let mut expected = vec![0.0; N];
        for (k, (&(input, baby_step), factor)) in steps.iter().zip(factors).enumerate() {
            let (rotation, terms) = &mut giant_steps[k % 3];
            terms.push((input, baby_step, factor));
            let moved = rotated(&slots[input], baby_step);
            let products: Vec<f64> = moved.iter().zip(&diagonals[k]).map(|(x, d)| x * d).collect();
            expected.iter_mut().zip(rotated(&products, *rotation)).for_each(|(e, p)| *e += p);
        }
        let inputs: Vec<&Ciphertext> = inputs.iter().collect();
        let bytes: usize = giant_steps.iter().flat_map(|(_, terms)| terms).map(|term| term.2.bytes()).sum();
        let of_one = giant_steps.each_ref().map(|(rotation, terms)| giant_step(*rotation, terms));
        let shape = |(input, baby_step, _): &(usize, usize, PlainFactor)| Term {
            input: *input,
            baby_step: *baby_step,
            repeats: 1,
        };
        let shapes =
            giant_steps.each_ref().map(|(rotation, terms)| (*rotation, terms.iter().map(shape).collect()));
        let factor = |step: usize, term: usize| Ok::<_, Error>(giant_steps[step].1[term].2.clone());
        let together = GiantStep::together(&shapes, factor).unwrap();
        assert_eq!(together.iter().map(GiantStep::bytes).sum::<usize>(), bytes);
        let of = |steps: &[GiantStep]| {
            evaluator.transform(&inputs, &map_of(steps, GiantOrder::Apart), Rescale::No).unwrap()
        };
        assert_near(&setup, &of(&of_one), &expected, 1e-2);
        assert_eq!(of(&of_one), of(&together), "wherever factors lie");
    }
}

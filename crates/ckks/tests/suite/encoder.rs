//! The encoder against the embedding's definition, and its refusals.

use crate::common::{literal, random_slots};
use blindsight_ckks::{Context, Encoding, Error, Extension, Level, Randomness, Scale, SecretKey, testing};
use blindsight_ring::parallel::Pool;
use blindsight_ring::{Coefficients, Kernel, Poly};
use proptest::prelude::*;
use std::f64::consts::PI;
use std::sync::{Arc, OnceLock};

/// Degrees 16, 32, ... 1024.
fn context(index: usize) -> &'static Arc<Context> {
    static CONTEXTS: OnceLock<Vec<Arc<Context>>> = OnceLock::new();
    let make = |bits: usize| {
        let parameters = literal(1 << bits, 2).validate_insecure().unwrap();
        Context::new(parameters, Kernel::from_environment().unwrap()).unwrap()
    };
    &CONTEXTS.get_or_init(|| (4..=10).map(make).collect())[index]
}

/// `cos(2 pi i 5^j / 4N)` for slot `j` and coefficient `i`.
fn cosines(n: usize) -> impl Fn(usize, usize) -> f64 {
    let table: Vec<f64> = (0..4 * n).map(|k| (2.0 * PI * k as f64 / (4 * n) as f64).cos()).collect();
    let powers: Vec<usize> = std::iter::successors(Some(1), |g| Some(g * 5 % (4 * n))).take(n).collect();
    move |slot, index| table[powers[slot] * index % (4 * n)]
}

/// Slot `j` is `a_0 + sum of a_i 2 cos(2 pi i 5^j / 4N)`: the definition.
fn naive_slots(coefficients: &[f64]) -> Vec<f64> {
    let (n, cosine) = (coefficients.len(), cosines(coefficients.len()));
    let term = |j, i| if i == 0 { coefficients[0] } else { 2.0 * coefficients[i] * cosine(j, i) };
    (0..n).map(|j| (0..n).map(|i| term(j, i)).sum()).collect()
}

/// The cosines are orthogonal over the slots: `a_i` is the mean of `x_j cos(2 pi i 5^j / 4N)`.
fn naive_coefficients(slots: &[f64]) -> Vec<f64> {
    let (n, cosine) = (slots.len(), cosines(slots.len()));
    (0..n).map(|i| (0..n).map(|j| slots[j] * cosine(j, i)).sum::<f64>() / n as f64).collect()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |m, (x, y)| m.max((x - y).abs()))
}

fn assert_residues(poly: &Poly<Coefficients>, primes: impl Iterator<Item = u32>, expected: &[i64]) {
    for (limb, q) in poly.iter().zip(primes) {
        for (i, (&word, &k)) in limb.iter().zip(expected).enumerate() {
            assert_eq!(i64::from(word), k.rem_euclid(q.into()), "coefficient {i} = {k} modulo {q}");
        }
    }
}

fn assert_encodings(
    context: &Context,
    values: &[f64],
    encoding: Encoding,
    level: Level,
    scale: Scale,
    expected: &[i64],
) {
    let parameters = context.parameters();
    let primes = || parameters.moduli()[..parameters.limbs(level)].iter().map(|m| m.value());
    let summand = context.encode_summand(values, encoding, level, scale).unwrap();
    assert_eq!((summand.level(), summand.scale()), (level, scale));
    assert_residues(&testing::summand_residues(context, &summand), primes(), expected);
    if encoding == Encoding::Slots {
        for extension in [Extension::Plain, Extension::Extended] {
            let special = parameters.special().iter().map(|m| m.value());
            let special = special.take(if extension == Extension::Extended { usize::MAX } else { 0 });
            let factor = context.encode_factor(values, level, scale, extension).unwrap();
            assert_eq!((factor.level(), factor.scale(), factor.extension()), (level, scale, extension));
            let residues = testing::factor_residues(context, &factor);
            assert_eq!(residues.limbs(), primes().chain(special.clone()).count());
            assert_residues(&residues, primes().chain(special), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_embedding_is_its_definition(index in 0usize..7, seed: u64) {
        let context = context(index);
        let a = random_slots(context.parameters().slots(), seed);
        let slots = context.coefficients_to_slots(&a).unwrap();
        prop_assert!(largest_difference(&slots, &naive_slots(&a)) < 1e-11);
        let coefficients = context.slots_to_coefficients(&a).unwrap();
        prop_assert!(largest_difference(&coefficients, &naive_coefficients(&a)) < 1e-14);
        prop_assert!(largest_difference(&context.slots_to_coefficients(&slots).unwrap(), &a) < 1e-13);
    }

    /// Slots that an integer polynomial takes encode to just that polynomial, modulo every prime.
    #[test]
    fn plaintexts_are_rounded_coefficients(
        index in 0usize..7, level in 0usize..6, bits in 0.0f64..46.0, scale_bits in 1.0f64..40.0, seed: u64,
    ) {
        let context = context(index);
        let bits = bits.min(context.parameters().log_q(Level(level)) - 1.0);
        let uniform = random_slots(context.parameters().slots(), seed);
        let integers: Vec<f64> = uniform.iter().map(|x| (x * bits.exp2()).trunc()).collect();
        let scale = Scale::bits(scale_bits);
        let slots: Vec<f64> = naive_slots(&integers).iter().map(|x| x / scale.0).collect();
        let expected: Vec<i64> = integers.iter().map(|&x| x as i64).collect();
        assert_encodings(context, &slots, Encoding::Slots, Level(level), scale, &expected);
    }

    /// Between integers the nearest one is taken: half a unit off at most, and less the transform's own
    /// rounding.
    #[test]
    fn slots_are_rounded_to_the_nearest(index in 0usize..7, bits in 1.0f64..40.0, seed: u64) {
        let context = context(index);
        let slots = random_slots(context.parameters().slots(), seed);
        let integers = testing::integers(context, &slots, Level(5), Scale::bits(bits)).unwrap();
        for (k, a) in integers.iter().zip(naive_coefficients(&slots)) {
            prop_assert!((*k as f64 - a * bits.exp2()).abs() < 0.501, "{k} for {}", a * bits.exp2());
        }
    }

    #[test]
    fn two_vectors_at_once_are_two_vectors(index in 0usize..7, bits in 1.0f64..40.0, seed: u64, short: bool) {
        let (context, scale) = (context(index), Scale::bits(bits));
        let slots = [1, 2].map(|i| random_slots(context.parameters().slots(), seed ^ i));
        let second = if short { &slots[1][..3] } else { &slots[1] };
        let pair = testing::pair_integers(context, [&slots[0], second], Level(5), scale).unwrap();
        for (both, slots) in pair.iter().zip([&slots[0], second]) {
            let single = testing::integers(context, slots, Level(5), scale).unwrap();
            let exact = context.slots_to_coefficients(slots).unwrap();
            for ((x, y), a) in both.iter().zip(&single).zip(exact) {
                // Different sums round differently just where a coefficient lies half-way between two
                // integers.
                let half_way = ((a * scale.0).fract().abs() - 0.5).abs() < 1e-3;
                prop_assert!(x == y || ((x - y).abs() == 1 && half_way), "{x} and {y} for {}", a * scale.0);
            }
        }
    }
}

#[test]
fn coefficients_are_encoded_exactly_up_to_62_bits() {
    let context = context(1);
    let large = 1i64 << 62;
    let mut integers =
        vec![0, 1, -1, large, -large, 1 << 31, -(1 << 31), (1 << 31) - 1, (1 << 52) - 1, -(1 << 53)];
    for q in context.parameters().moduli().iter().map(|m| i64::from(m.value())) {
        integers.extend([q - 1, q, q + 1, -q, 1 - q, q / 2, -q / 2]);
    }
    for chunk in integers.chunks(32) {
        for level in (2..6).map(Level) {
            let mut expected = chunk.to_vec();
            expected.resize(32, 0);
            // All of these have no more than 53 significant bits, and those that are odd no more than 52:
            // beyond that an `f64` has no halves to round by.
            let values: Vec<f64> = chunk.iter().map(|&k| k as f64 / 4.0).collect();
            assert_encodings(context, &values, Encoding::Coefficients, level, Scale(4.0), &expected);
        }
    }
    // Small ones take a shorter way.
    let small: Vec<i64> = (-16..16).collect();
    let values: Vec<f64> = small.iter().map(|&k| k as f64).collect();
    (0..6).for_each(|l| {
        assert_encodings(context, &values, Encoding::Coefficients, Level(l), Scale(1.0), &small)
    });
}

#[test]
fn ties_go_away_from_zero() {
    let values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.499_999, -0.500_001];
    let mut expected = vec![1, 2, 3, -1, -2, -3, 0, -1];
    expected.resize(16, 0);
    assert_encodings(context(0), &values, Encoding::Coefficients, Level(0), Scale(1.0), &expected);
}

#[test]
fn missing_values_are_zero() {
    let context = context(2);
    assert_encodings(context, &[], Encoding::Slots, Level(3), Scale::bits(40.0), &[0; 64]);
    let three = context.encode_summand(&[1.0, -2.0, 3.0], Encoding::Slots, Level(1), Scale::bits(20.0));
    let mut padded = vec![1.0, -2.0, 3.0];
    padded.resize(64, 0.0);
    assert_eq!(three, context.encode_summand(&padded, Encoding::Slots, Level(1), Scale::bits(20.0)));
}

#[test]
fn what_a_level_holds_is_encoded_and_no_more() {
    let context = context(0);
    let q0 = f64::from(context.parameters().moduli()[0].value());
    let encode = |value: f64, level, scale| {
        context.encode_summand(&[0.0, value], Encoding::Coefficients, level, scale).map(|_| ())
    };
    for sign in [1.0, -1.0] {
        encode(sign * (q0 - 1.0) / 2.0, Level(0), Scale(1.0)).unwrap();
        let Err(Error::Overflow { magnitude, scale, needed, available, level }) =
            encode(sign * (q0 + 1.0) / 8.0, Level(0), Scale(4.0))
        else {
            panic!("half of the modulus and more was accepted");
        };
        assert_eq!((magnitude, scale, level), ((q0 + 1.0) / 8.0, Scale(4.0), Level(0)));
        assert!((needed - ((q0 + 1.0) / 2.0).log2()).abs() < 1e-12, "{needed}");
        assert!((available - (q0.log2() - 1.0)).abs() < 1e-12, "{available}");
        // With limbs enough it is the 64-bit integers that end: a bit for the sign, and one for the error to
        // be added.
        encode(sign * 2f64.powi(61), Level(5), Scale(2.0)).unwrap();
        let refused = encode(sign * 2f64.powi(61) * (1.0 + 1e-9), Level(5), Scale(2.0));
        assert!(matches!(refused, Err(Error::Overflow { available: 62.0, .. })), "{refused:?}");
        assert!(refused.unwrap_err().to_string().contains("needs 62.0 bits, but level 5 holds 62.0"));
    }
    let factor = context.encode_factor(&[1e30; 16], Level(5), Scale(1.0), Extension::Extended);
    assert!(matches!(factor, Err(Error::Overflow { .. })));
}

#[test]
fn what_is_no_vector_of_slots_is_refused() {
    let context = context(0);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut values = vec![1.0; 16];
        values[11] = bad;
        for encoding in [Encoding::Slots, Encoding::Coefficients] {
            let encoded = context.encode_summand(&values, encoding, Level(0), Scale(1.0));
            assert_eq!(encoded, Err(Error::NotFinite(11)));
        }
        let encoded = context.encode_factor(&values, Level(0), Scale(1.0), Extension::Plain);
        assert_eq!(encoded, Err(Error::NotFinite(11)));
        let pair = testing::pair_integers(context, [&[1.0], &values], Level(0), Scale(1.0));
        assert_eq!(pair, Err(Error::NotFinite(11)));
    }
    let encoded = context.encode_factor(&[0.0; 17], Level(0), Scale(1.0), Extension::Plain);
    assert_eq!(encoded, Err(Error::TooManyValues { given: 17, slots: 16 }));
    let encoded = context.encode_factor(&[0.0], Level(6), Scale(1.0), Extension::Plain);
    assert_eq!(encoded, Err(Error::NoSuchLevel { level: Level(6), largest: Level(5) }));
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for values in [&[0.0][..], &[1.0]] {
            let encoded = context.encode_summand(values, Encoding::Slots, Level(0), Scale(scale));
            assert!(matches!(encoded, Err(Error::InvalidScale(_))), "{scale}: {encoded:?}");
        }
    }
}

#[test]
fn ciphertexts_encrypted_together_are_those_encrypted_one_by_one() {
    let context = context(6);
    let secret = SecretKey::generate(context, &mut Randomness::from_test_seed(1));
    let (level, scale) = (Level(4), Scale::bits(26.0));
    for count in 0..5 {
        let slots: Vec<_> = (0..count).map(|i| random_slots(1024, 40 + i)).collect();
        let mut randomness = Randomness::from_test_seed(2);
        let together = secret.encrypt_all(context, &slots, level, scale, &mut randomness).unwrap();
        let mut randomness = Randomness::from_test_seed(2);
        let one = |slots: &Vec<f64>| secret.encrypt(context, slots, level, scale, &mut randomness).unwrap();
        assert!(together == slots.iter().map(one).collect::<Vec<_>>(), "{count} ciphertexts");
        let mut randomness = Randomness::from_test_seed(2);
        let all = || secret.encrypt_all(context, &slots, level, scale, &mut randomness).unwrap();
        assert!(together == Pool::new(3).unwrap().run(all), "{count} ciphertexts on three threads");
    }
}

#[test]
fn plaintexts_do_not_print_what_they_hold() {
    let (context, scale) = (context(3), Scale::bits(20.0));
    let slots = random_slots(context.parameters().slots(), 1);
    let factor = context.encode_factor(&slots, Level(1), scale, Extension::Plain).unwrap();
    let summand = context.encode_summand(&slots, Encoding::Slots, Level(1), scale).unwrap();
    for printed in [format!("{factor:?}"), format!("{summand:?}")] {
        assert!(printed.len() < 120 && printed.contains("level"), "{printed}");
    }
}

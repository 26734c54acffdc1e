//! Masked replies: what they decrypt to, and what they do not show.

use crate::common::{Setup, literal, mean_square, random_slots};
use blindsight_ckks::masking::{MOST_NOISE_BITS, noise_bits, noise_deviation, with_zero};
use blindsight_ckks::wire::ReplyShape;
use blindsight_ckks::{
    Ciphertext, Error, Evaluator, KeyRequirements, Level, Randomness, Reply, Scale, noise, wire,
};
use blindsight_ring::Kernel;
use proptest::prelude::*;

const N: usize = 1024;
const SCALE: Scale = Scale((1u64 << 30) as f64);

/// Levels of two primes, and a public key for replies.
fn setup() -> Setup {
    let parameters = literal(N, 2).validate_insecure_levels(2).unwrap();
    let requirements = KeyRequirements { public: Some(Level(0)), ..KeyRequirements::default() };
    Setup::with(parameters, &requirements, 23, Kernel::from_environment().unwrap())
}

fn masked(setup: &Setup, a: &Ciphertext, indices: &[usize], bits: u32) -> Reply {
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    evaluator.masked_reply(a, indices, bits, &mut setup.randomness.borrow_mut()).unwrap()
}

/// The errors of a masked reply's coefficients beside the ciphertext's own, in integers.
fn errors(setup: &Setup, a: &Ciphertext, indices: &[usize], bits: u32) -> Vec<f64> {
    let before = setup.secret.decrypt_coefficients(&setup.context, a);
    let after = setup.secret.decrypt_reply(&setup.context, &masked(setup, a, indices, bits), indices);
    after.iter().zip(indices).map(|(x, &i)| (x - before[i]) * SCALE.0).collect()
}

#[test]
fn the_encryption_of_zero_has_the_error_that_is_predicted() {
    let setup = setup();
    let parameters = setup.context.parameters();
    let a = setup.encrypt(&random_slots(N, 1), Level(0), SCALE);
    let indices: Vec<usize> = (1..N).collect();
    // Noise of one bit is -1 or 0.
    let measured: f64 = (0..8).map(|_| mean_square(errors(&setup, &a, &indices, 0))).sum::<f64>() / 8.0;
    let zero = noise::coefficient_deviation(parameters, noise::fresh_public(parameters), SCALE) * SCALE.0;
    let ratio = measured / zero.powi(2);
    assert!((0.9..1.1).contains(&ratio), "{measured:.3e} for {:.3e}", zero.powi(2));
    let before = 1e-5;
    assert!((with_zero(parameters, before, SCALE) - before.hypot(zero / SCALE.0)).abs() < 1e-12);
}

#[test]
fn noise_is_uniform_and_as_large_as_asked_for() {
    let setup = setup();
    let a = setup.encrypt(&random_slots(N, 2), Level(0), SCALE);
    let indices: Vec<usize> = (1..N).collect();
    for bits in [20, 30, 40] {
        let mut noise: Vec<f64> = (0..8)
            .flat_map(|_| errors(&setup, &a, &indices, bits))
            .map(|e| e / f64::from(bits).exp2())
            .collect();
        noise.sort_by(f64::total_cmp);
        let count = noise.len() as f64;
        // Kolmogorov and Smirnov: 2.5 over the root is exceeded in one of 100,000 tests.
        let furthest =
            noise.iter().enumerate().map(|(i, x)| ((i as f64 + 0.5) / count - (x + 1.0) / 2.0).abs());
        let furthest = furthest.fold(0.0, f64::max);
        assert!(furthest < 2.5 / count.sqrt(), "{bits} bits: {furthest:.4} from uniform");
        let measured = mean_square(noise).sqrt() * f64::from(bits).exp2() / SCALE.0;
        let ratio = measured / noise_deviation(bits, SCALE);
        assert!((0.97..1.03).contains(&ratio), "{bits} bits: {ratio}");
    }
}

#[test]
fn nothing_of_the_second_half_is_left() {
    let setup = setup();
    let a = setup.encrypt(&random_slots(N, 3), Level(0), SCALE);
    let clean = Evaluator::new(&setup.context, &setup.keys).reply(&a, &[1, 2]).unwrap();
    let bytes = |reply: &Reply| wire::write_replies(&setup.context, std::slice::from_ref(reply));
    let all = [clean, masked(&setup, &a, &[1, 2], 8), masked(&setup, &a, &[1, 2], 8)].map(|r| bytes(&r));
    for (left, right) in [(0, 1), (0, 2), (1, 2)] {
        // Bytes of uniform words agree once in 256.
        let same = all[left].iter().zip(&all[right]).filter(|(a, b)| a == b).count();
        let share = same as f64 / all[left].len() as f64;
        assert!(share < 0.02, "replies {left} and {right} share {share:.3} of their bytes");
    }
}

#[test]
fn what_cannot_be_masked_is_refused() {
    let setup = setup();
    let mut randomness = Randomness::from_test_seed(1);
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let low = setup.encrypt(&[1.0], Level(0), SCALE);
    let most = MOST_NOISE_BITS;
    let bits = most + 1;
    let mut refused =
        |a, indices: &[usize], bits| evaluator.masked_reply(a, indices, bits, &mut randomness).unwrap_err();
    assert_eq!(refused(&low, &[1], bits), Error::NoiseBits { bits, most });
    assert_eq!(refused(&low, &[N], 1), Error::NoSuchCoefficient { index: N, degree: N });
    let keyless = Setup::with(
        setup.context.parameters().clone(),
        &KeyRequirements::default(),
        23,
        Kernel::from_environment().unwrap(),
    );
    let evaluator = Evaluator::new(&keyless.context, &keyless.keys);
    let missing = evaluator.masked_reply(&low, &[1], 1, &mut randomness).unwrap_err();
    assert!(matches!(missing, Error::MissingKey { .. }), "{missing}");
}

#[test]
fn a_key_of_the_level_that_is_asked_for_or_an_error() {
    let setup = setup();
    let a = setup.encrypt(&[1.0], Level(1), SCALE);
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let refused = evaluator.masked_reply(&a, &[1], 1, &mut Randomness::from_test_seed(1)).unwrap_err();
    assert_eq!(refused, Error::LevelMismatch { left: Level(1), right: Level(0) });
}

#[test]
fn masked_replies_come_back_from_bytes() {
    let setup = setup();
    let a = setup.encrypt(&random_slots(N, 4), Level(0), SCALE);
    for count in [1, 3, 25] {
        let indices: Vec<usize> = (1..=count).collect();
        let replies = [masked(&setup, &a, &indices, 12), masked(&setup, &a, &indices, 12)];
        let shape = ReplyShape { ciphertexts: 2, ..ReplyShape::of_one(count) };
        let bytes = wire::write_replies(&setup.context, &replies);
        assert_eq!(bytes.len(), wire::reply_bytes(setup.context.parameters(), shape));
        let read = |bytes: &[u8]| wire::read_replies(&setup.context, bytes, shape, SCALE);
        assert_eq!(read(&bytes).unwrap(), replies);
        assert!(read(&bytes[1..]).is_err() && read(&[&bytes[..], &[0]].concat()).is_err());
    }
}

proptest! {
    /// By the formula of the module, and no rounding down.
    #[test]
    fn noise_covers_the_sum_of_errors(
        kappa in 1u32..30, deviations in proptest::collection::vec(1e-9f64..1e-3, 1..40),
    ) {
        let bits = noise_bits(kappa, &deviations, SCALE);
        let errors = 4.0 * deviations.iter().sum::<f64>() * SCALE.0;
        let distance = errors / bits.exp2();
        prop_assert!(bits == 0.0 || distance <= f64::from(kappa).exp2().recip());
        prop_assert!(bits == 0.0 || 2.0 * distance > f64::from(kappa).exp2().recip() * 0.999);
    }
}

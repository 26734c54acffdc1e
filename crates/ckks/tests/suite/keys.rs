//! Which keys serve what, and what keys show of themselves.

use crate::common::{Setup, giant_step, literal, map_of, random_slots, rotated};
use blindsight_ckks::{
    Context, Error, Evaluator, Extension, GiantOrder, KeyPurpose, KeyRequirements, Level, Randomness,
    Rescale, Scale, SecretKey, SeededEvaluationKeys,
};
use blindsight_ring::Kernel;
use std::sync::Arc;
use zeroize::ZeroizeOnDrop;

fn context(degree: usize, digit_limbs: usize) -> Arc<Context> {
    let parameters = literal(degree, digit_limbs).validate_insecure().unwrap();
    Context::new(parameters, Kernel::from_environment().unwrap()).unwrap()
}

fn rotations(steps: impl IntoIterator<Item = usize>, level: Level) -> KeyRequirements {
    let mut requirements = KeyRequirements::default();
    steps.into_iter().for_each(|k| requirements.rotate_at(k, level));
    requirements
}

#[test]
fn every_rotation_of_a_small_ring() {
    for degree in [16, 32, 128] {
        let setup = Setup::new(degree, 2, &rotations(0..degree, Level(1)), 3);
        let evaluator = Evaluator::new(&setup.context, &setup.keys);
        let x = random_slots(degree, 1);
        let a = setup.encrypt(&x, Level(1), Scale::bits(40.0));
        let steps: Vec<usize> = (0..degree).collect();
        for (k, hoisted) in steps.iter().zip(evaluator.hoisted_rotations(&a, &steps).unwrap()) {
            let error = setup.errors(&hoisted, &rotated(&x, *k)).iter().fold(0.0, |m: f64, e| m.max(e.abs()));
            assert!(error < 1e4, "rotation by {k} at degree {degree}: error {error}");
            assert_eq!(hoisted, evaluator.rotate(&a, *k).unwrap(), "rotation by {k}");
        }
    }
}

/// The same seed gives the same secret, and key digits whose leading limbs are the same at every level.
#[test]
fn a_key_for_a_higher_level_is_the_lower_key_and_more() {
    for digit_limbs in [1, 2, 3, 4, 6] {
        let mut relinearisation = KeyRequirements::default();
        let setup_at = |level: Level, requirements: &mut KeyRequirements| {
            requirements.relinearise_at(level);
            Setup::new(256, digit_limbs, requirements, 5)
        };
        let low = setup_at(Level(2), &mut relinearisation);
        let high = setup_at(Level(5), &mut relinearisation);
        let rotating = |level| Setup::new(256, digit_limbs, &rotations([7], level), 6);
        let (low_rotating, high_rotating) = (rotating(Level(2)), rotating(Level(5)));
        for level in (0..=2).map(Level) {
            let x = random_slots(256, 2);
            let a = low.encrypt(&x, level, Scale::bits(12.0));
            let square =
                |setup: &Setup| Evaluator::new(&setup.context, &setup.keys).square(&a, Rescale::No).unwrap();
            assert!(square(&low) == square(&high), "square at {level}, digits of {digit_limbs}");
            let a = low_rotating.encrypt(&x, level, Scale::bits(12.0));
            let rotate = |setup: &Setup| Evaluator::new(&setup.context, &setup.keys).rotate(&a, 7).unwrap();
            assert!(
                rotate(&low_rotating) == rotate(&high_rotating),
                "rotation at {level}, digits of {digit_limbs}"
            );
        }
    }
}

#[test]
fn missing_keys_are_named_with_their_level() {
    let mut requirements = rotations([1], Level(2));
    requirements.relinearise_at(Level(1));
    let setup = Setup::new(64, 2, &requirements, 4);
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let at = |level| setup.encrypt(&[1.0], Level(level), Scale::bits(12.0));
    let missing =
        |operation: &str, level| Error::MissingKey { operation: operation.into(), level: Level(level) };

    assert!(evaluator.rotate(&at(2), 1).is_ok() && evaluator.square(&at(1), Rescale::No).is_ok());
    assert_eq!(evaluator.rotate(&at(3), 1), Err(missing("rotation by 1", 3)));
    assert_eq!(evaluator.rotate(&at(0), 63), Err(missing("rotation by 63", 0)));
    assert_eq!(evaluator.rotate(&at(0), 65), Err(missing("rotation by 65", 0)));
    assert_eq!(evaluator.rotate(&at(0), usize::MAX), Err(missing(&format!("rotation by {}", usize::MAX), 0)));
    assert_eq!(evaluator.hoisted_rotations(&at(1), &[0, 1, 2]), Err(missing("rotation by 2", 1)));
    assert_eq!(evaluator.square(&at(2), Rescale::No), Err(missing("relinearisation", 2)));
    assert_eq!(evaluator.multiply(&at(5), &at(5), Rescale::Yes), Err(missing("relinearisation", 5)));
    assert_eq!(
        evaluator.rotate_and_sum(at(1), &[vec![1], vec![1, 2]], Rescale::No),
        Err(missing("rotation by 2", 1))
    );
    assert_eq!(evaluator.rotate_and_sum(at(1), &[vec![0]], Rescale::No), Err(missing("rotation by 0", 1)));

    let scale = Scale::bits(12.0);
    let factor = setup.context.encode_factor(&[1.0], Level(1), scale, Extension::Extended).unwrap();
    let transform = |baby_step, rotation| {
        let step = giant_step(rotation, &[(0, baby_step, factor.clone())]);
        evaluator.transform(&[&at(1)], &map_of(&[step], GiantOrder::Apart), Rescale::No)
    };
    assert!(transform(1, 1).is_ok());
    assert_eq!(transform(2, 0), Err(missing("rotation by 2", 1)));
    assert_eq!(transform(0, 3), Err(missing("rotation by 3", 1)));
    let message = evaluator.rotate(&at(3), 1).unwrap_err().to_string();
    assert_eq!(message, "no key for rotation by 1 at level 3: generate it with the evaluation keys");
}

#[test]
fn a_rotation_by_zero_needs_no_key() {
    let setup = Setup::new(64, 2, &KeyRequirements::default(), 4);
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let a = setup.encrypt(&random_slots(64, 5), Level(3), Scale::bits(26.0));
    assert_eq!(evaluator.rotate(&a, 0).unwrap(), a);
    assert_eq!(evaluator.hoisted_rotations(&a, &[0, 0]).unwrap(), [a.clone(), a]);
}

#[test]
fn requirements_keep_the_highest_level_and_their_order() {
    let mut requirements = KeyRequirements::default();
    requirements.relinearise_at(Level(2));
    requirements.relinearise_at(Level(1));
    for (steps, level) in [(9, 1), (0, 5), (3, 4), (9, 3), (9, 2)] {
        requirements.rotate_at(steps, Level(level));
    }
    let expected = [
        (KeyPurpose::Relinearisation, Level(2)),
        (KeyPurpose::Rotation(3), Level(4)),
        (KeyPurpose::Rotation(9), Level(3)),
    ];
    assert_eq!(requirements.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn keys_that_parameters_do_not_have_are_refused() {
    let context = context(64, 2);
    let mut randomness = Randomness::from_test_seed(1);
    let secret = SecretKey::generate(&context, &mut randomness);
    let mut generate = |requirements: &KeyRequirements| {
        SeededEvaluationKeys::generate(&context, &secret, requirements, &mut randomness, |_| ()).map(|_| ())
    };
    let no_level = Err(Error::NoSuchLevel { level: Level(6), largest: Level(5) });
    assert_eq!(generate(&rotations([1], Level(6))), no_level);
    let relinearisation = Some(Level(6));
    assert_eq!(generate(&KeyRequirements { relinearisation, ..KeyRequirements::default() }), no_level);
    for steps in [0, 64, 65, usize::MAX] {
        let rotations = [(steps, Level(0))].into_iter().collect();
        let requirements = KeyRequirements { rotations, ..KeyRequirements::default() };
        assert_eq!(generate(&requirements), Err(Error::NoSuchRotation { steps, slots: 64 }));
    }
    assert_eq!(generate(&rotations([1, 63], Level(5))), Ok(()));
}

#[test]
fn progress_counts_keys_and_bytes_are_those_of_the_words() {
    let context = context(64, 2);
    let mut randomness = Randomness::from_test_seed(1);
    let secret = SecretKey::generate(&context, &mut randomness);
    let mut requirements = rotations([1, 2], Level(3));
    requirements.relinearise_at(Level(4));
    let mut told = Vec::new();
    let keys =
        SeededEvaluationKeys::generate(&context, &secret, &requirements, &mut randomness, |n| told.push(n));
    let keys = keys.unwrap();
    assert_eq!((told, keys.requirements()), (vec![1, 2, 3], &requirements));
    // Level 4: 3 digits, 7 limbs; level 3: 2 digits, 6 limbs, twice. Each limb twice, 64 words of 4 bytes.
    assert_eq!(keys.expand(&context).bytes(), (3 * 7 + 2 * 2 * 6) * 2 * 64 * 4);
}

#[test]
fn keys_of_another_secret_do_not_serve() {
    let (mine, theirs) = (
        Setup::new(1024, 2, &rotations([1], Level(2)), 1),
        Setup::new(1024, 2, &rotations([1], Level(2)), 2),
    );
    let x = random_slots(1024, 3);
    let a = mine.encrypt(&x, Level(2), Scale::bits(26.0));
    let wrong = Evaluator::new(&mine.context, &theirs.keys).rotate(&a, 1).unwrap();
    assert!(
        mine.error_variance(&wrong, &rotated(&x, 1)).sqrt() > 2f64.powi(60),
        "noise of the modulus's size"
    );
    let garbage = theirs.secret.decrypt(&mine.context, &a);
    assert!(garbage.iter().any(|x| x.abs() > 2f64.powi(30)));
}

#[test]
fn secret_keys_are_ternary_and_balanced() {
    let context = context(4096, 2);
    let mut randomness = Randomness::from_test_seed(9);
    let keys: Vec<_> =
        (0..4).map(|_| SecretKey::generate(&context, &mut randomness).coefficients()).collect();
    let all: Vec<i8> = keys.iter().flat_map(|key| key.iter().copied()).collect();
    for value in -1..=1 {
        let count = all.iter().filter(|&&c| c == value).count() as f64;
        let (third, deviation) = (all.len() as f64 / 3.0, (all.len() as f64 * 2.0 / 9.0).sqrt());
        assert!((count - third).abs() < 5.0 * deviation, "{count} coefficients are {value}");
    }
    // Neighbours, and the same coefficients of two keys, are uncorrelated.
    let correlation = |pairs: &mut dyn Iterator<Item = (i8, i8)>| {
        let (sum, count) = pairs.fold((0.0, 0.0), |(s, n), (a, b)| (s + f64::from(a * b), n + 1.0));
        sum / (count * 4.0 / 9.0f64).sqrt()
    };
    assert!(correlation(&mut all.iter().copied().zip(all.iter().skip(1).copied())).abs() < 5.0);
    assert!(correlation(&mut keys[0].iter().copied().zip(keys[1].iter().copied())).abs() < 5.0);
}

#[test]
fn secret_keys_come_back_from_their_coefficients() {
    let context = context(64, 2);
    let secret = SecretKey::generate(&context, &mut Randomness::from_test_seed(3));
    let again = SecretKey::from_coefficients(&context, &secret.coefficients()).unwrap();
    let x = random_slots(64, 4);
    let mut randomness = Randomness::from_test_seed(5);
    let a = again.encrypt(&context, &x, Level(1), Scale::bits(40.0), &mut randomness).unwrap();
    let decrypted = secret.decrypt(&context, &a.expand(context.basis(Level(1))));
    assert!(x.iter().zip(&decrypted).all(|(x, y)| (x - y).abs() < 1e-8));
    for wrong in [vec![0; 63], vec![0; 65], vec![2; 64], vec![-2; 64], vec![i8::MIN; 64], vec![]] {
        assert!(SecretKey::from_coefficients(&context, &wrong).is_none());
    }
}

#[test]
fn secrets_are_wiped_and_do_not_print() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SecretKey>();
    wiped::<Randomness>();
    let context = context(64, 2);
    let mut randomness = Randomness::from_test_seed(3);
    let secret = SecretKey::generate(&context, &mut randomness);
    assert_eq!(format!("{secret:?} {secret:#?}"), "SecretKey(..) SecretKey(..)");
    assert_eq!(format!("{randomness:?} {randomness:#?}"), "Randomness(..) Randomness(..)");
}

#[test]
fn the_system_gives_different_randomness_each_time() {
    let seeds = [0; 3].map(|_| Randomness::from_system().unwrap().seed());
    assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2] && seeds[0] != seeds[2]);
    let mut one = Randomness::from_system().unwrap();
    assert_ne!(one.seed(), one.seed());
}

//! Every operation with every shape of parameters, at every degree, on every kernel and inside a thread pool.

use crate::common::every::{assert_outcomes, every_operation, requirements};
use crate::common::{Setup, literal, shaped, shipped, tight};
use blindsight_ckks::{Level, Parameters};
use blindsight_ring::Kernel;

fn setup(parameters: Parameters, kernel: Kernel) -> Setup {
    let requirements = requirements(&parameters);
    Setup::with(parameters, &requirements, 11, kernel)
}

fn check_every_level(parameters: Parameters) {
    let levels = 0..=parameters.max_level().0;
    let setup = setup(parameters, Kernel::from_environment().unwrap());
    for level in levels {
        assert_outcomes(&setup, &every_operation(&setup, Level(level)));
    }
}

#[test]
fn every_shape_of_digits_and_special_primes() {
    for (digit_limbs, specials) in [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3), (4, 4), (4, 8), (6, 6)] {
        check_every_level(shaped(2048, digit_limbs, specials).validate_insecure().unwrap());
    }
}

#[test]
fn levels_of_two_primes() {
    for (digit_limbs, specials) in [(1, 1), (1, 2), (2, 2), (3, 3), (4, 4), (4, 7), (6, 6)] {
        let literal = shaped(2048, digit_limbs, specials);
        check_every_level(literal.validate_insecure_levels(2).unwrap());
    }
}

#[test]
fn every_degree() {
    for degree in (4..12).map(|bits| 1 << bits) {
        for digit_limbs in [1, 2, 3, 4, 6] {
            check_every_level(literal(degree, digit_limbs).validate_insecure().unwrap());
        }
    }
}

#[test]
fn wide_digits_under_special_primes_that_just_cover_them() {
    for (degree, digit_limbs) in [(2048, 4), (4096, 4), (2048, 6), (8192, 6), (2048, 7), (4096, 8)] {
        let limbs = 2 * digit_limbs + 1;
        let parameters = tight(degree, limbs, digit_limbs).validate_insecure().unwrap();
        let setup = setup(parameters, Kernel::from_environment().unwrap());
        for level in [0, 1, digit_limbs - 1, digit_limbs, limbs - 1] {
            assert_outcomes(&setup, &every_operation(&setup, Level(level)));
        }
    }
}

#[test]
fn a_chain_of_one_prime() {
    let mut literal = literal(2048, 1);
    literal.moduli.truncate(1);
    check_every_level(literal.validate_insecure().unwrap());
}

#[test]
fn the_shipped_parameters() {
    check_every_level(shipped().validate().unwrap());
}

#[test]
fn all_kernels_give_the_same_bits() {
    for digit_limbs in [1, 2, 3, 4, 6] {
        let parameters = literal(256, digit_limbs).validate_insecure().unwrap();
        let results = |kernel| all_results(&setup(parameters.clone(), kernel));
        let scalar = results(Kernel::Scalar);
        for kernel in Kernel::available() {
            assert!(results(kernel) == scalar, "{kernel:?} and scalar differ");
        }
    }
}

#[test]
fn a_thread_pool_changes_no_bit() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let parameters = literal(256, 2).validate_insecure().unwrap();
    let results = || all_results(&setup(parameters.clone(), Kernel::from_environment().unwrap()));
    assert!(pool.install(results) == results(), "the pool's results differ");
}

fn all_results(setup: &Setup) -> Vec<blindsight_ckks::Ciphertext> {
    let levels = 0..=setup.context.parameters().max_level().0;
    let outcomes = levels.flat_map(|level| every_operation(setup, Level(level)));
    outcomes.map(|outcome| outcome.ciphertext).collect()
}

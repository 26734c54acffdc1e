//! Long chains in large rings, at 128 bits of security: what deep networks run on.

use crate::common::{Setup, assert_variance, mean_square, nearest, random_slots, rotated};
use blindsight_ckks::noise;
use blindsight_ckks::{
    Context, Encoding, Evaluator, KeyRequirements, Level, ParametersLiteral, Rescale, Scale,
};
use blindsight_ring::Kernel;

/// Levels of `bits` over a base prime of two bits more, with `digit_limbs` special primes of `special_bits`.
fn literal(
    degree: usize,
    levels: usize,
    bits: u32,
    digit_limbs: usize,
    special_bits: u32,
) -> ParametersLiteral {
    let base = nearest(degree, (1 << (bits + 2)) - (1 << bits))[0];
    let others = nearest(degree, 1 << bits).into_iter().filter(|q| *q != base).take(levels);
    let moduli: Vec<u32> = std::iter::once(base).chain(others).collect();
    let unused = |q: &u32| !moduli.contains(q);
    let special = nearest(degree, 1 << special_bits).into_iter().filter(unused).take(digit_limbs).collect();
    ParametersLiteral { degree, moduli, special, digit_limbs }
}

/// A rotation and a rescaled square at the highest level, a rescale below it, and the error of each against
/// its prediction.
fn check(literal: &ParametersLiteral, scale: Scale) {
    let parameters = literal.validate().unwrap();
    let (top, degree) = (parameters.max_level(), parameters.degree());
    let mut requirements = KeyRequirements::default();
    requirements.relinearise_at(top);
    requirements.rotate_at(5, top);
    let setup = Setup::with(parameters, &requirements, 3, Kernel::from_environment().unwrap());
    let (parameters, evaluator) = (setup.context.parameters(), Evaluator::new(&setup.context, &setup.keys));
    let slots = random_slots(degree, 1);
    let a = setup.encrypt(&slots, top, scale);
    let (fresh, switched) = (noise::fresh(parameters), noise::key_product(parameters, top));
    let division = noise::division(parameters);

    let rotation = evaluator.rotate(&a, 5).unwrap();
    let expected = rotated(&slots, 5);
    assert_variance(setup.error_variance(&rotation, &expected), fresh + switched + division, "rotation");

    let square = evaluator.square(&rotation, Rescale::Yes).unwrap();
    let operand = (fresh + switched + division, mean_square(slots.iter().copied()), scale);
    let variance = (noise::square(operand) + switched) / parameters.modulus(top).powi(2) + division;
    let squares: Vec<f64> = expected.iter().map(|x| x * x).collect();
    assert_variance(setup.error_variance(&square, &squares), variance, "square");

    // By nine tenths of the prime: the prime itself would be divided out without a remainder.
    let factor = Scale((0.9 * parameters.modulus(square.level())).round());
    let rescaled = evaluator.rescale(evaluator.multiply_scalar(&square, 1.0, factor).unwrap()).unwrap();
    assert_eq!(rescaled.level(), Level(top.0 - 2));
    let variance = 0.81 * variance + division;
    assert_variance(setup.error_variance(&rescaled, &squares), variance, "rescale");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation, a second or two with it")]
fn twenty_seven_levels_at_32768() {
    let literal = literal(32768, 27, 26, 4, 28);
    assert!((literal.validate().unwrap().log_qp() - 842.0).abs() < 2.0);
    check(&literal, Scale::bits(26.0));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation, a second or two with it")]
fn thirty_nine_levels_at_65536() {
    check(&literal(65536, 39, 28, 6, 29), Scale::bits(28.0));
}

/// Numbers come back to 45 bits, far beyond what the scales of this ring ask for.
#[test]
fn the_encoder_is_precise_at_65536() {
    let parameters = literal(65536, 1, 28, 2, 30).validate().unwrap();
    let context = Context::new(parameters, Kernel::from_environment().unwrap()).unwrap();
    let slots = random_slots(65536, 9);
    let coefficients = context.slots_to_coefficients(&slots).unwrap();
    let back = context.coefficients_to_slots(&coefficients).unwrap();
    let worst = slots.iter().zip(&back).fold(0.0, |worst: f64, (x, y)| worst.max((x - y).abs()));
    assert!(worst < 1e-13, "{worst:e}");
    let plain = context.encode_summand(&slots, Encoding::Slots, Level(1), Scale::bits(50.0));
    assert!(plain.is_ok());
}

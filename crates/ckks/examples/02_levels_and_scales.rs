//! # 2. Levels and scales
//!
//! Every product multiplies scales, too. Rescaling brings them back, at the price of a level. This essay
//! computes `(0.75 x^2 + y) * x` on encrypted `x` and `y` and follows level and scale through every step,
//! because the evaluator insists on both: it never adjusts anything silently.

use blindsight_ckks::{
    Context, Error as CkksError, Evaluator, Extension, KeyRequirements, Level, ParametersLiteral, Randomness,
    Rescale, Scale, SecretKey, SeededEvaluationKeys,
};
use blindsight_ring::Kernel;
use std::error::Error;

/// Runs the essay.
pub fn main() -> Result<(), Box<dyn Error>> {
    let literal = ParametersLiteral {
        degree: 8192,
        moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
        special: vec![268271617, 268238849],
        digit_limbs: 2,
    };
    let context = Context::new(literal.validate()?, Kernel::from_environment()?)?;
    let parameters = context.parameters();

    // The circuit is three products deep: the square, the product with 0.75, and the last one. Each ends with
    // a rescale, a division by the last prime of its level, so it starts at level 3. A higher level would
    // work, too, and cost more: at level l a ciphertext has l + 1 limbs, and every operation works on all of
    // them.
    let (x_level, scale) = (Level(3), Scale::bits(26.0));

    // A product of two ciphertexts has three parts, not two; the relinearisation key brings it back to two.
    // It is asked for at the highest level where it is used, and serves all levels below.
    let mut requirements = KeyRequirements::default();
    requirements.relinearise_at(x_level);
    let mut randomness = Randomness::from_system()?;
    let secret = SecretKey::generate(&context, &mut randomness);
    let keys = SeededEvaluationKeys::generate(&context, &secret, &requirements, &mut randomness, |_| ())?;
    let keys = keys.expand(&context);
    let evaluator = Evaluator::new(&context, &keys);

    let numbers =
        |phase: f64| (0..parameters.slots()).map(|j| (j as f64 * 0.01 + phase).sin()).collect::<Vec<_>>();
    let (x, y) = (numbers(0.0), numbers(1.0));
    let encrypted_x =
        secret.encrypt(&context, &x, x_level, scale, &mut randomness)?.expand(context.basis(x_level));

    // The square has scale 2^52. The rescale divides by q_3 = 66813953, which is near 2^26 but not it: the
    // scale that remains is 2^52 / q_3 exactly, some number beside 2^26. Scales here are exact numbers, so
    // nothing drifts unnoticed.
    let square = evaluator.square(&encrypted_x, Rescale::Yes)?;
    println!("x^2: {}, scale {}", square.level(), square.scale());
    assert_eq!(square.scale(), Scale(scale.0 * scale.0 / parameters.modulus(Level(3))));

    // A plaintext's scale is ours to choose, and that repairs the scale: encoded at target * q / current, the
    // product comes out at the target after the rescale. Here the target is 2^26 again.
    let factor_scale = Scale(scale.0 * parameters.modulus(square.level()) / square.scale().0);
    let three_quarters = vec![0.75; parameters.slots()];
    let factor = context.encode_factor(&three_quarters, square.level(), factor_scale, Extension::Plain)?;
    let weighted = evaluator.multiply_plain(&square, &factor, Rescale::Yes)?;
    println!("0.75 x^2: {}, scale {}", weighted.level(), weighted.scale());
    assert!(weighted.scale().agrees(scale));

    // y is needed only now, so it is encrypted at this level: smaller, and cheaper to send. Were it at
    // another level or scale, the sum would be refused with both figures.
    let encrypted_y = secret
        .encrypt(&context, &y, weighted.level(), scale, &mut randomness)?
        .expand(context.basis(weighted.level()));
    assert!(matches!(evaluator.add(&encrypted_x, &encrypted_y), Err(CkksError::LevelMismatch { .. })));
    let sum = evaluator.add(&weighted, &encrypted_y)?;

    // x is still at level 3. Dropping limbs takes it down without touching message or scale: a ciphertext
    // modulo more primes is one modulo fewer.
    let lowered_x = evaluator.drop_level(encrypted_x, sum.level())?;
    let result = evaluator.multiply(&sum, &lowered_x, Rescale::Yes)?;
    println!("(0.75 x^2 + y) x: {}, scale {}", result.level(), result.scale());

    // No level is left now. A circuit that is deeper than its parameters gets an error, not garbage.
    assert_eq!(evaluator.square(&result, Rescale::Yes), Err(CkksError::NoLevelLeft));

    let decrypted = secret.decrypt(&context, &result);
    let expected = x.iter().zip(&y).map(|(x, y)| (0.75 * x * x + y) * x);
    let largest = decrypted.iter().zip(expected).fold(0.0, |m: f64, (d, e)| m.max((d - e).abs()));
    println!("largest error: {largest:.2e}");
    assert!(largest < 5e-3);
    Ok(())
}

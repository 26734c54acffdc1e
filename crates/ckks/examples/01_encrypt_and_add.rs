//! # 1. Encrypt and add
//!
//! A client has numbers and a server has time. The client encrypts its numbers, the server adds them without
//! ever seeing one, and the client decrypts the sum. This essay walks through it, from parameters to the
//! error of the result.

use blindsight_ckks::{
    Context, EvaluationKeys, Evaluator, Level, ParametersLiteral, Randomness, Scale, SecretKey, noise,
};
use blindsight_ring::Kernel;
use std::error::Error;

/// Runs the essay.
pub fn main() -> Result<(), Box<dyn Error>> {
    // Everything starts with parameters: a ring of degree N = 8192, a chain of ciphertext primes q_0 ... q_5,
    // two special primes that only keys have. Larger primes and longer chains allow deeper circuits; a larger
    // degree makes them secure. A literal is just numbers. Validation turns it into parameters, or refuses
    // it: here log2(QP) is 213.99 and 128 bits of security allow 214 at this degree, so one prime more would
    // be an error with both figures in it.
    let literal = ParametersLiteral {
        degree: 8192,
        moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
        special: vec![268271617, 268238849],
        digit_limbs: 2,
    };
    let parameters = literal.validate()?;
    println!("log2(QP) = {:.2}: {} bits of security", parameters.log_qp(), parameters.security_bits());

    // The context holds the tables that parameters imply. Client and server build the same one, each for its
    // own processor.
    let context = Context::new(parameters, Kernel::from_environment()?)?;
    let parameters = context.parameters();

    // --- The client ---
    //
    // Randomness comes from the operating system; there is no other way in a program. The secret key is drawn
    // from it.
    let mut randomness = Randomness::from_system()?;
    let secret = SecretKey::generate(&context, &mut randomness);

    // A ciphertext has as many slots as the ring has dimensions, all of them real numbers. A slot is stored
    // as an integer: the number times the scale, so 26 bits of scale are about 26 bits after the binary
    // point, the last ones lost to noise.
    let scale = Scale::bits(26.0);
    let temperatures: Vec<f64> =
        (0..parameters.slots()).map(|j| 20.0 + 5.0 * (j as f64 / 100.0).sin()).collect();
    let corrections: Vec<f64> =
        (0..parameters.slots()).map(|j| if j % 2 == 0 { 0.5 } else { -0.25 }).collect();

    // Encryption takes place at a level: how many rescales the ciphertext will have left (essay 2). A sum
    // needs none, but twenty degrees at 26 bits of scale make integers of 31 bits, and level 0 has only the
    // 28 bits of q_0. The encoder says so, and level 1 has 54. Half of a fresh ciphertext is uniformly
    // random, so it travels as the 32 bytes of a seed, and is expanded where it arrives.
    let too_low = secret.encrypt(&context, &temperatures, Level(0), scale, &mut randomness);
    println!("at level 0: {}", too_low.unwrap_err());
    let level = Level(1);
    let mut encrypt = |slots: &[f64]| secret.encrypt(&context, slots, level, scale, &mut randomness);
    let (first, second) = (encrypt(&temperatures)?, encrypt(&corrections)?);

    // --- The server ---
    //
    // An evaluator needs evaluation keys for products and rotations. Sums need no key at all, so this server
    // has none. What it can never have is the secret key: no type on this side holds one.
    let (first, second) = (first.expand(context.basis(level)), second.expand(context.basis(level)));
    let keys = EvaluationKeys::default();
    let evaluator = Evaluator::new(&context, &keys);
    let sum = evaluator.add(&first, &second)?;

    // Operations check what they can: a sum of two ciphertexts at different scales would be a sum of
    // different units.
    let other_unit = evaluator.multiply_scalar(&second, 1.0, Scale(2.0))?;
    println!("adding different scales: {}", evaluator.add(&first, &other_unit).unwrap_err());

    // --- The client again ---
    //
    // Decryption gives back the slots, and an error: encryption added noise, which is what makes it secure.
    // The error is random, but its deviation is known beforehand. In units of the integers its variance is
    // noise::fresh for each of the two, and the scale brings it back to ours.
    let decrypted = secret.decrypt(&context, &sum);
    let errors = decrypted.iter().zip(temperatures.iter().zip(&corrections)).map(|(x, (t, c))| x - t - c);
    let measured = (errors.map(|e| e * e).sum::<f64>() / parameters.slots() as f64).sqrt();
    let predicted = (2.0 * noise::fresh(parameters)).sqrt() / scale.0;
    println!("slot 0: {:.6}, expected {:.6}", decrypted[0], temperatures[0] + corrections[0]);
    println!("error: {measured:.2e} (predicted {predicted:.2e})");
    assert!((0.9..1.1).contains(&(measured / predicted)));
    Ok(())
}

//! What the tests share: small parameters, random slots, measured errors.
#![allow(dead_code)]

use ckks::{
    Ciphertext, Context, EvaluationKeys, KeyRequirements, Level, ParametersLiteral, Randomness, Scale,
    SecretKey, SeededEvaluationKeys,
};
use ring::{Kernel, primes};
use std::sync::Arc;

/// A key owner and a server in one, for tests.
pub struct Setup {
    pub context: Arc<Context>,
    pub secret: SecretKey,
    pub keys: EvaluationKeys,
    pub randomness: std::cell::RefCell<Randomness>,
}

/// Six ciphertext primes (one of 28, five of 26 bits) and as many special ones as cover a digit, at any degree.
pub fn literal(degree: usize, digit_limbs: usize) -> ParametersLiteral {
    let near = |bits: u32, count| {
        primes::search(degree, 1 << bits, 1 << 25, (1 << bits) + (1 << 24))[..count].to_vec()
    };
    let mut large = near(28, 4);
    large.sort_unstable();
    let special = match digit_limbs {
        1 => primes::search(degree, (1 << 30) - 1, 1 << 29, 1 << 30)[..1].to_vec(),
        _ => large[1..=digit_limbs].to_vec(),
    };
    // Digits of one limb need a first prime two bits below the special one.
    let first = if digit_limbs == 1 { near(27, 1)[0] } else { large[0] };
    ParametersLiteral { degree, moduli: [vec![first], near(26, 5)].concat(), special, digit_limbs }
}

impl Setup {
    pub fn new(degree: usize, digit_limbs: usize, requirements: &KeyRequirements, seed: u64) -> Self {
        let parameters = literal(degree, digit_limbs).validate_insecure().unwrap();
        Self::with(parameters, requirements, seed, Kernel::from_environment().unwrap())
    }

    pub fn with(
        parameters: ckks::Parameters,
        requirements: &KeyRequirements,
        seed: u64,
        kernel: Kernel,
    ) -> Self {
        let context = Context::new(parameters, kernel).unwrap();
        let mut randomness = Randomness::from_test_seed(seed);
        let secret = SecretKey::generate(&context, &mut randomness);
        let keys =
            SeededEvaluationKeys::generate(&context, &secret, requirements, &mut randomness, |_| ()).unwrap();
        Self { keys: keys.expand(&context), context, secret, randomness: randomness.into() }
    }

    pub fn encrypt(&self, slots: &[f64], level: Level, scale: Scale) -> Ciphertext {
        let mut randomness = self.randomness.borrow_mut();
        let seeded = self.secret.encrypt(&self.context, slots, level, scale, &mut randomness).unwrap();
        seeded.expand(self.context.basis(level))
    }

    /// Mean square of the slot errors, in units of the plaintext's integers.
    pub fn error_variance(&self, ciphertext: &Ciphertext, expected: &[f64]) -> f64 {
        let slots = self.secret.decrypt(&self.context, ciphertext);
        mean_square(slots.iter().zip(expected).map(|(x, y)| (x - y) * ciphertext.scale().0))
    }
}

/// Reproducible numbers in `[-1, 1]`.
pub fn random_slots(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub fn mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), x| (sum + x * x, count + 1));
    sum / f64::from(count)
}

pub fn rotated(slots: &[f64], steps: usize) -> Vec<f64> {
    (0..slots.len()).map(|j| slots[(j + steps) % slots.len()]).collect()
}

/// Fails unless the measured variance is what was predicted.
///
/// A test has `n` slots of nearly Gaussian and nearly independent errors: their mean square has a relative deviation of `sqrt(2 / n)`, 3 % at
/// 2048. The secret's norm and the messages' add a percent or two each. A fifth either way is over five deviations, and
/// still tells apart every factor of two that a formula could miss.
pub fn assert_variance(measured: f64, predicted: f64, what: &str) {
    let ratio = measured / predicted;
    assert!(
        (0.8..1.25).contains(&ratio),
        "{what}: variance {measured:.4e}, predicted {predicted:.4e}, ratio {ratio:.3}"
    );
}

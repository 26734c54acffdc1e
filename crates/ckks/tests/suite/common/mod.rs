//! What the tests share: small parameters, random slots, measured errors.

pub mod every;

use blindsight_ckks::{
    Ciphertext, Context, Error, EvaluationKeys, GiantOrder, GiantStep, KeyRequirements, Level,
    LinearTransform, Parameters, ParametersLiteral, PlainFactor, Randomness, Scale, SecretKey,
    SeededEvaluationKeys, Term,
};
use blindsight_ring::{Kernel, primes};
use std::cell::RefCell;
use std::sync::Arc;

/// A key owner and a server in one, for tests.
pub struct Setup {
    pub context: Arc<Context>,
    pub secret: SecretKey,
    pub keys: EvaluationKeys,
    pub randomness: RefCell<Randomness>,
}

/// A giant step of these inputs, baby steps and factors.
pub fn giant_step(rotation: usize, terms: &[(usize, usize, PlainFactor)]) -> GiantStep {
    let term = |&(input, baby_step, ref factor): &(usize, usize, PlainFactor)| Term {
        input,
        baby_step,
        repeats: factor.repeats(),
    };
    let shape: Vec<Term> = terms.iter().map(term).collect();
    let steps = GiantStep::together(&[(rotation, shape)], |_, term| Ok::<_, Error>(terms[term].2.clone()));
    steps.unwrap().pop().unwrap()
}

/// A map of these giant steps.
pub fn map_of(giant_steps: &[GiantStep], order: GiantOrder) -> LinearTransform<'_> {
    LinearTransform { giant_steps: giant_steps.iter().collect(), order }
}

/// The chain that fits LoLa-MNIST into `N = 8192` at 128 bits of security.
pub fn shipped() -> ParametersLiteral {
    ParametersLiteral {
        degree: 8192,
        moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
        special: vec![268271617, 268238849],
        digit_limbs: 2,
    }
}

/// Six ciphertext primes (one of 28, five of 26 bits) and as many special ones as cover a digit, at any
/// degree.
pub fn literal(degree: usize, digit_limbs: usize) -> ParametersLiteral {
    shaped(degree, digit_limbs, digit_limbs)
}

/// As [`literal`], with a number of special primes of its own: at least as many as a digit has limbs.
pub fn shaped(degree: usize, digit_limbs: usize, specials: usize) -> ParametersLiteral {
    let near = |bits: u32, count: usize| nearest(degree, 1 << bits)[..count].to_vec();
    let mut large = near(28, specials.max(3) + 1);
    large.sort_unstable();
    // One special prime covers a digit of one limb where that is two bits smaller.
    let (first, special) = match specials {
        1 => (
            near(27, 1)[0],
            primes::search(degree, 1 << 30, (1 << 30) - 2000 * degree as u64, 1 << 30)[..1].to_vec(),
        ),
        _ => (large[0], large[1..=specials].to_vec()),
    };
    ParametersLiteral { degree, moduli: [vec![first], near(26, 5)].concat(), special, digit_limbs }
}

/// A chain of primes of 24 to 30 bits by turns, and special primes that cover a digit by two bits and no
/// more: there the error of the key's products is as large as the division's.
pub fn tight(degree: usize, limbs: usize, digit_limbs: usize) -> ParametersLiteral {
    let sizes = [28, 26, 24, 29, 25, 27].map(|bits| nearest(degree, 1 << bits));
    let moduli: Vec<u32> = (0..limbs).map(|i| sizes[i % 6][i / 6]).collect();
    let bits = |digit: &[u32]| digit.iter().map(|&q| f64::from(q).log2()).sum::<f64>();
    let largest = moduli.chunks(digit_limbs).map(bits).fold(0.0, f64::max);
    // A prime as large as need be, after others that are a little too large or too small.
    let count = (largest / 29.0).ceil() as usize;
    let mut special: Vec<u32> = vec![];
    for left in (1..=count).rev() {
        let missing = (largest + 2.0 - bits(&special)) / left as f64;
        let unused = |q: &u32| !moduli.contains(q) && !special.contains(q) && f64::from(*q).log2() >= missing;
        special.push(nearest(degree, missing.exp2() as u64).into_iter().find(unused).unwrap());
    }
    ParametersLiteral { degree, moduli, special, digit_limbs }
}

/// Some primes of a degree, those nearest to `centre` first.
pub fn nearest(degree: usize, centre: u64) -> Vec<u32> {
    let reach = 4000 * degree as u64;
    primes::search(degree, centre, centre.saturating_sub(reach), centre + reach)
}

impl Setup {
    pub fn new(degree: usize, digit_limbs: usize, requirements: &KeyRequirements, seed: u64) -> Self {
        let parameters = literal(degree, digit_limbs).validate_insecure().unwrap();
        Self::with(parameters, requirements, seed, Kernel::from_environment().unwrap())
    }

    pub fn with(parameters: Parameters, requirements: &KeyRequirements, seed: u64, kernel: Kernel) -> Self {
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

    /// Slot errors, in units of the plaintext's integers.
    pub fn errors(&self, ciphertext: &Ciphertext, expected: &[f64]) -> Vec<f64> {
        let slots = self.secret.decrypt(&self.context, ciphertext);
        slots.iter().zip(expected).map(|(x, y)| (x - y) * ciphertext.scale().0).collect()
    }

    /// Their mean square.
    pub fn error_variance(&self, ciphertext: &Ciphertext, expected: &[f64]) -> f64 {
        mean_square(self.errors(ciphertext, expected))
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

pub fn mean_square(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0), |(sum, count), x| (sum + x * x, count + 1));
    sum / f64::from(count)
}

pub fn rotated(slots: &[f64], steps: usize) -> Vec<f64> {
    (0..slots.len()).map(|j| slots[(j + steps) % slots.len()]).collect()
}

/// Fails unless the measured variance is what was predicted.
///
/// A test has `n` slots of nearly Gaussian and nearly independent errors: their mean square has a relative
/// deviation of `sqrt(2 / n)`, 3 % at
/// 2048. The secret's norm and the messages' add a percent or two each. A fifth either way is over five
///       deviations, and still tells apart every factor of two that a formula could miss.
pub fn assert_variance(measured: f64, predicted: f64, what: &str) {
    let ratio = measured / predicted;
    assert!(
        (0.8..1.25).contains(&ratio),
        "{what}: variance {measured:.4e}, predicted {predicted:.4e}, ratio {ratio:.3}"
    );
}

//! Random polynomials from ChaCha20.
//!
//! Where the result is secret (ternary, Gaussian), neither branches nor addresses depend on it. Uniform words are public; they
//! are drawn by rejection, without bias.

use crate::{Basis, Modulus, Poly, Values};
pub use chacha20::ChaCha20Rng as Generator;
pub use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::Zeroize;

/// The seed of a generator.
pub type Seed = [u8; 32];

/// Standard deviation of error coefficients (Security Guidelines for Implementing Homomorphic Encryption, ia.cr/2024/463).
pub const SIGMA: f64 = 3.19;

/// The polynomial of uniform values that `seed` stands for.
///
/// Prime `q` draws from stream `q` of the seed's generator, so any subset of the limbs can be expanded by itself: a basis that
/// lacks primes gets the same limbs for those that it has.
pub fn uniform(basis: &Basis, seed: &Seed) -> Poly<Values> {
    let mut poly = basis.scratch();
    crate::parallel::for_each(poly.iter_mut().zip(basis.moduli()), |(limb, m)| {
        uniform_limb(m, seed, limb);
    });
    poly
}

fn uniform_limb(m: Modulus, seed: &Seed, limb: &mut [u32]) {
    let mut generator = Generator::from_seed(*seed);
    generator.set_stream(u64::from(m.value()));
    // Words from the largest multiple of q up are rejected.
    let end = (u32::MAX / m.value()) * m.value();
    let (mut buffer, mut filled) = ([0u8; 4096], 0);
    while filled < limb.len() {
        generator.fill_bytes(&mut buffer);
        for bytes in buffer.chunks_exact(4) {
            let word = u32::from_le_bytes(bytes.try_into().expect("chunks of four"));
            if word < end && filled < limb.len() {
                limb[filled] = m.reduce_word(word);
                filled += 1;
            }
        }
    }
}

/// Coefficients uniform in `{-1, 0, 1}` (up to `2^-62`), in constant time.
pub fn ternary(generator: &mut Generator, out: &mut [i32]) {
    for x in out {
        // The high word of 3 r is 0, 1 or 2, each for a third of the 64-bit words r.
        *x = ((u128::from(generator.next_u64()) * 3) >> 64) as i32 - 1;
    }
}

/// A discrete Gaussian by inversion of its cumulative distribution, in constant time.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `2^63 P(|x| <= k)` for `k = 0, 1, ...`
    thresholds: Vec<u64>,
}

impl Gaussian {
    /// The distribution `P(x) ~ exp(-x^2 / 2 sigma^2)` on the integers, to a precision of `2^-52` (that of the table).
    pub fn new(sigma: f64) -> Self {
        // Beyond 9 sigma lies less than 2^-60 of the weight.
        let tail = (9.0 * sigma).ceil() as i32;
        let weight = |x: i32| (-f64::from(x * x) / (2.0 * sigma * sigma)).exp();
        let total: f64 = (-tail..=tail).map(weight).sum();
        let mut cumulative = 0.0;
        let thresholds = (0..tail).map(|k| {
            cumulative += weight(k) * if k == 0 { 1.0 } else { 2.0 } / total;
            (cumulative.min(1.0) * 2f64.powi(63)) as u64
        });
        Self { thresholds: thresholds.collect() }
    }

    /// Fills `out` with independent samples. Every sample costs one 64-bit word and one comparison for each threshold.
    pub fn fill(&self, generator: &mut Generator, out: &mut [i32]) {
        let mut words = [0u64; 64];
        for chunk in out.chunks_mut(words.len()) {
            words.fill_with(|| generator.next_u64());
            for (x, &word) in chunk.iter_mut().zip(&words) {
                *x = self.sample(word);
            }
        }
        words.zeroize();
    }

    #[inline(always)]
    fn sample(&self, word: u64) -> i32 {
        let (sign, position) = ((word & 1) as i32, word >> 1);
        let magnitude: i32 = self.thresholds.iter().map(|&t| i32::from(position >= t)).sum();
        (magnitude ^ -sign) + sign
    }
}

/// The error polynomial's distribution: spherical in the canonical embedding.
///
/// The basis element `1` has `1/sqrt(2)` the length of `X^i + X^-i`, so its coefficient gets `sqrt(2)` the deviation.
#[derive(Debug, Clone)]
pub struct ErrorDistribution {
    general: Gaussian,
    constant: Gaussian,
}

impl ErrorDistribution {
    /// The distribution with deviation `sigma`.
    pub fn new(sigma: f64) -> Self {
        Self { general: Gaussian::new(sigma), constant: Gaussian::new(sigma * std::f64::consts::SQRT_2) }
    }

    /// Fills `out` with the coefficients of an error polynomial.
    pub fn fill(&self, generator: &mut Generator, out: &mut [i32]) {
        self.constant.fill(generator, &mut out[..1]);
        self.general.fill(generator, &mut out[1..]);
    }
}

//! Random polynomials from ChaCha20.
//!
//! Where the result is secret (ternary, Gaussian), neither branches nor addresses depend on it. Uniform words
//! are public; they are drawn by rejection, without bias.
//!
//! # Expansion of a seed
//!
//! A seed of 32 bytes stands for one polynomial of uniform values over any basis. This is a wire format:
//!
//! * The limb of prime `q` is drawn from the ChaCha20 key stream (20 rounds, Bernstein's layout with a 64-bit
//!   block counter that starts at 0 and a 64-bit stream number, which is the nonce) whose key is the seed and
//!   whose stream number is `q`.
//! * The key stream is read as little-endian 32-bit words, in order.
//! * A word `w >= q floor(2^32 / q)` is skipped; any other gives the residue `w mod q`.
//! * The first `N` residues are the values at leaves 0 to `N - 1` (see [`crate::ntt`]).

use crate::kernels::{self, Kernel};
use crate::{Basis, Modulus, Poly, Values};
pub use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::Zeroize;

pub use crate::seed::{Generator, Seed};

/// Standard deviation of error coefficients (Security Guidelines for Implementing Homomorphic Encryption,
/// ia.cr/2024/463).
pub const SIGMA: f64 = 3.19;

/// Words of key stream that are made at a time.
const KEYSTREAM_WORDS: usize = 512;
/// Blocks of key stream that these are.
const KEYSTREAM_BLOCKS: u64 = KEYSTREAM_WORDS as u64 / 16;

/// The polynomial of uniform values that `seed` stands for.
///
/// Any subset of the limbs can be expanded by itself: a basis that lacks primes gets the same limbs for those
/// that it has.
pub fn uniform(basis: &Basis, seed: &Seed) -> Poly<Values> {
    let mut poly = basis.scratch();
    crate::parallel::for_each(poly.iter_mut().zip(basis.moduli()), |(limb, m)| {
        uniform_limb(basis.kernel(), m, seed, limb);
    });
    poly
}

/// The limb of uniform values modulo one prime that `seed` stands for.
pub fn uniform_limb(kernel: Kernel, m: Modulus, seed: &Seed, limb: &mut [u32]) {
    let end = (u32::MAX / m.value()) * m.value();
    let mut words = [0; KEYSTREAM_WORDS];
    let (mut filled, mut block) = (0, 0);
    while filled < limb.len() {
        kernels::keystream(kernel, seed, m.value().into(), block, &mut words);
        filled += kernels::accept(kernel, m, &words, end, &mut limb[filled..]);
        block += KEYSTREAM_BLOCKS;
    }
}

/// Calls `body` with each chunk of `out` and as many secret random words, from the key stream of a key that
/// `generator` draws.
fn with_words(generator: &mut Generator, out: &mut [i32], body: impl Fn(Kernel, &[u64], &mut [i32])) {
    // All kernels draw the same words, so which one it is matters for speed only.
    let kernel = Kernel::from_environment().unwrap_or_else(|_| Kernel::detect());
    let mut key = Seed::default();
    generator.fill_bytes(&mut key);
    let mut words = [0; KEYSTREAM_WORDS];
    let mut wide = [0; KEYSTREAM_WORDS / 2];
    for (i, chunk) in out.chunks_mut(wide.len()).enumerate() {
        kernels::keystream(kernel, &key, 0, i as u64 * KEYSTREAM_BLOCKS, &mut words);
        for (wide, [low, high]) in wide.iter_mut().zip(words.as_chunks().0) {
            *wide = u64::from(*low) | u64::from(*high) << 32;
        }
        body(kernel, &wide[..chunk.len()], chunk);
    }
    key.zeroize();
    words.zeroize();
    wide.zeroize();
}

/// Coefficients uniform in `{-1, 0, 1}` (up to `2^-62`), in constant time.
pub fn ternary(generator: &mut Generator, out: &mut [i32]) {
    with_words(generator, out, |_, words, out| {
        for (x, &word) in out.iter_mut().zip(words) {
            // The high word of 3 w is 0, 1 or 2, each for a third of the 64-bit words w.
            *x = ((u128::from(word) * 3) >> 64) as i32 - 1;
        }
    });
}

/// A discrete Gaussian by inversion of its cumulative distribution, in constant time.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `2^63 P(|x| <= k)` for `k = 0, 1, ...`
    thresholds: Vec<u64>,
}

impl Gaussian {
    /// The distribution `P(x) ~ exp(-x^2 / 2 sigma^2)` on the integers, to a precision of `2^-52` (that of
    /// the table).
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
        // No position reaches a threshold of 2^63.
        Self { thresholds: thresholds.filter(|&t| t < 1 << 63).collect() }
    }

    /// Fills `out` with independent samples. Every sample costs one 64-bit word and one comparison for each
    /// threshold.
    pub fn fill(&self, generator: &mut Generator, out: &mut [i32]) {
        with_words(generator, out, |kernel, words, out| {
            kernels::gaussian(kernel, &self.thresholds, words, out);
        });
    }
}

/// The error polynomial's distribution: spherical in the canonical embedding.
///
/// The basis element `1` has `1/sqrt(2)` the length of `X^i + X^-i`, so its coefficient gets `sqrt(2)` the
/// deviation.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The table against the distribution summed up from the far end, where terms are small and nothing
    /// cancels.
    #[test]
    fn thresholds_are_the_cumulative_distribution() {
        for sigma in [SIGMA, SIGMA * std::f64::consts::SQRT_2] {
            let weight = |x: i32| (-f64::from(x * x) / (2.0 * sigma * sigma)).exp();
            let total = weight(0) + 2.0 * (1..100).rev().map(weight).sum::<f64>();
            let gaussian = Gaussian::new(sigma);
            for (k, &threshold) in gaussian.thresholds.iter().enumerate() {
                let beyond = 2.0 * (k as i32 + 1..100).rev().map(weight).sum::<f64>() / total;
                let error = (1.0 - beyond) - threshold as f64 / 2f64.powi(63);
                assert!(error.abs() < 2f64.powi(-50), "P(|x| <= {k}) is off by {error}");
            }
            let last = gaussian.thresholds.len() as i32;
            assert!(
                2.0 * (last..100).map(weight).sum::<f64>() / total < 2f64.powi(-52),
                "the tail is complete"
            );
        }
    }

    #[test]
    fn a_threshold_is_the_first_position_of_the_next_magnitude() {
        let gaussian = Gaussian::new(SIGMA);
        for kernel in Kernel::available() {
            for (k, &threshold) in gaussian.thresholds.iter().enumerate() {
                let words =
                    [threshold << 1, threshold << 1 | 1, (threshold - 1) << 1, (threshold - 1) << 1 | 1];
                let mut out = [0; 4];
                kernels::gaussian(kernel, &gaussian.thresholds, &words, &mut out);
                // Thresholds that are equal at this precision are passed at once.
                let equal = gaussian.thresholds.iter().filter(|&&t| t == threshold).count() as i32;
                let first = gaussian.thresholds.iter().position(|&t| t == threshold).unwrap() as i32;
                assert_eq!(out, [first + equal, -first - equal, first, -first], "{k}");
            }
        }
    }
}

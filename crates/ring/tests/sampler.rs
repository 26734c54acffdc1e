//! The samplers' distributions, with fixed seeds, and the expansion format.
//!
//! Tolerances are six standard deviations of the statistic, so a test that fails has met a chance below
//! 10^-8, or an error.

use blindsight_ring::sampler::{
    ErrorDistribution, Gaussian, Generator, SIGMA, ternary, uniform, uniform_limb,
};
use blindsight_ring::{Basis, Kernel, Modulus, kernels};
use chacha20::rand_core::SeedableRng;

/// Residues of the seed `0, 1, ..., 31` as an independent implementation of the documented format gives them:
/// the prime, the first four, the last two of 8192, and the hash of all of them.
const GOLDEN: [(u32, [u32; 4], [u32; 2], u64); 3] = [
    (
        67_043_329,
        [11_897_850, 2_216_325, 47_022_303, 50_409_132],
        [55_854_692, 60_332_721],
        0x140f_071b_0290_9f3c,
    ),
    (
        268_369_921,
        [135_145_770, 263_887_750, 240_942_021, 179_422_169],
        [21_335_440, 249_875_253],
        0x2fb4_6e5e_1dee_db88,
    ),
    (
        1_073_479_681,
        [323_990_628, 451_576_424, 412_762_257, 428_843_882],
        [595_900_816, 272_473_500],
        0xcbfd_fa63_e619_40d9,
    ),
];

#[test]
fn expansion_has_the_documented_format() {
    let seed = std::array::from_fn(|i| i as u8);
    for kernel in Kernel::available() {
        for (q, first, last, hash) in GOLDEN {
            let mut limb = [0; 8192];
            uniform_limb(kernel, Modulus::new(q.into()).unwrap(), &seed, &mut limb);
            assert_eq!((&limb[..4], &limb[8190..]), (&first[..], &last[..]));
            assert_eq!(limb.iter().fold(0u64, |h, &x| h.wrapping_mul(31).wrapping_add(x.into())), hash);
        }
    }
}

#[test]
fn key_stream_is_chacha20() {
    // The first words of the key stream of the all-zero key and nonce
    // (draft-strombergsson-chacha-test-vectors, TC1, 20 rounds).
    for kernel in Kernel::available() {
        let mut words = [0; 256];
        kernels::keystream(kernel, &[0; 32], 0, 0, &mut words);
        assert_eq!(words[..4], [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653]);
    }
}

#[test]
fn limbs_do_not_depend_on_the_other_primes() {
    let primes = [67_043_329, 67_239_937, 268_369_921];
    let basis = Basis::new(8192, &primes, Kernel::detect()).unwrap();
    let (all, some) = (uniform(&basis, &[7; 32]), uniform(&basis.select([2, 0]), &[7; 32]));
    assert_eq!((some.limb(0), some.limb(1)), (all.limb(2), all.limb(0)));
    assert_ne!(all, uniform(&basis, &[8; 32]));
}

/// Pearson's statistic of counts that should be equal.
fn chi_square(counts: &[u64]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    counts.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum()
}

/// Asserts that a statistic is within six standard deviations of what a chi-square distribution has.
fn assert_chi_square(statistic: f64, degrees_of_freedom: f64) {
    let deviation = (statistic - degrees_of_freedom).abs() / (2.0 * degrees_of_freedom).sqrt();
    assert!(deviation < 6.0, "chi-square {statistic} with {degrees_of_freedom} degrees of freedom");
}

#[test]
fn uniform_words_are_uniform_below_the_prime() {
    // Of the words for the second prime one in sixteen is rejected, for the third one in five.
    for q in [67_043_329u32, 268_435_459, 858_993_503] {
        let m = Modulus::new(q.into()).unwrap();
        let (mut high, mut low) = ([0u64; 64], [0u64; 64]);
        for seed in 0..8 {
            let mut limb = vec![0; 1 << 16];
            uniform_limb(Kernel::detect(), m, &[seed; 32], &mut limb);
            for &x in &limb {
                assert!(x < q);
                high[(u64::from(x) * 64 / u64::from(q)) as usize] += 1;
                low[x as usize % 64] += 1;
            }
        }
        assert_chi_square(chi_square(&high), 63.0);
        assert_chi_square(chi_square(&low), 63.0);
    }
}

#[test]
fn ternary_coefficients_are_thirds() {
    let mut out = vec![9; 300_001];
    ternary(&mut Generator::from_seed([1; 32]), &mut out);
    let mut counts = [0; 3];
    out.iter().for_each(|&x| counts[(x + 1) as usize] += 1);
    assert_chi_square(chi_square(&counts), 2.0);
    // Neighbours are independent.
    let mut pairs = [0; 9];
    out.chunks_exact(2).for_each(|p| pairs[(3 * (p[0] + 1) + p[1] + 1) as usize] += 1);
    assert_chi_square(chi_square(&pairs), 8.0);
}

/// Mean, variance and kurtosis.
fn moments(samples: &[i32]) -> (f64, f64, f64) {
    let n = samples.len() as f64;
    let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let central = |power| samples.iter().map(|&x| (f64::from(x) - mean).powi(power)).sum::<f64>() / n;
    (mean, central(2), central(4) / central(2).powi(2))
}

/// The estimators' standard deviations for a normal distribution are `sigma / sqrt(n)`, `sigma^2 sqrt(2/n)`
/// and `sqrt(24/n)`; a discrete one of this width has the same moments to within
/// `exp(-2 pi^2 sigma^2) < 10^-80`.
fn assert_normal(samples: &[i32], sigma: f64) {
    let n = samples.len() as f64;
    let (mean, variance, kurtosis) = moments(samples);
    assert!(mean.abs() < 6.0 * sigma / n.sqrt(), "mean {mean}");
    assert!((variance - sigma * sigma).abs() < 6.0 * sigma * sigma * (2.0 / n).sqrt(), "variance {variance}");
    assert!((kurtosis - 3.0).abs() < 6.0 * (24.0 / n).sqrt(), "kurtosis {kurtosis}");
}

#[test]
fn gaussian_samples_have_the_moments_and_the_frequencies_of_the_distribution() {
    let mut out = vec![0; 1 << 20];
    Gaussian::new(SIGMA).fill(&mut Generator::from_seed([2; 32]), &mut out);
    assert_normal(&out, SIGMA);
    let weight = |x: i32| (-f64::from(x * x) / (2.0 * SIGMA * SIGMA)).exp();
    let total: f64 = (-60..=60).map(weight).sum();
    // Bins that expect more than a hundred samples.
    let bins = -13..=13;
    let statistic: f64 = bins
        .clone()
        .map(|x| {
            let expected = weight(x) / total * out.len() as f64;
            let count = out.iter().filter(|&&y| y == x).count() as f64;
            (count - expected).powi(2) / expected
        })
        .sum();
    assert_chi_square(statistic, bins.count() as f64);
}

#[test]
fn errors_are_spherical() {
    let (distribution, mut generator) = (ErrorDistribution::new(SIGMA), Generator::from_seed([3; 32]));
    let (mut constant, mut general) = (Vec::new(), Vec::new());
    for _ in 0..1 << 15 {
        let mut out = [0; 16];
        distribution.fill(&mut generator, &mut out);
        constant.push(out[0]);
        general.extend_from_slice(&out[1..]);
    }
    assert_normal(&constant, SIGMA * std::f64::consts::SQRT_2);
    assert_normal(&general, SIGMA);
}

#[test]
fn draws_differ_and_repeat_with_the_generator() {
    let gaussian = Gaussian::new(SIGMA);
    let mut generator = Generator::from_seed([4; 32]);
    let mut draw = || {
        let mut out = [0; 100];
        gaussian.fill(&mut generator, &mut out);
        out
    };
    let (first, second) = (draw(), draw());
    assert_ne!(first, second);
    let mut again = [0; 100];
    gaussian.fill(&mut Generator::from_seed([4; 32]), &mut again);
    assert_eq!(first, again);
}

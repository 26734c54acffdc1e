//! The distribution of fresh noise: discrete Gaussian, spherical, of the stated deviation; and nothing ever
//! the same twice.

use crate::common::{Setup, mean_square};
use blindsight_ckks::{Evaluator, KeyRequirements, Level, Randomness, Scale, testing, wire};
use blindsight_ring::sampler::SIGMA;

const N: usize = 256;
const LEVEL: Level = Level(1);

fn setup() -> Setup {
    Setup::new(N, 2, &KeyRequirements::default(), 21)
}

/// The error coefficients of `count` encryptions of zero: exact integers.
fn errors(setup: &Setup, count: usize) -> Vec<Vec<i64>> {
    let m = setup.context.basis(LEVEL).modulus(0);
    let error = |_| {
        let zero = setup.encrypt(&[], LEVEL, Scale(1.0));
        let message = testing::raw_message(&setup.context, &setup.secret, &zero);
        message.limb(0).iter().map(|&word| m.centre(word)).collect()
    };
    (0..count).map(error).collect()
}

/// Fails where a mean of `count` samples is more than five deviations off.
fn assert_mean(measured: f64, expected: f64, deviation: f64, count: usize, what: &str) {
    let bound = 5.0 * deviation / (count as f64).sqrt();
    assert!(
        (measured - expected).abs() < bound,
        "{what}: {measured:.5}, expected {expected:.5} within {bound:.5}"
    );
}

#[test]
fn coefficients_are_gaussian() {
    let errors = errors(&setup(), 400);
    let general: Vec<f64> = errors.iter().flat_map(|e| e[1..].iter().map(|&x| x as f64)).collect();
    let constant: Vec<f64> = errors.iter().map(|e| e[0] as f64).collect();
    for (samples, sigma, what) in [(general, SIGMA, "general"), (constant, SIGMA * 2f64.sqrt(), "constant")] {
        let (n, variance) = (samples.len(), sigma * sigma);
        assert_mean(samples.iter().sum::<f64>() / n as f64, 0.0, sigma, n, &format!("{what} mean"));
        // The deviation of x^2 is sqrt(2) sigma^2, that of x^4 sqrt(96) sigma^4.
        let second = mean_square(samples.iter().copied());
        assert_mean(second, variance, 2f64.sqrt() * variance, n, &format!("{what} variance"));
        let fourth = mean_square(samples.iter().map(|x| x * x));
        assert_mean(
            fourth,
            3.0 * variance * variance,
            96f64.sqrt() * variance * variance,
            n,
            &format!("{what} fourth moment"),
        );
        for k in -10..=10 {
            let normaliser: f64 = (-60..=60).map(|x| (-f64::from(x * x) / (2.0 * variance)).exp()).sum();
            let p = (-f64::from(k * k) / (2.0 * variance)).exp() / normaliser;
            let frequency = samples.iter().filter(|&&x| x == f64::from(k)).count() as f64 / n as f64;
            assert_mean(frequency, p, (p * (1.0 - p)).sqrt(), n, &format!("{what} frequency of {k}"));
        }
        assert!(samples.iter().all(|x| x.abs() <= 9.0 * sigma));
    }
}

#[test]
fn coefficients_are_independent() {
    let errors = errors(&setup(), 400);
    for shift in [1, 2, N / 2] {
        let products: Vec<f64> =
            errors.iter().flat_map(|e| (1..N - shift).map(|i| (e[i] * e[i + shift]) as f64)).collect();
        let mean = products.iter().sum::<f64>() / products.len() as f64;
        assert_mean(mean, 0.0, SIGMA * SIGMA, products.len(), &format!("covariance at distance {shift}"));
    }
    let across: Vec<f64> =
        errors.windows(2).flat_map(|e| (1..N).map(|i| (e[0][i] * e[1][i]) as f64)).collect();
    let mean = across.iter().sum::<f64>() / across.len() as f64;
    assert_mean(mean, 0.0, SIGMA * SIGMA, across.len(), "covariance of two encryptions");
}

/// Spherical: every slot has the same variance, `2N` times a coefficient's, and slots are uncorrelated.
#[test]
fn slots_are_spherical() {
    let setup = setup();
    let errors = errors(&setup, 600);
    let to_slots = |e: &Vec<i64>| {
        let e: Vec<f64> = e.iter().map(|&x| x as f64).collect();
        setup.context.coefficients_to_slots(&e).unwrap()
    };
    let slots: Vec<Vec<f64>> = errors.iter().map(to_slots).collect();
    let variance = 2.0 * N as f64 * SIGMA * SIGMA;
    let mut total = 0.0;
    for j in 0..N {
        let of_slot = mean_square(slots.iter().map(|s| s[j]));
        assert_mean(of_slot, variance, 2f64.sqrt() * variance, slots.len(), &format!("variance of slot {j}"));
        let next = slots.iter().map(|s| s[j] * s[(j + 1) % N]).sum::<f64>() / slots.len() as f64;
        assert_mean(next, 0.0, variance, slots.len(), &format!("covariance of slot {j} and the next"));
        total += of_slot / N as f64;
    }
    assert_mean(total, variance, 2f64.sqrt() * variance, slots.len() * N, "variance of all slots");
}

#[test]
fn errors_of_sums_add_up() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let fresh = || setup.encrypt(&[], LEVEL, Scale(1.0));
    let sums: Vec<f64> = (0..8)
        .flat_map(|_| {
            let sum = (1..256).fold(fresh(), |sum, _| evaluator.add(&sum, &fresh()).unwrap());
            setup.secret.decrypt_coefficients(&setup.context, &sum)[1..].to_vec()
        })
        .collect();
    let variance = 256.0 * SIGMA * SIGMA;
    assert_mean(
        mean_square(sums.iter().copied()),
        variance,
        2f64.sqrt() * variance,
        sums.len(),
        "sum of 256",
    );
    // The same one doubled eight times adds in amplitude.
    let doubled = (0..8).fold(fresh(), |sum, _| evaluator.add(&sum, &sum).unwrap());
    let coefficients = setup.secret.decrypt_coefficients(&setup.context, &doubled);
    assert!(coefficients.iter().all(|c| c % 256.0 == 0.0));
}

#[test]
fn two_encryptions_of_one_message_share_nothing() {
    let setup = setup();
    let mut randomness = setup.randomness.borrow_mut();
    let encrypt = |randomness: &mut Randomness| {
        let a =
            setup.secret.encrypt(&setup.context, &[1.0; N], LEVEL, Scale::bits(26.0), randomness).unwrap();
        wire::write_ciphertexts(&setup.context, &[a])
    };
    let (a, b) = (encrypt(&mut randomness), encrypt(&mut randomness));
    assert_ne!(a[..32], b[..32], "seeds");
    let same = a[32..].iter().zip(&b[32..]).filter(|(x, y)| x == y).count();
    // Of some 1,700 random bytes one in 256 is the same: seven; thirty is nine deviations off.
    assert!(same < 30, "{same} of {} bytes are the same", a.len());
    let mut another = Randomness::from_test_seed(22);
    assert_ne!(encrypt(&mut another)[..32], a[..32]);
}

/// Neither half of a ciphertext shows the message: both are uniform modulo every prime, as far as their mean
/// and variance tell.
#[test]
fn ciphertexts_look_uniform() {
    let setup = setup();
    let large = setup.encrypt(&[1e6; N], LEVEL, Scale::bits(20.0));
    for (half, name) in testing::halves(&large).into_iter().zip(["c0", "c1"]) {
        for (limb, m) in half.iter().zip(setup.context.basis(LEVEL).moduli()) {
            let uniform: Vec<f64> = limb.iter().map(|&w| f64::from(w) / f64::from(m.value()) - 0.5).collect();
            let mean = uniform.iter().sum::<f64>() / N as f64;
            assert_mean(mean, 0.0, (1.0 / 12f64).sqrt(), N, &format!("mean of {name}"));
            let variance = mean_square(uniform.iter().copied());
            assert_mean(variance, 1.0 / 12.0, (1.0 / 180f64).sqrt(), N, &format!("variance of {name}"));
        }
    }
}

//! How large errors are: variances of slot errors, in units of the plaintext's integers (divide by the
//! squared scale for real units).
//!
//! A polynomial whose coefficient errors have variance `v` in the spherical sense has slot errors of variance
//! `2 N v`: slot `j` is `a_0 + sum 2 cos(i theta_j) a_i`, and `4 cos^2` is 2 on average. Slot errors multiply
//! like slots do. (The dimension `2N` of the surrounding ring is what counts: Kim and Song, ia.cr/2018/952,
//! section 3.3.)

use crate::{Level, Parameters, Scale};
use blindsight_ring::sampler::SIGMA;

/// Variance of a slot's error.
pub type Variance = f64;

fn slot_variance(parameters: &Parameters, coefficient_variance: f64) -> Variance {
    2.0 * parameters.degree() as f64 * coefficient_variance
}

/// The mean square of a slot of the secret: two thirds of its coefficients are one in magnitude.
fn secret_mean_square(parameters: &Parameters) -> f64 {
    slot_variance(parameters, 2.0 / 3.0)
}

/// Rounding a plaintext's coefficients to integers.
pub fn rounding(parameters: &Parameters) -> Variance {
    slot_variance(parameters, 1.0 / 12.0)
}

/// A fresh symmetric encryption, rounding included.
pub fn fresh(parameters: &Parameters) -> Variance {
    slot_variance(parameters, SIGMA * SIGMA) + rounding(parameters)
}

/// A fresh public-key encryption: `e u + e_0 + e_1 s`, rounding included.
pub fn fresh_public(parameters: &Parameters) -> Variance {
    let error = slot_variance(parameters, SIGMA * SIGMA);
    error * (1.0 + 2.0 * secret_mean_square(parameters)) + rounding(parameters)
}

/// What a division (rescale, mod-down) adds: the rounding of both halves, the second times the secret.
pub fn division(parameters: &Parameters) -> Variance {
    rounding(parameters) * (1.0 + secret_mean_square(parameters))
}

/// What a division adds to what was not relinearised: the rounding of the third part, too, times the square
/// of the secret. Slots of the secret are sums of many coefficients, so nearly normal: their fourth moment is
/// three times the square of the second.
pub fn division_unrelinearised(parameters: &Parameters) -> Variance {
    let square = secret_mean_square(parameters);
    rounding(parameters) * (1.0 + square + 3.0 * square * square)
}

/// What a key-switch adds before its mod-down is rounded: each digit, uniform in `[-D/2, D/2]`, times a key's
/// error, over `P`.
pub fn key_product(parameters: &Parameters, level: Level) -> Variance {
    let digit = |j| {
        let product = parameters.digit_product(level, j);
        slot_variance(parameters, product * product / 12.0)
    };
    let digits: f64 = (0..parameters.digits(level)).map(digit).sum();
    let special: f64 = parameters.special().iter().map(|m| f64::from(m.value())).product();
    digits * slot_variance(parameters, SIGMA * SIGMA) / (special * special)
}

/// A rotation, or a relinearisation: key product and mod-down.
pub fn key_switch(parameters: &Parameters, level: Level) -> Variance {
    key_product(parameters, level) + division(parameters)
}

/// A product with a plaintext factor: the ciphertext's error times the plaintext, the plaintext's rounding
/// times the message. Mean squares are of slots in real units.
pub fn plain_product(
    parameters: &Parameters,
    ciphertext: (Variance, f64, Scale),
    plaintext: (f64, Scale),
) -> Variance {
    let (variance, message, scale) = ciphertext;
    let (factor, factor_scale) = plaintext;
    variance * factor * factor_scale.0 * factor_scale.0 + rounding(parameters) * message * scale.0 * scale.0
}

/// A product of two ciphertexts with independent errors; mean squares in real units.
pub fn product(left: (Variance, f64, Scale), right: (Variance, f64, Scale)) -> Variance {
    left.0 * right.1 * right.2.0 * right.2.0 + right.0 * left.1 * left.2.0 * left.2.0 + left.0 * right.0
}

/// A square: the two errors are the same one. (A mean square: the square of the error, of fourth moment
/// `3 v^2`, does not vanish on average.)
pub fn square(operand: (Variance, f64, Scale)) -> Variance {
    let (variance, message, scale) = operand;
    4.0 * variance * message * scale.0 * scale.0 + 3.0 * variance * variance
}

/// The deviation of a coefficient, in real units, of a polynomial with this slot variance at this scale.
pub fn coefficient_deviation(parameters: &Parameters, variance: Variance, scale: Scale) -> f64 {
    (variance / (2.0 * parameters.degree() as f64)).sqrt() / scale.0
}

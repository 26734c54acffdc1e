//! Scores without the digits that are error.

/// The multiple of a step that is nearest to a score; the step is the least of 1, 2 and 5 times powers of ten
/// that is not below `error`.
pub(crate) fn round(score: f64, error: f64) -> f64 {
    let Some((factor, power)) = step(error) else { return score };
    // Whole numbers either way, so that what is printed is as short as the step.
    let rounded = match power < 0 {
        true => (score * (10f64.powi(-power) / factor)).round() / (10f64.powi(-power) / factor),
        false => (score / (factor * 10f64.powi(power))).round() * (factor * 10f64.powi(power)),
    };
    // No negative zero.
    rounded + 0.0
}

/// How many decimals a score has once it is rounded to `error`.
pub(crate) fn decimals(error: f64) -> usize {
    let (factor, power) = step(error).unwrap_or((1.0, 0));
    let tens = i32::from(factor >= 10.0);
    usize::try_from(-power - tens).unwrap_or(0)
}

/// The factor and the power of ten of the step for an error. None where scores are left as they are: what is
/// infinitely wrong says nothing, and what is not wrong at all is right.
fn step(error: f64) -> Option<(f64, i32)> {
    if !(error.is_finite() && error > 0.0) {
        return None;
    }
    let power = error.log10().floor() as i32;
    let factors = [1.0, 2.0, 5.0, 10.0];
    let large_enough = |factor: &f64| factor * 10f64.powi(power) >= error;
    Some((factors.into_iter().find(large_enough).unwrap_or(10.0), power))
}

#[cfg(test)]
mod tests {
    use super::{decimals, round};

    #[test]
    fn steps_are_one_two_and_five() {
        assert_eq!(round(1.234567, 0.0008), 1.235);
        assert_eq!(round(1.234567, 0.001), 1.235);
        assert_eq!(round(1.234567, 0.0011), 1.234);
        assert_eq!(round(1.2389, 0.003), 1.24);
        assert_eq!(round(-1.2389, 0.07), -1.2);
        assert_eq!(round(123.0, 3.0), 125.0);
        assert_eq!(round(123.0, 30.0), 100.0);
        assert_eq!(round(-0.0001, 0.01).to_string(), "0");
    }

    #[test]
    fn rounded_scores_have_so_many_decimals() {
        assert_eq!([1e-6, 0.0011, 0.0078, 0.01, 0.07, 0.3].map(decimals), [6, 3, 2, 2, 1, 1]);
        assert_eq!([0.7, 1.0, 40.0, 0.0].map(decimals), [0; 4]);
    }

    #[test]
    fn rounded_scores_are_never_far_off() {
        for error in [1e-6, 3e-4, 0.02, 0.9, 1.0, 4.0, 17.0] {
            for score in [-31.4159, -0.1, 0.0, 0.77777, 15.123456] {
                let off = (round(score, error) - score).abs();
                assert!(off <= 1.25001 * error, "{score} rounded to {error}: {off}");
            }
        }
    }
}

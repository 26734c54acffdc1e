use super::*;
use proptest::prelude::*;

use crate::data::share;

fn arriving(activation: &Activation, low: f64, high: f64) -> Arriving {
    of_sample(activation, (0..2000).map(|i| (low + (high - low) * share(5, i)) as f32).collect(), low, high)
}

/// What arrives in a network whose earlier layers are the original's.
fn of_sample(activation: &Activation, sample: Vec<f32>, low: f64, high: f64) -> Arriving {
    let wanted = sample.iter().map(|x| activation.at(0, f64::from(*x)) as f32).collect();
    Arriving { sample, wanted, low: low as f32, high: high as f32 }
}

/// The largest error of a polynomial of this degree for an activation, over what arrives.
fn worst(activation: &Activation, arriving: &Arriving, degree: usize) -> f64 {
    let scale = arriving.reach();
    let (polynomial, _) = fitted(activation, std::slice::from_ref(arriving), degree, 1.0, &[scale]);
    let error = |x: &f32| (polynomial.at(0, (*x).into()) - activation.at(0, (*x).into())).abs();
    arriving.sample.iter().map(error).fold(0.0, f64::max)
}

#[test]
fn smooth_activations_are_met_and_more_degrees_help() {
    for activation in [Activation::Silu, Activation::Gelu, Activation::Sigmoid, Activation::Tanh] {
        let errors =
            [2, 3, 7, 15, 31].map(|degree| worst(&activation, &arriving(&activation, -3.0, 3.0), degree));
        assert!(errors.windows(2).all(|pair| pair[1] <= 1.05 * pair[0] + 1e-5), "{activation:?} {errors:?}");
        assert!(errors[3] < 3e-3 && errors[4] < 2e-3, "{activation:?} {errors:?}");
    }
    let relu = &Activation::Relu;
    let relu = [2, 7, 15].map(|degree| worst(relu, &arriving(relu, -4.0, 4.0), degree));
    assert!(relu[0] < 0.8 && relu[1] < 0.3 && relu[2] < 0.2, "{relu:?}");
}

#[test]
fn intervals_far_from_zero_are_met() {
    for (low, high) in [(-30.0, -10.0), (5.0, 8.0), (100.0, 130.0)] {
        let relu = &Activation::Relu;
        let error = worst(relu, &arriving(relu, low, high), 7);
        assert!(error < 1e-2 * f64::max(high, 1.0), "{low} to {high}: {error}");
    }
}

#[test]
fn channels_that_do_not_vary_have_polynomials() {
    for value in [0.0, -5.0, 3.0] {
        for degree in [2, 7, 31] {
            let constant = of_sample(&Activation::Relu, vec![value; 100], value.into(), value.into());
            let (polynomial, errors) = fitted(&Activation::Relu, &[constant], degree, 1.0, &[5.0]);
            assert!(polynomial.coefficients.iter().all(|c| c[0].is_finite()), "{value} {degree}");
            assert!(errors[0] < 2e-3, "{value} {degree} {errors:?}");
        }
    }
}

#[test]
fn no_numbers_give_finite_polynomials() {
    let values = vec![f32::NAN, f32::INFINITY];
    let none = of_sample(&Activation::Relu, values, f64::NEG_INFINITY, f64::INFINITY);
    let (polynomial, _) = fitted(&Activation::Relu, &[none], 3, f64::NAN, &[f64::INFINITY]);
    assert!(polynomial.coefficients.iter().all(|c| c[0].is_finite()));
}

/// Arguments that carry errors are met on average: the best polynomial is that of the original's outputs.
#[test]
fn errors_of_arguments_are_allowed_for() {
    let relu = Activation::Relu;
    let original: Vec<f64> = (0..4000).map(|i| 4.0 * share(5, i) - 2.0).collect();
    let noise = |i: usize| 1.5 * (share(9, i as u64) - 0.5);
    let sample: Vec<f32> = original.iter().enumerate().map(|(i, x)| (x + noise(i)) as f32).collect();
    let unaware = of_sample(&relu, sample.clone(), -2.75, 2.75);
    let wanted: Vec<f32> = original.iter().map(|x| relu.at(0, *x) as f32).collect();
    let aware = Arriving { wanted: wanted.clone(), ..unaware.clone() };
    let error = |arriving: &Arriving| {
        let polynomial = fitted(&relu, std::slice::from_ref(arriving), 7, 1.0, &[2.75]).0;
        let apart = sample.iter().zip(&wanted).map(|(x, y)| polynomial.at(0, (*x).into()) - f64::from(*y));
        apart.map(|d| d * d).sum::<f64>()
    };
    assert!(error(&aware) < 0.97 * error(&unaware), "{} {}", error(&aware), error(&unaware));
}

proptest! {
    #[test]
    fn narrow_quadratics_have_near_vertices(low in -40f64..10.0, length in 0.01f64..4.0) {
        let arriving = arriving(&Activation::Silu, low, low + length);
        let scale = arriving.reach();
        let (polynomial, errors) = fitted(&Activation::Silu, &[arriving], 2, 1.0, &[scale]);
        let [_, b, a] = [0, 1, 2].map(|k| polynomial.coefficients[k][0]);
        prop_assert!(b.abs() <= 64.0 * a.abs() * (1.0 + 1e-6), "{} {}", a, b);
        prop_assert!(errors[0].sqrt() <= 0.05 * length.max(0.1), "{:?} {}", errors, length);
    }

    #[test]
    fn conversion_keeps_values(
        middle in -3f64..3.0, half in 0.1f64..5.0, seed in any::<u64>(), degree in 0usize..16,
    ) {
        let of_basis: Vec<f64> = (0..=degree as u64).map(|k| share(seed, k) - 0.5).collect();
        let interval = Interval { middle, half, scale: 1.0 };
        let of_powers = powers(&of_basis, interval);
        for step in 0..=10 {
            let t = f64::from(step) / 5.0 - 1.0;
            let expected: f64 = chebyshev(t, degree + 1).iter().zip(&of_basis).map(|(v, c)| v * c).sum();
            let found = at(&of_powers, middle + half * t);
            // An interval far from zero, as seen from its width, costs digits in a power basis.
            let digits = 1e-14 * (4.0 * (1.0 + middle.abs() / half)).powi(degree as i32);
            prop_assert!((found - expected).abs() <= 1e-9 + digits, "{} {}", found, expected);
        }
    }
}

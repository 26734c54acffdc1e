//! Polynomials for activations: weighted least squares over what arrives there.
//!
//! The basis is Chebyshev's on the interval of what arrives, half as wide again or so, where least squares stay
//! well conditioned up to degree 31; the coefficients are then those of the powers of `x`, in double precision.
//! A few points over the whole interval weigh in with the activation's own values, so that a polynomial does not
//! run away where data are thin, and a channel that never varies has a polynomial all the same.

use blindsight_network::{Activation, Polynomial};
use ndarray::Array2;

use crate::solve::Cholesky;

/// How much wider the interval is than what was observed.
const MARGIN: f64 = 1.3;
/// What the points over the interval weigh, as a share of the data.
const PRIOR: f64 = 3e-3;
/// The farthest vertex of a quadratic, which layer fusion completes the square about. Flatter ones are bent to
/// this, for what reads them would have to read `x`, too: half of what fusion allows.
const FARTHEST_VERTEX: f64 = 32.0;

/// The values that arrive at an activation in one channel.
#[derive(Clone, Debug)]
pub(crate) struct Arriving {
    /// Some of them.
    pub sample: Vec<f32>,
    /// The least of all.
    pub low: f32,
    /// The largest of all.
    pub high: f32,
}

/// A polynomial for each channel, and the mean square of what each is off by over its sample.
///
/// `usual` is a magnitude that is usual in the layer: the interval of a channel that hardly varies is some of
/// it.
pub(crate) fn fitted(
    activation: &Activation,
    arriving: &[Arriving],
    degree: usize,
    usual: f64,
) -> (Polynomial, Vec<f64>) {
    use rayon::prelude::*;
    let channels: Vec<(Vec<f64>, f64)> = arriving
        .par_iter()
        .enumerate()
        .map(|(channel, arriving)| {
            let target = |x: f64| activation.at(channel, x);
            let interval = Interval::of(arriving, usual);
            let coefficients = of_channel(&target, &arriving.sample, degree, interval);
            let error = arriving.sample.iter().map(|x| (at(&coefficients, f64::from(*x)), f64::from(*x)));
            let squares: f64 = error.map(|(value, x)| (value - target(x)).powi(2)).sum();
            (coefficients, squares / arriving.sample.len().max(1) as f64)
        })
        .collect();
    let coefficients = (0..=degree).map(|k| channels.iter().map(|(c, _)| c[k]).collect()).collect();
    (Polynomial { coefficients }, channels.iter().map(|(_, error)| *error).collect())
}

/// Where a polynomial is fitted: `middle - half` to `middle + half`.
#[derive(Clone, Copy)]
struct Interval {
    middle: f64,
    half: f64,
}

impl Interval {
    fn of(arriving: &Arriving, usual: f64) -> Self {
        let (low, high) = (f64::from(arriving.low), f64::from(arriving.high));
        let least = (0.1 * usual).max(1e-3 * low.abs().max(high.abs())).max(1e-6);
        Self { middle: (low + high) / 2.0, half: ((high - low) / 2.0 * MARGIN).max(least) }
    }

    fn normalised(self, x: f64) -> f64 {
        (x - self.middle) / self.half
    }
}

/// The coefficients, by power of `x`, of the polynomial of `degree` nearest to `target`.
fn of_channel(target: &dyn Fn(f64) -> f64, sample: &[f32], degree: usize, interval: Interval) -> Vec<f64> {
    let coefficients = least_squares(target, sample, degree, interval);
    if degree != 2 {
        return coefficients;
    }
    let (a, b) = (coefficients[2], coefficients[1]);
    if b.abs() <= 2.0 * FARTHEST_VERTEX * a.abs() {
        return coefficients;
    }
    // What a bend of this size leaves is fitted by a line.
    let bend = (b.abs() / (2.0 * FARTHEST_VERTEX)).copysign(a);
    let line = least_squares(&|x| target(x) - bend * x * x, sample, 1, interval);
    vec![line[0], line[1], bend]
}

fn least_squares(target: &dyn Fn(f64) -> f64, sample: &[f32], degree: usize, interval: Interval) -> Vec<f64> {
    let terms = degree + 1;
    let mut sums = Array2::<f64>::zeros((terms, terms));
    let mut right = Array2::<f64>::zeros((terms, 1));
    let mut add = |x: f64, weight: f64| {
        let basis = chebyshev(interval.normalised(x), terms);
        let value = target(x);
        for i in 0..terms {
            right[[i, 0]] += weight * basis[i] * value;
            (0..=i).for_each(|j| sums[[i, j]] += weight * basis[i] * basis[j]);
        }
    };
    let weight = 1.0 / sample.len().max(1) as f64;
    sample.iter().for_each(|x| add(f64::from(*x), weight));
    let points = 4 * terms;
    for point in 0..points {
        let angle = std::f64::consts::PI * (point as f64 + 0.5) / points as f64;
        add(interval.middle + interval.half * angle.cos(), PRIOR / points as f64);
    }
    match Cholesky::new(sums) {
        Some(factor) => powers(factor.solve(right.view()).column(0).as_slice().unwrap_or(&[]), interval),
        // Only sums that are no numbers get here: a network that has run away. The constant keeps it finite.
        None => vec![0.0; terms],
    }
}

/// The first Chebyshev polynomials at `t`.
fn chebyshev(t: f64, terms: usize) -> Vec<f64> {
    let mut values = vec![1.0, t];
    while values.len() < terms {
        let n = values.len();
        values.push(2.0 * t * values[n - 1] - values[n - 2]);
    }
    values
}

/// Coefficients of Chebyshev polynomials on an interval as those of the powers of `x`.
fn powers(of_basis: &[f64], interval: Interval) -> Vec<f64> {
    // Clenshaw's recurrence on polynomials in t, whose coefficients are exact but for rounding.
    let terms = of_basis.len();
    let (mut newer, mut older) = (vec![0.0; terms], vec![0.0; terms]);
    for k in (0..terms).rev() {
        let factor = if k == 0 { 1.0 } else { 2.0 };
        let mut next = vec![0.0; terms];
        next[0] = of_basis[k];
        (1..terms).for_each(|i| next[i] = factor * newer[i - 1]);
        next.iter_mut().zip(&older).for_each(|(n, o)| *n -= o);
        older = std::mem::replace(&mut newer, next);
    }
    // Horner's rule on polynomials, with t = (x - middle) / half.
    let (slope, shift) = (1.0 / interval.half, -interval.middle / interval.half);
    let mut sum = vec![0.0; terms];
    for coefficient in newer.iter().rev() {
        for i in (0..terms).rev() {
            let lower = if i == 0 { 0.0 } else { sum[i - 1] };
            sum[i] = sum[i] * shift + lower * slope;
        }
        sum[0] += coefficient;
    }
    sum
}

/// The value at `x`.
fn at(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

#[cfg(test)]
mod tests;

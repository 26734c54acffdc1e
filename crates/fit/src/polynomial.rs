//! Polynomials for activations: weighted least squares over what arrives there.
//!
//! The basis is Chebyshev's on the interval of what arrives, half as wide again or so, where least squares
//! stay well conditioned up to degree 31; the coefficients are then those of the powers of `x`, in double
//! precision. A power basis is ill-conditioned at high degrees, and an encrypted run evaluates in one, with
//! errors: these are part of what is minimised (a Tikhonov term on the coefficients of powers), so that
//! none becomes larger than its use. A few points over the whole interval weigh in with the activation's
//! own values, so that a polynomial does not run away where data are thin, and a channel that never varies
//! has a polynomial all the same.

use blindsight_network::{Activation, Polynomial};
use ndarray::Array2;

use crate::solve::Cholesky;

/// How much wider the interval is than what was observed.
const MARGIN: f64 = 1.3;
/// What the points over the interval weigh, as a share of the data.
const PRIOR: f64 = 1e-3;
/// The error of a power of an argument up to one, in an encrypted run, with some room: large coefficients
/// that cancel would multiply it. What they come to is a term of the least squares.
const NOISE: f64 = 1e-5;
/// The farthest vertex of a quadratic, which layer fusion completes the square about. Flatter ones are bent
/// to this, for what reads them would have to read `x`, too: half of what fusion allows.
const FARTHEST_VERTEX: f64 = 32.0;
/// Up to which half width of the interval, as a share of that, a bend does little harm.
const BENDABLE: f64 = 0.1;

/// The values that arrive at an activation in one channel.
#[derive(Clone, Debug)]
pub(crate) struct Arriving {
    /// Some of them.
    pub sample: Vec<f32>,
    /// What the activation's output was for each of these in the original network.
    pub wanted: Vec<f32>,
    /// The least of all.
    pub low: f32,
    /// The largest of all.
    pub high: f32,
}

impl Arriving {
    /// The largest magnitude.
    pub fn reach(&self) -> f64 {
        f64::from(self.low.abs().max(self.high.abs()))
    }

    /// Arguments and what a polynomial should make of them.
    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.sample.iter().zip(&self.wanted).map(|(x, y)| (f64::from(*x), f64::from(*y)))
    }
}

/// A polynomial for each channel, and the mean square of what each is off by over its sample.
///
/// `usual` is a magnitude that is usual in the layer: the interval of a channel that hardly varies is some of
/// it. `scales` are what each channel is divided by before its powers are taken.
pub(crate) fn fitted(
    activation: &Activation,
    arriving: &[Arriving],
    degree: usize,
    usual: f64,
    scales: &[f64],
) -> (Polynomial, Vec<f64>) {
    use rayon::prelude::*;
    let channels: Vec<(Vec<f64>, f64)> = arriving
        .par_iter()
        .enumerate()
        .map(|(channel, arriving)| {
            let target = |x: f64| activation.at(channel, x);
            let interval = Interval::of(arriving, usual, scales[channel]);
            let coefficients = of_channel(&target, arriving, degree, interval);
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
    /// What the argument is divided by before its powers are taken.
    scale: f64,
}

impl Interval {
    fn of(arriving: &Arriving, usual: f64, scale: f64) -> Self {
        let (low, high) = (f64::from(arriving.low), f64::from(arriving.high));
        let least = (0.1 * usual).max(1e-3 * low.abs().max(high.abs())).max(1e-6);
        Self { middle: (low + high) / 2.0, half: ((high - low) / 2.0 * MARGIN).max(least), scale }
    }

    /// Chebyshev's points, so many.
    fn points(self, count: usize) -> impl Iterator<Item = f64> {
        let angle = move |point: usize| std::f64::consts::PI * (point as f64 + 0.5) / count as f64;
        (0..count).map(move |point| self.middle + self.half * angle(point).cos())
    }

    fn normalised(self, x: f64) -> f64 {
        (x - self.middle) / self.half
    }
}

/// The coefficients, by power of `x`, of the polynomial of `degree` nearest to `target`.
fn of_channel(
    target: &dyn Fn(f64) -> f64,
    arriving: &Arriving,
    degree: usize,
    interval: Interval,
) -> Vec<f64> {
    let coefficients = least_squares(target, arriving, degree, interval);
    if degree != 2 {
        return coefficients;
    }
    let (a, b) = (coefficients[2], coefficients[1]);
    let bends = interval.half <= BENDABLE * FARTHEST_VERTEX;
    if !bends || b.abs() <= 2.0 * FARTHEST_VERTEX * a.abs() {
        return coefficients;
    }
    // A multiple of x + bend x^2, and a constant.
    let bend = 0.5f64.copysign(a * b) / FARTHEST_VERTEX;
    let points: Vec<(f64, f64)> =
        arriving.pairs().chain(interval.points(12).map(|x| (x, target(x)))).collect();
    let mean = |of: &dyn Fn(f64, f64) -> f64| {
        points.iter().map(|(x, y)| of(*x, *y)).sum::<f64>() / points.len() as f64
    };
    let bent = |x: f64| x + bend * x * x;
    let (at_mean, target_mean) = (mean(&|x, _| bent(x)), mean(&|_, y| y));
    let variance = mean(&|x, _| (bent(x) - at_mean).powi(2));
    let slope = mean(&|x, y| (bent(x) - at_mean) * (y - target_mean)) / variance;
    if !slope.is_finite() {
        return coefficients;
    }
    vec![target_mean - slope * at_mean, slope, slope * bend]
}

/// The coefficients by least squares; of a lower degree, with zeros behind them, where the data do not
/// determine as many.
fn least_squares(
    target: &dyn Fn(f64) -> f64,
    arriving: &Arriving,
    degree: usize,
    interval: Interval,
) -> Vec<f64> {
    let terms = degree + 1;
    let mut sums = Array2::<f64>::zeros((terms, terms));
    let mut right = Array2::<f64>::zeros((terms, 1));
    let mut add = |x: f64, value: f64, weight: f64| {
        let basis = chebyshev(interval.normalised(x), terms);
        for i in 0..terms {
            right[[i, 0]] += weight * basis[i] * value;
            (0..=i).for_each(|j| sums[[i, j]] += weight * basis[i] * basis[j]);
        }
    };
    let weight = 1.0 / arriving.sample.len().max(1) as f64;
    arriving.pairs().for_each(|(x, wanted)| add(x, wanted, weight));
    let points = 4 * terms;
    interval.points(points).for_each(|x| add(x, target(x), PRIOR / points as f64));
    add_noise(&mut sums, interval);
    match Cholesky::new(sums) {
        Some(factor) => powers(factor.solve(right.view()).column(0).as_slice().unwrap_or(&[]), interval),
        None if degree > 0 => {
            let mut coefficients = least_squares(target, arriving, degree / 2, interval);
            coefficients.resize(terms, 0.0);
            coefficients
        }
        // What is no number, in a network that has run away.
        None => vec![0.0],
    }
}

/// Adds what an encrypted run's errors of the powers come to, by the coefficients that multiply them.
fn add_noise(sums: &mut Array2<f64>, interval: Interval) {
    let terms = sums.nrows();
    let of_powers: Vec<Vec<f64>> = (0..terms)
        .map(|k| {
            let unit: Vec<f64> = (0..terms).map(|i| f64::from(u8::from(i == k))).collect();
            let coefficients = powers(&unit, interval);
            coefficients.iter().enumerate().map(|(i, c)| c * interval.scale.powi(i as i32)).collect()
        })
        .collect();
    for i in 0..terms {
        for j in 0..=i {
            let product: f64 = of_powers[i].iter().zip(&of_powers[j]).map(|(a, b)| a * b).sum();
            sums[[i, j]] += NOISE * NOISE * product;
        }
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

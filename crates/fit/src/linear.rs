//! Linear layers corrected on data: ridge regression of what is missing at their output on what they read.
//!
//! Layer by layer, the weights that make the most of inputs that are not quite those they were trained on
//! are a least-squares problem with a closed form: no gradients, no labels (the layer-wise reconstruction
//! of post-training quantisation; Nagel et al., ICML 2020, and Frantar et al., OBC, NeurIPS 2022). The
//! penalty is on the change: without evidence weights stay as they were.

use blindsight_network::{Bias, Convolution, Operator, Shape};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::batch::{Batch, matrix, window};
use crate::data::share;
use crate::solve::Cholesky;

/// Samples of a convolution: this many at the least, or as many for each weight of an output channel.
const SAMPLES: usize = 20_000;
const SAMPLES_PER_WEIGHT: usize = 40;
/// The most numbers that the samples of one layer may take.
const MOST_NUMBERS: usize = 1 << 25;
/// Strengths of the penalty, as shares of what a weight's input varies by, from weak to strong.
const RIDGES: [f64; 7] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];
/// Where the search for the best of them begins.
const MIDDLE: usize = 2;
/// Rows that one product of matrices takes.
const CHUNK: usize = 1024;

/// What a linear layer read, what it made of it, and what it should have; the first `calibration` images
/// are to learn from, the others, up to `images`, to judge on.
pub(crate) struct Observed<'a> {
    pub input: &'a Batch,
    pub output: &'a Batch,
    pub target: &'a Batch,
    pub calibration: usize,
    pub images: usize,
}

/// The layer with weights and biases that bring it nearer to the target; the biases alone where more helps
/// none of the images to judge on. An operator other than a convolution or a dense layer is left alone.
pub(crate) fn corrected(operator: &Operator, observed: &Observed<'_>) -> Operator {
    match operator {
        Operator::Convolution(layer) => {
            let mut layer = layer.clone();
            (0..layer.groups).for_each(|group| correct_group(&mut layer, observed, group));
            Operator::Convolution(layer)
        }
        Operator::Dense(layer) => {
            let mut layer = layer.clone();
            let samples = |from: usize, to: usize| Samples {
                x: rows(observed.input, from, to),
                missing: rows(observed.target, from, to) - rows(observed.output, from, to),
            };
            let (seen, held) = observed.split(samples);
            if let Some(change) = Change::best(seen, held) {
                let weights = layer.weights.chunks_mut(layer.columns).zip(change.weights.columns());
                weights.for_each(|(row, change)| row.iter_mut().zip(change).for_each(|(w, c)| *w += c));
                layer.bias.iter_mut().zip(&change.bias).for_each(|(b, c)| *b += c);
            }
            Operator::Dense(layer)
        }
        other => other.clone(),
    }
}

impl Observed<'_> {
    /// Samples of the images to learn from, and of those to judge on.
    fn split(&self, samples: impl Fn(usize, usize) -> Samples) -> (Samples, Samples) {
        (samples(0, self.calibration), samples(self.calibration, self.images))
    }
}

/// Rows of what a layer reads, and of what is missing at its output.
struct Samples {
    x: Array2<f32>,
    missing: Array2<f32>,
}

/// A batch's images from one to another, each a row.
fn rows(batch: &Batch, from: usize, to: usize) -> Array2<f32> {
    let size = batch.shape.elements();
    matrix(&batch.values[from * size..to * size], to - from, size).to_owned()
}

fn correct_group(layer: &mut Convolution, observed: &Observed<'_>, group: usize) {
    let (outputs, taps) = (layer.group_outputs(), layer.taps());
    let (seen, held) = observed.split(|from, to| windows(layer, observed, group, from, to));
    let Some(change) = Change::best(seen, held) else { return };
    let first = group * outputs;
    for (output, weights) in change.weights.columns().into_iter().enumerate() {
        let row = &mut layer.weights[(first + output) * taps..(first + output + 1) * taps];
        row.iter_mut().zip(weights).for_each(|(w, c)| *w += c);
    }
    let positions = observed.output.shape.positions();
    for (output, change) in change.bias.iter().enumerate() {
        match &mut layer.bias {
            Bias::PerChannel(bias) => bias[first + output] += change,
            Bias::PerElement(bias) => {
                let plane = (first + output) * positions..(first + output + 1) * positions;
                bias[plane].iter_mut().for_each(|b| *b += change);
            }
        }
    }
}

/// Samples of a group of a convolution: some positions of each image, drawn evenly.
fn windows(layer: &Convolution, observed: &Observed<'_>, group: usize, from: usize, to: usize) -> Samples {
    let (shape, taps, outputs) = (observed.output.shape, layer.taps(), layer.group_outputs());
    let positions = sampled_positions(shape, taps, observed.calibration);
    let each: Vec<(Vec<f32>, Vec<f32>)> = (from..to)
        .into_par_iter()
        .map(|n| {
            let (image, made, target) =
                (observed.input.image(n), observed.output.image(n), observed.target.image(n));
            let (mut x, mut missing) = (vec![], vec![]);
            for at in drawn(n, positions, shape.positions()) {
                x.extend(window(layer, observed.input.shape, shape, image, group, at));
                let places = (0..outputs).map(|o| (group * outputs + o) * shape.positions() + at);
                missing.extend(places.map(|place| target[place] - made[place]));
            }
            (x, missing)
        })
        .collect();
    let count = (to - from) * positions;
    let (x, missing): (Vec<Vec<f32>>, Vec<Vec<f32>>) = each.into_iter().unzip();
    let joined = |width: usize, parts: Vec<Vec<f32>>| {
        Array2::from_shape_vec((count, width), parts.concat()).expect("as many as were drawn")
    };
    Samples { x: joined(taps, x), missing: joined(outputs, missing) }
}

/// How many positions of an image are sampled.
fn sampled_positions(shape: Shape, taps: usize, images: usize) -> usize {
    let wanted = SAMPLES.max(SAMPLES_PER_WEIGHT * taps).min(MOST_NUMBERS / taps.max(1));
    wanted.div_ceil(images.max(1)).clamp(1, shape.positions())
}

/// `count` of the positions of image `n`, spread evenly but for a random start and a random place in each
/// part.
pub(crate) fn drawn(n: usize, count: usize, positions: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| {
        let (first, end) = (i * positions / count, (i + 1) * positions / count);
        first + (share(n as u64, i as u64) * (end - first) as f64) as usize
    })
}

/// What is added to weights, `[input][output]`, and to biases.
struct Change {
    weights: Array2<f64>,
    bias: Array1<f64>,
}

impl Change {
    /// The change, of several penalties, that leaves least of what is missing in `held`; that of the bias
    /// alone is one of them. `None` where there are no finite numbers to learn from.
    fn best(mut seen: Samples, mut held: Samples) -> Option<Self> {
        let x_mean = seen.x.mean_axis(Axis(0))?;
        let mean = seen.missing.mean_axis(Axis(0))?;
        if x_mean.iter().chain(&mean).any(|v| !v.is_finite()) {
            return None;
        }
        for samples in [&mut seen, &mut held] {
            samples.x -= &x_mean;
            samples.missing -= &mean;
        }
        let mean = mean.mapv(f64::from);
        let problem = Problem::new(&seen);
        let mut best = (squares(&held.missing), None);
        let mut error_of = |index: usize| {
            let Some(weights) = problem.solution(RIDGES[index]) else { return f64::INFINITY };
            let error = squares(&(&held.missing - &held.x.dot(&weights.mapv(|w| w as f32))));
            if error < best.0 {
                best = (error, Some(weights));
            }
            error
        };
        let middle = error_of(MIDDLE);
        if !descends(middle, (0..MIDDLE).rev(), &mut error_of) {
            descends(middle, MIDDLE + 1..RIDGES.len(), &mut error_of);
        }
        let weights = best.1.unwrap_or_else(|| Array2::zeros((seen.x.ncols(), mean.len())));
        let bias = mean - weights.t().dot(&x_mean.mapv(f64::from));
        Some(Self { weights, bias })
    }
}

/// Looks at one penalty after the other as long as the error falls; whether it fell at all.
fn descends(
    from: f64,
    indices: impl Iterator<Item = usize>,
    error_of: &mut impl FnMut(usize) -> f64,
) -> bool {
    let mut last = from;
    for index in indices {
        let error = error_of(index);
        if error >= last {
            break;
        }
        last = error;
    }
    last < from
}

/// The sum of the squares; infinite where one is no number, so that nothing is better by it.
fn squares(values: &Array2<f32>) -> f64 {
    let sum: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
    if sum.is_finite() { sum } else { f64::INFINITY }
}

/// The sums that all penalties share: over pairs of inputs, or of samples where these are fewer.
struct Problem<'a> {
    seen: &'a Samples,
    sums: Array2<f64>,
    /// `x^T missing`, or `missing` itself.
    right: Array2<f64>,
    dual: bool,
}

impl<'a> Problem<'a> {
    fn new(seen: &'a Samples) -> Self {
        let dual = seen.x.nrows() < seen.x.ncols();
        let (sums, right) = match dual {
            true => (products(seen.x.t(), seen.x.t()), seen.missing.mapv(f64::from)),
            false => (products(seen.x.view(), seen.x.view()), products(seen.x.view(), seen.missing.view())),
        };
        Self { seen, sums, right, dual }
    }

    /// The weights under a penalty.
    fn solution(&self, ridge: f64) -> Option<Array2<f64>> {
        let trace = self.sums.diag().sum();
        let weight = ridge * trace / self.seen.x.ncols() as f64;
        if !(weight > 0.0 && weight.is_finite()) {
            return None;
        }
        let mut sums = self.sums.clone();
        sums.diag_mut().iter_mut().for_each(|d| *d += weight);
        let solved = Cholesky::new(sums)?.solve(self.right.view());
        Some(if self.dual { self.seen.x.t().mapv(f64::from).dot(&solved) } else { solved })
    }
}

/// `a^T b`, some rows at a time, summed in double precision.
fn products(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Array2<f64> {
    let zeros = || Array2::<f64>::zeros((a.ncols(), b.ncols()));
    let chunks: Vec<_> = a.axis_chunks_iter(Axis(0), CHUNK).zip(b.axis_chunks_iter(Axis(0), CHUNK)).collect();
    // One part for each thread: a sum takes as much memory as the matrix.
    let parts = chunks.par_chunks(chunks.len().div_ceil(rayon::current_num_threads()).max(1));
    let sums = parts.map(|part| {
        part.iter().fold(zeros(), |mut sum, (a, b)| {
            sum.zip_mut_with(&a.t().dot(b), |s, v| *s += f64::from(*v));
            sum
        })
    });
    sums.reduce(zeros, |a, b| a + b)
}

#[cfg(test)]
mod tests;

//! Channels of about one magnitude.
//!
//! A file may compute one channel a thousand times as large as its neighbours and undo that in the next
//! layer. In numbers of fixed precision the small ones would drown. So a channel whose magnitude is far from
//! what is usual in its layer is scaled to that, and its readers take the inverse; through a square the
//! inverse squared. Magnitudes are those on one image, of the terms as if they were independent: a sum that
//! happens to cancel there may not elsewhere. What enters a polynomial of a higher degree is scaled to
//! magnitudes of at most about one: its powers would not fit.

use super::net::Net;
use crate::{FusedOperation, LinearMap, Metadata, Polynomial, Shape, Source, limits, probe};

/// How far from the layer's median a channel may be.
const BAND: f64 = 16.0;
/// How far from one a layer's median may be.
const WIDE_BAND: f64 = 64.0;
/// How much larger than on the one image a value may be on others.
const ROOM: f64 = 2.0;

/// Scales what is far off; nothing where an inference would be too much work, or is out of all bounds.
pub(super) fn equalised(net: &mut Net, metadata: &Metadata) {
    if net.total_cost() > limits::MERGE_MULTIPLICATIONS {
        return;
    }
    let readers = readers(net);
    let input = probe::usual(net.fused.input, metadata);
    let mut values: Vec<Vec<f64>> = vec![];
    for index in 0..net.nodes().len() {
        let computed = compute(net, index, &input, &values);
        let factors = factors(net, index, &readers, &input, &values, &computed);
        let Some(factors) = factors.filter(|f| f.iter().any(|f| *f != 1.0)) else {
            values.push(computed);
            continue;
        };
        scale(net, index, &factors, &readers);
        let recomputed = compute(net, index, &input, &values);
        values.push(recomputed);
    }
}

fn readers(net: &Net) -> Vec<Vec<usize>> {
    let mut readers = vec![vec![]; net.nodes().len()];
    for (index, node) in net.nodes().iter().enumerate() {
        for source in node.sources() {
            if let Source::Node(read) = source
                && readers[read].last() != Some(&index)
            {
                readers[read].push(index);
            }
        }
    }
    readers
}

fn compute(net: &Net, index: usize, input: &[f64], values: &[Vec<f64>]) -> Vec<f64> {
    net.fused.compute(&net.nodes()[index], |source| match source {
        Source::Input => input,
        Source::Node(index) => values[index].as_slice(),
    })
}

/// The factors by which a node's channels should be multiplied; `None` where its readers cannot undo that, or
/// nothing is known.
fn factors(
    net: &Net,
    index: usize,
    readers: &[Vec<usize>],
    input: &[f64],
    values: &[Vec<f64>],
    computed: &[f64],
) -> Option<Vec<f64>> {
    let (terms, bias) = net.linear(Source::Node(index))?;
    if !is_free(net, index, readers) {
        return None;
    }
    let shape = net.nodes()[index].shape;
    let (mut squares, mut norms) = (vec![0.0; shape.channels], vec![0.0; shape.channels]);
    for term in terms {
        let read = match term.source {
            Source::Input => input,
            Source::Node(read) => values[read].as_slice(),
        };
        let from = net.shape(term.source);
        let means = means_of_squares(read, from);
        add_squares(&term.map, &means, from, shape, &mut squares);
        add_squares(&term.map, &vec![1.0; means.len()], from, shape, &mut norms);
    }
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let biases: Vec<f64> = bias.elements(shape).chunks(shape.positions()).map(largest).collect();
    let peaks: Vec<f64> = computed.chunks(shape.positions()).map(largest).collect();
    let usual: Vec<f64> = squares.iter().zip(&biases).map(|(s, b)| s.sqrt() + b).collect();
    if !usual.iter().chain(&peaks).all(|m| m.is_finite()) {
        return None;
    }
    let even = evening(&usual, &norms);
    let [reader] = readers[index][..] else { return Some(even) };
    let FusedOperation::Polynomial { polynomial, .. } = &net.nodes()[reader].operation else {
        return Some(even);
    };
    if polynomial.degree() <= 2 {
        return Some(even);
    }
    let recorded = net.recorded.get(&net.nodes()[reader].name).copied();
    Some(normalising(&even, &usual, &peaks, recorded))
}

/// Whether all that reads a node can undo a scaling of its channels.
fn is_free(net: &Net, index: usize, readers: &[Vec<usize>]) -> bool {
    net.output != Source::Node(index)
        && readers[index].iter().all(|reader| {
            let node = &net.nodes()[*reader];
            match &node.operation {
                FusedOperation::Product(_) => false,
                FusedOperation::Linear { .. } => true,
                FusedOperation::Polynomial { polynomial, .. } => {
                    node.shape == net.nodes()[index].shape
                        && (!polynomial.is_square() || is_free(net, *reader, readers))
                }
            }
        })
}

fn means_of_squares(values: &[f64], shape: Shape) -> Vec<f64> {
    let mean = |channel: &[f64]| channel.iter().map(|v| v * v).sum::<f64>() / shape.positions() as f64;
    values.chunks(shape.positions()).map(mean).collect()
}

/// Adds for each output channel the mean square of its terms, given that of each input channel.
fn add_squares(map: &LinearMap, means: &[f64], from: Shape, to: Shape, squares: &mut [f64]) {
    match map {
        LinearMap::Convolution(c) => {
            let window = c.kernel[0] * c.kernel[1];
            for (o, square) in squares.iter_mut().enumerate() {
                let first = o / c.group_outputs() * c.group_inputs();
                let kernels = c.channel_weights(o).chunks(window).zip(&means[first..]);
                *square += kernels.map(|(k, m)| m * k.iter().map(|w| w * w).sum::<f64>()).sum::<f64>();
            }
        }
        LinearMap::Dense(d) => {
            for (row, weights) in d.weights.chunks(d.columns).enumerate() {
                let terms = weights.iter().enumerate().map(|(i, w)| w * w * means[i / from.positions()]);
                squares[row / to.positions()] += terms.sum::<f64>() / to.positions() as f64;
            }
        }
        LinearMap::Sparse(s) => {
            for row in 0..to.elements() {
                let terms = s.row(row).map(|(i, w)| w * w * means[i / from.positions()]);
                squares[row / to.positions()] += terms.sum::<f64>() / to.positions() as f64;
            }
        }
    }
}

/// Factors that bring channels far from the median to it, and a median far from one to one.
///
/// A channel that is small since what it reads is small gains nothing by larger weights: they multiply the
/// errors of its inputs, too. So none comes to weights whose squares add up to more than the layer's largest.
fn evening(usual: &[f64], norms: &[f64]) -> Vec<f64> {
    let largest = norms.iter().copied().fold(0.0, f64::max);
    let mut sorted: Vec<f64> = usual.iter().copied().filter(|m| *m > 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(median) = sorted.get(sorted.len() / 2).copied() else { return vec![1.0; usual.len()] };
    let target = if within(median, 1.0, WIDE_BAND) { median } else { 1.0 };
    let factor = |(m, norm): (&f64, &f64)| match *m {
        0.0 => 1.0,
        m if within(m, median, BAND) => target / median,
        m => target / median * (median / m).min((largest / norm).sqrt().max(1.0)),
    };
    usual.iter().zip(norms).map(factor).collect()
}

fn within(value: f64, of: f64, band: f64) -> bool {
    value <= of * band && value * band >= of
}

/// Factors that bring all values into [-1, 1], given those that make them even.
fn normalising(even: &[f64], usual: &[f64], peaks: &[f64], recorded: Option<f64>) -> Vec<f64> {
    if let Some(most) = recorded.filter(|m| *m > 0.0 && even.iter().all(|e| *e == 1.0)) {
        return vec![1.0 / most; even.len()];
    }
    let expected = |i: usize| even[i] * (ROOM * usual[i]).max(ROOM * peaks[i]);
    let most = (0..even.len()).map(expected).fold(0.0, f64::max);
    if most > 0.0 { even.iter().map(|e| e / most).collect() } else { even.to_vec() }
}

/// Multiplies a linear node's channels by these factors, and lets its readers undo that.
fn scale(net: &mut Net, index: usize, factors: &[f64], readers: &[Vec<usize>]) {
    let node = &mut net.fused.nodes[index];
    let shape = node.shape;
    if let FusedOperation::Linear { terms, bias } = &mut node.operation {
        terms.iter_mut().for_each(|term| term.map = term.map.with_scaled_outputs(factors, shape));
        let part = if matches!(bias, crate::Bias::PerChannel(_)) { 1 } else { shape.positions() };
        let (crate::Bias::PerChannel(values) | crate::Bias::PerElement(values)) = bias;
        values.iter_mut().enumerate().for_each(|(i, b)| *b *= factors[i / part]);
    }
    let inverse: Vec<f64> = factors.iter().map(|f| 1.0 / f).collect();
    undo(net, index, &inverse, readers);
}

/// Multiplies what is read of a node by these factors, in all its readers.
fn undo(net: &mut Net, index: usize, factors: &[f64], readers: &[Vec<usize>]) {
    let shape = net.nodes()[index].shape;
    for reader in &readers[index] {
        let mut square = false;
        match &mut net.fused.nodes[*reader].operation {
            FusedOperation::Linear { terms, .. } => {
                for term in terms.iter_mut().filter(|term| term.source == Source::Node(index)) {
                    term.map = term.map.with_scaled_inputs(factors, shape);
                }
            }
            FusedOperation::Polynomial { polynomial, .. } if polynomial.is_square() => square = true,
            FusedOperation::Polynomial { polynomial, .. } => rescale(polynomial, factors),
            FusedOperation::Product(_) => {}
        }
        if square {
            let squares: Vec<f64> = factors.iter().map(|f| f * f).collect();
            undo(net, *reader, &squares, readers);
        }
    }
}

/// The polynomial of the argument times a factor for each channel.
fn rescale(polynomial: &mut Polynomial, factors: &[f64]) {
    let mut powers = vec![1.0; factors.len()];
    for of_power in &mut polynomial.coefficients {
        of_power.iter_mut().zip(&powers).for_each(|(c, power)| *c *= power);
        powers.iter_mut().zip(factors).for_each(|(power, factor)| *power *= factor);
    }
}

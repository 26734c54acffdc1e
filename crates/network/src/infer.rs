//! The operators in the clear: plain loops that the compiler vectorises.

use crate::layer::{Affine, AveragePool, Convolution, Dense};
use crate::{MaxPool, Operator, Padding, Shape};

/// Taps that one pass over a convolution's output adds.
const TAPS: usize = 8;
/// Independent sums of a dot product.
const LANES: usize = 16;

/// The output, of shape `to`, of an operator for `inputs` of shapes `from`. Needs shapes that the operator
/// accepts.
pub(crate) fn apply(operator: &Operator, from: &[Shape], to: Shape, inputs: &[&[f64]]) -> Vec<f64> {
    match operator {
        Operator::Convolution(layer) => convolve(layer, from[0], to, inputs[0]),
        Operator::Dense(layer) => multiply(layer, inputs[0]),
        Operator::AveragePool(layer) => average(layer, from[0], to, inputs[0]),
        Operator::MaxPool(layer) => largest(layer, from[0], to, inputs[0]),
        Operator::Activation(activation) => {
            per_channel(inputs[0], to, |channel, x| activation.at(channel, x))
        }
        Operator::Reshape(_) => inputs[0].to_vec(),
        Operator::Affine(Affine { scale, shift }) => {
            per_channel(inputs[0], to, |channel, x| scale[channel] * x + shift[channel])
        }
        Operator::Polynomial(polynomial) => {
            per_channel(inputs[0], to, |channel, x| polynomial.at(channel, x))
        }
        Operator::Sum => inputs[1..].iter().fold(inputs[0].to_vec(), |mut sum, input| {
            sum.iter_mut().zip(*input).for_each(|(s, x)| *s += x);
            sum
        }),
        Operator::Concat => inputs.concat(),
        Operator::Product => inputs[0].iter().zip(inputs[1]).map(|(a, b)| a * b).collect(),
        Operator::Selection(selection) => {
            selection.elements.iter().map(|e| e.map_or(0.0, |e| inputs[0][e as usize])).collect()
        }
    }
}

fn per_channel(input: &[f64], shape: Shape, f: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let channels = input.chunks(shape.positions()).enumerate();
    channels
        .flat_map(|(channel, values)| values.iter().map(move |x| (channel, *x)))
        .map(|(c, x)| f(c, x))
        .collect()
}

pub(crate) fn multiply(layer: &Dense, input: &[f64]) -> Vec<f64> {
    (0..layer.rows).map(|r| layer.bias[r] + dot(layer.row(r), input)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Gathers, for a few taps at a time, the input value that each output position meets, and adds these rows,
/// weighted, to every output channel of the group: all inner loops run over contiguous positions.
pub(crate) fn convolve(layer: &Convolution, from: Shape, to: Shape, input: &[f64]) -> Vec<f64> {
    let positions = to.positions();
    let mut output = layer.bias.elements(to);
    let mut rows = vec![0.0; TAPS * positions];
    for group in 0..layer.groups {
        let planes = &input[group * layer.group_inputs() * from.positions()..];
        for first in (0..layer.taps()).step_by(TAPS) {
            let taps = first..layer.taps().min(first + TAPS);
            for (tap, row) in taps.clone().zip(rows.chunks_mut(positions)) {
                gather(layer, from, to, planes, tap, row);
            }
            for o in group * layer.group_outputs()..(group + 1) * layer.group_outputs() {
                let sums = &mut output[o * positions..(o + 1) * positions];
                accumulate(sums, &layer.channel_weights(o)[taps.clone()], &rows);
            }
        }
    }
    output
}

/// Adds to `sums` the `rows`, one after the other, each times its weight.
fn accumulate(sums: &mut [f64], weights: &[f64], rows: &[f64]) {
    let n = sums.len();
    let Ok(w) = <&[f64; TAPS]>::try_from(weights) else {
        for (w, row) in weights.iter().zip(rows.chunks(n)) {
            sums.iter_mut().zip(row).for_each(|(s, x)| *s += w * x);
        }
        return;
    };
    let r: [&[f64]; TAPS] = std::array::from_fn(|i| &rows[i * n..(i + 1) * n]);
    for p in 0..n {
        sums[p] += (w[0] * r[0][p] + w[1] * r[1][p] + w[2] * r[2][p] + w[3] * r[3][p])
            + (w[4] * r[4][p] + w[5] * r[5][p] + w[6] * r[6][p] + w[7] * r[7][p]);
    }
}

/// The input value that each output position meets at one tap: zero where that lies on the padding.
fn gather(layer: &Convolution, from: Shape, to: Shape, planes: &[f64], tap: usize, row: &mut [f64]) {
    let [height, width] = layer.kernel;
    let (plane, ky, kx) = (tap / (height * width), tap / width % height, tap % width);
    let plane = &planes[plane * from.positions()..(plane + 1) * from.positions()];
    let (dy, dx) = (ky * layer.dilation[0], kx * layer.dilation[1]);
    let [sy, sx] = layer.stride;
    let Padding { top, left, .. } = layer.padding;
    // Columns first..last of the output meet the image: left <= ox sx + dx < left + width.
    let first = left.saturating_sub(dx).div_ceil(sx).min(to.width);
    let last = (left + from.width).saturating_sub(dx).div_ceil(sx).clamp(first, to.width);
    row.fill(0.0);
    for (oy, out) in row.chunks_mut(to.width).enumerate() {
        let Some(y) = (oy * sy + dy).checked_sub(top).filter(|&y| y < from.height) else { continue };
        if first < last {
            let line = &plane[y * from.width..(y + 1) * from.width];
            let values = line[first * sx + dx - left..].iter().step_by(sx);
            out[first..last].iter_mut().zip(values).for_each(|(o, v)| *o = *v);
        }
    }
}

/// The mean over each window.
fn average(layer: &AveragePool, from: Shape, to: Shape, input: &[f64]) -> Vec<f64> {
    windows(layer, from, to, input, |values| {
        let (sum, inside) = values.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
        let whole = layer.kernel[0] * layer.kernel[1];
        sum / if layer.include_padding { whole } else { inside } as f64
    })
}

/// The largest value of each window.
fn largest(layer: &MaxPool, from: Shape, to: Shape, input: &[f64]) -> Vec<f64> {
    windows(&layer.windows, from, to, input, |values| values.fold(f64::NEG_INFINITY, f64::max))
}

/// What `of_window` makes of the values of each window that lie on the input.
fn windows(
    layer: &AveragePool,
    from: Shape,
    to: Shape,
    input: &[f64],
    of_window: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Vec<f64> {
    let Padding { top, left, .. } = layer.padding;
    let range = |o: usize, axis: usize, before: usize, extent: usize| {
        let start = o * layer.stride[axis];
        start.saturating_sub(before)..(start + layer.kernel[axis]).saturating_sub(before).min(extent)
    };
    let mut output = Vec::with_capacity(to.elements());
    for plane in input.chunks(from.positions()) {
        for oy in 0..to.height {
            let rows = range(oy, 0, top, from.height);
            for ox in 0..to.width {
                let columns = range(ox, 1, left, from.width);
                let window = rows.clone().flat_map(|y| &plane[y * from.width..][columns.clone()]);
                output.push(of_window(&mut window.copied()));
            }
        }
    }
    output
}

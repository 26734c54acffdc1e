//! Merging of neighbouring linear layers.
//!
//! The bias of a composition is its value at zero: the second layer's value at the first one's bias. That is a bias
//! for each element where the second layer pads, and comes out as one for each channel where it does not.

use crate::layer::{Bias, Convolution, Dense, LayerKind, Padding, product};
use crate::{Error, Layer, Shape, infer, limits};

/// Merges neighbouring layers, first to last, as long as two can be.
pub(super) fn all(input: Shape, layers: Vec<Layer>) -> Result<Vec<Layer>, Error> {
    // The layers so far, each with the shape of its input.
    let mut merged: Vec<(Layer, Shape)> = vec![];
    let mut shape = input;
    for mut layer in layers {
        let mut from = shape;
        shape = layer.output_shape(from)?;
        while let Some((previous, its_input)) = merged.last() {
            let Some(both) = pair(previous, &layer, *its_input)? else { break };
            (layer, from) = (both, *its_input);
            merged.pop();
        }
        merged.push((layer, from));
    }
    Ok(merged.into_iter().map(|(layer, _)| layer).collect())
}

/// One layer for two, if that is sound and either takes no more multiplications or makes pooling vanish: a mean before
/// a dense layer or a convolution is worth no layer, and no level of a ciphertext, of its own.
fn pair(first: &Layer, second: &Layer, input: Shape) -> Result<Option<Layer>, Error> {
    let middle = first.output_shape(input)?;
    let output = second.output_shape(middle)?;
    let costs = [first.multiplications(input)?, second.multiplications(middle)?];
    let Some(composition) = Composition::of(first, second, [input, middle, output]) else { return Ok(None) };
    let cost = composition.cost(input, output, costs);
    let larger = cost.multiplications > costs[0].saturating_add(costs[1]);
    if (larger && !is_pooling(first))
        || cost.weights > limits::PARAMETERS as u64
        || cost.work > limits::MERGE_MULTIPLICATIONS
    {
        return Ok(None);
    }
    let bias = composition.first_bias(middle).map(|b| infer::apply(&second.kind, middle, output, b));
    let name = if costs[0] >= costs[1] { &first.name } else { &second.name };
    Ok(Some(Layer { name: name.clone(), kind: composition.build(input, middle, output, bias) }))
}

/// Whether a layer scales the mean over a window of each channel.
fn is_pooling(layer: &Layer) -> bool {
    let LayerKind::Convolution(c) = &layer.kind else { return false };
    let depthwise = c.groups == c.input_channels && c.groups == c.output_channels;
    depthwise && c.weights.chunks(c.taps()).all(|taps| taps.iter().all(|&w| w == taps[0]))
}

/// Two layers that one can compute.
enum Composition<'a> {
    Convolutions(&'a Convolution, &'a Convolution, Outline),
    DenseOfConvolution(&'a Convolution, &'a Dense),
    /// A convolution of 1x1 images by a 1x1 kernel, after a dense layer.
    ConvolutionOfDense(&'a Dense, &'a Convolution),
    DenseOfDense(&'a Dense, &'a Dense),
    /// A dense layer flattens its input itself.
    DenseOfFlatten(&'a Dense),
}

/// What merging takes, and what comes of it.
struct Cost {
    /// Multiplications of the merged layer.
    multiplications: u64,
    /// Weights of the merged layer.
    weights: u64,
    /// Multiplications to compute them.
    work: u64,
}

impl<'a> Composition<'a> {
    fn of(first: &'a Layer, second: &'a Layer, shapes: [Shape; 3]) -> Option<Self> {
        match (&first.kind, &second.kind) {
            (LayerKind::Convolution(f), LayerKind::Convolution(s)) => {
                Outline::of(f, s, shapes).map(|outline| Self::Convolutions(f, s, outline))
            }
            (LayerKind::Convolution(f), LayerKind::Dense(s)) => Some(Self::DenseOfConvolution(f, s)),
            (LayerKind::Dense(f), LayerKind::Convolution(s)) => (s.kernel == [1, 1]
                && s.padding == Padding::default())
            .then_some(Self::ConvolutionOfDense(f, s)),
            (LayerKind::Dense(f), LayerKind::Dense(s)) => Some(Self::DenseOfDense(f, s)),
            (LayerKind::Flatten, LayerKind::Dense(s)) => Some(Self::DenseOfFlatten(s)),
            _ => None,
        }
    }

    fn cost(&self, input: Shape, output: Shape, [first, _]: [u64; 2]) -> Cost {
        let size = |figures: &[usize]| product(figures) as u64;
        let dense = size(&[output.elements(), input.elements()]);
        let (multiplications, weights, work) = match self {
            Self::Convolutions(f, s, outline) => {
                let taps = outline.taps(f);
                let work = size(&[s.weights.len(), f.taps()]);
                (size(&[output.elements(), taps]), size(&[s.output_channels, taps]), work)
            }
            Self::DenseOfConvolution(_, s) => (dense, dense, first.saturating_mul(s.rows as u64)),
            Self::ConvolutionOfDense(f, s) => (dense, dense, size(&[s.weights.len(), f.columns])),
            Self::DenseOfDense(f, s) => (dense, dense, size(&[s.weights.len(), f.columns])),
            Self::DenseOfFlatten(_) => (dense, dense, 0),
        };
        Cost { multiplications, weights, work }
    }

    /// The first layer's value at zero, if it has any.
    fn first_bias(&self, middle: Shape) -> Option<Vec<f64>> {
        match self {
            Self::Convolutions(f, ..) | Self::DenseOfConvolution(f, _) => Some(f.bias.elements(middle)),
            Self::ConvolutionOfDense(f, _) | Self::DenseOfDense(f, _) => Some(f.bias.clone()),
            Self::DenseOfFlatten(_) => None,
        }
    }

    /// The merged layer, whose value at zero is `bias`.
    fn build(self, input: Shape, middle: Shape, output: Shape, bias: Option<Vec<f64>>) -> LayerKind {
        let bias = bias.unwrap_or_default();
        let dense = |weights, bias| {
            LayerKind::Dense(Dense { rows: output.elements(), columns: input.elements(), weights, bias })
        };
        match self {
            Self::Convolutions(f, s, outline) => {
                LayerKind::Convolution(outline.convolution(f, s, Bias::from_elements(bias, output)))
            }
            Self::DenseOfConvolution(f, s) => dense(dense_of_convolution(f, s, input, middle), bias),
            Self::ConvolutionOfDense(f, s) => dense(convolution_of_dense(f, s), bias),
            Self::DenseOfDense(f, s) => {
                dense((0..s.rows).flat_map(|r| weighted_rows(f, 0, s.row(r))).collect(), bias)
            }
            Self::DenseOfFlatten(s) => LayerKind::Dense(s.clone()),
        }
    }
}

/// The sum of a dense layer's rows from `first` on, each times its weight.
fn weighted_rows(layer: &Dense, first: usize, weights: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; layer.columns];
    for (r, w) in weights.iter().enumerate() {
        sum.iter_mut().zip(layer.row(first + r)).for_each(|(s, x)| *s += w * x);
    }
    sum
}

fn convolution_of_dense(first: &Dense, second: &Convolution) -> Vec<f64> {
    let row = |o: usize| {
        let group = o / second.group_outputs();
        weighted_rows(first, group * second.group_inputs(), second.channel_weights(o))
    };
    (0..second.output_channels).flat_map(row).collect()
}

/// Each row of the dense layer goes back through the convolution: every weight of the row adds, times each tap, to the
/// input that the tap meets.
fn dense_of_convolution(first: &Convolution, second: &Dense, input: Shape, middle: Shape) -> Vec<f64> {
    let mut weights = vec![0.0; second.rows * input.elements()];
    for (r, row) in weights.chunks_mut(input.elements()).enumerate() {
        for (m, &w) in second.row(r).iter().enumerate().filter(|(_, w)| **w != 0.0) {
            add_taps(first, input, middle, m, w, row);
        }
    }
    weights
}

/// Adds to `row`, `weight` times, the taps by which the convolution computes element `m` of its output.
fn add_taps(layer: &Convolution, input: Shape, output: Shape, m: usize, weight: f64, row: &mut [f64]) {
    let (o, y, x) = (m / output.positions(), m / output.width % output.height, m % output.width);
    let [height, width] = layer.kernel;
    let first_channel = o / layer.group_outputs() * layer.group_inputs();
    let inside = |step: usize, axis: usize, tap: usize, before: usize, extent: usize| {
        (step * layer.stride[axis] + tap * layer.dilation[axis]).checked_sub(before).filter(|&p| p < extent)
    };
    for (kernel, i) in layer.channel_weights(o).chunks(height * width).zip(first_channel..) {
        for (ky, line) in kernel.chunks(width).enumerate() {
            let Some(iy) = inside(y, 0, ky, layer.padding.top, input.height) else { continue };
            for (kx, tap) in line.iter().enumerate() {
                if let Some(ix) = inside(x, 1, kx, layer.padding.left, input.width) {
                    row[i * input.positions() + iy * input.width + ix] += weight * tap;
                }
            }
        }
    }
}

/// What the convolution that computes two of them looks like.
struct Outline {
    groups: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
}

impl Outline {
    /// None where a position that the second convolution takes as zero padding is one that the first one's window,
    /// taken further, would not see as zero.
    fn of(first: &Convolution, second: &Convolution, [input, middle, output]: [Shape; 3]) -> Option<Self> {
        let (p, q) = (first.padding, second.padding);
        let axis = |axis: usize, extents: [usize; 3], padding: [usize; 3]| Axis {
            span: first.extent(axis),
            stride: first.stride[axis],
            next_span: second.extent(axis),
            next_stride: second.stride[axis],
            extents,
            padding,
        };
        let rows =
            axis(0, [input.height, middle.height, output.height], [p.top, q.top, q.bottom]).merged()?;
        let columns =
            axis(1, [input.width, middle.width, output.width], [p.left, q.left, q.right]).merged()?;
        Some(Self {
            groups: greatest_common_divisor(first.groups, second.groups),
            kernel: [rows.kernel, columns.kernel],
            stride: [rows.stride, columns.stride],
            padding: Padding {
                top: rows.before,
                bottom: rows.after,
                left: columns.before,
                right: columns.after,
            },
        })
    }

    fn taps(&self, first: &Convolution) -> usize {
        product(&[first.input_channels / self.groups, self.kernel[0], self.kernel[1]])
    }

    fn convolution(self, first: &Convolution, second: &Convolution, bias: Bias) -> Convolution {
        let mut weights = vec![0.0; second.output_channels * self.taps(first)];
        for (o, taps) in weights.chunks_mut(self.taps(first)).enumerate() {
            self.add_channel(first, second, o, taps);
        }
        Convolution {
            input_channels: first.input_channels,
            output_channels: second.output_channels,
            groups: self.groups,
            kernel: self.kernel,
            stride: self.stride,
            dilation: [1, 1],
            padding: self.padding,
            weights,
            bias,
        }
    }

    /// Adds up the merged taps of output channel `o`: each pair of a tap of the second and one of the first is a tap,
    /// where the first one's lies, shifted by the second one's times the first one's stride.
    fn add_channel(&self, first: &Convolution, second: &Convolution, o: usize, taps: &mut [f64]) {
        let first_middle = o / second.group_outputs() * second.group_inputs();
        let first_input = o / (second.output_channels / self.groups) * (first.input_channels / self.groups);
        let [height, width] = second.kernel;
        for (t, &w) in second.channel_weights(o).iter().enumerate() {
            let (m, ky, kx) = (first_middle + t / (height * width), t / width % height, t % width);
            let shift =
                [ky * second.dilation[0] * first.stride[0], kx * second.dilation[1] * first.stride[1]];
            let i = m / first.group_outputs() * first.group_inputs() - first_input;
            self.add_kernel(first, m, w, [i, shift[0], shift[1]], taps);
        }
    }

    /// Adds, `weight` times, the first convolution's taps for its output channel `m`, shifted.
    fn add_kernel(&self, first: &Convolution, m: usize, weight: f64, shift: [usize; 3], taps: &mut [f64]) {
        let [height, width] = first.kernel;
        for (t, tap) in first.channel_weights(m).iter().enumerate() {
            let i = shift[0] + t / (height * width);
            let y = shift[1] + t / width % height * first.dilation[0];
            let x = shift[2] + t % width * first.dilation[1];
            taps[(i * self.kernel[0] + y) * self.kernel[1] + x] += weight * tap;
        }
    }
}

/// Two windows, one after the other, in one direction.
struct Axis {
    /// Span and stride of the first window.
    span: usize,
    stride: usize,
    /// Span and stride of the second.
    next_span: usize,
    next_stride: usize,
    /// Extents of the input, between the two, and of the output.
    extents: [usize; 3],
    /// The first one's padding before; the second one's before and after.
    padding: [usize; 3],
}

/// The one window that is two.
struct Merged {
    kernel: usize,
    stride: usize,
    before: usize,
    after: usize,
}

impl Axis {
    fn merged(&self) -> Option<Merged> {
        let ([input, middle, output], [first, before, after]) = (self.extents, self.padding);
        // The second one's padding must be what the first one's window gives there, zero: steps -1 and `middle` of it
        // must lie wholly outside the input, and so must those farther out.
        let outside_before = before == 0 || self.span <= self.stride + first;
        let outside_after = after == 0 || middle.saturating_mul(self.stride) >= input + first;
        let kernel = (self.next_span - 1).saturating_mul(self.stride).saturating_add(self.span);
        let (stride, before) = (
            self.stride.saturating_mul(self.next_stride),
            before.saturating_mul(self.stride).saturating_add(first),
        );
        let within = [kernel, stride, before].iter().all(|&f| f <= limits::DIMENSION);
        if !(outside_before && outside_after && within) {
            return None;
        }
        let after = (output - 1).saturating_mul(stride).saturating_add(kernel).saturating_sub(input + before);
        // No step more fits: what the second window leaves over is less than its stride, the first one's, too.
        debug_assert_eq!((input + before + after - kernel) / stride + 1, output);
        (after <= limits::DIMENSION).then_some(Merged { kernel, stride, before, after })
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

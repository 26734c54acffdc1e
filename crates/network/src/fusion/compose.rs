//! Two linear maps, one after the other, as one.

use super::sparse;
use crate::layer::{Bias, Convolution, Dense, Padding, product};
use crate::{LinearMap, Shape, Sparse, limits};

/// Two maps that one can compute.
pub(super) enum Composition<'a> {
    /// A factor for each channel of the input, then the map.
    ScaledInputs(&'a [f64], &'a LinearMap),
    /// The map, then a factor for each channel of the output.
    ScaledOutputs(&'a LinearMap, &'a [f64]),
    Convolutions(&'a Convolution, &'a Convolution, Outline),
    DenseOfConvolution(&'a Convolution, &'a Dense),
    /// A convolution of 1x1 images by a 1x1 kernel, after a dense layer.
    ConvolutionOfDense(&'a Dense, &'a Convolution),
    DenseOfDense(&'a Dense, &'a Dense),
    DenseOfSparse(&'a Sparse, &'a Dense),
    SparseOfDense(&'a Dense, &'a Sparse),
    Sparse(&'a LinearMap, &'a LinearMap),
}

/// What merging takes, and what comes of it.
pub(super) struct Cost {
    /// Multiplications of the merged map.
    pub multiplications: u64,
    /// Weights of the merged map.
    pub weights: u64,
    /// Multiplications to compute them.
    pub work: u64,
}

impl<'a> Composition<'a> {
    /// The composition of `second` after `first`, where one map computes it. Shapes are those of the input,
    /// between the two, and of the output. `structured`: no convolution may become a list of weights.
    pub(super) fn of(
        first: &'a LinearMap,
        second: &'a LinearMap,
        shapes: [Shape; 3],
        structured: bool,
    ) -> Option<Self> {
        if let Some(scale) = first.channel_factors() {
            return Some(Self::ScaledInputs(scale, second));
        }
        if let Some(scale) = second.channel_factors() {
            return Some(Self::ScaledOutputs(first, scale));
        }
        match (first, second) {
            (LinearMap::Convolution(f), LinearMap::Convolution(s)) => {
                Outline::of(f, s, shapes).map(|outline| Self::Convolutions(f, s, outline))
            }
            (LinearMap::Convolution(f), LinearMap::Dense(s)) => Some(Self::DenseOfConvolution(f, s)),
            (LinearMap::Dense(f), LinearMap::Convolution(s)) => {
                (s.kernel == [1, 1] && shapes[1].is_vector() && s.padding == Padding::default())
                    .then_some(Self::ConvolutionOfDense(f, s))
            }
            (LinearMap::Dense(f), LinearMap::Dense(s)) => Some(Self::DenseOfDense(f, s)),
            (LinearMap::Sparse(f), LinearMap::Dense(s)) => Some(Self::DenseOfSparse(f, s)),
            (LinearMap::Dense(f), LinearMap::Sparse(s)) => Some(Self::SparseOfDense(f, s)),
            (LinearMap::Sparse(_), LinearMap::Sparse(_)) => Some(Self::Sparse(first, second)),
            _ => (!structured).then_some(Self::Sparse(first, second)),
        }
    }

    /// What the composition costs, shapes being those of the input, between and of the output.
    pub(super) fn cost(&self, [input, middle, output]: [Shape; 3]) -> Cost {
        let size = |figures: &[usize]| product(figures) as u64;
        let dense = size(&[output.elements(), input.elements()]);
        let (multiplications, weights, work) = match self {
            Self::ScaledInputs(_, map) => {
                (map.multiplications(output), map.weights().len() as u64, map.weights().len() as u64)
            }
            Self::ScaledOutputs(map, _) => {
                (map.multiplications(output), map.weights().len() as u64, map.weights().len() as u64)
            }
            Self::Convolutions(f, s, outline) => {
                let taps = outline.taps(f);
                let work = size(&[s.weights.len(), f.taps()]);
                (size(&[output.elements(), taps]), size(&[s.output_channels, taps]), work)
            }
            Self::DenseOfConvolution(f, s) => (dense, dense, size(&[middle.elements(), f.taps(), s.rows])),
            Self::ConvolutionOfDense(f, s) => (dense, dense, size(&[s.weights.len(), f.columns])),
            Self::DenseOfDense(f, s) => (dense, dense, size(&[s.weights.len(), f.columns])),
            Self::DenseOfSparse(f, s) => (dense, dense, size(&[s.rows, f.weights.len().max(s.columns)])),
            Self::SparseOfDense(f, s) => (dense, dense, size(&[s.weights.len().max(1), f.columns])),
            Self::Sparse(first, second) => {
                let most = sparse::most_weights(first, second, middle, output);
                (most, most, most.saturating_mul(4))
            }
        };
        Cost { multiplications, weights, work }
    }

    /// The merged map.
    pub(super) fn build(self, [input, middle, output]: [Shape; 3]) -> LinearMap {
        let dense = |weights| {
            let (rows, columns) = (output.elements(), input.elements());
            LinearMap::Dense(Dense { rows, columns, weights, bias: vec![0.0; rows] })
        };
        match self {
            Self::ScaledInputs(scale, map) => map.with_scaled_inputs(scale, input),
            Self::ScaledOutputs(map, scale) => map.with_scaled_outputs(scale, output),
            Self::Convolutions(f, s, outline) => {
                let bias = Bias::PerChannel(vec![0.0; s.output_channels]);
                LinearMap::Convolution(outline.convolution(f, s, bias))
            }
            Self::DenseOfConvolution(f, s) => dense(dense_of_convolution(f, s, input, middle)),
            Self::ConvolutionOfDense(f, s) => dense(convolution_of_dense(f, s)),
            Self::DenseOfDense(f, s) => {
                dense((0..s.rows).flat_map(|r| weighted_rows(f, 0, s.row(r))).collect())
            }
            Self::DenseOfSparse(f, s) => dense(dense_of_sparse(f, s, input.elements())),
            Self::SparseOfDense(f, s) => dense(sparse_of_dense(f, s)),
            Self::Sparse(first, second) => LinearMap::Sparse(sparse::product(
                &first.to_sparse(input, middle),
                &second.to_sparse(middle, output),
                input.elements(),
            )),
        }
    }
}

fn dense_of_sparse(first: &Sparse, second: &Dense, columns: usize) -> Vec<f64> {
    let mut weights = vec![0.0; second.rows * columns];
    for (r, row) in weights.chunks_mut(columns).enumerate() {
        for (m, w) in second.row(r).iter().enumerate().filter(|(_, w)| **w != 0.0) {
            first.row(m).for_each(|(c, v)| row[c] += w * v);
        }
    }
    weights
}

fn sparse_of_dense(first: &Dense, second: &Sparse) -> Vec<f64> {
    let mut weights = vec![0.0; (second.starts.len() - 1) * first.columns];
    for (r, row) in weights.chunks_mut(first.columns).enumerate() {
        for (m, w) in second.row(r) {
            row.iter_mut().zip(first.row(m)).for_each(|(sum, v)| *sum += w * v);
        }
    }
    weights
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

/// Each row of the dense layer goes back through the convolution: every weight of the row adds, times each
/// tap, to the input that the tap meets.
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
pub(super) struct Outline {
    groups: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
}

impl Outline {
    /// None where a position that the second convolution takes as zero padding is one that the first one's
    /// window, taken further, would not see as zero.
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

    /// Adds up the merged taps of output channel `o`: each pair of a tap of the second and one of the first
    /// is a tap, where the first one's lies, shifted by the second one's times the first one's stride.
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
        // The second one's padding must be what the first one's window gives there, zero: steps -1 and
        // `middle` of it must lie wholly outside the input, and so must those farther out.
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
        // No step more fits: what the second window leaves over is less than its stride, the first one's,
        // too.
        debug_assert_eq!((input + before + after - kernel) / stride + 1, output);
        (after <= limits::DIMENSION).then_some(Merged { kernel, stride, before, after })
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

//! Tensors of many images at once, and the operators on them: single precision, and products of matrices.
//!
//! The network crate's own inference takes one image at a time in double precision; a fit runs a network some
//! dozen times over thousands of images. Results agree to about 1e-5; what is reported is computed by the
//! network crate.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use blindsight_network::{
    Activation, AveragePool, Convolution, Dense, MaxPool, Operator, Padding, Polynomial, Shape,
};

/// Images that one product of matrices takes.
const CHUNK: usize = 64;

/// A tensor for each of some images, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub shape: Shape,
    pub values: Vec<f32>,
}

impl Batch {
    /// The images of `inputs`, in the order of their numbers in `order`.
    pub fn of(shape: Shape, inputs: &[Vec<f64>], order: &[usize]) -> Self {
        let values = order.iter().flat_map(|n| inputs[*n].iter().map(|v| *v as f32)).collect();
        Self { shape, values }
    }

    /// The tensor of an image.
    pub fn image(&self, n: usize) -> &[f32] {
        let size = self.shape.elements();
        &self.values[n * size..(n + 1) * size]
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.shape.elements()
    }

    /// Adds a batch of the same shape, times a factor.
    pub fn add(&mut self, factor: f32, other: &Batch) {
        let chunks = self.values.par_chunks_mut(1 << 16).zip(other.values.par_chunks(1 << 16));
        chunks.for_each(|(sums, values)| sums.iter_mut().zip(values).for_each(|(s, v)| *s += factor * v));
    }

    /// A batch whose images are computed one by one.
    pub fn by_image(images: usize, shape: Shape, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let mut values = vec![0.0; images * shape.elements()];
        values.par_chunks_mut(shape.elements()).enumerate().for_each(|(n, image)| fill(n, image));
        Self { shape, values }
    }
}

/// What an operator makes of tensors, the result of shape `to`. Needs shapes that the operator accepts.
pub(crate) fn apply(operator: &Operator, inputs: &[&Batch], to: Shape) -> Batch {
    let (x, images) = (inputs[0], inputs[0].len());
    let of_each = |f: &(dyn Fn(usize, f32) -> f32 + Sync)| {
        Batch::by_image(images, to, |n, out| {
            for (channel, (out, values)) in
                out.chunks_mut(to.positions()).zip(x.image(n).chunks(to.positions())).enumerate()
            {
                out.iter_mut().zip(values).for_each(|(o, v)| *o = f(channel, *v));
            }
        })
    };
    match operator {
        Operator::Convolution(layer) => convolution(layer, x, to),
        Operator::Dense(layer) => dense(layer, x),
        Operator::AveragePool(layer) => pooled(layer, x, to, |values, whole| {
            let (sum, count) = values.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
            sum / if layer.include_padding { whole } else { count } as f32
        }),
        Operator::MaxPool(MaxPool { windows }) => {
            pooled(windows, x, to, |values, _| values.fold(f32::NEG_INFINITY, f32::max))
        }
        Operator::Affine(affine) => {
            of_each(&|channel, v| affine.scale[channel] as f32 * v + affine.shift[channel] as f32)
        }
        Operator::Polynomial(polynomial) => polynomial_of(polynomial, x),
        Operator::Activation(Activation::Relu) => of_each(&|_, v| v.max(0.0)),
        Operator::Activation(activation) => {
            of_each(&|channel, v| activation.at(channel, f64::from(v)) as f32)
        }
        Operator::Reshape(_) => Batch { shape: to, values: x.values.clone() },
        Operator::Sum => inputs[1..].iter().fold(x.clone(), |mut sum, input| {
            sum.add(1.0, input);
            sum
        }),
        Operator::Product => {
            Batch { shape: to, values: x.values.iter().zip(&inputs[1].values).map(|(a, b)| a * b).collect() }
        }
        Operator::Concat => Batch::by_image(images, to, |n, out| {
            let mut rest = out;
            for input in inputs {
                let (part, others) = rest.split_at_mut(input.shape.elements());
                part.copy_from_slice(input.image(n));
                rest = others;
            }
        }),
        Operator::Selection(selection) => Batch::by_image(images, to, |n, out| {
            let image = x.image(n);
            let elements = selection.elements.iter().map(|e| e.map_or(0.0, |e| image[e as usize]));
            out.iter_mut().zip(elements).for_each(|(o, v)| *o = v);
        }),
    }
}

/// Horner's rule in double precision: the powers of high degrees cancel.
fn polynomial_of(polynomial: &Polynomial, x: &Batch) -> Batch {
    let channels = polynomial.coefficients[0].len();
    let coefficients = |channel: usize| polynomial.coefficients.iter().rev().map(move |c| c[channel]);
    let of_channel: Vec<Vec<f64>> = (0..channels).map(|channel| coefficients(channel).collect()).collect();
    Batch::by_image(x.len(), x.shape, |n, out| {
        let planes = out.chunks_mut(x.shape.positions()).zip(x.image(n).chunks(x.shape.positions()));
        for ((out, values), coefficients) in planes.zip(&of_channel) {
            for (o, v) in out.iter_mut().zip(values) {
                *o = coefficients.iter().fold(0.0, |sum, c| sum * f64::from(*v) + c) as f32;
            }
        }
    })
}

fn convolution(layer: &Convolution, x: &Batch, to: Shape) -> Batch {
    let weights: Vec<f32> = layer.weights.iter().map(|w| *w as f32).collect();
    let bias: Vec<f32> = layer.bias.elements(to).iter().map(|b| *b as f32).collect();
    let (taps, positions, outputs) = (layer.taps(), to.positions(), layer.group_outputs());
    let mut values = vec![0.0; x.len() * to.elements()];
    values.par_chunks_mut(to.elements()).enumerate().for_each_init(
        || vec![0.0; taps * positions],
        |columns, (n, out)| {
            out.copy_from_slice(&bias);
            for group in 0..layer.groups {
                windows(layer, x.shape, to, x.image(n), group, columns);
                let weights = &weights[group * outputs * taps..(group + 1) * outputs * taps];
                let out = &mut out[group * outputs * positions..(group + 1) * outputs * positions];
                let (weights, columns) = (matrix(weights, outputs, taps), matrix(columns, taps, positions));
                let mut out = ArrayViewMut2::from_shape((outputs, positions), out).expect("one size");
                general_mat_mul(1.0, &weights, &columns, 1.0, &mut out);
            }
        },
    );
    Batch { shape: to, values }
}

/// A matrix of `rows` x `columns` numbers, row by row.
pub(crate) fn matrix(values: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), values).expect("as many numbers as the matrix has")
}

/// What each tap of a group's window meets at each output position, zero on the padding: `[tap][position]`.
pub(crate) fn windows(
    layer: &Convolution,
    from: Shape,
    to: Shape,
    image: &[f32],
    group: usize,
    out: &mut [f32],
) {
    for (tap, row) in out.chunks_mut(to.positions()).enumerate() {
        let places = TapPlaces::new(layer, from, group, tap);
        for (y, line) in row.chunks_mut(to.width).enumerate() {
            line.iter_mut().enumerate().for_each(|(x, value)| *value = places.value(image, y, x));
        }
    }
}

/// The window of a group at one output position, `[tap]`.
pub(crate) fn window(
    layer: &Convolution,
    from: Shape,
    to: Shape,
    image: &[f32],
    group: usize,
    at: usize,
) -> Vec<f32> {
    let (y, x) = (at / to.width, at % to.width);
    (0..layer.taps()).map(|tap| TapPlaces::new(layer, from, group, tap).value(image, y, x)).collect()
}

/// Where one tap of a window lies.
pub(crate) struct TapPlaces {
    from: Shape,
    plane: usize,
    /// The row and column that the first output position meets, before the padding is taken off.
    first: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
}

impl TapPlaces {
    pub fn new(layer: &Convolution, from: Shape, group: usize, tap: usize) -> Self {
        let [height, width] = layer.kernel;
        let plane = group * layer.group_inputs() + tap / (height * width);
        let first = [tap / width % height * layer.dilation[0], tap % width * layer.dilation[1]];
        Self { from, plane, first, stride: layer.stride, padding: layer.padding }
    }

    /// The element of the image that the tap meets at an output position; `None` on the padding.
    pub fn place(&self, y: usize, x: usize) -> Option<usize> {
        let row = (y * self.stride[0] + self.first[0]).checked_sub(self.padding.top);
        let column = (x * self.stride[1] + self.first[1]).checked_sub(self.padding.left);
        match (row, column) {
            (Some(row), Some(column)) if row < self.from.height && column < self.from.width => {
                Some((self.plane * self.from.height + row) * self.from.width + column)
            }
            _ => None,
        }
    }

    fn value(&self, image: &[f32], y: usize, x: usize) -> f32 {
        self.place(y, x).map_or(0.0, |place| image[place])
    }
}

fn dense(layer: &Dense, x: &Batch) -> Batch {
    let weights: Vec<f32> = layer.weights.iter().map(|w| *w as f32).collect();
    let bias: Vec<f32> = layer.bias.iter().map(|b| *b as f32).collect();
    let weights = matrix(&weights, layer.rows, layer.columns);
    let mut values = bias.repeat(x.len());
    let chunks = values.par_chunks_mut(CHUNK * layer.rows).zip(x.values.par_chunks(CHUNK * layer.columns));
    chunks.for_each(|(out, images)| {
        let images = matrix(images, images.len() / layer.columns, layer.columns);
        let shape = (images.nrows(), layer.rows);
        let mut out = ArrayViewMut2::from_shape(shape, out).expect("one size");
        general_mat_mul(1.0, &images, &weights.t(), 1.0, &mut out);
    });
    Batch { shape: Shape::vector(layer.rows), values }
}

/// What `of_window` makes of the values of each window on the input, and the window's size.
fn pooled(
    layer: &AveragePool,
    x: &Batch,
    to: Shape,
    of_window: impl Fn(&mut dyn Iterator<Item = f32>, usize) -> f32 + Sync,
) -> Batch {
    let (from, Padding { top, left, .. }) = (x.shape, layer.padding);
    let range = |o: usize, axis: usize, before: usize, extent: usize| {
        let start = o * layer.stride[axis];
        start.saturating_sub(before)..(start + layer.kernel[axis]).saturating_sub(before).min(extent)
    };
    let whole = layer.kernel[0] * layer.kernel[1];
    Batch::by_image(x.len(), to, |n, out| {
        let planes = out.chunks_mut(to.positions()).zip(x.image(n).chunks(from.positions()));
        for (out, plane) in planes {
            for (at, out) in out.iter_mut().enumerate() {
                let rows = range(at / to.width, 0, top, from.height);
                let columns = range(at % to.width, 1, left, from.width);
                let window = rows.flat_map(|y| &plane[y * from.width..][columns.clone()]);
                *out = of_window(&mut window.copied(), whole);
            }
        }
    })
}

#[cfg(test)]
mod tests;

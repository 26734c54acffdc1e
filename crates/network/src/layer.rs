//! The layers that have weights or windows of their own.

use crate::error::check_length;
use crate::shape::check_dimension;
use crate::{Error, Shape};

/// Rows of zeros around an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same padding on all four sides.
    pub const fn uniform(n: usize) -> Self {
        Self { top: n, left: n, bottom: n, right: n }
    }
}

/// What a convolution adds to its sums.
#[derive(Clone, Debug, PartialEq)]
pub enum Bias {
    /// One value for each output channel.
    PerChannel(Vec<f64>),
    /// One value for each output element, in the order channel, row, column. Folding makes such biases: a
    /// constant that enters a zero-padded convolution counts for less at the border.
    PerElement(Vec<f64>),
}

impl Bias {
    /// The bias that adds `values` to an output of `shape`: per channel where every channel is constant.
    pub fn from_elements(values: Vec<f64>, shape: Shape) -> Self {
        match per_channel(&values, shape) {
            Some(channels) => Self::PerChannel(channels),
            None => Self::PerElement(values),
        }
    }

    /// The value added to each element of an output of `shape`. Needs the length that fits `shape`.
    pub fn elements(&self, shape: Shape) -> Vec<f64> {
        match self {
            Self::PerChannel(b) => {
                b.iter().flat_map(|&b| std::iter::repeat_n(b, shape.positions())).collect()
            }
            Self::PerElement(b) => b.clone(),
        }
    }

    /// The values as they are stored.
    pub fn values(&self) -> &[f64] {
        match self {
            Self::PerChannel(b) | Self::PerElement(b) => b,
        }
    }
}

/// The one value of each channel of `values`, where every channel is constant. Needs one value per element.
pub(crate) fn per_channel(values: &[f64], shape: Shape) -> Option<Vec<f64>> {
    values.chunks(shape.positions().max(1)).map(|c| c.iter().all(|v| *v == c[0]).then_some(c[0])).collect()
}

/// A two-dimensional convolution (cross-correlation, as in ONNX) with zero padding:
///
/// `out[o][y][x] = bias + sum over i, ky, kx of weights[o][i][ky][kx] * in[i][y sy + ky dy - top][x sx + kx
/// dx - left]`
///
/// with `i` over the channels of `o`'s group.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Channels in.
    pub input_channels: usize,
    /// Channels out.
    pub output_channels: usize,
    /// Groups that channels in and out are divided into; each output channel sees only its group's inputs.
    pub groups: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps of the window, down and to the right.
    pub stride: [usize; 2],
    /// Distance of neighbouring taps, down and to the right.
    pub dilation: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// `[out][in / groups][kernel height][kernel width]`.
    pub weights: Vec<f64>,
    /// What is added.
    pub bias: Bias,
}

impl Convolution {
    /// The 1x1 depthwise convolution that computes `scale x + shift` on every channel.
    pub fn pointwise(affine: &Affine) -> Self {
        let channels = affine.scale.len();
        Self {
            input_channels: channels,
            output_channels: channels,
            groups: channels,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: Padding::default(),
            weights: affine.scale.clone(),
            bias: Bias::PerChannel(affine.shift.clone()),
        }
    }

    /// Whether both have the same channels, groups and window.
    pub fn has_figures_of(&self, other: &Self) -> bool {
        let figures = |c: &Self| {
            (c.input_channels, c.output_channels, c.groups, c.kernel, c.stride, c.dilation, c.padding)
        };
        figures(self) == figures(other)
    }

    /// Channels in of one group. Needs `groups` to be at least 1.
    pub const fn group_inputs(&self) -> usize {
        self.input_channels / self.groups
    }

    /// Channels out of one group. Needs `groups` to be at least 1.
    pub const fn group_outputs(&self) -> usize {
        self.output_channels / self.groups
    }

    /// Taps of one output element: weights of one output channel. Needs `groups` to be at least 1.
    pub const fn taps(&self) -> usize {
        self.group_inputs() * self.kernel[0] * self.kernel[1]
    }

    /// The weights of output channel `o`, `[in / groups][kernel height][kernel width]`.
    pub fn channel_weights(&self, o: usize) -> &[f64] {
        &self.weights[o * self.taps()..(o + 1) * self.taps()]
    }

    /// Rows, or columns, that the window spans on `axis` (0 down, 1 to the right).
    pub const fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// The output's shape for an input of shape `input`, with all figures checked.
    pub fn output_shape(&self, name: &str, input: Shape) -> Result<Shape, Error> {
        check_length(|| format!("input channels of {name}"), self.input_channels, input.channels)?;
        check_dimension(name, "groups", self.groups, 1)?;
        for (what, channels) in [("input", self.input_channels), ("output", self.output_channels)] {
            if channels % self.groups != 0 {
                return Err(Error::Mismatch {
                    what: format!("{what} channels of {name}"),
                    expected: format!("a multiple of its {} groups", self.groups),
                    actual: channels.to_string(),
                });
            }
        }
        let window = Window {
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            padding: self.padding,
        };
        let output = window.output_shape(name, input, self.output_channels)?;
        let taps = product(&[self.group_inputs(), self.kernel[0], self.kernel[1]]);
        check_length(
            || format!("weights of {name}"),
            product(&[self.output_channels, taps]),
            self.weights.len(),
        )?;
        let biases = match &self.bias {
            Bias::PerChannel(_) => self.output_channels,
            Bias::PerElement(_) => output.elements(),
        };
        check_length(|| format!("biases of {name}"), biases, self.bias.values().len())?;
        Ok(output)
    }
}

/// A fully connected layer: `out[r] = bias[r] + sum over c of weights[r * columns + c] * in[c]`. The input is
/// read as a vector in the order channel, row, column.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Row-major, rows x columns.
    pub weights: Vec<f64>,
    /// One for each row.
    pub bias: Vec<f64>,
}

impl Dense {
    /// The weights of row `r`.
    pub fn row(&self, r: usize) -> &[f64] {
        &self.weights[r * self.columns..(r + 1) * self.columns]
    }

    /// The output's shape for an input of shape `input`, with all figures checked.
    pub fn output_shape(&self, name: &str, input: Shape) -> Result<Shape, Error> {
        check_length(|| format!("inputs of {name} (from {input})"), self.columns, input.elements())?;
        check_length(
            || format!("weights of {name}"),
            product(&[self.rows, self.columns]),
            self.weights.len(),
        )?;
        check_length(|| format!("biases of {name}"), self.rows, self.bias.len())?;
        Ok(Shape::vector(self.rows))
    }
}

/// `scale x + shift` with one pair for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Factors.
    pub scale: Vec<f64>,
    /// Summands.
    pub shift: Vec<f64>,
}

/// The mean over a window of each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Steps of the window.
    pub stride: [usize; 2],
    /// Zeros around the input; on each side less than the kernel.
    pub padding: Padding,
    /// Whether the padding counts in the mean: if so every window is divided by the kernel's size.
    pub include_padding: bool,
}

impl AveragePool {
    /// The output's shape for an input of shape `input`, with all figures checked.
    pub fn output_shape(&self, name: &str, input: Shape) -> Result<Shape, Error> {
        let Padding { top, left, bottom, right } = self.padding;
        let window =
            Window { kernel: self.kernel, stride: self.stride, dilation: [1, 1], padding: self.padding };
        let output = window.output_shape(name, input, input.channels)?;
        if top.max(bottom) >= self.kernel[0] || left.max(right) >= self.kernel[1] {
            return Err(Error::Mismatch {
                what: format!("padding of {name}"),
                expected: format!("less than the kernel of {}x{}", self.kernel[0], self.kernel[1]),
                actual: format!("top {top}, left {left}, bottom {bottom}, right {right}"),
            });
        }
        Ok(output)
    }
}

/// What convolution and pooling have in common: a window that steps over a padded image.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
}

impl Window {
    fn output_shape(&self, name: &str, input: Shape, channels: usize) -> Result<Shape, Error> {
        let Padding { top, left, bottom, right } = self.padding;
        for (what, values, least) in
            [("kernel", self.kernel, 1), ("stride", self.stride, 1), ("dilation", self.dilation, 1)]
        {
            check_dimension(name, what, values[0].min(values[1]), least)?;
            check_dimension(name, what, values[0].max(values[1]), least)?;
        }
        check_dimension(name, "padding", top.max(left).max(bottom).max(right), 0)?;
        let height = self.steps(name, 0, input.height + top + bottom)?;
        let width = self.steps(name, 1, input.width + left + right)?;
        Ok(Shape::new(channels, height, width))
    }

    fn steps(&self, name: &str, axis: usize, padded: usize) -> Result<usize, Error> {
        let extent = product(&[self.kernel[axis] - 1, self.dilation[axis]]).saturating_add(1);
        if extent > padded {
            return Err(Error::Mismatch {
                what: format!("{} of {name}'s padded input", ["height", "width"][axis]),
                expected: format!("at least the window's {extent}"),
                actual: padded.to_string(),
            });
        }
        Ok((padded - extent) / self.stride[axis] + 1)
    }
}

/// The product of figures, saturating: what overflows is far above every limit.
pub(crate) fn product(figures: &[usize]) -> usize {
    figures.iter().fold(1, |p, &f| p.saturating_mul(f))
}

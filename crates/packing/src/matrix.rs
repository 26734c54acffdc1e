//! Linear layers as matrices, row by row.

use network::{Convolution, Dense, Layer, LayerKind, Shape};

/// A linear layer of a folded network.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    pub name: String,
    pub kind: Kind,
    pub input: Shape,
    pub output: Shape,
    /// The bias of each row.
    pub bias: Vec<f64>,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Convolution(Convolution),
    Dense(Dense),
}

impl Matrix {
    /// The layer, where it is linear.
    pub fn new(layer: &Layer, input: Shape, output: Shape) -> Option<Self> {
        let (kind, bias) = match &layer.kind {
            LayerKind::Convolution(c) => (Kind::Convolution(c.clone()), c.bias.elements(output)),
            LayerKind::Dense(d) => (Kind::Dense(d.clone()), d.bias.clone()),
            _ => return None,
        };
        Some(Self { name: layer.name.clone(), kind, input, output, bias })
    }

    /// What the layer is called in tables.
    pub const fn operator(&self) -> &'static str {
        match self.kind {
            Kind::Convolution(_) => "convolution",
            Kind::Dense(_) => "dense",
        }
    }

    pub const fn rows(&self) -> usize {
        self.output.elements()
    }

    /// The weights of a row, each with its column; what is left out is zero.
    pub fn row(&self, row: usize) -> Vec<(usize, f64)> {
        match &self.kind {
            Kind::Dense(dense) => dense.row(row).iter().copied().enumerate().collect(),
            Kind::Convolution(layer) => {
                let channel = row / self.output.positions();
                let weights = layer.channel_weights(channel);
                let group = channel / layer.group_outputs();
                let position = row % self.output.positions();
                let first = group * layer.group_inputs() * layer.kernel[0] * layer.kernel[1];
                let source = |tap| source(layer, self.input, self.output, first + tap, position);
                let weight = |(tap, w): (usize, &f64)| source(tap).map(|column| (column, *w));
                weights.iter().enumerate().filter_map(weight).collect()
            }
        }
    }
}

/// The input element that `tap` (input channel, row and column of the kernel) sees at a position of the output; `None` on the padding.
pub(crate) fn source(
    layer: &Convolution,
    input: Shape,
    output: Shape,
    tap: usize,
    position: usize,
) -> Option<usize> {
    let [height, width] = layer.kernel;
    let (channel, ky, kx) = (tap / (height * width), tap / width % height, tap % width);
    let along = |axis: usize, at: usize, k: usize, before: usize| {
        (at * layer.stride[axis] + k * layer.dilation[axis]).checked_sub(before)
    };
    let row = along(0, position / output.width, ky, layer.padding.top).filter(|y| *y < input.height)?;
    let column = along(1, position % output.width, kx, layer.padding.left).filter(|x| *x < input.width)?;
    Some((channel * input.height + row) * input.width + column)
}

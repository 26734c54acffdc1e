//! Units that need not be computed: constant ones, and those that nothing reads.
//!
//! A *unit* is a channel of a linear layer's output: a map of a convolution, or a row of a dense layer. One whose
//! weights are all zero is constant, and a dense layer that reads it has that constant in its bias. One whose weights
//! are all zero in the next linear layer is read by nobody. Networks that were pruned have many of both.

use crate::layer::{Bias, Convolution, Dense, LayerKind};
use crate::{Error, Layer, Shape};

/// The same function without those units. A layer keeps one at least.
pub(super) fn dropped(input: Shape, mut layers: Vec<Layer>) -> Result<Vec<Layer>, Error> {
    let pairs = pairs(input, &layers)?;
    for pair in &pairs {
        pair.absorb_constants(&mut layers);
    }
    for pair in pairs.iter().rev() {
        pair.drop_unread(&mut layers);
    }
    Ok(layers)
}

/// Two linear layers with nothing but squares between.
struct Pair {
    first: usize,
    second: usize,
    /// The shape between, in which all of a unit's elements are neighbours.
    between: Shape,
}

/// The pairs whose units can be told apart: both layers read and write all units alike.
fn pairs(input: Shape, layers: &[Layer]) -> Result<Vec<Pair>, Error> {
    let (mut pairs, mut last, mut shape) = (vec![], None, input);
    for (index, layer) in layers.iter().enumerate() {
        let output = layer.output_shape(shape)?;
        if let LayerKind::Convolution(_) | LayerKind::Dense(_) = layer.kind {
            if let Some((first, between)) = last.filter(|(_, between): &(usize, Shape)| {
                matches!(layer.kind, LayerKind::Dense(_)) || *between == shape
            }) {
                pairs.push(Pair { first, second: index, between });
            }
            last = Some((index, output));
        }
        shape = output;
    }
    let grouped = |index: usize| matches!(&layers[index].kind, LayerKind::Convolution(c) if c.groups > 1);
    pairs.retain(|pair| !grouped(pair.first) && !grouped(pair.second));
    Ok(pairs)
}

impl Pair {
    /// Moves what constant units contribute to the second layer into its bias. A convolution may see less of a constant at its
    /// border, so it gives up zeros only.
    fn absorb_constants(&self, layers: &mut [Layer]) {
        let squares = (self.first..self.second).filter(|i| layers[*i].kind == LayerKind::Square).count();
        let size = self.between.positions();
        for unit in 0..self.between.channels {
            let Some(mut values) = constant(&layers[self.first].kind, unit, self.between) else { continue };
            values.iter_mut().for_each(|v| (0..squares).for_each(|_| *v *= *v));
            match &mut layers[self.second].kind {
                LayerKind::Dense(dense) => {
                    for row in 0..dense.rows {
                        let weights = &mut dense.weights[row * dense.columns..][unit * size..][..size];
                        dense.bias[row] += weights.iter().zip(&values).map(|(w, v)| w * v).sum::<f64>();
                        weights.fill(0.0);
                    }
                }
                LayerKind::Convolution(c) if values.iter().all(|v| *v == 0.0) => {
                    let window = c.kernel[0] * c.kernel[1];
                    c.weights
                        .chunks_mut(window)
                        .skip(unit)
                        .step_by(c.input_channels)
                        .for_each(|w| w.fill(0.0));
                }
                _ => {}
            }
        }
    }

    /// Removes the units that the second layer does not read.
    fn drop_unread(&self, layers: &mut [Layer]) {
        let size = self.between.positions();
        let mut read: Vec<bool> =
            (0..self.between.channels).map(|unit| reads(&layers[self.second].kind, unit, size)).collect();
        if !read.contains(&true) {
            read[0] = true;
        }
        if read.contains(&false) {
            keep_outputs(&mut layers[self.first].kind, &read, self.between);
            keep_inputs(&mut layers[self.second].kind, &read, size);
        }
    }
}

/// The elements of a unit that has no weights.
fn constant(kind: &LayerKind, unit: usize, output: Shape) -> Option<Vec<f64>> {
    let size = output.positions();
    let zero = |weights: &[f64]| weights.iter().all(|w| *w == 0.0);
    match kind {
        LayerKind::Dense(dense) => zero(dense.row(unit)).then(|| vec![dense.bias[unit]; size]),
        LayerKind::Convolution(c) => zero(c.channel_weights(unit)).then(|| match &c.bias {
            Bias::PerChannel(bias) => vec![bias[unit]; size],
            Bias::PerElement(bias) => bias[unit * size..][..size].to_vec(),
        }),
        _ => None,
    }
}

/// Whether a layer has a weight for a unit of its input, of so many elements.
fn reads(kind: &LayerKind, unit: usize, size: usize) -> bool {
    let any = |weights: &[f64]| weights.iter().any(|w| *w != 0.0);
    match kind {
        LayerKind::Dense(dense) => (0..dense.rows).any(|row| any(&dense.row(row)[unit * size..][..size])),
        LayerKind::Convolution(c) => {
            c.weights.chunks(c.kernel[0] * c.kernel[1]).skip(unit).step_by(c.input_channels).any(any)
        }
        _ => true,
    }
}

/// Leaves the outputs that are to be kept.
fn keep_outputs(kind: &mut LayerKind, keep: &[bool], output: Shape) {
    match kind {
        LayerKind::Dense(Dense { rows, columns, weights, bias }) => {
            *weights = kept(weights, keep, *columns);
            *bias = kept(bias, keep, 1);
            *rows = bias.len();
        }
        LayerKind::Convolution(c) => {
            c.weights = kept(&c.weights, keep, c.taps());
            match &mut c.bias {
                Bias::PerChannel(bias) => *bias = kept(bias, keep, 1),
                Bias::PerElement(bias) => *bias = kept(bias, keep, output.positions()),
            }
            c.output_channels = count(keep);
        }
        _ => {}
    }
}

/// Leaves the inputs that are to be kept, of so many elements each.
fn keep_inputs(kind: &mut LayerKind, keep: &[bool], size: usize) {
    match kind {
        LayerKind::Dense(Dense { columns, weights, .. }) => {
            *weights = kept(weights, keep, size);
            *columns = count(keep) * size;
        }
        LayerKind::Convolution(Convolution { weights, kernel, input_channels, .. }) => {
            *weights = kept(weights, keep, kernel[0] * kernel[1]);
            *input_channels = count(keep);
        }
        _ => {}
    }
}

/// The parts of so many values that are to be kept, over and over.
fn kept(values: &[f64], keep: &[bool], part: usize) -> Vec<f64> {
    let parts = values.chunks(part).zip(keep.iter().cycle());
    parts.filter(|(_, keep)| **keep).flat_map(|(part, _)| part).copied().collect()
}

fn count(keep: &[bool]) -> usize {
    keep.iter().filter(|k| **k).count()
}

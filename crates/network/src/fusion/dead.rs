//! Units that need not be computed: constant ones, and those that nothing reads.
//!
//! A *unit* is a channel of a linear node's output: a map of a convolution, or a row of a dense layer. One
//! whose weights are all zero is constant, and what reads it has that constant in its bias. One whose weights
//! are all zero in every reader is read by nobody. Networks that were pruned have many of both. Polynomials
//! lie between a node and its readers as they please.

use super::net::Net;
use crate::layer::{Bias, Convolution, Dense};
use crate::{FusedOperation, LinearMap, Shape, Source, Sparse};

/// Leaves those units out. A node keeps one at least.
pub(super) fn dropped(net: &mut Net) {
    let regions = regions(net);
    for region in &regions {
        region.absorb_constants(net);
    }
    for region in regions.iter().rev() {
        region.drop_unread(net);
    }
}

/// A linear node with the polynomials between it and its readers.
struct Region {
    node: usize,
    /// Polynomials, each with what it reads; the readers of this node, or of those before.
    polynomials: Vec<(usize, usize)>,
    /// Linear readers: a node, one of its terms, and which of the above the term reads.
    edges: Vec<(usize, usize, usize)>,
}

/// The regions whose units can be told apart: the node and all readers write and read all units alike.
fn regions(net: &Net) -> Vec<Region> {
    let mut readers: Vec<Vec<usize>> = vec![vec![]; net.nodes().len()];
    for (index, node) in net.nodes().iter().enumerate() {
        for source in node.sources() {
            if let Source::Node(read) = source
                && readers[read].last() != Some(&index)
            {
                readers[read].push(index);
            }
        }
    }
    (0..net.nodes().len()).filter_map(|node| region(net, node, &readers)).collect()
}

fn region(net: &Net, node: usize, readers: &[Vec<usize>]) -> Option<Region> {
    let (terms, _) = net.linear(Source::Node(node))?;
    if !terms.iter().all(|term| has_units(&term.map)) {
        return None;
    }
    let shape = net.nodes()[node].shape;
    let mut region = Region { node, polynomials: vec![], edges: vec![] };
    let mut open = vec![node];
    while let Some(read) = open.pop() {
        if net.output == Source::Node(read) {
            return None;
        }
        for reader in &readers[read] {
            match &net.nodes()[*reader].operation {
                FusedOperation::Polynomial { .. } if net.nodes()[*reader].shape == shape => {
                    region.polynomials.push((*reader, read));
                    open.push(*reader);
                }
                FusedOperation::Linear { terms, .. } => {
                    let reading = terms.iter().enumerate().filter(|(_, t)| t.source == Source::Node(read));
                    for (position, term) in reading {
                        if !has_units(&term.map) {
                            return None;
                        }
                        region.edges.push((*reader, position, read));
                    }
                }
                _ => return None,
            }
        }
    }
    Some(region)
}

/// Whether every unit of the input and of the output has weights of its own that can be left out.
fn has_units(map: &LinearMap) -> bool {
    !matches!(map, LinearMap::Convolution(c) if c.groups > 1)
}

fn map(net: &Net, node: usize, term: usize) -> Option<&LinearMap> {
    net.linear(Source::Node(node)).map(|(terms, _)| &terms[term].map)
}

fn linear_mut(net: &mut Net, node: usize, term: usize) -> Option<(&mut LinearMap, &mut Bias)> {
    match &mut net.fused.nodes[node].operation {
        FusedOperation::Linear { terms, bias } => Some((&mut terms[term].map, bias)),
        _ => None,
    }
}

impl Region {
    /// Moves what constant units contribute to their readers into the readers' biases. A convolution may see
    /// less of a constant at its border, so it gives up zeros only.
    fn absorb_constants(&self, net: &mut Net) {
        let shape = net.nodes()[self.node].shape;
        for unit in 0..shape.channels {
            let Some(values) = self.constant(net, unit, shape) else { continue };
            for (reader, term, read) in &self.edges {
                let of_read = self.through(net, *read, unit, &values);
                absorb(net, *reader, *term, unit, &of_read);
            }
        }
    }

    /// The elements of a unit that has no weights.
    fn constant(&self, net: &Net, unit: usize, shape: Shape) -> Option<Vec<f64>> {
        let (terms, bias) = net.linear(Source::Node(self.node))?;
        if terms.iter().any(|term| writes(&term.map, unit, shape.positions())) {
            return None;
        }
        Some(match bias {
            Bias::PerChannel(bias) => vec![bias[unit]; shape.positions()],
            Bias::PerElement(bias) => bias[unit * shape.positions()..][..shape.positions()].to_vec(),
        })
    }

    /// What becomes of a unit's elements on the way to what is read.
    fn through(&self, net: &Net, read: usize, unit: usize, values: &[f64]) -> Vec<f64> {
        let Some((_, before)) = self.polynomials.iter().find(|(polynomial, _)| *polynomial == read) else {
            return values.to_vec();
        };
        let values = self.through(net, *before, unit, values);
        match &net.nodes()[read].operation {
            FusedOperation::Polynomial { polynomial, .. } => {
                values.into_iter().map(|x| polynomial.at(unit, x)).collect()
            }
            _ => values,
        }
    }

    /// Removes the units that nothing reads.
    fn drop_unread(&self, net: &mut Net) {
        let shape = net.nodes()[self.node].shape;
        let size = shape.positions();
        let read_by = |unit: usize| {
            let maps = self.edges.iter().filter_map(|(reader, term, _)| map(net, *reader, *term));
            maps.into_iter().any(|map| reads(map, unit, size))
        };
        let mut keep: Vec<bool> = (0..shape.channels).map(read_by).collect();
        if !keep.contains(&true) {
            keep[0] = true;
        }
        if !keep.contains(&false) {
            return;
        }
        let left = Shape::new(count(&keep), shape.height, shape.width);
        for (reader, term, _) in &self.edges {
            if let Some((map, _)) = linear_mut(net, *reader, *term) {
                keep_inputs(map, &keep, size);
            }
        }
        for (index, _) in &self.polynomials {
            let node = &mut net.fused.nodes[*index];
            node.shape = left;
            if let FusedOperation::Polynomial { polynomial, .. } = &mut node.operation {
                polynomial.coefficients.iter_mut().for_each(|c| *c = kept(c, &keep, 1));
            }
        }
        let node = &mut net.fused.nodes[self.node];
        node.shape = left;
        if let FusedOperation::Linear { terms, bias } = &mut node.operation {
            terms.iter_mut().for_each(|term| keep_outputs(&mut term.map, &keep, size));
            match bias {
                Bias::PerChannel(bias) => *bias = kept(bias, &keep, 1),
                Bias::PerElement(bias) => *bias = kept(bias, &keep, size),
            }
        }
    }
}

/// Gives a reader the constant elements of a unit in its bias.
fn absorb(net: &mut Net, reader: usize, term: usize, unit: usize, values: &[f64]) {
    let (size, to) = (values.len(), net.nodes()[reader].shape);
    let Some((map, bias)) = linear_mut(net, reader, term) else { return };
    let first = unit * size;
    match map {
        LinearMap::Convolution(c) => {
            if values.iter().all(|v| *v == 0.0) {
                let window = c.kernel[0] * c.kernel[1];
                let kernels = c.weights.chunks_mut(window).skip(unit).step_by(c.input_channels);
                kernels.for_each(|w| w.fill(0.0));
            }
        }
        LinearMap::Dense(dense) => {
            let mut sums = bias.elements(to);
            for (row, sum) in dense.weights.chunks_mut(dense.columns).zip(&mut sums) {
                let weights = &mut row[first..][..size];
                *sum += weights.iter().zip(values).map(|(w, v)| w * v).sum::<f64>();
                weights.fill(0.0);
            }
            *bias = Bias::from_elements(sums, to);
        }
        LinearMap::Sparse(s) => {
            let mut sums = bias.elements(to);
            for (row, sum) in sums.iter_mut().enumerate() {
                for at in s.starts[row]..s.starts[row + 1] {
                    if let Some(value) =
                        (s.columns[at] as usize).checked_sub(first).and_then(|e| values.get(e))
                    {
                        *sum += std::mem::take(&mut s.weights[at]) * value;
                    }
                }
            }
            *bias = Bias::from_elements(sums, to);
        }
    }
}

/// Whether a map has a weight for an output unit, of so many elements.
fn writes(map: &LinearMap, unit: usize, size: usize) -> bool {
    let weights = match map {
        LinearMap::Convolution(c) => c.channel_weights(unit),
        LinearMap::Dense(d) => &d.weights[unit * size * d.columns..][..size * d.columns],
        LinearMap::Sparse(s) => &s.weights[s.starts[unit * size]..s.starts[(unit + 1) * size]],
    };
    weights.iter().any(|w| *w != 0.0)
}

/// Whether a map has a weight for a unit of its input, of so many elements.
fn reads(map: &LinearMap, unit: usize, size: usize) -> bool {
    let any = |weights: &[f64]| weights.iter().any(|w| *w != 0.0);
    match map {
        LinearMap::Dense(dense) => (0..dense.rows).any(|row| any(&dense.row(row)[unit * size..][..size])),
        LinearMap::Convolution(c) => {
            c.weights.chunks(c.kernel[0] * c.kernel[1]).skip(unit).step_by(c.input_channels).any(any)
        }
        LinearMap::Sparse(s) => {
            s.columns.iter().zip(&s.weights).any(|(c, w)| *c as usize / size == unit && *w != 0.0)
        }
    }
}

/// Leaves the outputs that are to be kept, of so many elements each.
fn keep_outputs(map: &mut LinearMap, keep: &[bool], size: usize) {
    match map {
        LinearMap::Dense(Dense { rows, columns, weights, bias }) => {
            *weights = kept(weights, keep, *columns * size);
            *bias = kept(bias, keep, size);
            *rows = bias.len();
        }
        LinearMap::Convolution(c) => {
            c.weights = kept(&c.weights, keep, c.taps());
            c.output_channels = count(keep);
            c.bias = Bias::PerChannel(vec![0.0; c.output_channels]);
        }
        LinearMap::Sparse(s) => {
            let rows = (0..s.starts.len() - 1).filter(|row| keep[row / size]);
            *s = Sparse::of_rows(rows.map(|row| s.row(row).map(|(c, w)| (c as u32, w)).collect()));
        }
    }
}

/// Leaves the inputs that are to be kept, of so many elements each.
fn keep_inputs(map: &mut LinearMap, keep: &[bool], size: usize) {
    match map {
        LinearMap::Dense(Dense { columns, weights, .. }) => {
            *weights = kept(weights, keep, size);
            *columns = count(keep) * size;
        }
        LinearMap::Convolution(Convolution { weights, kernel, input_channels, .. }) => {
            *weights = kept(weights, keep, kernel[0] * kernel[1]);
            *input_channels = count(keep);
        }
        LinearMap::Sparse(s) => {
            let mut place = 0;
            let places: Vec<usize> = keep.iter().map(|keep| (place, place += usize::from(*keep)).0).collect();
            let rows = (0..s.starts.len() - 1).map(|row| {
                let left = s.row(row).filter(|(c, _)| keep[c / size]);
                left.map(|(c, w)| ((places[c / size] * size + c % size) as u32, w)).collect()
            });
            *s = Sparse::of_rows(rows);
        }
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

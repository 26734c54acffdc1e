//! Activations that files spell out: `x sigmoid(x)` is SiLU, `x (1 + erf(x / sqrt 2)) / 2` GELU, and so on.
//!
//! They are recognised by their values. Where all between a node and one before it works element by element,
//! the node is a function of one number; it is compared with the known ones at a few points. So the order of
//! the factors, and how an exporter folds constants, do not matter. A known function of scaled elements,
//! with a factor, is recognised, too: batch normalisation before it, the half of GELU after it.

use std::collections::{BTreeSet, HashMap};

use super::{Rebuilt, is_identity};
use crate::layer::Affine;
use crate::{Activation, Graph, Node, Operator, Shape, Source};

/// The most nodes that an activation is spelled with.
const MOST_NODES: usize = 16;
/// How many values of nodes are computed at most, to bound the time.
const MOST_WORK: usize = 1 << 26;
/// How far a value may be off: exporters write constants with few digits.
const TOLERANCE: f64 = 2.5e-4;
/// Where a function is compared: at so many points from -`REACH` to `REACH`, in further channels at fewer.
const POINTS: usize = 33;
const FEW_POINTS: usize = 5;
const REACH: f64 = 8.0;
/// Where a function's factor is measured: all known ones are far from zero there.
const MEASURED: f64 = 2.0;
/// What may stand in a file in place of the elements themselves, times this: x / 2 in GELU's product.
const FACTORS: [f64; 4] = [1.0, 2.0, std::f64::consts::SQRT_2, 6.0];
/// What is recognised.
const KNOWN: [Activation; 5] =
    [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::HardSwish, Activation::Mish];

/// The graph, whose nodes have these shapes, with activations in place of what they were spelled with, which
/// nothing may read any more.
pub(super) fn recognised(graph: Graph, shapes: &[Shape]) -> Graph {
    let mut search = Search { graph: &graph, shapes, left: MOST_WORK };
    let found: HashMap<usize, Found> =
        (0..graph.nodes.len()).filter_map(|index| Some((index, search.activation(index)?))).collect();
    if found.is_empty() { graph } else { replaced(graph, shapes, found) }
}

/// A node that is `factor f(scale x + shift)`.
struct Found {
    base: Source,
    /// The scale and the shift, where the node does not read the base itself.
    inner: Option<Affine>,
    activation: Activation,
    factor: f64,
}

struct Search<'a> {
    graph: &'a Graph,
    shapes: &'a [Shape],
    /// How many values may still be computed.
    left: usize,
}

/// The nodes from a base to a node that is a function of it, in their order; the node is the last.
struct Cone {
    base: Source,
    nodes: Vec<usize>,
}

impl Search<'_> {
    fn activation(&mut self, root: usize) -> Option<Found> {
        if !matches!(self.graph.nodes[root].operator, Operator::Product | Operator::Sum) {
            return None;
        }
        let bases = self.bases(root);
        bases.into_iter().rev().find_map(|base| {
            let cone = self.cone(root, base)?;
            self.matched(&cone)
        })
    }

    /// What a node may be a function of: all that is before it, as far as all works element by element.
    fn bases(&self, root: usize) -> BTreeSet<Option<usize>> {
        let (mut bases, mut open) = (BTreeSet::new(), vec![root]);
        while let Some(index) = open.pop() {
            for source in &self.graph.nodes[index].inputs {
                let Source::Node(read) = *source else {
                    bases.insert(None);
                    continue;
                };
                if bases.len() < MOST_NODES && bases.insert(Some(read)) && self.is_element_wise(read) {
                    open.push(read);
                }
            }
        }
        bases
    }

    fn is_element_wise(&self, index: usize) -> bool {
        use Operator::{Activation, Affine, Polynomial, Product, Sum};
        matches!(self.graph.nodes[index].operator, Affine(_) | Polynomial(_) | Activation(_) | Product | Sum)
    }

    /// The nodes between, where the root is a function of the base alone, and an activation is among them.
    fn cone(&self, root: usize, base: Option<usize>) -> Option<Cone> {
        let base = base.map_or(Source::Input, Source::Node);
        let (mut nodes, mut open) = (BTreeSet::from([root]), vec![root]);
        while let Some(index) = open.pop() {
            for source in self.graph.nodes[index].inputs.iter().filter(|source| **source != base) {
                let &Source::Node(read) = source else { return None };
                if !self.is_element_wise(read) || nodes.len() >= MOST_NODES {
                    return None;
                }
                if nodes.insert(read) {
                    open.push(read);
                }
            }
        }
        let is_activation = |n: &usize| matches!(self.graph.nodes[*n].operator, Operator::Activation(_));
        nodes.iter().any(is_activation).then(|| Cone { base, nodes: nodes.into_iter().collect() })
    }

    fn matched(&mut self, cone: &Cone) -> Option<Found> {
        let arguments = self.arguments(cone);
        arguments.into_iter().find_map(|(place, inner)| {
            let (activation, factor) = self.function(cone, inner.as_ref())?;
            let (base, inner) = match place {
                Some(place) => (place, None),
                None => (cone.base, inner),
            };
            Some(Found { base, inner, activation, factor })
        })
    }

    /// What the function's argument may be: the base, or it scaled; with the node that it is, where there is
    /// one.
    fn arguments(&self, cone: &Cone) -> Vec<(Option<Source>, Option<Affine>)> {
        let mut arguments = vec![(Some(cone.base), None)];
        for factor in FACTORS {
            for index in &cone.nodes {
                let node = &self.graph.nodes[*index];
                if let Operator::Affine(affine) = &node.operator
                    && node.inputs[0] == cone.base
                {
                    let times = |values: &[f64]| values.iter().map(|v| factor * v).collect();
                    let scaled = Affine { scale: times(&affine.scale), shift: times(&affine.shift) };
                    arguments.push(((factor == 1.0).then_some(Source::Node(*index)), Some(scaled)));
                }
            }
        }
        arguments
    }

    /// The known function, and its factor, that the cone is of this argument in every channel.
    fn function(&mut self, cone: &Cone, inner: Option<&Affine>) -> Option<(Activation, f64)> {
        let channels = self.graph.shape(cone.base, self.shapes).channels;
        let at = |channel: usize| inner.map_or((1.0, 0.0), |a| (a.scale[channel], a.shift[channel]));
        let first = (0..channels).find(|channel| at(*channel).0 != 0.0)?;
        let (known, factor) = self.function_in(cone, first, at(first))?;
        let uniform = self.is_uniform(cone) && inner.is_none_or(is_uniform);
        let others = if uniform { 0..0 } else { first + 1..channels };
        for channel in others.filter(|channel| at(*channel).0 != 0.0) {
            let values = self.values(cone, channel, at(channel), FEW_POINTS)?;
            let off = error(&known, factor, &values, channel);
            if off >= TOLERANCE {
                return None;
            }
        }
        Some((known, rounded(factor)))
    }

    /// The known function that is nearest in one channel, and its factor, where one is near.
    fn function_in(&mut self, cone: &Cone, channel: usize, at: (f64, f64)) -> Option<(Activation, f64)> {
        let values = self.values(cone, channel, at, POINTS)?;
        let measured = self.value(cone, channel, (MEASURED - at.1) / at.0)?;
        let candidates = KNOWN.into_iter().map(|known| {
            let factor = measured / known.at(channel, MEASURED);
            (error(&known, factor, &values, channel), known, factor)
        });
        let near = candidates.filter(|(error, ..)| *error < TOLERANCE);
        near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known, factor)| (known, factor))
    }

    /// Whether all channels are treated alike.
    fn is_uniform(&self, cone: &Cone) -> bool {
        let same = |values: &[f64]| values.iter().all(|v| *v == values[0]);
        cone.nodes.iter().all(|index| self.graph.nodes[*index].operator.values().into_iter().all(same))
    }

    /// Arguments over the reach, and what the cone makes of them in a channel whose argument is scaled so.
    fn values(
        &mut self,
        cone: &Cone,
        channel: usize,
        (scale, shift): (f64, f64),
        points: usize,
    ) -> Option<Vec<(f64, f64)>> {
        let step = 2.0 * REACH / (points - 1) as f64;
        let arguments = (0..points).map(|i| i as f64 * step - REACH);
        arguments.map(|u| Some((u, self.value(cone, channel, (u - shift) / scale)?))).collect()
    }

    /// What the cone makes of a value of its base in a channel; `None` where too much was computed already.
    fn value(&mut self, cone: &Cone, channel: usize, x: f64) -> Option<f64> {
        self.left = self.left.checked_sub(cone.nodes.len())?;
        let mut values: Vec<f64> = Vec::with_capacity(cone.nodes.len());
        for index in &cone.nodes {
            let node = &self.graph.nodes[*index];
            let read = |source: &Source| match source {
                Source::Node(read) if *source != cone.base => {
                    cone.nodes.binary_search(read).map_or(f64::NAN, |place| values[place])
                }
                _ => x,
            };
            values.push(match &node.operator {
                Operator::Affine(a) => a.scale[channel] * read(&node.inputs[0]) + a.shift[channel],
                Operator::Polynomial(p) => p.at(channel, read(&node.inputs[0])),
                Operator::Activation(a) => a.at(channel, read(&node.inputs[0])),
                Operator::Product => node.inputs.iter().map(read).product(),
                _ => node.inputs.iter().map(read).sum(),
            });
        }
        values.pop()
    }
}

/// How far values are from a known function times a factor, in units of the function where that is large.
fn error(known: &Activation, factor: f64, values: &[(f64, f64)], channel: usize) -> f64 {
    let off = values.iter().map(|(argument, value)| {
        let known = known.at(channel, *argument);
        (value / factor - known).abs() / known.abs().max(1.0)
    });
    // What is not a number is far.
    off.map(|off| if off.is_nan() { f64::INFINITY } else { off }).fold(0.0, f64::max)
}

fn is_uniform(affine: &Affine) -> bool {
    [&affine.scale, &affine.shift].into_iter().all(|values| values.iter().all(|v| *v == values[0]))
}

/// A factor that is a whole number but for the digits that a file leaves out is that number.
fn rounded(factor: f64) -> f64 {
    let whole = factor.round();
    if whole != 0.0 && (factor - whole).abs() < TOLERANCE { whole } else { factor }
}

/// The graph with the activations found.
fn replaced(graph: Graph, shapes: &[Shape], mut found: HashMap<usize, Found>) -> Graph {
    let (rebuilt, output) = (Rebuilt::new(graph.input), graph.output);
    let mut replacing = Replacing { rebuilt, shapes, factors: HashMap::new() };
    for (index, node) in graph.nodes.into_iter().enumerate() {
        let place = match found.remove(&index) {
            Some(found) => replacing.activation(&node.name, index, found),
            None => replacing.node(node),
        };
        replacing.rebuilt.places.push(place);
    }
    replacing.settle("factor", output);
    replacing.rebuilt.finish(output)
}

/// A graph in the making with activations in place of what they were spelled with.
struct Replacing<'a> {
    rebuilt: Rebuilt,
    shapes: &'a [Shape],
    /// The factors that activations still have to be multiplied with, by the nodes that they stand for.
    factors: HashMap<usize, f64>,
}

impl Replacing<'_> {
    fn activation(&mut self, name: &str, index: usize, found: Found) -> Source {
        let mut source = self.settle(name, found.base);
        if let Some(inner) = found.inner {
            source = self.rebuilt.push(name, Operator::Affine(inner), vec![source]);
        }
        if found.factor != 1.0 {
            self.factors.insert(index, found.factor);
        }
        self.rebuilt.push(name, Operator::Activation(found.activation), vec![source])
    }

    /// Appends a node; a scaling takes the factor of what it reads.
    fn node(&mut self, mut node: Node) -> Source {
        if let (Operator::Affine(affine), [Source::Node(read)]) = (&mut node.operator, &node.inputs[..])
            && let Some(factor) = self.factors.get(read)
        {
            affine.scale.iter_mut().for_each(|scale| *scale *= factor);
            let place = self.rebuilt.place(node.inputs[0]);
            return match is_identity(affine) {
                true => place,
                false => self.rebuilt.push(&node.name, node.operator, vec![place]),
            };
        }
        let inputs = node.inputs.iter().map(|source| self.settle(&node.name, *source)).collect();
        self.rebuilt.push(&node.name, node.operator, inputs)
    }

    /// Where an operand is, multiplied with its factor.
    fn settle(&mut self, name: &str, source: Source) -> Source {
        let place = self.rebuilt.place(source);
        let Source::Node(index) = source else { return place };
        let Some(factor) = self.factors.remove(&index) else { return place };
        let channels = self.shapes[index].channels;
        let affine = Affine { scale: vec![factor; channels], shift: vec![0.0; channels] };
        let place = self.rebuilt.push(name, Operator::Affine(affine), vec![place]);
        self.rebuilt.places[index] = place;
        place
    }
}

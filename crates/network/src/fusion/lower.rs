//! Every operator as a linear map, a polynomial or a product.
//!
//! A reshaped tensor is the same elements in the same order, so that reshaping is remembered, not computed:
//! what reads elements by their place (dense layers, selections) reads through it, and so does what treats
//! all elements of a channel alike. Anything else reads a node that is the identity.

use super::maps::no_bias;
use super::net::Net;
use super::selection;
use crate::layer::{AveragePool, Bias, Convolution, Padding, per_channel};
use crate::{
    Affine, Error, FusedOperation, Graph, LinearMap, LinearTerm, Node, Operator, Polynomial, Shape, Source,
    Sparse,
};

/// A tensor of the graph: a node's elements under a shape.
#[derive(Clone, Copy)]
struct View {
    source: Source,
    shape: Shape,
}

/// The network of `graph`, whose nodes have these shapes.
/// Refuses one that is no polynomial.
pub(super) fn lowered(graph: &Graph, shapes: &[Shape]) -> Result<Net, Error> {
    let mut lowering = Lowering { net: Net::new(graph.input), views: vec![] };
    for (node, shape) in graph.nodes.iter().zip(shapes) {
        let inputs: Vec<View> = node.inputs.iter().map(|source| lowering.view(*source)).collect();
        let source = lowering.node(node, &inputs, *shape)?;
        lowering.views.push(View { source, shape: *shape });
    }
    lowering.net.output = lowering.view(graph.output).source;
    Ok(lowering.net)
}

struct Lowering {
    net: Net,
    views: Vec<View>,
}

impl Lowering {
    fn view(&self, source: Source) -> View {
        match source {
            Source::Input => View { source, shape: self.net.fused.input },
            Source::Node(index) => self.views[index],
        }
    }

    /// The node that has a view's elements under its shape.
    fn materialised(&mut self, name: &str, view: View) -> Source {
        if self.net.shape(view.source) == view.shape {
            return view.source;
        }
        let map = LinearMap::Sparse(Sparse::identity(view.shape.elements()));
        self.net.push_map(name, view.shape, view.source, map)
    }

    fn node(&mut self, node: &Node, inputs: &[View], shape: Shape) -> Result<Source, Error> {
        let name = &node.name;
        Ok(match &node.operator {
            Operator::Reshape(_) => inputs[0].source,
            Operator::Convolution(c) => {
                let source = self.materialised(name, inputs[0]);
                let map = LinearMap::Convolution(Convolution { bias: no_bias(shape), ..c.clone() });
                self.net.push_linear(name, shape, vec![LinearTerm { source, map }], c.bias.clone())
            }
            Operator::Dense(d) => {
                let mut map = d.clone();
                let bias = Bias::PerChannel(std::mem::replace(&mut map.bias, vec![0.0; d.rows]));
                let terms = vec![LinearTerm { source: inputs[0].source, map: LinearMap::Dense(map) }];
                self.net.push_linear(name, shape, terms, bias)
            }
            Operator::AveragePool(pool) => {
                let source = self.materialised(name, inputs[0]);
                let map = pooling(pool, self.net.shape(source), shape);
                self.net.push_map(name, shape, source, map)
            }
            Operator::Affine(affine) => self.affine(name, affine, inputs[0]),
            Operator::Polynomial(polynomial) => self.polynomial(name, polynomial, inputs[0]),
            Operator::Sum => self.sum(name, inputs),
            Operator::Concat => self.concatenation(name, inputs, shape),
            Operator::Product => {
                let [a, b] = self.alike(name, &inputs[..2])[..] else { return Ok(inputs[0].source) };
                self.net.push(name, self.net.shape(a), FusedOperation::Product([a, b]))
            }
            Operator::Selection(s) => {
                let from = self.net.shape(inputs[0].source);
                let window = if from == inputs[0].shape { selection::window(s, from) } else { None };
                let map =
                    window.map_or_else(|| LinearMap::Sparse(Sparse::of_selection(s)), LinearMap::Convolution);
                self.net.push_map(name, shape, inputs[0].source, map)
            }
            Operator::Activation(_) | Operator::MaxPool(_) => {
                return Err(Error::Operator { operator: node.operator.name().into(), node: name.clone() });
            }
        })
    }

    /// A map with one scale and shift for each channel. On an image that has been flattened these are one for
    /// each element: one for each channel will do where a channel's are all equal.
    fn affine(&mut self, name: &str, affine: &Affine, view: View) -> Source {
        let physical = self.net.shape(view.source);
        let [scale, shift] =
            [&affine.scale, &affine.shift].map(|values| channels(values, view.shape, physical));
        if let (Some(scale), Some(shift)) = (scale, shift) {
            return self.net.push_affine(name, view.source, scale, shift);
        }
        let source = self.materialised(name, view);
        self.net.push_affine(name, source, affine.scale.clone(), affine.shift.clone())
    }

    fn polynomial(&mut self, name: &str, polynomial: &Polynomial, view: View) -> Source {
        let mut coefficients = polynomial.coefficients.clone();
        while coefficients.len() > 2 && coefficients.last().is_some_and(|c| c.iter().all(|v| *v == 0.0)) {
            coefficients.pop();
        }
        coefficients.resize(coefficients.len().max(2), vec![0.0; view.shape.channels]);
        if let [shift, scale] = &coefficients[..] {
            return self.affine(name, &Affine { scale: scale.clone(), shift: shift.clone() }, view);
        }
        let physical = self.net.shape(view.source);
        let alike: Option<Vec<_>> = coefficients.iter().map(|c| channels(c, view.shape, physical)).collect();
        let (source, coefficients) = match alike {
            Some(coefficients) => (view.source, coefficients),
            None => (self.materialised(name, view), coefficients),
        };
        let operation = FusedOperation::Polynomial { source, polynomial: Polynomial { coefficients } };
        self.net.push(name, self.net.shape(source), operation)
    }

    /// Nodes of one shape that have the views' elements.
    fn alike(&mut self, name: &str, views: &[View]) -> Vec<Source> {
        let shape = self.net.shape(views[0].source);
        if views.iter().all(|view| self.net.shape(view.source) == shape) {
            return views.iter().map(|view| view.source).collect();
        }
        views.iter().map(|view| self.materialised(name, *view)).collect()
    }

    fn sum(&mut self, name: &str, inputs: &[View]) -> Source {
        let sources = self.alike(name, inputs);
        let shape = self.net.shape(sources[0]);
        let identity = || LinearMap::of_factors(vec![1.0; shape.channels]);
        let terms = sources.into_iter().map(|source| LinearTerm { source, map: identity() }).collect();
        self.net.push_linear(name, shape, terms, no_bias(shape))
    }

    fn concatenation(&mut self, name: &str, inputs: &[View], shape: Shape) -> Source {
        let mut first = 0;
        let mut terms = vec![];
        for view in inputs {
            let channels = view.shape.channels;
            let few = shape.channels.saturating_mul(channels) <= shape.elements();
            let map = if few && self.net.shape(view.source) == view.shape {
                LinearMap::Convolution(selection::of_channels(channels, shape.channels, |o| {
                    o.checked_sub(first).filter(|i| *i < channels)
                }))
            } else {
                let (offset, elements) = (first * shape.positions(), view.shape.elements());
                LinearMap::Sparse(Sparse::embedding(offset, elements, shape.elements()))
            };
            terms.push(LinearTerm { source: view.source, map });
            first += channels;
        }
        self.net.push_linear(name, shape, terms, no_bias(shape))
    }
}

/// Values for each channel of `logical` as values for each channel of `physical`, where that is possible.
fn channels(values: &[f64], logical: Shape, physical: Shape) -> Option<Vec<f64>> {
    if logical.channels == physical.channels {
        return Some(values.to_vec());
    }
    let elements: Vec<f64> =
        values.iter().flat_map(|v| std::iter::repeat_n(*v, logical.positions())).collect();
    per_channel(&elements, physical)
}

/// Average pooling as a depthwise convolution; with the weights of each position where padding is left out of
/// the mean.
fn pooling(pool: &AveragePool, from: Shape, to: Shape) -> LinearMap {
    if !pool.include_padding && pool.padding != Padding::default() {
        return LinearMap::Sparse(Sparse::of_pool(pool, from, to));
    }
    let taps = pool.kernel[0] * pool.kernel[1];
    LinearMap::Convolution(Convolution {
        input_channels: from.channels,
        output_channels: from.channels,
        groups: from.channels,
        kernel: pool.kernel,
        stride: pool.stride,
        dilation: [1, 1],
        padding: pool.padding,
        weights: vec![1.0 / taps as f64; from.channels * taps],
        bias: no_bias(from),
    })
}

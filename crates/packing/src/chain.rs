//! Networks as kernels see them: linear layers with squares between.

use crate::Error;
use crate::linear::Linear;
use blindsight_network::{
    Bias, FusedNode, FusedOperation, Graph, LinearMap, LinearTerm, Metadata, Operator, Padding, Shape, Source,
};
use std::sync::Arc;

/// A fused network: linear layers, each but the last followed by squares.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub input: Shape,
    pub links: Vec<Link>,
}

/// A linear layer and the squares that follow it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub linear: Arc<Linear>,
    /// The name of each square.
    pub squares: Vec<String>,
}

impl Chain {
    /// The chain that `graph` is once fused. Where it starts or ends with a square, an identity stands in for the linear layer.
    ///
    /// # Errors
    /// Where fusion fails, and where the network is no chain of linear layers and squares.
    pub fn new(graph: &Graph) -> Result<Self, Error> {
        let metadata = Metadata::new(graph.input, 0);
        let fused = graph.fused(&metadata)?;
        let mut links: Vec<Link> = vec![];
        let mut before = Source::Input;
        for (index, node) in fused.nodes.iter().enumerate() {
            let input = fused.shape(before);
            match operation(node, before)? {
                None if links.is_empty() => {
                    links.push(Link {
                        squares: vec![node.name.clone()],
                        ..Link::new(Linear::identity(input))
                    });
                }
                None => links.last_mut().expect("it is not empty").squares.push(node.name.clone()),
                Some(operator) if is_identity(&operator) && index + 1 == fused.nodes.len() => {
                    links.push(Link::new(Linear::identity(input)))
                }
                Some(operator) => {
                    let linear = Linear::new(&node.name, &operator, input, node.shape);
                    links.push(Link::new(linear.ok_or_else(|| refusal(operator.name()))?));
                }
            }
            before = Source::Node(index);
        }
        Ok(Self { input: fused.input, links })
    }

    /// How many levels it takes: one for each layer.
    pub fn depth(&self) -> usize {
        self.links.iter().map(|link| 1 + link.squares.len()).sum()
    }

    /// The level that the input of each link has.
    pub fn levels(&self) -> Vec<usize> {
        let mut level = self.depth();
        let mut levels = vec![];
        for link in &self.links {
            levels.push(level);
            level -= 1 + link.squares.len();
        }
        levels
    }

    /// The last linear layer: its outputs are the scores.
    pub fn last(&self) -> &Arc<Linear> {
        &self.links[self.links.len() - 1].linear
    }
}

const EXPECTED: &str = "convolutions, dense layers and squares";

impl Link {
    fn new(linear: Linear) -> Self {
        Self { linear: Arc::new(linear), squares: vec![] }
    }
}

/// The linear operator that a node of a chain is; `None` where it is a square.
fn operation(node: &FusedNode, before: Source) -> Result<Option<Operator>, Error> {
    match &node.operation {
        FusedOperation::Polynomial { source, polynomial } if *source == before && polynomial.is_square() => {
            Ok(None)
        }
        FusedOperation::Linear { terms, bias } => match terms.as_slice() {
            [LinearTerm { source, map }] if *source == before => operator(map, bias, node.shape).map(Some),
            _ => Err(refusal("a sum")),
        },
        FusedOperation::Product(_) => Err(refusal("a product")),
        FusedOperation::Polynomial { .. } => Err(refusal("a polynomial of another degree, or a branch")),
    }
}

/// A map and its bias.
fn operator(map: &LinearMap, bias: &Bias, shape: Shape) -> Result<Operator, Error> {
    match map {
        LinearMap::Convolution(c) => {
            let mut convolution = c.clone();
            convolution.bias = bias.clone();
            Ok(Operator::Convolution(convolution))
        }
        LinearMap::Dense(d) if shape.is_vector() => {
            let mut dense = d.clone();
            dense.bias = bias.elements(shape);
            Ok(Operator::Dense(dense))
        }
        _ => Err(refusal("another linear map")),
    }
}

/// Whether a linear operator changes nothing.
fn is_identity(operator: &Operator) -> bool {
    let Operator::Convolution(c) = operator else { return false };
    c.kernel == [1, 1]
        && c.groups == c.input_channels
        && c.groups == c.output_channels
        && (c.stride, c.padding) == ([1, 1], Padding::default())
        && c.weights.iter().all(|w| *w == 1.0)
        && c.bias.values().iter().all(|b| *b == 0.0)
}

fn refusal(found: &str) -> Error {
    Error::Layers { found: found.into(), expected: EXPECTED }
}

//! Networks that are chains, as the plans of the literature and those of batches take them.

use crate::Error;
use blindsight_layers::{Layer, LayerGraph, Linear, Operand, PointwiseOperation};
use blindsight_network::Shape;
use std::sync::Arc;

/// Linear layers, each of which reads the one before, with squares between.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub input: Shape,
    pub links: Vec<Link>,
}

/// A linear layer and the squares that follow it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub name: String,
    pub kind: &'static str,
    pub linear: Arc<Linear>,
    pub bias: Arc<[f64]>,
    /// The name of each square.
    pub squares: Vec<String>,
}

impl Chain {
    /// The chain that a network is.
    ///
    /// # Errors
    /// Where it is none.
    pub fn new(graph: &LayerGraph) -> Result<Self, Error> {
        let links = graph.layers.iter().enumerate().map(|(index, layer)| {
            let before = index.checked_sub(1).map_or(0, |before| graph.layers[before].pointwise.len());
            Link::new(layer, Operand { tensor: index, version: before }).ok_or_else(|| Error::Chain {
                found: layer.name.clone(),
                expected: "a chain of linear layers with squares between",
            })
        });
        Ok(Self { input: graph.input, links: links.collect::<Result<_, _>>()? })
    }

    /// How many levels it takes: one for each layer.
    pub fn depth(&self) -> usize {
        self.links.iter().map(|link| 1 + link.squares.len()).sum()
    }

    /// The last linear layer: its outputs are the scores.
    pub fn last(&self) -> &Link {
        &self.links[self.links.len() - 1]
    }
}

impl Link {
    /// A layer that reads this operand and nothing else, and is squared and nothing else.
    fn new(layer: &Layer, operand: Operand) -> Option<Self> {
        let [term] = &layer.terms[..] else { return None };
        if term.operand != operand {
            return None;
        }
        let mut squares = vec![];
        for pointwise in &layer.pointwise {
            let expected = Operand { tensor: operand.tensor + 1, version: squares.len() };
            match &pointwise.operation {
                PointwiseOperation::Polynomial(read, polynomial)
                    if polynomial.is_square() && *read == expected =>
                {
                    squares.push(pointwise.name.clone());
                }
                _ => return None,
            }
        }
        let (name, kind, bias) = (layer.name.clone(), layer.kind, layer.bias.clone());
        Some(Self { name, kind, linear: term.linear.clone(), bias, squares })
    }
}

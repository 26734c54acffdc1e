//! Networks as kernels see them: linear layers with squares between.

use crate::Error;
use crate::linear::Linear;
use blindsight_network::{Graph, LayerKind, Shape};
use std::sync::Arc;

/// A folded network: linear layers, each but the last followed by squares.
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
    /// The chain that `graph` folds to. Where it starts or ends with a square, an identity stands in for the linear layer.
    ///
    /// # Errors
    /// Where folding fails, and where a layer is left that is neither linear nor a square.
    pub fn new(graph: &Graph) -> Result<Self, Error> {
        let folded = graph.folded()?;
        let shapes = folded.shapes()?;
        let mut links: Vec<Link> = vec![];
        let mut shape = folded.input;
        for (layer, output) in folded.layers.iter().zip(shapes) {
            match &layer.kind {
                LayerKind::Square => {
                    if links.is_empty() {
                        links.push(Link::new(Linear::identity(shape)));
                    }
                    links.last_mut().expect("one was pushed").squares.push(layer.name.clone());
                }
                // Dense layers read a tensor in the order that it has.
                LayerKind::Flatten => {}
                kind => {
                    let found = kind.operator().to_string();
                    let linear = Linear::new(&layer.name, kind, shape, output);
                    links.push(Link::new(linear.ok_or(Error::Layers { found, expected: EXPECTED })?));
                }
            }
            shape = output;
        }
        if links.last().is_none_or(|link| !link.squares.is_empty()) {
            links.push(Link::new(Linear::identity(shape)));
        }
        Ok(Self { input: folded.input, links })
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

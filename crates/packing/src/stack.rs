//! The networks that the kernels here run: a linear layer, a square, a dense layer, a square, a dense layer.

use crate::Error;
use network::{Bias, Convolution, Dense, Graph, Layer, LayerKind, Padding, Shape};

/// A folded network of that shape, with the figures that kernels need.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub input: Shape,
    pub names: [String; 5],
    pub first: Convolution,
    /// The bias of each output element of the first layer.
    pub first_bias: Vec<f64>,
    pub hidden: Dense,
    pub last: Dense,
}

const EXPECTED: &str = "convolution or dense, square, dense, square, dense";

impl Stack {
    /// How many levels it takes: one for each layer.
    pub const DEPTH: usize = 5;

    /// The stack that `graph` folds to.
    ///
    /// # Errors
    /// Where it folds to anything else, with what it is.
    pub fn new(graph: &Graph) -> Result<Self, Error> {
        let folded = graph.folded()?;
        let kinds: Vec<&LayerKind> = folded.layers.iter().map(|l| &l.kind).collect();
        let [first, LayerKind::Square, LayerKind::Dense(hidden), LayerKind::Square, LayerKind::Dense(last)] =
            kinds[..]
        else {
            return Err(refused(&folded.layers));
        };
        let first = match first {
            LayerKind::Convolution(convolution) => convolution.clone(),
            LayerKind::Dense(dense) => as_convolution(dense, folded.input),
            _ => return Err(refused(&folded.layers)),
        };
        let first_bias = first.bias.elements(folded.shapes()?[0]);
        let names = std::array::from_fn(|i| folded.layers[i].name.clone());
        Ok(Self { input: folded.input, names, first, first_bias, hidden: hidden.clone(), last: last.clone() })
    }
}

fn refused(layers: &[Layer]) -> Error {
    let found: Vec<&str> = layers.iter().map(|l| l.kind.operator()).collect();
    Error::Layers { found: found.join(", "), expected: EXPECTED }
}

/// A dense layer is a convolution whose window is the whole image.
fn as_convolution(dense: &Dense, input: Shape) -> Convolution {
    Convolution {
        input_channels: input.channels,
        output_channels: dense.rows,
        groups: 1,
        kernel: [input.height, input.width],
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::default(),
        weights: dense.weights.clone(),
        bias: Bias::PerChannel(dense.bias.clone()),
    }
}

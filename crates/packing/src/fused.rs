//! Chains of layers as fused networks.

use crate::Error;
use blindsight_network::{
    Bias, Fused, FusedNode, FusedOperation, Graph, LayerKind, LinearMap, LinearTerm, Polynomial, Source,
};

/// The fused network of a chain.
pub(crate) fn fused(graph: &Graph) -> Result<Fused, Error> {
    let folded = graph.folded()?;
    let shapes = folded.shapes()?;
    let mut nodes: Vec<FusedNode> = vec![];
    let mut shape = folded.input;
    for (layer, output) in folded.layers.iter().zip(shapes) {
        let source = match nodes.len() {
            0 => Source::Input,
            n => Source::Node(n - 1),
        };
        let linear = |map, bias| FusedOperation::Linear { terms: vec![LinearTerm { source, map }], bias };
        let operation = match &layer.kind {
            LayerKind::Flatten => {
                shape = output;
                continue;
            }
            LayerKind::Square => {
                FusedOperation::Polynomial { source, polynomial: Polynomial::square(shape.channels) }
            }
            LayerKind::Convolution(c) => {
                let mut map = c.clone();
                map.bias = Bias::PerChannel(vec![0.0; c.output_channels]);
                linear(LinearMap::Convolution(map), c.bias.clone())
            }
            LayerKind::Dense(d) => {
                let mut map = d.clone();
                map.bias = vec![0.0; d.rows];
                linear(LinearMap::Dense(map), Bias::PerChannel(d.bias.clone()))
            }
            kind => {
                let found = kind.operator().to_string();
                return Err(Error::Layers { found, expected: "convolutions, dense layers and squares" });
            }
        };
        nodes.push(FusedNode { name: layer.name.clone(), shape: output, operation });
        shape = output;
    }
    Ok(Fused { input: folded.input, nodes })
}

//! The network to fit, in the form that the walk takes.

use blindsight_network::{Affine, Bias, Graph, Node, Operator, Source};

use crate::Error;

/// The network with what is scaled and shifted right behind a linear layer taken into its weights, so that a
/// layer's output is what an activation or a sum reads.
///
/// Refuses pools by the largest value, unless they are to be replaced.
pub(crate) fn prepared(graph: &Graph, replace_max_pool: bool) -> Result<Graph, Error> {
    graph.shapes()?;
    let pool = graph.nodes.iter().find(|node| matches!(node.operator, Operator::MaxPool(_)));
    match pool {
        Some(node) if !replace_max_pool => Err(Error::MaxPool { node: node.name.clone() }),
        _ => Ok(merged(graph)),
    }
}

/// How many activations there are to replace.
pub(crate) fn activations(graph: &Graph) -> usize {
    graph.nodes.iter().filter(|node| matches!(node.operator, Operator::Activation(_))).count()
}

fn merged(graph: &Graph) -> Graph {
    let readers = readers(graph);
    let mut places: Vec<Source> = vec![];
    let mut nodes: Vec<Node> = vec![];
    for node in &graph.nodes {
        let place = |source: &Source| match source {
            Source::Input => Source::Input,
            Source::Node(index) => places[*index],
        };
        let inputs: Vec<Source> = node.inputs.iter().map(place).collect();
        let alone = matches!(node.inputs[..], [Source::Node(read)] if readers[read] == 1);
        let merged = match (&node.operator, inputs.first()) {
            (Operator::Affine(affine), Some(Source::Node(before))) if alone => {
                scaled(&nodes[*before].operator, affine).map(|operator| (*before, operator))
            }
            _ => None,
        };
        places.push(match merged {
            Some((before, operator)) => {
                nodes[before].operator = operator;
                Source::Node(before)
            }
            None => {
                nodes.push(Node { inputs, ..node.clone() });
                Source::Node(nodes.len() - 1)
            }
        });
    }
    let output = match graph.output {
        Source::Input => Source::Input,
        Source::Node(index) => places[index],
    };
    Graph { input: graph.input, nodes, output }
}

/// How often each node is read; the output is read once more.
fn readers(graph: &Graph) -> Vec<usize> {
    let mut readers = vec![0; graph.nodes.len()];
    for source in graph.nodes.iter().flat_map(|node| &node.inputs).chain([&graph.output]) {
        if let Source::Node(index) = source {
            readers[*index] += 1;
        }
    }
    readers
}

/// A linear layer whose output is scaled and shifted; `None` for other operators.
pub(crate) fn scaled(operator: &Operator, affine: &Affine) -> Option<Operator> {
    let Affine { scale, shift } = affine;
    let channel = |bias: &mut [f64], positions: usize| {
        let channels = bias.chunks_mut(positions.max(1)).zip(scale.iter().zip(shift));
        channels.for_each(|(bias, (scale, shift))| bias.iter_mut().for_each(|b| *b = *b * scale + shift));
    };
    let rows = |weights: &mut [f64], length: usize| {
        let rows = weights.chunks_mut(length.max(1)).zip(scale);
        rows.for_each(|(row, scale)| row.iter_mut().for_each(|w| *w *= scale));
    };
    match operator {
        Operator::Convolution(layer) => {
            let (mut layer, taps) = (layer.clone(), layer.taps());
            rows(&mut layer.weights, taps);
            match &mut layer.bias {
                Bias::PerChannel(bias) => channel(bias, 1),
                Bias::PerElement(bias) => {
                    let positions = bias.len() / scale.len().max(1);
                    channel(bias, positions);
                }
            }
            Some(Operator::Convolution(layer))
        }
        Operator::Dense(layer) => {
            let mut layer = layer.clone();
            rows(&mut layer.weights, layer.columns);
            channel(&mut layer.bias, 1);
            Some(Operator::Dense(layer))
        }
        _ => None,
    }
}

//! Every operator against the network crate's own inference, which tract is held against.

use super::*;
use blindsight_network::{Affine, Bias, Graph, Node, Selection, Source};
use proptest::prelude::*;

use crate::data::share;

pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f64> {
    (0..count).map(|i| 2.0 * share(seed, i as u64) - 1.0).collect()
}

/// The outputs of a graph's nodes for some inputs must be those of [`Graph::trace`].
fn agrees(graph: &Graph, seed: u64) {
    let shapes = graph.shapes().expect("a sound graph");
    let inputs: Vec<Vec<f64>> = (0..3).map(|n| numbers(seed + n, graph.input.elements())).collect();
    let input = Batch::of(graph.input, &inputs, &[2, 0, 1]);
    let mut outputs: Vec<Batch> = vec![];
    for (node, shape) in graph.nodes.iter().zip(shapes) {
        let operand = |source: &Source| match source {
            Source::Input => &input,
            Source::Node(index) => &outputs[*index],
        };
        let operands: Vec<&Batch> = node.inputs.iter().map(operand).collect();
        outputs.push(apply(&node.operator, &operands, shape));
    }
    for (n, original) in [2, 0, 1].into_iter().enumerate() {
        let expected = graph.trace(&inputs[original]).expect("a sound graph");
        for (found, expected) in outputs.iter().zip(expected) {
            assert_eq!(found.image(n).len(), expected.len());
            for (found, expected) in found.image(n).iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() <= 1e-4 * expected.abs().max(1.0));
            }
        }
    }
}

fn chain(input: Shape, operators: Vec<Operator>) -> Graph {
    Graph::chain(input, operators.into_iter().enumerate().map(|(i, o)| (format!("node{i}"), o)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_agree(
        groups in 1usize..4, inputs in 1usize..3, outputs in 1usize..3,
        height in 4usize..8, width in 4usize..8,
        kernel in [1usize..4, 1usize..4], stride in [1usize..3, 1usize..3], pads in [0usize..3, 0usize..3],
        dilation in 1usize..3, seed in any::<u32>(),
    ) {
        let (inputs, outputs) = (groups * inputs, groups * outputs);
        let taps = inputs / groups * kernel[0] * kernel[1];
        let layer = Convolution {
            input_channels: inputs,
            output_channels: outputs,
            groups,
            kernel,
            stride,
            dilation: [dilation, 1],
            padding: Padding { top: pads[0], left: pads[1], bottom: pads[1], right: pads[0] },
            weights: numbers(u64::from(seed), outputs * taps),
            bias: Bias::PerChannel(numbers(u64::from(seed) + 1, outputs)),
        };
        let graph = chain(Shape::new(inputs, height, width), vec![Operator::Convolution(layer)]);
        prop_assume!(graph.shapes().is_ok());
        agrees(&graph, seed.into());
    }

    #[test]
    fn pools_agree(
        side in 3usize..8, kernel in [1usize..4, 1usize..4], stride in 1usize..3, pad in 0usize..2,
        include in any::<bool>(), largest in any::<bool>(), seed in any::<u32>(),
    ) {
        let padding = Padding { top: pad, left: 0, bottom: 0, right: pad };
        let windows = AveragePool { kernel, stride: [stride; 2], padding, include_padding: include };
        let operator = match largest {
            true => Operator::MaxPool(MaxPool { windows }),
            false => Operator::AveragePool(windows),
        };
        let graph = chain(Shape::new(2, side, side), vec![operator]);
        prop_assume!(graph.shapes().is_ok());
        agrees(&graph, seed.into());
    }
}

#[test]
fn everything_else_agrees() {
    let shape = Shape::new(2, 3, 3);
    let node = |operator, inputs| Node { name: "n".into(), operator, inputs };
    let coefficients = (0..5).map(|k| numbers(k, 2)).collect();
    let dense = Dense { rows: 4, columns: 36, weights: numbers(8, 144), bias: numbers(9, 4) };
    let elements = (0..18).map(|i| (i % 3 != 0).then_some(17 - i)).collect();
    let nodes = vec![
        node(Operator::Affine(Affine { scale: numbers(1, 2), shift: numbers(2, 2) }), vec![Source::Input]),
        node(Operator::Polynomial(Polynomial { coefficients }), vec![Source::Node(0)]),
        node(Operator::Activation(Activation::Relu), vec![Source::Node(0)]),
        node(Operator::Activation(Activation::LeakyRelu(vec![0.1, 0.3])), vec![Source::Node(0)]),
        node(Operator::Sum, vec![Source::Node(1), Source::Node(2), Source::Node(3)]),
        node(Operator::Product, vec![Source::Node(4), Source::Input]),
        node(Operator::Selection(Selection { shape, elements }), vec![Source::Node(5)]),
        node(Operator::Concat, vec![Source::Node(6), Source::Node(4)]),
        node(Operator::Reshape(Shape::vector(36)), vec![Source::Node(7)]),
        node(Operator::Dense(dense), vec![Source::Node(8)]),
    ];
    agrees(&Graph { input: shape, nodes, output: Source::Node(9) }, 3);
}

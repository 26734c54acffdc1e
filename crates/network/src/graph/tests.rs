use super::*;
use crate::layer::{Affine, AveragePool, Bias, Convolution, Dense, Padding};
use crate::{Metadata, Polynomial, Selection};

fn graph(input: Shape, kinds: Vec<Operator>) -> Graph {
    Graph::chain(input, kinds.into_iter().enumerate().map(|(i, operator)| (format!("layer{i}"), operator)))
}

/// Two channels out of one, 2x2 kernels, one row of padding above.
fn convolution() -> Convolution {
    Convolution {
        input_channels: 1,
        output_channels: 2,
        groups: 1,
        kernel: [2, 2],
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding { top: 1, ..Padding::default() },
        weights: vec![1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 1.0],
        bias: Bias::PerChannel(vec![0.0, 10.0]),
    }
}

#[test]
fn small_network_by_hand() {
    let pool =
        AveragePool { kernel: [2, 1], stride: [1, 1], padding: Padding::default(), include_padding: false };
    let layers = vec![
        Operator::Convolution(convolution()),
        Operator::AveragePool(pool),
        Operator::Polynomial(Polynomial {
            coefficients: vec![vec![-1.0, 0.5], vec![0.0, 2.0], vec![1.0, 0.0]],
        }),
        Operator::Reshape(Shape::vector(2)),
        Operator::Dense(Dense { rows: 1, columns: 2, weights: vec![1.0, 10.0], bias: vec![0.25] }),
        Operator::square(1),
        Operator::Affine(Affine { scale: vec![0.5], shift: vec![1.0] }),
    ];
    // The image is 1 2 / 3 4 under a row of zeros, so the first map is 3*1 + 4*2 = 11 over 1 + 4 + 9 + 16
    // = 30.
    let network = graph(Shape::new(1, 2, 2), layers);
    let trace = network.trace(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(trace[0], [11.0, 30.0, 12.0, 14.0]);
    assert_eq!(trace[1], [20.5, 13.0]);
    assert_eq!(trace[2], [419.25, 26.5]);
    assert_eq!(trace[4], [684.5]);
    assert_eq!(trace[6], [234_271.125]);
    assert_eq!(network.infer(&[1.0, 2.0, 3.0, 4.0]).unwrap(), trace[6]);
    let shapes: Vec<_> = network.shapes().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(shapes, ["2x2x1", "2x1x1", "2x1x1", "2x1x1", "1x1x1", "1x1x1", "1x1x1"]);
    assert_eq!(
        (network.parameters(), network.multiplications().unwrap()),
        (10 + 6 + 3 + 2, 16 + 4 + 4 + 2 + 2 + 1 + 1)
    );
}

fn refused(graph: &Graph, words: &[&str]) {
    let input = vec![0.0; graph.input.elements().min(100)];
    let metadata = Metadata::new(Shape::vector(1), 1);
    for message in [
        graph.infer(&input).unwrap_err(),
        graph.trace(&input).unwrap_err(),
        graph.fused(&metadata).unwrap_err(),
    ] {
        let message = message.to_string();
        for word in words {
            assert!(message.contains(word), "expected {word:?} in: {message}");
        }
    }
}

#[test]
fn inconsistent_graphs_are_refused() {
    let with = |change: &dyn Fn(&mut Convolution)| {
        let mut layer = convolution();
        change(&mut layer);
        graph(Shape::new(1, 2, 2), vec![Operator::Convolution(layer)])
    };
    refused(&with(&|c| c.weights.truncate(7)), &["weights of layer0", "expected 8, got 7"]);
    refused(&with(&|c| c.bias = Bias::PerChannel(vec![0.0])), &["biases of layer0", "expected 2, got 1"]);
    refused(&with(&|c| c.bias = Bias::PerElement(vec![0.0; 3])), &["biases of layer0", "got 3"]);
    refused(&with(&|c| c.groups = 0), &["groups of at least 1"]);
    refused(&with(&|c| c.groups = 2), &["input channels", "2 groups"]);
    refused(&with(&|c| c.input_channels = 3), &["input channels", "expected 3, got 1"]);
    refused(&with(&|c| c.kernel = [0, 2]), &["kernel of at least 1"]);
    refused(&with(&|c| c.kernel = [usize::MAX, 2]), &["kernel of layer0", "65536"]);
    refused(&with(&|c| c.stride = [1, 0]), &["stride of at least 1"]);
    refused(&with(&|c| c.dilation = [3, 1]), &["height", "window's 4", "got 3"]);
    let dense = Dense { rows: 2, columns: 4, weights: vec![0.0; 8], bias: vec![0.0; 2] };
    refused(
        &graph(Shape::new(1, 2, 3), vec![Operator::Dense(dense)]),
        &["inputs of layer0 (from 1x2x3)", "got 6"],
    );
    let affine = Affine { scale: vec![1.0; 2], shift: vec![1.0] };
    refused(
        &graph(Shape::new(2, 2, 3), vec![Operator::Affine(affine)]),
        &["shift coefficients", "expected 2, got 1"],
    );
    refused(&graph(Shape::new(0, 2, 3), vec![]), &["input", "channel"]);
    refused(&graph(Shape::new(usize::MAX, usize::MAX, 3), vec![]), &["input", "limit"]);
}

#[test]
fn inputs_of_another_length_are_refused() {
    let network = graph(Shape::new(1, 2, 2), vec![Operator::square(1)]);
    for input in [vec![], vec![0.0; 3], vec![0.0; 5]] {
        let message = network.infer(&input).unwrap_err().to_string();
        assert!(message.contains("1x2x2") && message.contains("expected 4"), "{message}");
        assert!(network.trace(&input).is_err());
        assert!(network.infer_batch(&[vec![0.0; 4], input]).is_err());
    }
}

#[test]
fn work_is_bounded() {
    let layer = Convolution {
        kernel: [1000, 1000],
        padding: Padding::uniform(500),
        weights: vec![0.0; 2_000_000],
        ..convolution()
    };
    refused(
        &graph(Shape::new(1, 1000, 1000), vec![Operator::Convolution(layer)]),
        &["multiplications", "limit"],
    );
}

#[test]
fn nodes_of_several_inputs_by_hand() {
    let node = |name: &str, operator, inputs: &[Source]| Node {
        name: name.into(),
        operator,
        inputs: inputs.to_vec(),
    };
    let shape = Shape::new(1, 1, 2);
    let swapped = Selection { shape, elements: vec![Some(1), None] };
    let nodes = vec![
        node("swap", Operator::Selection(swapped), &[Source::Input]),
        node("sum", Operator::Sum, &[Source::Input, Source::Node(0), Source::Input]),
        node("product", Operator::Product, &[Source::Node(1), Source::Node(0)]),
        node("concat", Operator::Concat, &[Source::Node(2), Source::Node(1)]),
    ];
    let graph = Graph { input: shape, nodes, output: Source::Node(3) };
    assert_eq!(graph.output_shape().unwrap(), Shape::new(2, 1, 2));
    assert_eq!(graph.infer(&[3.0, 5.0]).unwrap(), [55.0, 0.0, 11.0, 10.0]);
    assert_eq!(
        graph.fused(&Metadata::new(shape, 4)).unwrap().infer(&[3.0, 5.0]).unwrap(),
        [55.0, 0.0, 11.0, 10.0]
    );
}

#[test]
fn nodes_that_do_not_fit_are_refused() {
    let shape = Shape::new(1, 1, 2);
    let with = |operator: Operator, inputs: &[Source]| {
        let wide = Selection { shape: Shape::new(2, 1, 1), elements: vec![Some(0), Some(1)] };
        let nodes = vec![
            Node { name: "wide".into(), operator: Operator::Selection(wide), inputs: vec![Source::Input] },
            Node { name: "last".into(), operator, inputs: inputs.to_vec() },
        ];
        Graph { input: shape, nodes, output: Source::Node(1) }
    };
    let both = [Source::Input, Source::Node(0)];
    refused(&with(Operator::Sum, &both), &["inputs of last", "1x1x2", "2x1x1"]);
    refused(&with(Operator::Product, &both), &["inputs of last", "1x1x2", "2x1x1"]);
    refused(&with(Operator::Concat, &both), &["inputs of last", "width 2", "2x1x1"]);
    refused(&with(Operator::Product, &both[..1]), &["inputs of last", "expected 2, got 1"]);
    refused(&with(Operator::Sum, &[]), &["inputs of last", "expected 1, got 0"]);
    refused(&with(Operator::Sum, &[Source::Node(1)]), &["what last reads", "node 1"]);
    let outside = Selection { shape, elements: vec![None, Some(2)] };
    refused(&with(Operator::Selection(outside), &both[..1]), &["last selects", "less than 2", "got 2"]);
    refused(
        &with(Operator::Reshape(Shape::vector(3)), &both[..1]),
        &["elements of last", "expected 2, got 3"],
    );
}

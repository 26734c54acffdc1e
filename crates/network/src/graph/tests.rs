use super::*;
use crate::layer::{Affine, AveragePool, Bias, Convolution, Dense, LayerKind, Padding, Quadratic};

fn graph(input: Shape, kinds: Vec<LayerKind>) -> Graph {
    let named = |(i, kind)| Layer { name: format!("layer{i}"), kind };
    Graph { input, layers: kinds.into_iter().enumerate().map(named).collect() }
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
        LayerKind::Convolution(convolution()),
        LayerKind::AveragePool(pool),
        LayerKind::Quadratic(Quadratic { a: vec![1.0, 0.0], b: vec![0.0, 2.0], c: vec![-1.0, 0.5] }),
        LayerKind::Flatten,
        LayerKind::Dense(Dense { rows: 1, columns: 2, weights: vec![1.0, 10.0], bias: vec![0.25] }),
        LayerKind::Square,
        LayerKind::Affine(Affine { scale: vec![0.5], shift: vec![1.0] }),
    ];
    // The image is 1 2 / 3 4 under a row of zeros, so the first map is 3*1 + 4*2 = 11 over 1 + 4 + 9 + 16 = 30.
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
    for message in
        [graph.infer(&input).unwrap_err(), graph.trace(&input).unwrap_err(), graph.folded().unwrap_err()]
    {
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
        graph(Shape::new(1, 2, 2), vec![LayerKind::Convolution(layer)])
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
        &graph(Shape::new(1, 2, 3), vec![LayerKind::Dense(dense)]),
        &["inputs of layer0 (from 1x2x3)", "got 6"],
    );
    let affine = Affine { scale: vec![1.0; 2], shift: vec![1.0] };
    refused(
        &graph(Shape::new(2, 2, 3), vec![LayerKind::Affine(affine)]),
        &["shift coefficients", "expected 2, got 1"],
    );
    refused(&graph(Shape::new(0, 2, 3), vec![]), &["input", "channel"]);
    refused(&graph(Shape::new(usize::MAX, usize::MAX, 3), vec![]), &["input", "limit"]);
}

#[test]
fn inputs_of_another_length_are_refused() {
    let network = graph(Shape::new(1, 2, 2), vec![LayerKind::Square]);
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
        &graph(Shape::new(1, 1000, 1000), vec![LayerKind::Convolution(layer)]),
        &["multiplications", "limit"],
    );
}

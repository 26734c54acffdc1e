//! Written files against tract and our own reader; random graphs of the importer's forms are in
//! `onnx/random.rs`.

use proptest::prelude::*;

use crate::testing::{assert_close, numbers, tract};
use crate::{
    Activation, Affine, AveragePool, Bias, Convolution, Dense, FinalActivation, Graph, MaxPool, Metadata,
    Model, Node, Operator, Padding, Polynomial, Selection, Shape, Source,
};

/// Writes a graph; the file must give its scores here and in tract.
#[track_caller]
fn agrees(graph: &Graph) -> Model {
    let scores = graph.output_shape().unwrap().elements();
    let bytes = graph.to_onnx(&Metadata::new(graph.input, scores)).unwrap_or_else(|e| panic!("{e}"));
    let model = Model::from_bytes("written", &bytes).unwrap_or_else(|e| panic!("{e}"));
    let input = numbers(7, graph.input.elements());
    let expected = graph.infer(&input).unwrap();
    assert_close(&model.graph.infer(&input).unwrap(), &expected, 1e-5);
    let shape = graph.input;
    let dims = if shape.is_vector() {
        vec![shape.channels]
    } else {
        vec![shape.channels, shape.height, shape.width]
    };
    assert_close(&tract(&bytes, &dims, &input), &expected, 1e-5);
    model
}

fn chain(input: Shape, operators: Vec<Operator>) -> Graph {
    Graph::chain(input, operators.into_iter().enumerate().map(|(i, o)| (format!("node{i}"), o)))
}

fn convolution(inputs: usize, outputs: usize, side: usize, padding: usize) -> Operator {
    Operator::Convolution(Convolution {
        input_channels: inputs,
        output_channels: outputs,
        groups: 1,
        kernel: [side; 2],
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::uniform(padding),
        weights: numbers(3, outputs * inputs * side * side).iter().map(|w| 0.3 * w).collect(),
        bias: Bias::PerChannel(numbers(4, outputs)),
    })
}

fn dense(rows: usize, columns: usize) -> Operator {
    let weights = numbers(5, rows * columns).iter().map(|w| w / (columns as f64).sqrt()).collect();
    Operator::Dense(Dense { rows, columns, weights, bias: numbers(6, rows) })
}

#[test]
fn a_bias_for_each_element_is_kept() {
    // What `Conv(x - 0.5)` with zero padding becomes: at the border the constant counts for less.
    let Operator::Convolution(layer) = convolution(2, 3, 3, 1) else { unreachable!() };
    let bias = Bias::PerElement(numbers(8, 3 * 5 * 5));
    agrees(&chain(Shape::new(2, 5, 5), vec![Operator::Convolution(Convolution { bias, ..layer })]));
}

#[test]
fn names_are_kept() {
    let polynomial =
        Polynomial { coefficients: vec![vec![0.1; 3], vec![0.5; 3], vec![0.2; 3], vec![0.05; 3]] };
    let pool =
        AveragePool { kernel: [2, 2], stride: [2, 2], padding: Padding::default(), include_padding: false };
    let operators = vec![
        convolution(2, 3, 3, 1),
        Operator::Polynomial(polynomial.clone()),
        Operator::AveragePool(pool),
        Operator::Reshape(Shape::vector(12)),
        dense(4, 12),
        Operator::square(4),
        dense(2, 4),
    ];
    let graph = chain(Shape::new(2, 4, 4), operators);
    let read = agrees(&graph).graph;
    let names = |graph: &Graph| graph.nodes.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&read)[..3], names(&graph)[..3]);
    assert_eq!(names(&read).last(), names(&graph).last());
    let Operator::Polynomial(found) = &read.nodes[1].operator else { panic!("{:?}", read.nodes[1]) };
    for (found, of_power) in found.coefficients.iter().zip(&polynomial.coefficients) {
        assert_close(found, of_power, 1e-6);
    }
}

#[test]
fn coefficients_that_float32_could_not_hold() {
    // 31 powers of x for x up to 60: the last coefficient is below 1e-50.
    let coefficients = (0..32).map(|k| vec![60f64.powi(-k), 0.5f64.powi(k)]).collect();
    let large = Affine { scale: vec![55.0, 0.4], shift: vec![0.5, 0.1] };
    let operators = vec![Operator::Affine(large), Operator::Polynomial(Polynomial { coefficients })];
    agrees(&chain(Shape::new(2, 3, 3), operators));
}

#[test]
fn constants_squares_and_the_input_itself() {
    let constant = Polynomial { coefficients: vec![vec![0.25, -3.0]] };
    agrees(&chain(Shape::new(2, 2, 2), vec![Operator::Polynomial(constant)]));
    agrees(&chain(Shape::vector(5), vec![Operator::square(5)]));
    agrees(&chain(Shape::new(2, 2, 2), vec![]));
}

/// Vectors that are read as images of one pixel, and images that are read as vectors.
#[test]
fn ranks_mix() {
    let input = Shape::new(3, 4, 4);
    let global =
        AveragePool { kernel: [4, 4], stride: [1, 1], padding: Padding::default(), include_padding: true };
    let node = |name: &str, operator, inputs| Node { name: name.into(), operator, inputs };
    let nodes = vec![
        node("pool", Operator::AveragePool(global), vec![Source::Input]),
        node("dense", dense(3, 48), vec![Source::Input]),
        node("sum", Operator::Sum, vec![Source::Node(0), Source::Node(1)]),
        node("conv", convolution(3, 4, 1, 0), vec![Source::Node(2)]),
        node("product", Operator::Product, vec![Source::Node(1), Source::Node(0)]),
        node("both", Operator::Concat, vec![Source::Node(3), Source::Node(4), Source::Node(1)]),
        node("flat", Operator::Reshape(Shape::new(2, 5, 1)), vec![Source::Node(5)]),
        node("scores", dense(2, 10), vec![Source::Node(6)]),
    ];
    agrees(&Graph { input, nodes, output: Source::Node(7) });
}

#[test]
fn what_cannot_be_written_is_refused() {
    let refused =
        |graph: &Graph| graph.to_onnx(&Metadata::new(graph.input, 1)).expect_err("no polynomial").to_string();
    let shape = Shape::new(1, 2, 2);
    let relu = refused(&chain(shape, vec![Operator::Activation(Activation::Relu)]));
    assert!(relu.contains("node0") && relu.contains("fit"), "{relu}");
    let windows =
        AveragePool { kernel: [2, 2], stride: [2, 2], padding: Padding::default(), include_padding: false };
    assert!(refused(&chain(shape, vec![Operator::MaxPool(MaxPool { windows })])).contains("MaxPool"));
    let huge = Affine { scale: vec![1e39], shift: vec![0.0] };
    assert!(refused(&chain(shape, vec![Operator::Affine(huge)])).contains("float32"));
}

proptest! {
    #[test]
    fn selections_agree(
        channels in 1usize..4, side in 1usize..5,
        places in prop::collection::vec(prop::option::of(any::<u32>()), 1..40),
    ) {
        let input = Shape::new(channels, side, side);
        let elements: Vec<_> = places.iter().map(|p| p.map(|p| p % input.elements() as u32)).collect();
        let selection = Selection { shape: Shape::new(elements.len(), 1, 1), elements };
        agrees(&chain(input, vec![Operator::Selection(selection)]));
    }
}

#[test]
fn what_stands_at_the_end_is_kept() {
    let graph = chain(Shape::vector(4), vec![dense(3, 4)]);
    for (output, kept) in [
        (FinalActivation::None, FinalActivation::None),
        (FinalActivation::Softmax, FinalActivation::Softmax),
        (FinalActivation::LogSoftmax, FinalActivation::LogSoftmax),
        (FinalActivation::Sigmoid, FinalActivation::Sigmoid),
        (FinalActivation::ArgMax, FinalActivation::None),
    ] {
        let model = Model { output, ..agrees(&graph) };
        let read = Model::from_bytes("read", &model.to_onnx().unwrap()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((read.output, read.graph.nodes.len()), (kept, 1));
    }
}

#[test]
fn lists_are_packed_where_the_onnx_package_packs_them() {
    use crate::onnx::proto::{Attribute, Tensor};
    use prost::Message;
    let tensor = Tensor { dims: vec![3, 4], int64_data: vec![5, 6], ..Tensor::default() };
    assert_eq!(tensor.encode_to_vec(), [0x08, 3, 0x08, 4, 0x3a, 2, 5, 6]);
    let attribute = Attribute { ints: vec![3, 4], floats: vec![0.0], ..Attribute::default() };
    assert_eq!(attribute.encode_to_vec(), [0x3d, 0, 0, 0, 0, 0x40, 3, 0x40, 4]);
}

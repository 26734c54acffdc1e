//! Activations that are no polynomials, as operators and spelled out, against tract.

use crate::onnx::proto::Attribute;
use crate::testing::{File, assert_close, float, int, ints, numbers, string, tract};
use crate::{Activation, Graph, Model, Operator};

const SHAPE: [usize; 3] = [3, 4, 5];

/// The graph of a file and its scores for numbers from -4 to 4, which must be tract's.
#[track_caller]
fn agrees(file: &File) -> Graph {
    let bytes = file.bytes();
    let graph = Model::from_bytes("test", &bytes).unwrap_or_else(|e| panic!("{e}")).graph;
    let input: Vec<f64> = numbers(11, SHAPE.iter().product()).iter().map(|v| 4.0 * v).collect();
    assert_close(&graph.infer(&input).unwrap(), &tract(&bytes, &SHAPE, &input), 1e-5);
    graph
}

fn file() -> File {
    File::new(&SHAPE.map(|d| d as i64))
}

/// The only activation of a graph.
#[track_caller]
fn only(graph: &Graph) -> &Activation {
    let found: Vec<_> = graph.nodes.iter().map(|node| &node.operator).collect();
    match &found[..] {
        [Operator::Activation(activation)] => activation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn operators() {
    let cases: Vec<(&str, Vec<Attribute>, Activation)> = vec![
        ("Relu", vec![], Activation::Relu),
        ("LeakyRelu", vec![float("alpha", 0.25)], Activation::LeakyRelu(vec![0.25; 3])),
        ("Tanh", vec![], Activation::Tanh),
        ("Gelu", vec![], Activation::Gelu),
        ("Gelu", vec![string("approximate", "tanh")], Activation::GeluTanh),
        ("HardSwish", vec![], Activation::HardSwish),
        ("Softplus", vec![], Activation::Softplus),
        ("Elu", vec![float("alpha", 0.5)], Activation::Elu { low: 0.5, gain: 1.0 }),
        ("Mish", vec![], Activation::Mish),
        ("Erf", vec![], Activation::Erf),
        ("Abs", vec![], Activation::Abs),
    ];
    for (operator, attributes, expected) in cases {
        let mut file = file().node(operator, &["x"], "y", attributes).output("y");
        file.model.opset_import[0].version = 20;
        assert_eq!(*only(&agrees(&file)), expected, "{operator}");
    }
    let slopes = |activation: &Activation| match activation {
        Activation::LeakyRelu(slopes) => slopes.clone(),
        other => panic!("{other:?}"),
    };
    let default = agrees(&file().node("LeakyRelu", &["x"], "y", vec![]).output("y"));
    assert_close(&slopes(only(&default)), &[0.01; 3], 1e-6);
    let selu = agrees(&file().node("Selu", &["x"], "y", vec![]).output("y"));
    assert_eq!(only(&selu).name(), "Selu");
    let hard = vec![float("alpha", 0.25), float("beta", 0.25)];
    let hard = agrees(&file().node("HardSigmoid", &["x"], "y", hard).output("y"));
    assert_eq!(*only(&hard), Activation::HardSigmoid { slope: 0.25, offset: 0.25 });
}

#[test]
fn slopes_for_each_channel_or_one() {
    for (dims, values) in [(vec![3, 1, 1], vec![0.5, -0.25, 2.0]), (vec![1], vec![0.25])] {
        let file = file().floats("s", &dims, &values).node("PRelu", &["x", "s"], "y", vec![]).output("y");
        let Activation::LeakyRelu(slopes) = only(&agrees(&file)).clone() else { panic!("no slopes") };
        assert_eq!(slopes, (0..3).map(|i| values[i % values.len()]).collect::<Vec<_>>());
    }
}

#[test]
fn clips() {
    let clip = |file: File, inputs: &[&str]| file.node("Clip", inputs, "y", vec![]).output("y");
    let bounds =
        || file().floats("low", &[], &[-1.0]).floats("high", &[], &[2.0]).floats("zero", &[], &[0.0]);
    let both = agrees(&clip(bounds(), &["x", "low", "high"]));
    assert_eq!(*only(&both), Activation::Clip { low: -1.0, high: 2.0 });
    let above = agrees(&clip(bounds(), &["x", "", "high"]));
    assert_eq!(*only(&above), Activation::Clip { low: f64::NEG_INFINITY, high: 2.0 });
    assert_eq!(*only(&agrees(&clip(bounds(), &["x", "zero"]))), Activation::Relu);
    let mut old = file().node("Clip", &["x"], "y", vec![float("min", 0.0), float("max", 6.0)]).output("y");
    old.model.opset_import[0].version = 9;
    assert_eq!(*only(&agrees(&old)), Activation::Clip { low: 0.0, high: 6.0 });
    for (operator, bound) in [("Max", "low"), ("Min", "high")] {
        for inputs in [["x", bound], [bound, "x"]] {
            let graph = agrees(&bounds().node(operator, &inputs, "y", vec![]).output("y"));
            assert_eq!(only(&graph).name(), "Clip");
        }
    }
    // What clips nothing is another name.
    let wide = file().floats("low", &[], &[f64::NEG_INFINITY]).floats("high", &[], &[f64::from(f32::MAX)]);
    let model = Model::from_bytes("wide", &clip(wide, &["x", "low", "high"]).bytes()).unwrap();
    assert_eq!(model.graph.nodes, []);
    let turned = clip(bounds(), &["x", "high", "low"]);
    let refused = Model::from_bytes("turned", &turned.bytes()).unwrap_err().to_string();
    assert!(refused.contains("lower bound") && refused.contains("2 and -1"), "{refused}");
}

fn constants(file: File) -> File {
    let file = file.floats("half", &[], &[0.5]).floats("one", &[], &[1.0]).floats("three", &[], &[3.0]);
    let file = file.floats("six", &[], &[6.0]).floats("zero", &[], &[0.0]);
    let file = file.floats("root", &[], &[std::f64::consts::SQRT_2]).floats("k", &[], &[0.044715]);
    file.floats("p", &[], &[(2.0 * std::f64::consts::FRAC_1_PI).sqrt()]).floats("cube", &[], &[3.0])
}

/// A node: its operator, inputs and output.
type Step = (&'static str, &'static [&'static str], &'static str);

/// How files spell activations of `a`, giving `y`: each node's operator, inputs and output.
const SPELLINGS: [(&str, &[Step]); 13] = [
    ("Silu", &[("Sigmoid", &["a"], "s"), ("Mul", &["s", "a"], "y")]),
    ("Mish", &[("Softplus", &["a"], "s"), ("Tanh", &["s"], "t"), ("Mul", &["a", "t"], "y")]),
    // PyTorch's two exporters, and others.
    (
        "Gelu",
        &[
            ("Div", &["a", "root"], "d"),
            ("Erf", &["d"], "e"),
            ("Add", &["e", "one"], "f"),
            ("Mul", &["a", "f"], "g"),
            ("Mul", &["g", "half"], "y"),
        ],
    ),
    (
        "Gelu",
        &[
            ("Div", &["a", "root"], "d"),
            ("Erf", &["d"], "e"),
            ("Add", &["one", "e"], "f"),
            ("Mul", &["half", "f"], "g"),
            ("Mul", &["g", "a"], "y"),
        ],
    ),
    (
        "Gelu",
        &[
            ("Mul", &["a", "half"], "h"),
            ("Div", &["a", "root"], "d"),
            ("Erf", &["d"], "e"),
            ("Add", &["e", "one"], "f"),
            ("Mul", &["h", "f"], "y"),
        ],
    ),
    (
        "Gelu",
        &[
            ("Mul", &["a", "half"], "h"),
            ("Div", &["a", "root"], "d"),
            ("Erf", &["d"], "e"),
            ("Mul", &["h", "e"], "f"),
            ("Add", &["h", "f"], "y"),
        ],
    ),
    (
        "GeluTanh",
        &[
            ("Mul", &["a", "a"], "a2"),
            ("Mul", &["a", "a2"], "a3"),
            ("Mul", &["k", "a3"], "b"),
            ("Add", &["a", "b"], "c"),
            ("Mul", &["p", "c"], "d"),
            ("Tanh", &["d"], "t"),
            ("Add", &["one", "t"], "e"),
            ("Mul", &["a", "e"], "f"),
            ("Mul", &["half", "f"], "y"),
        ],
    ),
    (
        "GeluTanh",
        &[
            ("Pow", &["a", "cube"], "a3"),
            ("Mul", &["k", "a3"], "b"),
            ("Add", &["a", "b"], "c"),
            ("Mul", &["p", "c"], "d"),
            ("Tanh", &["d"], "t"),
            ("Add", &["t", "one"], "e"),
            ("Mul", &["half", "e"], "f"),
            ("Mul", &["a", "f"], "y"),
        ],
    ),
    (
        "HardSwish",
        &[
            ("Add", &["a", "three"], "b"),
            ("Clip", &["b", "zero", "six"], "c"),
            ("Mul", &["a", "c"], "d"),
            ("Div", &["d", "six"], "y"),
        ],
    ),
    (
        "HardSwish",
        &[
            ("Add", &["a", "three"], "b"),
            ("Clip", &["b", "zero", "six"], "c"),
            ("Div", &["c", "six"], "d"),
            ("Mul", &["d", "a"], "y"),
        ],
    ),
    (
        "HardSwish",
        &[
            ("Div", &["a", "six"], "s"),
            ("Add", &["a", "three"], "b"),
            ("Clip", &["b", "zero", "six"], "c"),
            ("Mul", &["s", "c"], "y"),
        ],
    ),
    ("HardSwish", &[("HardSigmoid", &["a"], "s"), ("Mul", &["a", "s"], "y")]),
    (
        "Silu",
        &[
            ("Identity", &["a"], "i"),
            ("Sigmoid", &["i"], "s"),
            ("Mul", &["s", "half"], "h"),
            ("Mul", &["a", "h"], "y"),
        ],
    ),
];

fn spelled(mut file: File, spelling: &[Step]) -> File {
    for (operator, inputs, output) in spelling {
        let attributes = match *operator {
            "HardSigmoid" => vec![float("alpha", 1.0 / 6.0)],
            _ => vec![],
        };
        file = file.node(operator, inputs, output, attributes);
    }
    file
}

/// The activation that a name of the list means.
fn named(name: &str) -> Activation {
    match name {
        "Silu" => Activation::Silu,
        "Mish" => Activation::Mish,
        "Gelu" => Activation::Gelu,
        "GeluTanh" => Activation::GeluTanh,
        _ => Activation::HardSwish,
    }
}

fn activations(graph: &Graph) -> Vec<&Operator> {
    graph.nodes.iter().map(|node| &node.operator).filter(|o| !matches!(o, Operator::Convolution(_))).collect()
}

/// After a convolution, which makes all that is spelled read one node.
#[test]
fn spelled_out() {
    for (name, spelling) in SPELLINGS {
        let file = constants(file()).random("w", &[3, 3, 1, 1], 1.0).node("Conv", &["x", "w"], "a", vec![]);
        let file = spelled(file, spelling).random("v", &[2, 3, 1, 1], 1.0);
        let graph = agrees(&file.node("Conv", &["y", "v"], "z", vec![]).output("z"));
        match activations(&graph)[..] {
            [Operator::Activation(found)] => assert_eq!(*found, named(name), "{spelling:?}"),
            // Half a SiLU.
            [Operator::Activation(found), Operator::Affine(half)] => {
                assert_eq!((found, &half.scale[..]), (&named(name), &[0.5; 3][..]), "{spelling:?}");
            }
            ref other => panic!("{spelling:?}: {other:?}"),
        }
    }
}

/// After a normalisation, which is folded into all that reads it, with other figures for each channel.
#[test]
fn spelled_out_after_a_normalisation() {
    for (name, spelling) in SPELLINGS {
        let file =
            constants(file()).floats("gain", &[3, 1, 1], &[0.5, -1.25, 2.0]).random("o", &[3, 1, 1], 1.0);
        let file = file.node("Mul", &["x", "gain"], "n", vec![]).node("Add", &["n", "o"], "a", vec![]);
        let graph = agrees(&spelled(file, spelling).output("y"));
        let found = activations(&graph);
        assert!(matches!(found[0], Operator::Affine(_)), "{spelling:?}: {found:?}");
        assert_eq!(*found[1], Operator::Activation(named(name)), "{spelling:?}: {found:?}");
    }
}

/// `x sigmoid(3 x)` is a third of SiLU of `3 x`.
#[test]
fn scaled_arguments() {
    let spelling: &[Step] =
        &[("Mul", &["x", "three"], "b"), ("Sigmoid", &["b"], "s"), ("Mul", &["s", "x"], "y")];
    let graph = agrees(&spelled(constants(file()), spelling).output("y"));
    let names: Vec<_> = graph.nodes.iter().map(|node| node.operator.name()).collect();
    assert_eq!(names, ["affine", "Silu", "affine"]);
}

/// What is near a known function but none is left as it is.
#[test]
fn spelled_otherwise() {
    let spellings: [&[Step]; 4] = [
        &[("Sigmoid", &["x"], "s"), ("Mul", &["s", "s"], "t"), ("Mul", &["t", "x"], "y")],
        &[("Sigmoid", &["x"], "s"), ("Mul", &["s", "x"], "t"), ("Add", &["t", "one"], "y")],
        &[("Add", &["x", "three"], "b"), ("Sigmoid", &["b"], "s"), ("Mul", &["s", "x"], "y")],
        &[("Relu", &["x"], "s"), ("Mul", &["s", "x"], "y")],
    ];
    for spelling in spellings {
        let graph = agrees(&spelled(constants(file()), spelling).output("y"));
        let known = |node: &crate::Node| match &node.operator {
            Operator::Activation(activation) => !matches!(activation, Activation::Sigmoid | Activation::Relu),
            _ => false,
        };
        // The second one is SiLU plus one.
        let expected = usize::from(spelling.len() == 3 && spelling[2].0 == "Add");
        assert_eq!(graph.nodes.iter().filter(|node| known(node)).count(), expected, "{spelling:?}");
    }
}

/// In one channel the sigmoid reads something else.
#[test]
fn one_channel_that_differs() {
    let file = file().floats("g", &[3, 1, 1], &[1.0, 1.0, 1.01]).node("Mul", &["x", "g"], "b", vec![]);
    let file = file.node("Sigmoid", &["b"], "s", vec![]).node("Mul", &["s", "x"], "y", vec![]).output("y");
    let names: Vec<_> = agrees(&file).nodes.iter().map(|node| node.operator.name()).collect();
    assert_eq!(names, ["affine", "Sigmoid", "product"]);
}

/// PyTorch's newer exporter.
#[test]
fn softplus_below_a_threshold() {
    let file = |number: f64| {
        let file = file().floats("t", &[], &[number]).node("Softplus", &["x"], "s", vec![]);
        let file = file.node("Greater", &["x", "t"], "g", vec![]);
        file.node("Where", &["g", "x", "s"], "y", vec![]).output("y")
    };
    assert_eq!(*only(&agrees(&file(20.0))), Activation::Softplus);
    let refused = Model::from_bytes("low", &file(1.0).bytes()).unwrap_err().to_string();
    assert!(refused.contains("Where") && refused.contains("\"y\""), "{refused}");
}

#[test]
fn max_pools() {
    let kernel = || ints("kernel_shape", &[3, 2]);
    let forms = [
        vec![kernel()],
        vec![kernel(), ints("strides", &[2, 2])],
        vec![kernel(), ints("pads", &[1, 1, 2, 0])],
        vec![kernel(), ints("strides", &[1, 2]), ints("pads", &[1, 0, 1, 0])],
        vec![kernel(), ints("strides", &[2, 2]), int("ceil_mode", 1)],
    ];
    for form in forms {
        let graph = agrees(&file().node("MaxPool", &["x"], "y", form).output("y"));
        assert_eq!(graph.nodes[0].operator.name(), "MaxPool");
    }
    agrees(&file().node("GlobalMaxPool", &["x"], "y", vec![]).output("y"));
    let dilated = vec![kernel(), ints("dilations", &[1, 2])];
    let dilated = file().node("MaxPool", &["x"], "y", dilated).output("y");
    let refused = Model::from_bytes("dilated", &dilated.bytes()).unwrap_err().to_string();
    assert!(refused.contains("no dilation"), "{refused}");
}

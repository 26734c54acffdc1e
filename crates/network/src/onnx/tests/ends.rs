//! What stands at the end of a network and is left to the client.

use crate::onnx::proto::{self, data_type};
use crate::testing::{File, assert_close, int, numbers, tract, value};
use crate::{Activation, FinalActivation, Model, Operator};

fn scores() -> File {
    File::new(&[6]).random("w", &[6, 4], 1.0).node("MatMul", &["x", "w"], "s", vec![])
}

fn read(file: &File) -> Model {
    Model::from_bytes("test", &file.bytes()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn softmax_is_left_to_the_client() {
    let input = numbers(5, 6);
    for axis in [1, -1] {
        let file = scores().node("Softmax", &["s"], "y", vec![int("axis", axis)]).output("y");
        let model = read(&file);
        assert_eq!((model.output, model.graph.nodes.len()), (FinalActivation::Softmax, 1));
        let scores = model.graph.infer(&input).unwrap();
        let probabilities = model.output.probabilities(&scores, 4).unwrap();
        assert_close(&probabilities, &tract(&file.bytes(), &[6], &input), 1e-6);
        model.fused().unwrap();
    }
    let file = scores().node("LogSoftmax", &["s"], "y", vec![]).output("y");
    let model = read(&file);
    assert_eq!(model.output, FinalActivation::LogSoftmax);
    let probabilities = model.output.probabilities(&model.graph.infer(&input).unwrap(), 4).unwrap();
    let logarithms: Vec<f64> = probabilities.iter().map(|p| p.ln()).collect();
    assert_close(&logarithms, &tract(&file.bytes(), &[6], &input), 1e-6);
}

#[test]
fn names_and_shapes_after_the_end() {
    let shape = scores().integers("shape", &[3], &[1, 4, 1]);
    let file = shape.node("Reshape", &["s", "shape"], "r", vec![]);
    let file = file.node("Softmax", &["r"], "p", vec![int("axis", 1)]).node("Identity", &["p"], "i", vec![]);
    let file = file.node("Flatten", &["i"], "f", vec![]).node("Cast", &["f"], "y", vec![int("to", 1)]);
    assert_eq!(read(&file.output("y")).output, FinalActivation::Softmax);
    let file =
        scores().node("Softmax", &["s"], "p", vec![]).node("ArgMax", &["p"], "y", vec![int("axis", 1)]);
    assert_eq!(read(&file.output("y")).output, FinalActivation::ArgMax);
    let file = scores().node("Softmax", &["s"], "p", vec![]).node("Log", &["p"], "y", vec![]);
    assert_eq!(read(&file.output("y")).output, FinalActivation::LogSoftmax);
}

/// The sigmoid is applied by the client; one of another place is an activation like others.
#[test]
fn sigmoids() {
    let file = scores().node("Sigmoid", &["s"], "y", vec![]).output("y");
    let model = read(&file);
    assert_eq!((model.output, model.metadata.labels.len()), (FinalActivation::Sigmoid, 4));
    let input = numbers(5, 6);
    let probabilities = model.output.probabilities(&model.graph.infer(&input).unwrap(), 4).unwrap();
    assert_close(&probabilities, &tract(&file.bytes(), &[6], &input), 1e-6);
    let file = scores().node("Sigmoid", &["s"], "a", vec![]).random("v", &[4, 2], 1.0);
    let model = read(&file.node("MatMul", &["a", "v"], "y", vec![]).output("y"));
    assert_eq!(model.output, FinalActivation::None);
    assert_eq!(model.graph.nodes[1].operator, Operator::Activation(Activation::Sigmoid));
}

#[test]
fn one_score_for_two_classes() {
    let one =
        || File::new(&[3]).floats("w", &[3, 1], &[1.0, -2.0, 0.5]).node("MatMul", &["x", "w"], "s", vec![]);
    let plain = read(&one().output("s"));
    assert_eq!((plain.output, plain.metadata.labels), (FinalActivation::None, vec!["0".to_string()]));
    let two = read(&one().output("s").entry("blindsight.labels", "bad,good"));
    assert_eq!([two.class(&[-0.1]), two.class(&[0.1])], [0, 1]);
    let sigmoid = read(&one().node("Sigmoid", &["s"], "y", vec![]).output("y"));
    assert_eq!((sigmoid.output, sigmoid.metadata.labels.len()), (FinalActivation::Sigmoid, 2));
    // A pair of probabilities, as scikit-learn's networks give it.
    let pair = one().node("Sigmoid", &["s"], "p", vec![]).floats("one", &[], &[1.0]);
    let pair =
        pair.node("Sub", &["one", "p"], "q", vec![]).node("Concat", &["q", "p"], "y", vec![int("axis", 1)]);
    let pair = read(&pair.output("y"));
    assert_eq!((pair.output, pair.graph.nodes.len()), (FinalActivation::Sigmoid, 1));
    assert_eq!(pair.graph.infer(&[1.0, 1.0, 1.0]).unwrap(), [-0.5]);
}

fn with_label(file: File, label: &str) -> File {
    let mut file = file;
    let mut output = value(label, None);
    output.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = data_type::INT64;
    file.graph().output.insert(0, output);
    file
}

#[test]
fn a_label_beside_the_scores() {
    let file =
        scores().node("Softmax", &["s"], "p", vec![]).node("ArgMax", &["p"], "l", vec![int("axis", 1)]);
    let model = read(&with_label(file.clone().output("p"), "l"));
    assert_eq!(model.output, FinalActivation::Softmax);
    assert!(model.remarks.iter().any(|remark| remark.contains("\"p\"")), "{:?}", model.remarks);
    // Scores and their probabilities: the probabilities follow from the scores.
    let model = read(&with_label(file.output("p"), "s"));
    assert_eq!(model.output, FinalActivation::Softmax);
}

/// Names of classes that scikit-learn's exporter puts into the nodes.
#[test]
fn classes_named_by_nodes() {
    let names = proto::Tensor {
        name: "classes".into(),
        dims: vec![4],
        data_type: data_type::STRING,
        string_data: ["a", "b", "c", "d"].map(|name| name.into()).to_vec(),
        ..Default::default()
    };
    let file =
        scores().node("Softmax", &["s"], "p", vec![]).node("ArgMax", &["p"], "l", vec![int("axis", 1)]);
    let mut file = file.node("ArrayFeatureExtractor", &["classes", "l"], "name", vec![]).output("p");
    file.graph().node[3].domain = "ai.onnx.ml".into();
    file.graph().initializer.push(names);
    let model = read(&with_label(file.clone(), "name"));
    assert_eq!(model.metadata.labels, ["a", "b", "c", "d"]);
    // What the metadata say goes before.
    let model = read(&with_label(file, "name").entry("blindsight.labels", "e,f,g,h"));
    assert_eq!(model.metadata.labels, ["e", "f", "g", "h"]);
}

#[test]
fn refused_within_the_network() {
    let file = scores().node("Softmax", &["s"], "attention", vec![]).random("v", &[4, 2], 1.0);
    let file = file.node("MatMul", &["attention", "v"], "y", vec![]).output("y");
    let refused = Model::from_bytes("test", &file.bytes()).unwrap_err().to_string();
    assert!(refused.contains("Softmax") && refused.contains("\"attention\""), "{refused}");
    let image = File::new(&[2, 3, 3]).node("Softmax", &["x"], "y", vec![int("axis", 1)]).output("y");
    let refused = Model::from_bytes("test", &image.bytes()).unwrap_err().to_string();
    assert!(refused.contains("the axis of all 18 scores"), "{refused}");
}

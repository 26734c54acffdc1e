//! Files as PyTorch's two exporters, scikit-learn's, TensorFlow's and a quantiser write them, made by
//! `tools/exports/make.py`, against the values that onnxruntime gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use blindsight_network::{Activation, FinalActivation, Model, Operator, Shape};
use serde::Deserialize;

/// How far a value may be off, in units of the largest, where a file rounds nothing itself.
const TOLERANCE: f64 = 2e-5;

/// What is known of a file.
#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    scale: f64,
    output: Vec<f64>,
    #[serde(default)]
    activations: Vec<String>,
    applied: Option<String>,
    labels: Option<Vec<String>>,
    tolerance: Option<f64>,
    #[serde(default)]
    remarks: Vec<String>,
}

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files")
}

fn expected() -> BTreeMap<String, Expected> {
    let text = std::fs::read_to_string(files().join("values.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The numbers that `make.py` runs files on.
fn ramp(count: usize, scale: f64) -> Vec<f64> {
    (0..count).map(|i| scale * ((i * 37 % 101) as f64 - 50.0) / 50.0).collect()
}

/// What the whole file gives, with what the client applies.
fn whole(model: &Model, scores: &[f64]) -> Vec<f64> {
    let probabilities = model.output.probabilities(scores, model.metadata.labels.len());
    match model.output {
        FinalActivation::LogSoftmax => probabilities.unwrap().iter().map(|p| p.ln()).collect(),
        _ => probabilities.unwrap_or_else(|| scores.to_vec()),
    }
}

/// The variants of the activations in a graph.
fn activations(model: &Model) -> Vec<String> {
    let variant = |activation: &Activation| {
        let text = format!("{activation:?}");
        text.split(['(', ' ']).next().unwrap().to_string()
    };
    let of_node = |operator: &Operator| match operator {
        Operator::Activation(activation) => Some(variant(activation)),
        Operator::MaxPool(_) => Some("MaxPool".to_string()),
        _ => None,
    };
    model.graph.nodes.iter().filter_map(|node| of_node(&node.operator)).collect()
}

fn check(name: &str, expected: &Expected) {
    let model = Model::load(&files().join(format!("{name}.onnx"))).unwrap_or_else(|e| panic!("{name}: {e}"));
    let shape = match expected.shape[..] {
        [values] => Shape::vector(values),
        [channels, length] => Shape::new(channels, 1, length),
        ref dims => Shape::new(dims[0], dims[1], dims[2]),
    };
    assert_eq!(model.graph.input, shape, "{name}");
    assert_eq!(model.output.name(), expected.applied.as_deref().unwrap_or("none"), "{name}");
    let scores = model.graph.infer(&ramp(shape.elements(), expected.scale)).unwrap();
    let mut found = whole(&model, &scores);
    if found.len() == 2 && expected.output.len() == 1 {
        found.remove(0);
    }
    assert_eq!(found.len(), expected.output.len(), "{name}");
    let largest = expected.output.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    for (found, value) in found.iter().zip(&expected.output) {
        let off = (found - value).abs() / largest;
        assert!(off < expected.tolerance.unwrap_or(TOLERANCE), "{name}: {found}, expected {value}");
    }
    assert_eq!(activations(&model), expected.activations, "{name}: {:?}", model.graph.nodes);
    if let Some(labels) = &expected.labels {
        assert_eq!(&model.metadata.labels, labels, "{name}");
    }
    for word in &expected.remarks {
        assert!(model.remarks.iter().any(|remark| remark.contains(word)), "{name}: {:?}", model.remarks);
    }
    assert_eq!(model.fused().is_ok(), expected.activations.is_empty(), "{name}");
}

#[test]
fn files_of_peoples_tools() {
    let expected = expected();
    assert!(expected.len() > 30, "{} files", expected.len());
    for (name, expected) in &expected {
        check(name, expected);
    }
}

/// Exporters put paths of their machine into files; those that are kept hold none.
#[test]
fn files_name_no_machine() {
    for entry in std::fs::read_dir(files()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for word in ["/home/", "/tmp/", "/root/", "site-packages"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
    }
}

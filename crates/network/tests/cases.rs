//! Networks that people have, from `../shared/cases` beside the repository, against the values that another
//! runtime gives, and against an independent runtime here. Says so and passes where they are not there.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use blindsight_data::open_image;
use blindsight_network::{Fused, FusedOperation, Model, Polynomial, Shape, Source};
use tract_onnx::prelude::*;

fn case(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases").join(name);
    if path.is_file() {
        return Some(path);
    }
    println!("SKIPPED: no {}", path.display());
    None
}

/// Loads a case and checks, for the image beside it, that graph and fused network give these first scores.
fn scores_are(name: &str, input: impl Fn(&Model, &Path) -> Vec<f64>, expected: &[f64]) {
    let Some(path) = case(name) else { return };
    let model = Model::load(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let input = input(&model, path.parent().unwrap());
    let scores = model.graph.infer(&input).unwrap();
    let fused = model.fused().unwrap().infer(&input).unwrap();
    for (i, expected) in expected.iter().enumerate() {
        assert!((scores[i] - expected).abs() < 1e-4, "{name}: {scores:?}, expected {expected} at {i}");
    }
    let largest = scores.iter().fold(1e-3f64, |m, s| m.max(s.abs()));
    for (score, fused) in scores.iter().zip(&fused) {
        assert!((score - fused).abs() < 1e-9 * largest, "{name}: fused {fused}, expected {score}");
    }
}

fn image(model: &Model, folder: &Path) -> Vec<f64> {
    let shape = if model.graph.input.is_vector() { Shape::new(1, 28, 28) } else { model.graph.input };
    let (image, _) = open_image(&folder.join("img.png"), shape).unwrap();
    image.pixels().iter().map(|p| f64::from(*p) / 255.0).collect()
}

fn ramp(model: &Model, _: &Path) -> Vec<f64> {
    let values = model.graph.input.elements();
    (0..values).map(|i| i as f64 / (values - 1) as f64).collect()
}

#[test]
fn a_polynomial_reads_a_value_twice() {
    let expected = [-0.0102, -0.0579, -0.1146, -0.2557, -0.2918, -0.2428, 0.0186, 0.2574, 0.2254, 0.1148];
    scores_are("horner-a1/net.onnx", image, &expected);
}

#[test]
fn small_scores() {
    let expected = [0.0084, -0.0368, -0.0124, -0.0611, 0.0162, -0.0285, 0.0137, 0.0426, 0.0521, 0.0073];
    scores_are("small-scores/net.onnx", image, &expected);
    scores_are("small-scores/mse.onnx", image, &[]);
    scores_are("small-scores/ce.onnx", image, &[]);
}

#[test]
fn weights_in_a_second_file() {
    let Some(path) = case("default-export/default.onnx") else { return };
    let model = Model::load(&path).unwrap();
    let scores = model.graph.infer(&image(&model, path.parent().unwrap())).unwrap();
    assert_eq!(Model::class_of(&scores), 4);
    assert!((scores[4] - 0.1328).abs() < 1e-4, "{scores:?}");
    let refused = Model::from_bytes("alone", &std::fs::read(&path).unwrap()).unwrap_err().to_string();
    assert!(refused.contains("external data"), "{refused}");
}

#[test]
fn means_over_the_image() {
    for name in ["gap_dynamo", "gap_torchscript"] {
        let Some(path) = case(&format!("default-export/{name}.onnx")) else { return };
        let model = Model::load(&path).unwrap();
        let scores = model.graph.infer(&image(&model, path.parent().unwrap())).unwrap();
        assert_eq!(Model::class_of(&scores), 8);
        assert!((scores[8] - 0.3897).abs() < 1e-4, "{scores:?}");
    }
}

#[test]
fn vectors_and_rows() {
    scores_are("tabular/mlp30.onnx", ramp, &[-0.1755, -0.3357]);
    scores_are("tabular/conv1d.onnx", ramp, &[-0.1528, -0.0724, 0.0219, -0.3111, 0.0390]);
    scores_are("tabular/mlp784.onnx", image, &[]);
}

#[test]
fn one_function_scaled_three_ways_is_one_network() {
    let expected = [-0.1684, 0.0419, -0.1914, -0.0922, 0.1882, -0.0219, 0.1180, -0.1991, -0.0097, -0.1643];
    let mut plans = vec![];
    for name in ["good", "scaled", "huge"] {
        let name = format!("unbalanced/{name}.onnx");
        scores_are(&name, image, &expected);
        let Some(path) = case(&name) else { return };
        let model = Model::load(&path).unwrap();
        let fused = model.fused().unwrap();
        let trace = fused.trace(&image(&model, path.parent().unwrap())).unwrap();
        let largest = |values: &Vec<f64>| values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        println!("{name}: {:?}", trace.iter().map(largest).collect::<Vec<_>>());
        plans.push((fused, trace.iter().map(largest).collect::<Vec<_>>()));
    }
    let shapes = |fused: &Fused| fused.nodes.iter().map(|n| n.shape).collect::<Vec<_>>();
    for (fused, largest) in &plans[1..] {
        assert_eq!(shapes(fused), shapes(&plans[0].0));
        for (own, good) in largest.iter().zip(&plans[0].1) {
            assert!(own / good < 1000.0 && good / own < 1000.0, "{largest:?}, well scaled {:?}", plans[0].1);
        }
    }
}

/// Levels on the longest path.
fn levels(fused: &Fused) -> usize {
    let mut levels: Vec<usize> = vec![];
    for node in &fused.nodes {
        let before = node.sources().into_iter().map(|source| match source {
            Source::Input => 0,
            Source::Node(index) => levels[index],
        });
        let own = match &node.operation {
            FusedOperation::Polynomial { polynomial, .. } => Polynomial::depth(polynomial),
            _ => 1,
        };
        levels.push(own + before.max().unwrap_or(0));
    }
    levels.last().copied().unwrap_or(0)
}

#[test]
fn residual_networks() {
    // Four levels a block with two quadratics, three with one; the first and the last layer, which takes in
    // what is linear of the last block.
    for (name, expected) in [("resnet8", 15), ("resnet14", 27), ("resnet20", 39), ("one4", 13), ("one8", 25)]
    {
        let Some(path) = case(&format!("resnets/{name}.onnx")) else { return };
        let model = Model::load(&path).unwrap();
        let input: Vec<f64> = (0..3072).map(|i| ((i * 37 % 101) as f64 - 50.0) / 30.0).collect();
        let tract =
            tract_onnx::onnx().model_for_read(&mut Cursor::new(std::fs::read(&path).unwrap())).unwrap();
        let tract = tract.with_input_fact(0, f32::fact([1, 3, 32, 32]).into()).unwrap();
        let tract = tract.into_optimized().unwrap().into_runnable().unwrap();
        let floats: Vec<f32> = input.iter().map(|v| *v as f32).collect();
        let output = tract.run(tvec!(Tensor::from_shape(&[1, 3, 32, 32], &floats).unwrap().into())).unwrap();
        let theirs = output[0].to_plain_array_view::<f32>().unwrap();
        let scores = model.graph.infer(&input).unwrap();
        let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
        for (ours, theirs) in scores.iter().zip(theirs.iter()) {
            assert!((ours - f64::from(*theirs)).abs() < 1e-3 * largest, "{name}: {ours}, tract {theirs}");
        }
        let fused = model.fused().unwrap();
        for (score, fused) in scores.iter().zip(fused.infer(&input).unwrap()) {
            assert!((score - fused).abs() < 1e-8 * largest, "{name}: fused {fused}, expected {score}");
        }
        assert_eq!(levels(&fused), expected, "{name}");
    }
}

//! A shipped network on the real test images: its accuracy, and agreement with an independent runtime, which
//! all that ship have.
//!
//! Needs the model in `models/` and MNIST's files in `mnist/` below `BLINDSIGHT_DATA`, or else below
//! `../shared/data` beside the repository; says so and passes where one is not there.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Instant;

use blindsight_data::{Dataset, InputSpec, Split};
use blindsight_network::Model;
use tract_onnx::prelude::*;

const NEEDED_ACCURACY: f64 = 0.99;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn model_path() -> Option<PathBuf> {
    let path = repository().join("models/cryptonets-mnist.onnx");
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: no {}", path.display());
    None
}

/// The test images, for the model.
fn mnist(model: &Model) -> Option<Dataset> {
    let data = std::env::var_os("BLINDSIGHT_DATA")
        .map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let folder = data.join("mnist");
    if !folder.is_dir() {
        println!("skipped: no data set in {}", folder.display());
        return None;
    }
    let images = Dataset::open(&folder, Split::Test, &InputSpec::of(model));
    Some(images.unwrap_or_else(|e| panic!("{e}")))
}

#[test]
fn shipped_network_has_the_literature_s_shape() {
    let Some(path) = model_path() else { return };
    let model = Model::load(&path).unwrap();
    let kinds: Vec<_> = model.graph.nodes.iter().map(|l| l.operator.name()).collect();
    assert_eq!(kinds, ["convolution", "square", "flatten", "dense", "square", "dense"]);
    let sizes: Vec<_> = model.graph.shapes().unwrap().iter().map(|s| s.elements()).collect();
    assert_eq!(sizes, [845, 845, 845, 100, 100, 10]);
    let fused = model.fused().unwrap();
    assert_eq!(fused.nodes.len(), 5);
}

#[test]
fn shipped_network_is_as_accurate_as_it_says() {
    let Some(path) = model_path() else { return };
    let model = Model::load(&path).unwrap();
    let Some(images) = mnist(&model) else { return };
    let fused = model.fused().unwrap();
    let start = Instant::now();
    let scores: Vec<Vec<f64>> =
        (0..images.len()).map(|n| model.graph.infer(&images.input(n).unwrap().values).unwrap()).collect();
    let time = start.elapsed();
    let right = |n: &usize| images.label(*n) == Some(Model::class_of(&scores[*n]));
    let accuracy = (0..images.len()).filter(right).count() as f64 / images.len() as f64;
    println!("{} of {} images right, {:.2} s on one core", accuracy, images.len(), time.as_secs_f64());
    assert!(accuracy >= NEEDED_ACCURACY, "accuracy {accuracy}");
    if let Some(stated) = model.metadata.accuracy {
        assert!((accuracy - stated).abs() <= 2e-4, "the file says {stated}, measured {accuracy}");
    }
    let (inputs, _) = images.inputs(0..100).unwrap();
    assert_eq!(model.graph.infer_batch(&inputs).unwrap(), scores[..100]);
    for (input, scores) in inputs.iter().zip(&scores) {
        let fused = fused.infer(input).unwrap();
        assert!(fused.iter().zip(scores).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}

/// What an independent runtime says.
fn tract(path: &Path, shape: [usize; 3], inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let dims = [&[1], &shape[..]].concat();
    let tract = tract_onnx::onnx().model_for_read(&mut Cursor::new(std::fs::read(path).unwrap())).unwrap();
    let tract = tract.with_input_fact(0, f32::fact(&dims).into()).unwrap();
    let tract = tract.into_optimized().unwrap().into_runnable().unwrap();
    let run = |input: &Vec<f64>| {
        let floats: Vec<f32> = input.iter().map(|v| *v as f32).collect();
        let output = tract.run(tvec!(Tensor::from_shape(&dims, &floats).unwrap().into())).unwrap();
        output[0].to_plain_array_view::<f32>().unwrap().iter().map(|score| f64::from(*score)).collect()
    };
    inputs.iter().map(run).collect()
}

#[test]
fn shipped_network_agrees_with_tract() {
    let Some(path) = model_path() else { return };
    let model = Model::load(&path).unwrap();
    let Some(images) = mnist(&model) else { return };
    let (inputs, _) = images.inputs(0..100).unwrap();
    for (n, (input, expected)) in inputs.iter().zip(tract(&path, [1, 28, 28], &inputs)).enumerate() {
        let scores = model.graph.infer(input).unwrap();
        for (ours, theirs) in scores.iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-3, "image {n}: {ours}, tract {theirs}");
        }
    }
}

/// All that ship, those whose files hold weights in half precision among them, on smooth pictures.
#[test]
fn every_shipped_network_agrees_with_tract() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let model = Model::load(&path).unwrap();
        let cifar = model.metadata.dataset.as_deref() == Some("cifar10");
        let shape = if cifar { [3, 32, 32] } else { [1, 28, 28] };
        let size = shape.iter().product::<usize>();
        let smooth = |seed: usize| (0..size).map(|i| ((i + 97 * seed) as f64 / 60.0).sin() / 2.0).collect();
        let inputs: Vec<Vec<f64>> = (0..2).map(smooth).collect();
        for (input, expected) in inputs.iter().zip(tract(&path, shape, &inputs)) {
            let scores = model.graph.infer(input).unwrap();
            let largest = expected.iter().fold(0.0f64, |m, s| m.max(s.abs()));
            for (ours, theirs) in scores.iter().zip(&expected) {
                assert!((ours - theirs).abs() < 1e-3 * largest, "{}: {ours}, tract {theirs}", path.display());
            }
        }
        seen += 1;
    }
    assert!(seen >= 10, "{seen} networks");
}

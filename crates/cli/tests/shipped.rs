//! Every shipped model: its file is the one that was trained, it is as accurate as it says, and it runs
//! encrypted.

mod common;

use blindsight_data::{Dataset, InputSource, InputSpec, Split};
use blindsight_network::Model;
use common::{Folder, data, digit};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How many test images are looked at.
const SAMPLE: usize = 500;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// The names that the binary lists.
fn shipped(folder: &Folder) -> Vec<String> {
    let document = folder.json("models");
    let models = document["models"].as_array().expect("models");
    models.iter().map(|model| model["name"].as_str().expect("a name").into()).collect()
}

/// `models/SHA256SUMS` as `sha256sum` writes it: digests by file.
fn sums() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(models().join("SHA256SUMS")).expect("models/SHA256SUMS");
    let line = |line: &str| line.split_once("  ").map(|(sum, file)| (file.to_string(), sum.to_string()));
    text.lines().map(|text| line(text).expect("a digest and a file")).collect()
}

#[test]
fn files_are_those_that_were_trained() {
    let folder = Folder::new("sums");
    let mut sums = sums();
    for name in shipped(&folder) {
        let file = format!("{name}.onnx");
        let bytes = std::fs::read(models().join(&file)).expect("a shipped model's file");
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(digest), sums.remove(&file), "{file}; `cd models && sha256sum *.onnx > SHA256SUMS`");
        assert!(models().join(format!("{name}.md")).exists(), "{name} has no card");
    }
    assert!(sums.is_empty(), "digests of files that are not shipped: {sums:?}");
}

/// On the data set where it is, on the drawn digits anywhere.
#[test]
fn models_are_as_accurate_as_they_say() {
    let folder = Folder::new("accurate");
    for name in shipped(&folder) {
        let model = Model::load(&models().join(format!("{name}.onnx"))).expect("a model");
        let spec = InputSpec::of(&model);
        let dataset = model.metadata.dataset.clone().expect("the data set's name");
        let stated = model.metadata.accuracy.expect("an accuracy");
        let best = |input: &[f64]| Model::class_of(&model.graph.infer(input).expect("scores"));
        if dataset == "mnist" {
            let drawn = |n: usize| InputSource::File(digit(n).into()).load(&spec).expect("a digit").values;
            let right = (0..10).filter(|n| best(&drawn(*n)) == *n).count();
            assert!(right >= 9, "{name} recognises {right} of the ten drawn digits");
        }
        let Some(path) = data(&dataset) else { continue };
        let images = Dataset::open(&path, Split::Test, &spec).expect("a data set");
        let (inputs, labels) = images.inputs(0..SAMPLE).expect("images");
        let right = inputs.iter().zip(labels).filter(|(input, label)| best(input) == *label).count();
        let right = right as f64 / SAMPLE as f64;
        // Four deviations of a sample of this size.
        let allowed = 4.0 * (stated * (1.0 - stated) / SAMPLE as f64).sqrt();
        println!("{name}: {right} of the first {SAMPLE}, {stated} of all");
        assert!((right - stated).abs() <= allowed, "{name}: {right}, not {stated} within {allowed}");
    }
}

/// One image each: a drawn digit, or a test image where the model takes no digits.
#[test]
fn models_give_the_same_label_encrypted() {
    let folder = Folder::new("shipped");
    for name in shipped(&folder) {
        let model = Model::load(&models().join(format!("{name}.onnx"))).expect("a model");
        let shape = model.graph.input;
        let dataset = model.metadata.dataset.as_deref().unwrap_or_default();
        let image = match (dataset, data(dataset)) {
            ("mnist", _) => digit(4),
            (_, Some(path)) => format!("{}:0", path.display()),
            _ => {
                let colour = if shape.channels == 1 { common::Colour::Grey } else { common::Colour::Rgb };
                let black = common::black_png(shape.width as u32, shape.height as u32, colour);
                folder.file("black.png", &black).display().to_string()
            }
        };
        let document = folder.json(&format!("classify {name} {image} --exact-scores"));
        let scores = |field: &str| -> Vec<f64> {
            document[field].as_array().expect("scores").iter().filter_map(Value::as_f64).collect()
        };
        let (encrypted, plain) = (scores("scores"), scores("plain_scores"));
        assert_eq!(Model::class_of(&encrypted), Model::class_of(&plain), "{name}: {document}");
        let error = document["max_abs_error"].as_f64().expect("a number");
        println!("{name}: {}, largest error {error:.1e}", document["label"]);
        // The largest of ten: eight deviations leave room for images with larger values than the probe's, and
        // next to none for a wrong plan.
        let predicted = document["predicted_error"].as_f64().expect("a number");
        assert!(error < 8.0 * predicted, "{name}: {error} where {predicted} is predicted");
    }
}

/// Weights that are zero are no operations: of the batch plan's products at least half are gone, of `auto`'s
/// products or key-switches a third.
#[test]
fn pruned_weights_cost_nothing() {
    let folder = Folder::new("pruned");
    let rows = |name: &str, objective: &str| {
        let document = folder.json(&format!("compare {name} --objective {objective}"));
        let rows = document["rows"].as_array().expect("rows").clone();
        move |representation: &str, count: &str| {
            let row = rows.iter().find(|row| row["representation"] == representation).expect("a row");
            row["totals"][count].as_u64().expect("a count") as f64
        }
    };
    for objective in ["latency", "operations"] {
        let (whole, pruned) =
            (rows("cryptonets-mnist", objective), rows("cryptonets-pruned-mnist", objective));
        let left = |representation, count| pruned(representation, count) / whole(representation, count);
        assert!(left("cryptonets", "plaintext_multiplications") <= 0.5, "{objective}");
        let counts = ["plaintext_multiplications", "key_switches"].map(|count| left("auto", count));
        println!("{objective}: {counts:?} of products and key-switches are left");
        assert!(counts.iter().any(|left| *left <= 2.0 / 3.0), "{objective}: {counts:?}");
        assert!(left("auto", "hops") < 1.0, "{objective}");
    }
    // The image itself has too large an error here, so that there are windows.
    let upload = folder.json("explain cryptonets-pruned-mnist --objective upload");
    assert!(upload["predicted_error"].as_f64().expect("a number") < 0.0625, "{upload}");
}

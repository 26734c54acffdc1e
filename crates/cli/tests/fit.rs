//! `fit`, as a script would use it: a network with ReLU into one that is evaluated encrypted.

mod common;

use blindsight_network::{Dense, Graph, Metadata, Model, Operator, Shape};
use common::{Folder, assert_fields};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// A folder with data in MNIST's format: digits as two-pixel patterns, so many, in the training part.
fn patterns(folder: &Folder, count: usize) {
    let (mut images, mut labels) = (vec![], vec![]);
    for word in [0x0803, count as u32, 28, 28] {
        images.extend(word.to_be_bytes());
    }
    for word in [0x0801, count as u32] {
        labels.extend(word.to_be_bytes());
    }
    for n in 0..count {
        let class = n % 10;
        let pixel =
            |i: usize| if i / 28 / 3 == class { 200 + (i * n % 50) as u8 } else { (i * (n + 7) % 40) as u8 };
        images.extend((0..784).map(pixel));
        labels.push(class as u8);
    }
    for (name, bytes) in [("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)] {
        let mut file = std::fs::File::create(folder.path(name)).expect("a file");
        file.write_all(&bytes).expect("written");
    }
}

/// The network with ReLU that the crate `fit` is tested on.
fn network() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fit/tests/files/plain-relu.onnx");
    path.display().to_string()
}

fn data(folder: &Folder) -> String {
    folder.path("").display().to_string()
}

#[test]
fn a_network_becomes_one_that_can_be_explained() {
    let folder = Folder::new("fit");
    let Some(mnist) = common::data("mnist") else { return };
    let labels = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"].join("\n");
    folder.file("names.txt", labels.as_bytes());
    let normalised = "--mean 0.1307 --std 0.3081 --labels {names.txt}";
    let document = folder.json(&format!(
        "fit {} --data {} {normalised} --degree 2 --count 400 --out {{out.onnx}} --plot {{plot.svg}}",
        network(),
        mnist.display()
    ));
    let fields = [
        "model",
        "out",
        "count",
        "accuracy_before",
        "accuracy_after",
        "agree",
        "score_bound",
        "score_rms",
        "levels",
        "predicted_ms",
    ];
    assert_fields(&document, &fields);
    assert_eq!(document["count"], 400);
    let activations = document["activations"].as_array().expect("a list");
    assert_eq!(activations.len(), 3);
    assert_fields(&activations[0], &["name", "function", "degree", "low", "high", "rms_error"]);
    assert_fields(&document["tried"][0], &["degree", "accuracy", "predicted_ms"]);
    let explained = folder.json("explain {out.onnx}");
    assert_eq!(explained["levels"], document["levels"]);
    let plot = std::fs::read_to_string(folder.path("plot.svg")).expect("a plot");
    assert!(plot.starts_with("<svg") && plot.contains("degree 2"));
}

/// Features far from 0 to 1, as standardised ones are: two clouds, told apart by the sign of their sum.
fn standardised(folder: &Folder, count: usize) {
    let mut text = String::from("a,b,c,kind\n");
    for n in 0..count {
        let (sign, kind) = if n % 2 == 0 { (2.0, "benign, small") } else { (-2.0, "malign") };
        let noise = |k: usize| ((n * (k + 3) * 7919) % 101) as f64 / 50.0 - 1.0;
        let [a, b, c] = [1, 2, 3].map(|k| sign + noise(k));
        writeln!(text, "{a},{b},{c},\"{kind}\"").expect("text");
    }
    folder.file("features.csv", text.as_bytes());
}

/// A dense layer of two scores, the sum of the features and its negative.
fn sums() -> Vec<u8> {
    sums_with(|shape| Metadata::new(shape, 2))
}

fn sums_with(metadata: impl Fn(Shape) -> Metadata) -> Vec<u8> {
    let dense = Dense { rows: 2, columns: 3, weights: [[1.0; 3], [-1.0; 3]].concat(), bias: vec![0.0; 2] };
    let graph = Graph::chain(Shape::vector(3), [("sum".into(), Operator::Dense(dense))]);
    graph.to_onnx(&metadata(graph.input)).expect("a file")
}

/// What is fitted takes features as they come, and classes have the data's names.
#[test]
fn standardised_features_are_not_clamped_and_classes_have_the_names_of_the_data() {
    let folder = Folder::new("features");
    standardised(&folder, 200);
    folder.file("net.onnx", &sums());
    folder.json("fit {net.onnx} --data {features.csv} --out {out.onnx}");
    let row = format!("{}:1", folder.path("features.csv").display());
    let document = folder.json(&format!("classify {{out.onnx}} {row}"));
    assert_eq!(document["label"], "malign", "{document}");
    assert_eq!(document["warnings"].as_array().map(Vec::len), Some(0), "{document}");
    let far = document["scores"][1].as_f64().expect("a score");
    assert!((far - document["plain_scores"][1].as_f64().expect("a score")).abs() < 0.05, "{document}");
    assert!(far > 3.0, "{document}");
    let other = folder.json(&format!("classify {{out.onnx}} {}", row.replace(":1", ":0")));
    assert_eq!(other["label"], "benign, small", "a label with a comma");
    let fitted = Model::load(&folder.path("out.onnx")).expect("a network");
    assert_eq!(fitted.metadata.features, Some(["a", "b", "c"].map(String::from).to_vec()));
}

/// Names that the file has are kept, whatever the table calls its columns.
#[test]
fn features_that_a_file_names_keep_their_names() {
    let folder = Folder::new("named");
    standardised(&folder, 200);
    let named = ["age, in years", "height", "weight"].map(String::from).to_vec();
    let metadata = |shape| Metadata { features: Some(named.clone()), ..Metadata::new(shape, 2) };
    folder.file("net.onnx", &sums_with(metadata));
    folder.json("fit {net.onnx} --data {features.csv} --out {out.onnx}");
    let fitted = Model::load(&folder.path("out.onnx")).expect("a network");
    assert_eq!(fitted.metadata.features, Some(named));
}

/// Pixels that nobody normalised are said to be taken as they are; others not.
#[test]
fn pixels_of_which_nothing_is_said_are_noted() {
    let folder = Folder::new("noted");
    patterns(&folder, 100);
    let fit = |flags: &str| {
        folder.json(&format!(
            "fit {} --data {} --out {{out.onnx}} --degree 2 {flags}",
            network(),
            data(&folder)
        ))
    };
    let notes = |document: &serde_json::Value| document["assumptions"].as_array().expect("a list").len();
    assert_eq!(notes(&fit("")), 1);
    assert_eq!(notes(&fit("--mean 0 --std 1")), 0);
}

#[test]
fn what_is_no_calibration_data_is_named() {
    let folder = Folder::new("calibration");
    standardised(&folder, 120);
    let text = std::fs::read_to_string(folder.path("features.csv")).expect("a table");
    folder.file("nan.csv", text.replacen("malign", "malign\"\nNaN,1,1,\"malign", 1).as_bytes());
    let refused =
        |model: &str, data: &str| folder.fails(1, &format!("fit {model} --data {data} --out {{out.onnx}}"));
    folder.file("net.onnx", &sums());
    let said = refused("{net.onnx}", "{nan.csv}");
    assert!(said.contains("nan.csv, row 2, column \"a\"") && said.contains("finite"), "{said}");
    let said = refused(&network(), "{features.csv}");
    assert!(
        said.contains("features.csv") && said.contains("784 columns") && said.contains("found 4"),
        "{said}"
    );
    assert!(!folder.path("out.onnx").exists());
}

/// A fit that is killed goes on where it was, and says so; what it leaves then is what it would have left.
#[test]
fn a_fit_that_was_killed_goes_on() {
    let folder = Folder::new("killed");
    patterns(&folder, 200);
    let command = |out: &str| {
        format!("fit {} --data {} --count 80 --max-drop 3 --out {{{out}}}", network(), data(&folder))
    };
    let findings = folder.path("out.onnx.findings");
    let count = || std::fs::read_to_string(&findings).map_or(0, |text| text.lines().skip(1).count());
    let mut fit = folder.start(&command("out.onnx"));
    while count() < 2 && fit.try_wait().expect("it was started").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    fit.kill().expect("it runs");
    fit.wait().expect("it ends");
    let known = count();
    assert!(known >= 2, "{known} findings");
    let output = folder.run(&command("out.onnx"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(&format!("{known} findings")), "{said}");
    assert!(!findings.exists());
    let whole = folder.run(&command("whole.onnx"));
    assert!(!String::from_utf8_lossy(&whole.stderr).contains("findings"));
    let read = |name: &str| std::fs::read(folder.path(name)).expect("written");
    assert_eq!(read("out.onnx"), read("whole.onnx"));
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_written() {
    let folder = Folder::new("unfit");
    patterns(&folder, 120);
    folder.file("names.txt", b"only\ntwo\n");
    let refused = |flags: &str| {
        let output =
            folder.run(&format!("fit {} --data {} --out {{out.onnx}} {flags}", network(), data(&folder)));
        assert!(!output.status.success(), "{flags}");
        assert!(!folder.path("out.onnx").exists() && !folder.path("out.onnx.findings").exists(), "{flags}");
        [output.stdout, output.stderr].iter().map(|text| String::from_utf8_lossy(text)).collect::<String>()
    };
    assert!(refused("--count 20").contains("50 or more"));
    assert!(refused("--std 0").contains("positive"));
    assert!(refused("--mean 0.1,0.2").contains("expected 1, got 2"));
    assert!(refused("--labels {names.txt}").contains("expected 10 lines"));
    assert!(refused("--max-drop=-3").contains("0 to 100"));
    assert!(refused("--degree 1").contains("2..=31"));
    assert!(refused("--replace everything").contains("max-pool"));
}

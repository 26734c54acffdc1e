//! `fit`, as a script would use it: a network with ReLU into one that is evaluated encrypted.

mod common;

use common::{Folder, assert_fields};
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

#[test]
fn what_does_not_fit_is_named_and_nothing_is_written() {
    let folder = Folder::new("unfit");
    patterns(&folder, 120);
    folder.file("names.txt", b"only\ntwo\n");
    let refused = |flags: &str| {
        let output =
            folder.run(&format!("fit {} --data {} --out {{out.onnx}} {flags}", network(), data(&folder)));
        assert!(!output.status.success(), "{flags}");
        assert!(!folder.path("out.onnx").exists(), "{flags}");
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

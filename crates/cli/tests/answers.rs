//! What an answer says beside its label: the best classes, the margin, and whether it is too close to call.

mod common;

use blindsight_data::open_image;
use blindsight_network::{Image, Model};
use common::{Colour, Folder, assert_fields, digit, png};
use serde_json::Value;
use std::path::Path;

const NAME: &str = "lola-small-mnist";

fn model() -> Model {
    Model::from_bytes(NAME, include_bytes!("../../../models/lola-small-mnist.onnx"))
        .expect("the shipped model")
}

fn sample(n: usize, model: &Model) -> Image {
    open_image(Path::new(&digit(n)), model.graph.input).expect("a sample").0
}

/// How far the best score is above the next one.
fn margin(scores: &[f64]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted[0] - sorted[1]
}

/// So many 255ths of one image and the rest of another.
fn blend(first: &Image, second: &Image, share: u32) -> Vec<u8> {
    let mixed = |(a, b): (&u8, &u8)| ((u32::from(*a) * share + u32::from(*b) * (255 - share)) / 255) as u8;
    first.pixels().iter().zip(second.pixels()).map(mixed).collect()
}

/// For each two drawn digits, the margin in the clear and the pixels of the blend whose best two scores are
/// nearest to each other.
fn close_blends(model: &Model) -> Vec<(f64, Vec<u8>)> {
    let samples: Vec<Image> = (0..10).map(|n| sample(n, model)).collect();
    let margin_of = |pixels: Vec<u8>| {
        let image = Image::new(model.graph.input, pixels.clone()).expect("as many pixels");
        (margin(&model.scores(&image).expect("the model's shape")), pixels)
    };
    let closest = |(a, b): (usize, usize)| {
        let blends = (64..192).map(|share| margin_of(blend(&samples[a], &samples[b], share)));
        blends.min_by(|a, b| a.0.total_cmp(&b.0)).expect("blends")
    };
    (0..10).flat_map(|a| (0..a).map(move |b| (a, b))).map(closest).collect()
}

/// The pixels of the closest of them all.
fn closest_blend(model: &Model) -> Vec<u8> {
    close_blends(model).into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("blends").1
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Asserts that the fields agree with each other.
fn assert_consistent(document: &Value) {
    assert_fields(document, &["label", "name", "top", "margin", "predicted_error", "too_close", "warnings"]);
    let top = document["top"].as_array().expect("the best classes");
    assert_eq!((top.len(), &top[0]["label"]), (5, &document["label"]), "{document}");
    assert_eq!(top[0]["name"], document["name"]);
    assert!(top.iter().all(|class| class.get("probability").is_some_and(Value::is_null)), "{document}");
    let scores: Vec<f64> = top.iter().map(|class| number(&class["score"])).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{document}");
    let (apart, step) = (scores[0] - scores[1], 2.5 * number(&document["predicted_error"]));
    assert!((number(&document["margin"]) - apart).abs() <= 1.5 * step, "{document}");
    let told = document["warnings"].as_array().expect("warnings").iter();
    let told = told.filter(|w| w.as_str().is_some_and(|w| w.contains("too close to call"))).count();
    assert_eq!(document["too_close"], told == 1, "{document}");
}

#[test]
fn a_clear_answer_has_its_margin_and_no_mark() {
    let folder = Folder::new("clear-answer");
    for command in [format!("classify {NAME} {}", digit(4)), "demo --digit 4".into()] {
        let document = folder.json(&command);
        assert_consistent(&document);
        assert_eq!((document["name"].as_str(), &document["too_close"]), (Some("4"), &Value::Bool(false)));
        let said = folder.says(&command);
        assert!(said.contains("margin") && said.contains("predicted error"), "{said}");
        assert!(!said.contains("too close"), "{said}");
    }
}

#[test]
fn a_blend_of_two_digits_is_marked_as_too_close_to_call() {
    let (folder, model) = (Folder::new("blend"), model());
    let file = folder.file("blend.png", &png(28, Colour::Grey, &closest_blend(&model))).display().to_string();
    folder.says(&format!("plan {NAME} --out {{net.plan}}"));
    folder.says("keygen --plan {net.plan} --secret {my.secret} --keys {my.keys}");
    folder
        .says(&format!("encrypt --plan {{net.plan}} --secret {{my.secret}} --in {file} --out {{blend.enc}}"));
    let infer = "--plan {net.plan} --keys {my.keys} --in {blend.enc} --out {reply}";
    folder.says(&format!("infer {NAME} {infer}"));
    let decrypt = "decrypt --plan {net.plan} --secret {my.secret} --in {reply}";
    let exact = format!("{decrypt} --exact-scores");
    for command in [format!("classify {NAME} {file}"), decrypt.into(), exact] {
        let document = folder.json(&command);
        assert_consistent(&document);
        assert_eq!(document["too_close"], true, "{document}");
        let said = folder.says(&command);
        let marks = said.lines().filter(|line| line.contains("too close to call: ")).count();
        assert_eq!(marks, 2, "one beside the label, one with figures: {said}");
    }
}

/// A data set in MNIST's format of these images, which are all of class 0.
fn data_set(folder: &Folder, images: &[&[u8]]) -> String {
    let header = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let count = images.len() as u32;
    let pixels = [header(&[0x0803, count, 28, 28]), images.concat()].concat();
    folder.file("t10k-images-idx3-ubyte", &pixels);
    folder.file("t10k-labels-idx1-ubyte", &[header(&[0x0801, count]), vec![0; images.len()]].concat());
    folder.path("").display().to_string()
}

#[test]
fn an_evaluation_counts_what_is_too_close_to_call() {
    let (folder, model) = (Folder::new("close-evaluated"), model());
    let (close, clear) = (closest_blend(&model), sample(0, &model));
    let data = data_set(&folder, &[&close, clear.pixels(), &close]);
    let evaluate = format!("evaluate {NAME} --data {data} --encrypted --resume {{journal}}");
    for resumed in [0, 3] {
        let document = folder.json(&evaluate);
        let figures = ["count", "too_close", "refused", "resumed"].map(|name| document[name].as_u64());
        assert_eq!(figures, [3, 2, 0, resumed].map(Some), "{document}");
    }
    assert!(folder.says(&evaluate).contains("too close to call, and told"));
    let plain = folder.json(&format!("evaluate {NAME} --data {data}"));
    assert!(plain["too_close"].is_null() && plain["refused"].is_null(), "{plain}");
}

/// Blends on the edge between two classes: where encryption changes a label, the answer says that it may.
#[test]
fn no_label_flips_in_silence() {
    let (folder, model) = (Folder::new("flips"), model());
    let blends = close_blends(&model);
    let images: Vec<&[u8]> = blends.iter().map(|(_, pixels)| pixels.as_slice()).collect();
    let data = data_set(&folder, &images);
    let document = folder.json(&format!("evaluate {NAME} --data {data} --encrypted --resume {{journal}}"));
    let journal = std::fs::read_to_string(folder.path("journal")).expect("a journal");
    let entries = journal.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let flipped: Vec<Value> = entries.filter(|entry| entry["encrypted"] != entry["plain"]).collect();
    println!("{} of {} labels flipped, {} marked", flipped.len(), images.len(), document["too_close"]);
    assert!(flipped.iter().all(|entry| entry["too_close"] == true), "{flipped:?}");
}

/// Files that say nothing of their scores, which are far from those of most networks.
#[test]
fn small_scores_give_the_right_label_and_say_what_was_estimated() {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/small-scores");
    if !cases.is_dir() {
        return println!("SKIPPED: no {}", cases.display());
    }
    let folder = Folder::new("small-scores");
    for (name, label) in [("net", 8), ("mse", 6), ("ce", 2)] {
        let command = format!("classify {0}/{name}.onnx {0}/img.png", cases.display());
        let document = folder.json(&command);
        assert_eq!(document["label"], label.to_string(), "{name}");
        let largest = document["plain_scores"].as_array().expect("scores").iter().map(number);
        let largest = largest.fold(0.0, |most: f64, score| most.max(score.abs()));
        assert!(number(&document["max_abs_error"]) < 0.02 * largest, "{name}: {document}");
        let warnings = document["warnings"].to_string();
        assert!(warnings.contains("score bound") && warnings.contains("estimate"), "{warnings}");
    }
}

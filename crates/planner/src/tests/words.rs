//! What is said of a plan agrees with the plan.

use super::{Model, Options, Packing, Plan};
use crate::plan;
use blindsight_layout::{Im2col, InputLayout};
use std::path::Path;

/// The numbers in a text, in their order.
fn numbers(text: &str) -> Vec<usize> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// The shipped models that are planned in seconds.
fn shipped() -> Vec<Model> {
    const QUICK: u64 = 1 << 23;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let files = std::fs::read_dir(folder).expect("models/").map(|entry| entry.expect("an entry").path());
    let models: Vec<_> = files.filter(|file| file.extension().is_some_and(|e| e == "onnx")).collect();
    assert!(models.len() >= 9, "{models:?}");
    let models = models.iter().map(|file| Model::load(file).expect("a shipped model"));
    models.filter(|model| model.graph.multiplications().expect("a number") < QUICK).collect()
}

/// Asserts what is said of an input in im2col form: that it adds up, and that it is what is sent.
fn assert_said_rightly(model: &Model, plan: &Plan, im2col: &Im2col) {
    let said = plan.public.input.to_string();
    let (positions, outputs, sent, each) = match numbers(&said)[..] {
        [positions, sent, each] => (positions, 1, sent, each),
        [positions, outputs, sent, each] => (positions, outputs, sent, each),
        _ => panic!("{}: {said}", model.name),
    };
    let apart = outputs * positions.div_ceil(each);
    assert_eq!(said.contains("up to"), !positions.is_multiple_of(each), "{}: {said}", model.name);
    assert_eq!(said.contains("equal ones are sent once"), sent < apart, "{}: {said}", model.name);
    assert!(sent <= apart, "{}: {said}", model.name);

    // No two pixels are the same: what is equal then is equal for every image.
    let elements = model.graph.input.elements();
    let image: Vec<f64> = (0..elements).map(|i| (i + 1) as f64 / (elements + 1) as f64).collect();
    let mut written = plan.public.write(&image).expect("the image fits");
    assert_eq!(sent, written.len(), "{}: {said}", model.name);
    written.sort_by(|a, b| a.partial_cmp(b).expect("finite values"));
    written.dedup();
    assert_eq!(sent, written.len(), "{}: equal ciphertexts are sent: {said}", model.name);
    assert_eq!(positions, im2col.taps.len(), "{}: {said}", model.name);
    assert_eq!(
        (outputs, each),
        (im2col.output.ciphertexts, im2col.output.blocks.parts),
        "{}: {said}",
        model.name
    );
}

#[test]
fn kernel_positions_ciphertexts_and_how_many_each_holds_agree() {
    let mut looked_at = 0;
    for model in shipped() {
        for packing in [Packing::Auto, Packing::Im2col(1), Packing::Im2col(2), Packing::Im2col(3)] {
            let options = Options { packing, ..Options::default() };
            let Ok(plan) = plan(&model, &options) else { continue };
            if let InputLayout::Im2col(im2col) = &plan.public.input {
                assert_said_rightly(&model, &plan, im2col);
                looked_at += 1;
            }
        }
    }
    assert!(looked_at >= 20, "{looked_at} plans");
}

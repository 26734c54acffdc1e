//! Every obstacle at once.

use crate::testing::{File, int, ints, value};
use crate::{Examination, Model};

fn examine(file: &File) -> Examination {
    Model::examine_bytes("test", &file.bytes()).unwrap_or_else(|e| panic!("{e}"))
}

/// The nodes and operators of all problems.
fn places(examination: &Examination) -> Vec<(&str, &str)> {
    examination.problems.iter().map(|p| (p.node.as_str(), p.operator.as_str())).collect()
}

#[test]
fn a_sound_file_has_no_problems() {
    let file = File::new(&[1, 6, 6]).random("w", &[2, 1, 3, 3], 1.0).node("Conv", &["x", "w"], "c", vec![]);
    let file = file.node("Mul", &["c", "c"], "s", vec![]).node("Flatten", &["s"], "f", vec![]);
    let file = file.random("v", &[32, 3], 1.0).node("MatMul", &["f", "v"], "y", vec![]);
    let examination = examine(&file.clone().output("y"));
    assert_eq!(examination.problems, []);
    assert_eq!(
        examination.model,
        Some(Model::from_bytes("test", &file.clone().output("y").bytes()).unwrap())
    );
    assert_eq!(examination.inputs[0].name, "x");
    assert_eq!(examination.inputs[0].dims, [None, Some(1), Some(6), Some(6)]);
    assert_eq!((&*examination.outputs[0].name, examination.outputs[0].dims.len()), ("y", 0));
    let said = examination.assumptions.join("\n");
    for word in ["blindsight.mean", "blindsight.labels", "blindsight.score_bound"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let told = [("mean", "0.5"), ("std", "0.5"), ("labels", "a,b,c"), ("score_bound", "9")];
    let file = told.iter().fold(file, |file, (key, value)| file.entry(&format!("blindsight.{key}"), value));
    assert_eq!(examine(&file.output("y")).assumptions, [""; 0]);
}

/// A normalisation that is not understood keeps its shape; behind it the walk goes on.
fn troubled() -> File {
    let file = File::new(&[2, 8, 8]).random("w", &[3, 2, 3, 3], 1.0).random("bad", &[4, 5, 3, 3], 1.0);
    let file = file.node("Conv", &["x", "w"], "c", vec![]).node("Relu", &["c"], "r", vec![]);
    let file = file.random("g", &[3], 1.0).random("b", &[3], 1.0);
    let file = file.node("InstanceNormalization", &["r", "g", "b"], "n", vec![]);
    let file =
        file.node("MaxPool", &["n"], "m", vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]);
    let file = file.node("Conv", &["m", "bad"], "d", vec![]).node("Sigmoid", &["d"], "e", vec![]);
    file.node("Det", &["e"], "f", vec![])
}

#[test]
fn all_problems_in_their_order() {
    let file = troubled().node("Softmax", &["r"], "s", vec![int("axis", 1)]).output("f");
    let examination = examine(&file);
    let expected = [
        ("r", "Relu"),
        ("n", "InstanceNormalization"),
        ("m", "MaxPool"),
        // The Sigmoid after it depends on an unknown shape: nothing is said of it.
        ("d", "Conv"),
        ("f", "Det"),
        ("s", "Softmax"),
    ];
    assert_eq!(places(&examination), expected);
    assert_eq!(examination.model, None);
    let remedies: Vec<&str> = examination.problems.iter().map(|p| p.remedy.as_str()).collect();
    for (place, words) in [(0, "blindsight fit"), (1, "batch normalisation"), (2, "--replace max-pool")] {
        assert!(remedies[place].contains(words), "{remedies:?}");
    }
    assert!(examination.problems[3].reason.contains("3 input channels"), "{:?}", examination.problems[3]);
}

/// With its shape declared, what a refused node makes is known, and so is what reads it.
#[test]
fn declared_shapes_carry_the_walk_on() {
    let mut file = troubled().output("f");
    file.graph().value_info = vec![value("d", Some(&[4, 1, 1]))];
    let found = examine(&file);
    assert_eq!(places(&found)[3..], [("d", "Conv"), ("e", "Sigmoid"), ("f", "Det")]);
}

#[test]
fn activations_and_pools_alone_are_problems_of_a_model_that_runs_in_the_clear() {
    let file = File::new(&[1, 6, 6]).node("Relu", &["x"], "r", vec![]);
    let file = file.node("MaxPool", &["r"], "m", vec![ints("kernel_shape", &[2, 2])]).node(
        "Flatten",
        &["m"],
        "f",
        vec![],
    );
    let file = file.random("v", &[25, 3], 1.0).node("MatMul", &["f", "v"], "s", vec![]);
    let examination = examine(&file.node("Softmax", &["s"], "y", vec![]).output("y"));
    assert_eq!(places(&examination), [("r", "Relu"), ("m", "MaxPool")]);
    let model = examination.model.expect("it can be read");
    assert_eq!(model.graph.infer(&[0.5; 36]).unwrap().len(), 3);
    assert!(examination.assumptions.iter().any(|a| a.contains("Softmax")), "{:?}", examination.assumptions);
}

/// What a file as a whole lacks is said with what its nodes lack.
#[test]
fn problems_of_the_file() {
    let mut file =
        File::new(&[3]).node("Mul", &["x", "x"], "s", vec![]).node("Det", &["s"], "y", vec![]).output("y");
    file.model.opset_import[0].version = 3;
    let found = examine(&file);
    assert_eq!(places(&found), [("y", "Det"), ("", "")]);
    assert!(found.problems[1].reason.contains("operator set"), "{found:?}");
    let mut two = File::new(&[3]).node("Det", &["x"], "y", vec![]).output("y");
    two.graph().input.push(value("x2", Some(&[3])));
    let found = examine(&two);
    assert_eq!(places(&found), [("y", "Det"), ("", "")]);
    assert!(found.problems[1].reason.contains("inputs of the network"), "{found:?}");
    assert_eq!(found.inputs.len(), 2);
    let entry =
        File::new(&[3]).node("Mul", &["x", "x"], "y", vec![]).output("y").entry("blindsight.mean", "a");
    let found = examine(&entry);
    assert!(found.problems[0].remedy.contains("blindsight.mean"), "{found:?}");
}

#[test]
fn what_is_no_model_is_an_error() {
    assert!(Model::examine_bytes("none", b"GIF89a").is_err());
    assert!(Model::examine(std::path::Path::new("/nowhere/net.onnx")).is_err());
}

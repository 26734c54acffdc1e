//! Networks whose files end in a softmax or a sigmoid: the server computes scores, the client the rest.

use blindsight_client::{Classification, Client};
use blindsight_network::{FinalActivation, Model};
use blindsight_packing::planner::{self, Options};
use blindsight_server::PreparedModel;

/// A model, and what the client decrypts for an input.
fn exchanged(name: &str, bytes: &[u8], input: &[f64]) -> (Model, Classification) {
    let model = Model::from_bytes(name, bytes).expect("a sound file");
    let plan = planner::plan(&model, &Options::default()).expect("it can be planned");
    let server = PreparedModel::new(&model, &plan).expect("its own plan");
    let client = Client::generate(plan.public.clone(), plan.digest()).expect("sound parameters");
    let keys = client.evaluation_keys(|_, _| {}).expect("keys");
    let keys = server.read_keys(&keys[..]).expect("its own keys");
    let request = client.encrypt_input(input).expect("an input of the right size");
    let reply = server.infer(&keys, &request[..]).expect("a sound request");
    let answer = client.exact_scores(&reply[..], 1).expect("a sound reply").swap_remove(0);
    (model, answer)
}

/// The probabilities of an answer's classes, in their order.
fn probabilities(answer: &Classification) -> Vec<f64> {
    let mut top = answer.top(usize::MAX);
    top.sort_by_key(|ranked| ranked.class);
    top.iter().map(|ranked| ranked.probability.expect("a probability")).collect()
}

#[track_caller]
fn agrees(model: &Model, answer: &Classification, input: &[f64]) {
    let plain = model.graph.infer(input).expect("scores");
    let expected = model.output.probabilities(&plain, answer.labels.len()).expect("probabilities");
    for (found, expected) in probabilities(answer).iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-3, "{answer:?}, expected {expected}");
    }
    assert_eq!(answer.class, model.class(&plain));
}

#[test]
fn a_softmax_and_the_names_that_the_file_gives() {
    let bytes = include_bytes!("../../network/tests/files/iris-linear.onnx");
    let input = [0.9, 0.2, 0.7, 0.1];
    let (model, answer) = exchanged("iris", bytes, &input);
    assert_eq!(answer.output, FinalActivation::Softmax);
    assert_eq!(answer.labels, ["setosa", "versicolor", "virginica"]);
    agrees(&model, &answer, &input);
}

#[test]
fn one_score_for_two_classes() {
    let bytes = include_bytes!("../../network/tests/files/two-classes-torchscript.onnx");
    for input in [[0.1, 0.9, 0.2, 0.8, 0.5], [0.9, 0.0, 1.0, 0.1, 0.0], [0.0, 0.3, 0.0, 0.0, 1.0]] {
        let (model, answer) = exchanged("two", bytes, &input);
        assert_eq!((answer.scores.len(), answer.labels.len()), (1, 2));
        assert_eq!(answer.margin, Some(answer.scores[0].abs()));
        agrees(&model, &answer, &input);
    }
}

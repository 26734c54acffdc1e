//! A visitor's session against a server: what the page does, without a page.

use blindsight_data::open_image;
use blindsight_network::{Image, Model, Shape};
use blindsight_planner::Plan;
use blindsight_planner::{Options, plan};
use blindsight_server::PreparedModel;
use blindsight_web::{Error, Session, exports};
use std::path::Path;
use std::sync::LazyLock;

struct Host {
    model: Model,
    plan: Plan,
    prepared: PreparedModel,
}

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let onnx = include_bytes!("../../../models/cryptonets-mnist.onnx");
    let model = Model::from_bytes("cryptonets-mnist", onnx).expect("the shipped model");
    let plan = plan(&model, &Options::default()).expect("it has a plan");
    let prepared = PreparedModel::new(&model, &plan).expect("the plan is the model's");
    Host { model, plan, prepared }
});

impl Host {
    fn public_plan(&self) -> Vec<u8> {
        blindsight_protocol::write_plan(&self.plan.public, &self.plan.private_digest())
    }

    fn answer(&self, keys: &[u8], request: &[u8]) -> Vec<u8> {
        let keys = self.prepared.read_keys(keys).expect("the session's keys");
        self.prepared.infer(&keys, request).expect("the session's request")
    }
}

fn opened() -> Session {
    let mut session = Session::default();
    session.open_plan(&HOST.public_plan()).expect("the server's plan");
    session
}

fn with_key() -> Session {
    let mut session = opened();
    session.generate_key().expect("the system has randomness");
    session
}

fn sample(digit: usize) -> Image {
    let path = format!("{}/../../samples/digit-{digit}.png", env!("CARGO_MANIFEST_DIR"));
    open_image(Path::new(&path), Shape::new(1, 28, 28)).expect("a sample").0
}

#[test]
fn answers_equal_plain_inference() {
    let session = with_key();
    let keys = session.evaluation_keys().expect("there is a key");
    for digit in [0, 3, 7] {
        let image = sample(digit);
        let request = session.encrypt(image.pixels()).expect("an image of the plan's shape");
        let answer = session.decrypt(&HOST.answer(&keys, &request)).expect("the server's reply");
        let plain = HOST.model.scores(&image).expect("the model's shape");
        assert_eq!(answer.label, HOST.model.metadata.labels[Model::class_of(&plain)]);
        assert!(!answer.too_close && answer.margin > Some(answer.predicted_error), "{answer:?}");
        for (score, plain) in answer.scores.iter().zip(&plain) {
            assert!((score - plain).abs() < 0.1, "{score} encrypted, {plain} plain");
        }
    }
}

#[test]
fn a_kept_key_decrypts_what_it_encrypted() {
    let session = with_key();
    let (keys, request) = (session.evaluation_keys().expect("a key"), session.encrypt(sample(4).pixels()));
    let reply = HOST.answer(&keys, &request.expect("an image"));
    let mut later = opened();
    later.restore_key(&session.secret_key().expect("a key")).expect("it was kept for this plan");
    assert_eq!(later.decrypt(&reply).expect("its own reply").label, "4");
    assert!(matches!(with_key().decrypt(&reply), Err(Error::Client(_))), "another key's reply is refused");
}

#[test]
fn a_summary_tells_what_the_page_shows() {
    let summary = Session::default().open_plan(&HOST.public_plan()).expect("a plan");
    assert_eq!((summary.model.as_str(), summary.shape), ("cryptonets-mnist", [1, 28, 28]));
    assert_eq!(summary.labels.concat(), "0123456789");
    assert_eq!((summary.mean, summary.std, summary.range), (vec![0.0], vec![1.0], (0.0, 1.0)));
}

#[test]
fn the_layout_says_what_is_written_into_each_slot() {
    let session = opened();
    let image = HOST.model.metadata.normalise(&sample(4)).expect("the image of the model");
    let written = HOST.plan.public.input.write(&image).expect("an image of the plan's shape").concat();
    let layout = session.layout().expect("there is a plan");
    assert_eq!(layout.len(), written.len());
    let said = |place: u32| match place.checked_sub(2) {
        Some(element) => image[element as usize],
        None => f64::from(place),
    };
    assert!(layout.iter().zip(&written).all(|(place, slot)| said(*place) == *slot));
    // The corners of the image are no part of some windows, so not every pixel lies in every ciphertext.
    assert!((0..784).all(|element| layout.contains(&(element + 2))), "every pixel lies somewhere");
    assert!(matches!(Session::default().layout(), Err(Error::Missing("a plan"))));
}

#[test]
fn operations_out_of_order_and_damaged_bytes_are_refused() {
    assert!(matches!(Session::default().generate_key(), Err(Error::Missing("a plan"))));
    assert!(matches!(opened().encrypt(&[0; 784]), Err(Error::Missing("a secret key"))));
    assert!(matches!(with_key().encrypt(&[0; 783]), Err(Error::Image(_))));
    let mut damaged = HOST.public_plan();
    damaged[100] ^= 1;
    assert!(matches!(Session::default().open_plan(&damaged), Err(Error::Plan(_))));
    let mut secret = with_key().secret_key().expect("a key").to_vec();
    secret[80] ^= 1;
    assert!(matches!(opened().restore_key(&secret), Err(Error::Client(_))));
    assert!(matches!(with_key().decrypt(b"no reply"), Err(Error::Client(_))));
}

#[test]
fn a_new_plan_forgets_the_old_key() {
    let mut session = with_key();
    session.open_plan(&HOST.public_plan()).expect("a plan");
    assert!(matches!(session.secret_key(), Err(Error::Missing("a secret key"))));
}

#[test]
fn exported_functions_refuse_with_a_message() {
    exports::argument(3);
    assert_eq!(exports::open_plan(), 1);
    assert!(exports::result_length() > 20, "a message for people");
    exports::wipe_result();
    assert_eq!(exports::result_length(), 0);
}

#[test]
fn numbers_are_encrypted_as_pixels_are() {
    let session = with_key();
    let keys = session.evaluation_keys().expect("there is a key");
    let image = sample(4);
    let bytes = |numbers: &[f64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let input = HOST.model.metadata.normalise(&image).expect("the image of the model");
    let request = session.encrypt_numbers(&bytes(&input)).expect("as many numbers as the network takes");
    let answer = session.decrypt(&HOST.answer(&keys, &request)).expect("the reply to it");
    let expected = HOST.model.graph.infer(&input).expect("the network's input");
    for (score, expected) in answer.scores.iter().zip(&expected) {
        assert!((score - expected).abs() < 0.15, "{score} encrypted, {expected} plain");
    }
    assert_eq!(session.check_numbers(&bytes(&input)).unwrap(), None);
    let said = session.check_numbers(&bytes(&vec![7.0; input.len()])).unwrap();
    assert!(said.is_some(), "values out of range are clamped");
    assert!(matches!(session.encrypt_numbers(&[0; 12]), Err(Error::Numbers(12))));
    assert!(session.encrypt_numbers(&bytes(&[1.0])).is_err(), "one number is too few");
}

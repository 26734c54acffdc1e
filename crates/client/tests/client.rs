//! What a client does with its key, its inputs and bytes from outside.

use blindsight_ckks::wire::{self, Expected, Kind, Length};
use blindsight_client::{Client, Error};
use blindsight_network::{Image, Model, Shape};
use blindsight_packing::Plan;
use blindsight_packing::planner::{self, Options};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::OnceLock;

fn model() -> Model {
    let bytes = include_bytes!("../../../models/cryptonets-mnist.onnx");
    Model::from_bytes("cryptonets-mnist", bytes).expect("the shipped model is sound")
}

fn plan_of(model: &Model) -> Plan {
    planner::plan(model, &Options::default()).expect("the shipped model can be planned")
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| plan_of(&model()))
}

fn client_of(plan: &Plan) -> Client {
    Client::generate(plan.public.clone(), plan.digest()).expect("the plan's parameters are sound")
}

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| client_of(plan()))
}

/// A folder for one test, removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("blindsight-client-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_stored_key_is_the_same_client() {
    let folder = Folder::new("stored");
    let path = folder.0.join("my.secret");
    client().save(&path).expect("a new file");
    assert!(matches!(client().save(&path), Err(Error::SecretExists(_))));
    let loaded = Client::load(plan().public.clone(), plan().digest(), &path).expect("it was stored whole");
    assert_eq!(loaded.key_id(), client().key_id());
    let (again, first) = (folder.0.join("again"), std::fs::read(&path).expect("readable"));
    loaded.save(&again).expect("a new file");
    assert_eq!(std::fs::read(&again).expect("readable"), first, "the same coefficients");
}

#[test]
fn a_key_of_another_plan_is_refused() {
    let folder = Folder::new("other-plan");
    let path = folder.0.join("my.secret");
    client().save(&path).expect("a new file");
    let refused = Client::load(plan().public.clone(), [7; 32], &path).expect_err("another plan's digest");
    assert!(refused.to_string().contains("belongs to plan"), "{refused}");
    let missing = Client::load(plan().public.clone(), plan().digest(), &folder.0.join("none"));
    assert!(missing.expect_err("no such file").to_string().contains("none"));
}

#[test]
fn a_client_prints_no_secret() {
    let said = format!("{:?}", client());
    assert!(said.len() < 200 && !said.contains("coefficients"), "{said}");
}

#[test]
fn two_clients_differ_and_so_do_two_encryptions_of_one_image() {
    assert_ne!(client().key_id(), client_of(plan()).key_id());
    let black = vec![0.0; 784];
    let [first, second] = [(); 2].map(|()| client().encrypt_input(&black).expect("in range"));
    assert_eq!(first.len(), second.len());
    let differing = first.iter().zip(&second).filter(|(a, b)| a != b).count();
    assert!(differing > first.len() / 2, "{differing} of {} bytes differ", first.len());
}

#[test]
fn inputs_that_do_not_fit_are_refused_with_figures() {
    let short = client().encrypt_input(&[0.0; 783]).expect_err("one value short").to_string();
    assert!(short.contains("783") && short.contains("784"), "{short}");
    let (least, largest) = plan().public.input_range;
    for value in [least - 1.0, largest + 1.0, f64::NAN, f64::INFINITY] {
        let mut input = vec![least; 784];
        input[300] = value;
        let refused = client().encrypt_input(&input).expect_err("out of range").to_string();
        assert!(refused.contains("300") && refused.contains(&largest.to_string()), "{refused}");
    }
    let shape = Shape::new(3, 28, 28);
    let coloured = Image::new(shape, vec![0; shape.elements()]).expect("as many pixels");
    let refused = client().encrypt(&coloured).expect_err("three channels").to_string();
    assert!(refused.contains("3x28x28") && refused.contains("1x28x28"), "{refused}");
}

#[test]
fn evaluation_keys_tell_their_progress_and_hold_what_the_plan_needs() {
    let mut told = vec![];
    let keys = client().evaluation_keys(|done, count| told.push((done, count))).expect("keys");
    let count = plan().public.keys.iter().count();
    assert_eq!(told, (1..=count).map(|done| (done, count)).collect::<Vec<_>>());
    let length = Length::Exactly(keys.len() - wire::FRAME_BYTES);
    let expected = Expected {
        kind: Kind::EvaluationKeys,
        plan: Some(plan().digest()),
        key: Some(client().key_id()),
        length,
    };
    wire::open(&keys[..], &expected).expect("a whole frame of this client");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_no_reply_and_no_key(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(client().decrypt(&bytes[..]).is_err());
        prop_assert!(Client::read(plan().public.clone(), plan().digest(), &bytes[..]).is_err());
    }

    #[test]
    fn a_well_framed_reply_of_random_words_gives_no_label(seed in any::<u64>()) {
        let indices = plan().public.reply.indices().len();
        let header = wire::Header { kind: Kind::Reply, plan: plan().digest(), key: client().key_id() };
        // A linear congruential sequence in the top bits of each byte pair: residues are 28 bits, so some words may be out of range.
        let mut state = seed;
        let length = reply_length(indices);
        let payload: Vec<u8> = (0..length).map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        }).collect();
        prop_assert!(client().decrypt(&wire::seal(&header, &payload)[..]).is_err());
    }
}

/// Payload bytes of a reply: one limb of 28 bits a word, and the coefficients.
fn reply_length(coefficients: usize) -> usize {
    plan().public.parameters.degree * 28 / 8 + (coefficients * 28).div_ceil(8)
}

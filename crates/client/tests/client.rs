//! What a client does with its key, its inputs and bytes from outside.

use blindsight_ckks::wire::{self, Expected, Kind, Length};
use blindsight_client::{Client, Error, Warning};
use blindsight_network::{Image, Model, Shape};
use blindsight_planner as planner;
use blindsight_planner::Options;
use blindsight_planner::Plan;
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
    let shape = Shape::new(3, 28, 28);
    let coloured = Image::new(shape, vec![0; shape.elements()]).expect("as many pixels");
    let refused = client().encrypt(&coloured).expect_err("three channels").to_string();
    assert!(refused.contains("3x28x28") && refused.contains("1x28x28"), "{refused}");
}

/// A refusal could be seen: no request would come.
#[test]
fn no_value_of_an_input_is_refused() {
    let (least, largest) = plan().public.input_range;
    let sound = client().encrypt_input(&vec![least; 784]).expect("in range").len();
    assert_eq!(client().check_input(&vec![largest; 784]), None);
    for value in [least - 1.0, largest + 1.0, 1e300, -1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut input = vec![least; 784];
        input[300] = value;
        let encrypted = client().encrypt_input(&input).expect("it is clamped");
        assert_eq!(encrypted.len(), sound, "{value}");
        assert!(matches!(client().check_input(&input), Some(Warning::Clamped { values: 1, .. })), "{value}");
    }
}

/// A reply with these coefficients under every key.
fn forged(coefficients: &[f64]) -> Vec<u8> {
    let (q, scale) = (plan().public.parameters.moduli[0], plan().public.reply.scale.0);
    let mut packed = vec![0; reply_length(coefficients.len())];
    let start = plan().public.parameters.degree * 28 / 8;
    for (i, c) in coefficients.iter().enumerate() {
        let word = (c * scale).round().rem_euclid(f64::from(q)) as u32;
        let set = (0..28).filter(|bit| word >> bit & 1 == 1).map(|bit| 28 * i + bit);
        set.for_each(|at| packed[start + at / 8] |= 1 << (at % 8));
    }
    let header = wire::Header { kind: Kind::Reply, plan: plan().digest(), key: client().key_id() };
    wire::seal(&header, &packed)
}

/// The coefficients of a sound reply with these scores, the others zero.
fn scoring(scores: &[(usize, f64)]) -> Vec<f64> {
    let reply = &plan().public.reply;
    let mut values = vec![0.0; reply.indices().len()];
    for &(class, score) in scores {
        values[class] = score;
        values[reply.scores.len() + reply.zero_checks.len() + class] = score / reply.range_check_divisor;
    }
    values
}

/// Exact scores are multiples of one over the scale, each an equation of the secret key.
#[test]
fn scores_are_rounded_to_the_predicted_error_unless_asked_for() {
    let public = &plan().public;
    let score = 1.234_567_8;
    let values = scoring(&[(4, score)]);
    let exact = client().exact_scores(&forged(&values)[..], 1).expect("a sound reply").swap_remove(0);
    assert!((exact.scores[4] - score).abs() < 1.0 / public.reply.scale.0, "{exact:?}");
    let rounded = client().decrypt(&forged(&values)[..]).expect("a sound reply");
    assert_eq!((rounded.label.as_str(), &exact.label), ("4", &rounded.label));
    assert_ne!(rounded.scores[4], exact.scores[4]);
    let off = (rounded.scores[4] - score).abs();
    assert!(off <= 1.26 * public.predicted_error, "{off} off, predicted {}", public.predicted_error);
    let step = rounded.scores[4] / public.predicted_error;
    assert!(rounded.scores[4].to_string().len() <= 7, "{} of step {step}", rounded.scores[4]);
}

/// What a message says of a bad reply is no equation of the key either.
#[test]
fn what_a_refused_reply_held_is_told_in_powers_of_two() {
    let public = &plan().public;
    let found = [0.3, 0.301, 0.31].map(|share| {
        let mut values = vec![0.0; public.reply.indices().len()];
        values[public.reply.scores.len()] = share * public.reply.capacity;
        match client().decrypt(&forged(&values)[..]) {
            Err(Error::Garbage { found, allowed }) => found / allowed,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(found, [128.0; 3]);
}

/// A server that writes no predicted error gets none of the digits below the least that replies have.
#[test]
fn a_plan_cannot_ask_for_exact_scores() {
    let mut public = plan().public.clone();
    public.predicted_error = 0.0;
    public.validate().expect("as small as can be");
    let exact = client().exact_scores(&forged(&scoring(&[(0, 1.234_567)]))[..], 1).expect("a sound reply");
    let liar = Client::generate(public, plan().digest()).expect("a client");
    let rounded = liar.rounded(exact[0].clone());
    assert_ne!(rounded.scores, exact[0].scores);
    assert!(rounded.predicted_error > 0.0, "{rounded:?}");
}

/// The margin is that of the exact scores, rounded as they are; so near, nobody can say which is larger.
#[test]
fn close_scores_are_told_and_others_are_not() {
    let error = plan().public.predicted_error;
    for (apart, too_close) in [(0.3, true), (5.0, true), (6.3, false), (50.0, false)] {
        let reply = forged(&scoring(&[(3, 1.0), (8, 1.0 + apart * error)]));
        let exact = client().exact_scores(&reply[..], 1).expect("a sound reply").swap_remove(0);
        let rounded = client().decrypt(&reply[..]).expect("a sound reply");
        for answer in [&exact, &rounded] {
            assert_eq!((answer.label.as_str(), answer.too_close), ("8", too_close), "{answer:?}");
            assert!((answer.predicted_error / error - 1.0).abs() < 1e-9, "{answer:?}");
            assert!((answer.margin.expect("ten scores") / error - apart).abs() < 1.3, "{answer:?}");
            let told: Vec<String> = answer.warnings.iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), usize::from(too_close), "{told:?}");
            assert!(told.iter().all(|t| t.starts_with("too close to call: 8 or 3:")), "{told:?}");
        }
        assert!((exact.margin.expect("ten scores") / error - apart).abs() < 0.01, "{exact:?}");
        assert!(rounded.margin.expect("ten scores").to_string().len() <= 7, "{rounded:?}");
    }
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
        // A linear congruential sequence in the top bits of each byte pair: residues are 28 bits, so some
        // words may be out of range.
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

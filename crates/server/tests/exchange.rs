//! Requests, keys and replies between a client and the server: sound, damaged, forged and random ones.

use blindsight_circuit::CostModel;
use blindsight_ckks::wire::{self, Header, Kind, Length};
use blindsight_client::{Client, Error as ClientError, Warning};
use blindsight_data::{decode_image, open_image};
use blindsight_network::{Image, Model};
use blindsight_planner as planner;
use blindsight_planner::Plan;
use blindsight_planner::{Objective, Options};
use blindsight_server::{ClientKeys, Error, PreparedModel};
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;

const DIGIT: &[u8] = include_bytes!("../../../samples/digit-4.png");

fn model() -> Model {
    let bytes = include_bytes!("../../../models/cryptonets-mnist.onnx");
    Model::from_bytes("cryptonets-mnist", bytes).expect("the shipped model is sound")
}

/// Both ends of an exchange, with the bytes that went over.
struct Exchange {
    model: Model,
    plan: Plan,
    server: PreparedModel,
    client: Client,
    key_bytes: Vec<u8>,
    keys: ClientKeys,
    request: Vec<u8>,
}

impl Exchange {
    fn new(model: Model) -> Self {
        Self::for_objective(model, Objective::default())
    }

    fn for_objective(model: Model, objective: Objective) -> Self {
        let options = Options { objective, ..Options::default() };
        let plan = planner::plan(&model, &options).expect("the shipped model can be planned");
        let server = PreparedModel::new(&model, &plan).expect("its own plan");
        let client = new_client(&plan);
        let key_bytes = client.evaluation_keys(|_, _| {}).expect("keys");
        let keys = server.read_keys(&key_bytes[..]).expect("its own keys");
        let request = client.encrypt(&digit(&model)).expect("an image of the right size");
        Self { model, plan, server, client, key_bytes, keys, request }
    }

    fn with_score_bound(bound: f64) -> Self {
        let mut model = model();
        model.metadata.score_bound = Some(bound);
        Self::new(model)
    }

    fn reply(&self) -> Vec<u8> {
        self.server.infer(&self.keys, &self.request[..]).expect("a sound request")
    }
}

fn new_client(plan: &Plan) -> Client {
    Client::generate(plan.public.clone(), plan.digest()).expect("the plan's parameters are sound")
}

fn digit(model: &Model) -> Image {
    decode_image("digit", DIGIT, model.graph.input).expect("a drawn digit").0
}

fn exchange() -> &'static Exchange {
    static EXCHANGE: OnceLock<Exchange> = OnceLock::new();
    EXCHANGE.get_or_init(|| Exchange::new(model()))
}

/// The same payload under another key's identity, checksum and all.
fn reframed(bytes: &[u8], kind: Kind, key: wire::KeyId) -> Vec<u8> {
    let length = Length::Exactly(bytes.len() - wire::FRAME_BYTES);
    let expected = wire::Expected { kind, plan: None, key: None, length };
    let (header, payload) = wire::open(bytes, &expected).expect("a whole frame");
    wire::seal(&Header { key, ..header }, &payload)
}

#[test]
fn a_reply_decrypts_to_the_scores_in_the_clear() {
    let e = exchange();
    let classification = e.client.decrypt(&e.reply()[..]).expect("a sound reply");
    let plain = e.model.scores(&digit(&e.model)).expect("an image of the right size");
    assert_eq!(classification.label, "4");
    assert!(classification.warnings.is_empty(), "{:?}", classification.warnings);
    let allowed = 6.0 * e.plan.public.predicted_error;
    for (encrypted, plain) in classification.scores.iter().zip(&plain) {
        assert!((encrypted - plain).abs() < allowed, "{encrypted} for {plain}, {allowed} allowed");
    }
}

#[test]
fn files_have_the_sizes_that_explain_says() {
    for objective in [Objective::Latency, Objective::Operations] {
        let e = Exchange::for_objective(model(), objective);
        let said =
            blindsight_planner::explain(&e.plan, &e.model, &CostModel::default()).expect("its own model");
        let sizes = [e.request.len(), e.reply().len(), e.key_bytes.len(), e.server.bytes()];
        let said = [said.upload_bytes, said.download_bytes, said.evaluation_key_bytes, said.server_bytes];
        assert_eq!(sizes.map(|s| s as u64), said, "{objective}");
    }
}

/// Without evaluation keys: the file of keys is its frame, and everything else is as usual.
#[test]
fn a_plan_without_keys_goes_through_an_exchange() {
    let bytes = include_bytes!("../../../models/lola-small-mnist.onnx");
    let model = Model::from_bytes("lola-small-mnist", bytes).expect("the shipped model is sound");
    let e = Exchange::new(model.clone());
    assert_eq!((&*e.plan.public.representation, e.key_bytes.len()), ("keyless", wire::FRAME_BYTES));
    let said = blindsight_planner::explain(&e.plan, &e.model, &CostModel::default()).expect("its own model");
    let sizes = [e.request.len(), e.reply().len(), e.key_bytes.len(), e.server.bytes()];
    let said = [said.upload_bytes, said.download_bytes, said.evaluation_key_bytes, said.server_bytes];
    assert_eq!(sizes.map(|s| s as u64), said);

    let plain = e.model.scores(&digit(&e.model)).expect("an image of the right size");
    let classification = e.client.exact_scores(&e.reply()[..], 1).expect("a sound reply").swap_remove(0);
    assert_eq!(classification.label, "4");
    let allowed = 6.0 * e.plan.public.predicted_error;
    for (encrypted, plain) in classification.scores.iter().zip(&plain) {
        assert!((encrypted - plain).abs() < allowed, "{encrypted} for {plain}, {allowed} allowed");
    }

    let stranger = new_client(&e.plan);
    assert!(
        e.server.read_request(&e.keys, &stranger.encrypt(&digit(&e.model)).expect("an image")[..]).is_err()
    );
    let forged = reframed(&e.reply(), Kind::Reply, stranger.key_id());
    assert!(matches!(stranger.decrypt(&forged[..]), Err(ClientError::Garbage { .. })));

    // Beyond the range no score is shown; the capacity is far beyond.
    let mut narrow = model;
    narrow.metadata.score_bound = Some(8.0);
    let e = Exchange::new(narrow);
    assert_eq!(e.plan.public.representation, "keyless");
    let (shape, range) = (e.model.graph.input, e.plan.public.reply.capacity / 32.0);
    let even = |grey: u8| Image::new(shape, vec![grey; shape.elements()]).expect("as many pixels");
    let (mut refused, mut shown) = (0, 0);
    for image in [digit(&e.model), even(0), even(128), even(255)] {
        let (largest, read) = classified(&e, &image);
        let is_refused = matches!(read, Err(ClientError::WrappedAround { .. }));
        assert_eq!(is_refused, largest > range, "largest score {largest}, range {range}: {read:?}");
        (refused, shown) = (refused + u32::from(is_refused), shown + u32::from(read.is_ok()));
    }
    assert!(refused > 0 && shown > 0, "{refused} refused, {shown} shown");
}

#[test]
fn a_batch_is_classified_at_once() {
    let e = Exchange::for_objective(model(), Objective::Throughput);
    let shape = e.model.graph.input;
    let white = Image::new(shape, vec![255; shape.elements()]).expect("an image of the right size");
    let images = [digit(&e.model), white, digit(&e.model)];
    let request = e.client.encrypt_images(&images).expect("three images");
    let reply = e.server.infer(&e.keys, &request[..]).expect("a sound request");
    assert_eq!(reply.len(), e.server.reply_bytes() + wire::FRAME_BYTES);
    let said = blindsight_planner::explain(&e.plan, &e.model, &CostModel::default()).expect("its own model");
    let sizes = [request.len(), reply.len(), e.key_bytes.len(), e.server.bytes()].map(|s| s as u64);
    assert_eq!(sizes, [said.upload_bytes, said.download_bytes, said.evaluation_key_bytes, said.server_bytes]);

    let classifications = e.client.decrypt_images(&reply[..], 3).expect("a sound reply");
    assert_eq!((&classifications[0].label[..], &classifications[2].label[..]), ("4", "4"));
    let allowed = 8.0 * e.plan.public.predicted_error;
    for (image, classification) in images.iter().zip(&classifications) {
        let plain = e.model.scores(image).expect("an image of the right size");
        for (encrypted, plain) in classification.scores.iter().zip(&plain) {
            assert!((encrypted - plain).abs() < allowed, "{encrypted} for {plain}, {allowed} allowed");
        }
    }
    let most = e.plan.public.input.images();
    assert!(matches!(e.client.decrypt_images(&reply[..], 0), Err(ClientError::Images { .. })));
    assert!(matches!(e.client.decrypt_images(&reply[..], most + 1), Err(ClientError::Images { .. })));
    let other = new_client(&e.plan);
    let theirs = reframed(&reply, Kind::Reply, other.key_id());
    assert!(matches!(other.decrypt(&theirs[..]), Err(ClientError::Garbage { .. })));
}

#[test]
fn a_request_under_another_key_is_refused() {
    let e = exchange();
    let other = new_client(&e.plan);
    let request = other.encrypt(&digit(&e.model)).expect("an image of the right size");
    let refused = e.server.infer(&e.keys, &request[..]).expect_err("another client's request");
    assert!(refused.to_string().contains("belongs to key"), "{refused}");
}

#[test]
fn a_request_forged_into_another_clients_name_gives_no_label() {
    let e = exchange();
    let request = new_client(&e.plan).encrypt(&digit(&e.model)).expect("an image of the right size");
    let forged = reframed(&request, Kind::Ciphertexts, e.client.key_id());
    let reply = e.server.infer(&e.keys, &forged[..]).expect("the server cannot tell");
    let refused = e.client.decrypt(&reply[..]).expect_err("the client can");
    assert!(matches!(refused, ClientError::Garbage { .. }), "{refused}");
}

#[test]
fn keys_forged_into_another_clients_name_give_no_label() {
    let e = exchange();
    let keys = new_client(&e.plan).evaluation_keys(|_, _| {}).expect("keys");
    let forged = reframed(&keys, Kind::EvaluationKeys, e.client.key_id());
    let forged = e.server.read_keys(&forged[..]).expect("the server cannot tell");
    let reply = e.server.infer(&forged, &e.request[..]).expect("the server cannot tell");
    let refused = e.client.decrypt(&reply[..]).expect_err("the client can");
    assert!(matches!(refused, ClientError::Garbage { .. }), "{refused}");
}

#[test]
fn a_reply_forged_into_another_clients_name_gives_no_label() {
    let e = exchange();
    let other = new_client(&e.plan);
    let forged = reframed(&e.reply(), Kind::Reply, other.key_id());
    let refused = other.decrypt(&forged[..]).expect_err("another client's reply");
    assert!(matches!(refused, ClientError::Garbage { .. }), "{refused}");
}

#[test]
fn a_large_score_gives_a_warning() {
    // The digit's best score is about 15: beyond a bound of 8, within the capacity of a plan for it.
    let large = Exchange::with_score_bound(8.0);
    let classification = large.client.decrypt(&large.reply()[..]).expect("within the capacity");
    assert_eq!(classification.label, "4");
    let warned =
        |w: &Warning| matches!(w, Warning::LargeScore { label, bound, .. } if label == "4" && *bound == 8.0);
    assert!(classification.warnings.iter().any(warned), "{classification:?}");
}

/// The largest score of an image in the clear, and what the client says of the reply to it.
fn classified(e: &Exchange, image: &Image) -> (f64, Result<blindsight_client::Classification, ClientError>) {
    let scores = e.model.scores(image).expect("an image of the right size");
    let request = e.client.encrypt(image).expect("in range");
    let reply = e.server.infer(&e.keys, &request[..]).expect("a sound request");
    (scores.iter().fold(0.0, |m: f64, s| m.max(s.abs())), e.client.decrypt(&reply[..]))
}

/// All white and every inverted digit: pixels in range, but not the scores.
#[test]
fn scores_that_wrap_around_give_no_label() {
    let e = Exchange::with_score_bound(8.0);
    let (shape, capacity) = (e.model.graph.input, e.plan.public.reply.capacity);
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let inverted = (0..10).map(|n| {
        let (digit, _) = open_image(&samples.join(format!("digit-{n}.png")), shape).expect("a drawn digit");
        Image::new(shape, digit.pixels().iter().map(|p| 255 - p).collect()).expect("as many pixels")
    });
    let white = Image::new(shape, vec![255; shape.elements()]).expect("as many pixels");
    let mut wrapped = 0;
    for image in inverted.chain([white]) {
        let (largest, read) = classified(&e, &image);
        let refused = matches!(read, Err(ClientError::WrappedAround { .. }));
        assert_eq!(refused, largest > capacity, "largest score {largest}, capacity {capacity}: {read:?}");
        wrapped += u32::from(refused);
    }
    assert!(wrapped > 5, "{wrapped} images had scores beyond the capacity");
}

#[test]
fn a_plan_of_another_model_is_refused_with_both_digests() {
    let e = exchange();
    let mut other = model();
    other.digest[0] ^= 1;
    let refused = PreparedModel::new(&other, &e.plan).expect_err("another model").to_string();
    assert!(
        refused.contains(&wire::hex(&e.model.digest)) && refused.contains(&wire::hex(&other.digest)),
        "{refused}"
    );
}

#[test]
fn a_model_deeper_than_any_plan_is_refused() {
    let mut deep = model();
    // Far more squares than the primes of any ring allow.
    let mut nodes: Vec<_> =
        deep.graph.nodes.iter().map(|node| (node.name.clone(), node.operator.clone())).collect();
    let square = nodes[1].clone();
    nodes.splice(1..1, vec![square; 80]);
    deep.graph = blindsight_network::Graph::chain(deep.graph.input, nodes);
    let refused = planner::plan(&deep, &Options::default()).expect_err("too deep").to_string();
    assert!(refused.contains("85 levels: expected 59 levels at most, which ring degree 65536"), "{refused}");
}

#[test]
fn infer_is_its_three_parts() {
    let e = exchange();
    let request = e.server.read_request(&e.keys, &e.request[..]).expect("a sound request");
    let answer = e.server.compute(&e.keys, request).expect("a sound request");
    assert_eq!(e.server.write_reply(&answer), e.reply(), "the server draws no randomness");
}

fn refused_whole(read: impl Fn(&[u8]) -> Result<(), Error>, bytes: &[u8], at: usize, bit: u8) {
    let mut flipped = bytes.to_vec();
    flipped[at % bytes.len()] ^= 1 << (bit % 8);
    assert!(read(&flipped).is_err(), "a flipped bit at {} went unnoticed", at % bytes.len());
    assert!(read(&bytes[..at % bytes.len()]).is_err(), "a truncation at {} went unnoticed", at % bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn damaged_keys_and_requests_are_refused(at in any::<usize>(), bit in any::<u8>()) {
        let e = exchange();
        let keys = |bytes: &[u8]| e.server.read_keys(bytes).map(drop);
        let request = |bytes: &[u8]| e.server.read_request(&e.keys, bytes).map(drop);
        refused_whole(keys, &e.key_bytes, at, bit);
        refused_whole(request, &e.request, at, bit);
    }

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let e = exchange();
        prop_assert!(e.server.read_keys(&bytes[..]).is_err());
        prop_assert!(e.server.read_request(&e.keys, &bytes[..]).is_err());
        // After a sound header, too.
        for whole in [&e.key_bytes, &e.request] {
            let spliced = [&whole[..68], &bytes].concat();
            prop_assert!(e.server.read_keys(&spliced[..]).is_err());
            prop_assert!(e.server.read_request(&e.keys, &spliced[..]).is_err());
        }
    }
}

//! Every parser of bytes from outside, as a function of bytes.
//!
//! # Concepts
//!
//! A [`Target`] feeds bytes to one parser and uses what was accepted as the product would; it panics where a promise is broken. cargo-fuzz
//! runs the targets on a nightly toolchain (`fuzz/`); this crate's tests run the same functions on the kept corpus and on seeded
//! mutations of it, on any toolchain.
//!
//! Random bytes do not get past a checksum. So most targets read their input twice: as it is, and as a list of edits of a sound frame
//! ([`edited`]), which end with a right checksum where the input says so.

use blindsight_client::Client;
use blindsight_network::{Image, Model, Shape};
use blindsight_packing::Plan;
use blindsight_packing::planner::{Options, plan};
use blindsight_protocol::{Address, KeyStatus, Keys, Models, Problem};
use blindsight_server::{ClientKeys, PreparedModel};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A parser under attack.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which its corpus' folder has, too.
    pub name: &'static str,
    /// Feeds it; panics where a promise is broken.
    pub feed: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "documents", feed: documents },
    Target { name: "evaluation_keys", feed: evaluation_keys },
    Target { name: "image", feed: image },
    Target { name: "onnx", feed: onnx },
    Target { name: "plans", feed: plans },
    Target { name: "reply", feed: reply },
    Target { name: "request", feed: request },
];

/// Makes what the targets share ahead of the first input, so that no input has to wait for it.
pub fn prepare() {
    LazyLock::force(&PUBLIC_PLAN);
    LazyLock::force(&WHOLE_PLAN);
}

/// JSON documents and addresses of the protocol.
pub fn documents(input: &[u8]) {
    let _ = serde_json::from_slice::<Models>(input);
    let _ = serde_json::from_slice::<Keys>(input);
    let _ = serde_json::from_slice::<KeyStatus>(input);
    let _ = serde_json::from_slice::<Problem>(input);
    if let Some(address) = str::from_utf8(input).ok().and_then(|text| text.parse::<Address>().ok()) {
        assert_eq!(address.to_string().as_bytes(), input);
    }
}

/// Evaluation keys: the server refuses them, or computes with them.
pub fn evaluation_keys(input: &[u8]) {
    let exchange = &*EXCHANGE;
    if let Ok(keys) = exchange.server.read_keys(&edited(&exchange.key_frame, input)[..])
        && let Ok(request) = exchange.server.read_request(&keys, &exchange.request[..])
    {
        exchange.server.compute(&keys, &request).expect("what was read can be computed with");
    }
    let _ = exchange.server.read_keys(input);
}

/// PNG files.
pub fn image(input: &[u8]) {
    let shape = Shape { channels: 1, height: 28, width: 28 };
    let _ = Image::from_png(input, shape);
    let _ = Image::from_png(&edited(PNG, input), shape);
}

/// ONNX files.
pub fn onnx(input: &[u8]) {
    let _ = Model::from_bytes("fuzzed", input);
    let _ = Model::from_bytes("fuzzed", &edited(ONNX, input));
}

/// Plans, whole and public, and secret keys: refused, or fit to be used.
pub fn plans(input: &[u8]) {
    for bytes in [&edited(&PUBLIC_PLAN, input)[..], input] {
        if let Ok((plan, digest)) = blindsight_protocol::read_plan(bytes) {
            let values = vec![plan.input_range.0; plan.input.shape().elements()];
            let _ = plan.write(&values);
            let _ = Client::read(plan, digest, input);
        }
    }
    for bytes in [&edited(&WHOLE_PLAN, input)[..], input] {
        if let Ok(plan) = Plan::read(bytes) {
            plan.public.validate().expect("what was read is valid");
        }
    }
}

/// A reply: the client refuses it, or gives a label.
pub fn reply(input: &[u8]) {
    let exchange = &*EXCHANGE;
    if let Ok(read) = exchange.client.decrypt(&edited(&exchange.reply, input)[..]) {
        assert!(exchange.plan.public.labels.contains(&read.label));
    }
    let _ = exchange.client.decrypt(input);
}

/// A request: the server refuses it, or computes on it.
pub fn request(input: &[u8]) {
    let exchange = &*EXCHANGE;
    if let Ok(request) = exchange.server.read_request(&exchange.keys, &edited(&exchange.request, input)[..]) {
        exchange.server.compute(&exchange.keys, &request).expect("what was read can be computed on");
    }
    let _ = exchange.server.read_request(&exchange.keys, input);
}

/// The shipped model with the smallest keys: more inputs in the same time.
const MODEL: &str = "lola-small-mnist";
const ONNX: &[u8] = include_bytes!("../../../models/lola-small-mnist.onnx");
/// A drawn digit.
const PNG: &[u8] = include_bytes!("../../../samples/digit-4.png");

/// Both parties, and a sound frame of each kind.
struct Exchange {
    plan: Plan,
    server: PreparedModel,
    client: Client,
    keys: ClientKeys,
    key_frame: Vec<u8>,
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// Made once in a process.
static EXCHANGE: LazyLock<Exchange> = LazyLock::new(|| {
    let model = Model::from_bytes(MODEL, ONNX).expect("the shipped model");
    let plan = plan(&model, &Options::default()).expect("a plan");
    let server = PreparedModel::new(&model, &plan).expect("its own plan");
    let client = Client::generate(plan.public.clone(), plan.digest()).expect("a client");
    let key_frame = client.evaluation_keys(|_, _| {}).expect("keys");
    let keys = server.read_keys(&key_frame[..]).expect("its own keys");
    let image = Image::from_png(PNG, model.graph.input).expect("a digit");
    let request = client.encrypt(&image).expect("a request");
    let reply = server.infer(&keys, &request[..]).expect("a reply");
    Exchange { plan, server, client, keys, key_frame, request, reply }
});
static PUBLIC_PLAN: LazyLock<Vec<u8>> =
    LazyLock::new(|| blindsight_protocol::write_plan(&EXCHANGE.plan.public, EXCHANGE.plan.digest()));
static WHOLE_PLAN: LazyLock<Vec<u8>> = LazyLock::new(|| EXCHANGE.plan.write());

/// A frame with the edits that the input lists.
///
/// The input is a byte of flags and edits of five bytes each: where (little-endian, modulo the frame's length), and what to add there; an
/// edit that adds nothing cuts the frame off. Where the flags are odd, the checksum is made right again, so that only the parser's own
/// checks are left.
pub fn edited(frame: &[u8], input: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let Some((&flags, edits)) = input.split_first() else { return frame };
    for edit in edits.chunks_exact(5) {
        let at = u32::from_le_bytes([edit[0], edit[1], edit[2], edit[3]]) as usize % frame.len().max(1);
        match edit[4] {
            0 => frame.truncate(at),
            amount if at < frame.len() => frame[at] = frame[at].wrapping_add(amount),
            _ => {}
        }
    }
    if flags & 1 == 1 && frame.len() >= 32 {
        let body = frame.len() - 32;
        let checksum = Sha256::digest(&frame[..body]);
        frame[body..].copy_from_slice(&checksum);
    }
    frame
}

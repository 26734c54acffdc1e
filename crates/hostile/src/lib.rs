//! Every parser of bytes from outside, as a function of bytes.
//!
//! # Concepts
//!
//! A [`Target`] feeds bytes to one parser and uses what was accepted as the product would; it panics where a
//! promise is broken. cargo-fuzz runs the targets on a nightly toolchain (`fuzz/`); this crate's tests run
//! the same functions on the kept corpus and on seeded mutations of it, on any toolchain.
//!
//! ```
//! use blindsight_hostile::TARGETS;
//!
//! for target in TARGETS {
//!     (target.feed)(b"no frame, no document, no image");
//! }
//! ```
//!
//! Random bytes do not get past a checksum. So most targets read their input twice: as it is, and as a list
//! of edits of a sound frame ([`edited`]), which end with a right checksum where the input says so.

mod fleet;
mod sealed;
mod serving;

pub use fleet::fleet;
pub use sealed::sealed;
pub use serving::{audit, http, server_files};

use blindsight_client::Client;
use blindsight_data::{Dataset, InputSource, InputSpec, Split, decode_image};
use blindsight_fhe_suite::pixels::Images;
use blindsight_layout::{Masking, PublicPlan};
use blindsight_network::{Image, Metadata, Model, Shape};
use blindsight_planner::Plan;
use blindsight_planner::{Options, Packing, ReplyKind, plan};
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
pub const TARGETS: [Target; 15] = [
    Target { name: "acceptance", feed: acceptance },
    Target { name: "audit", feed: audit },
    Target { name: "documents", feed: documents },
    Target { name: "evaluation_keys", feed: evaluation_keys },
    Target { name: "fleet", feed: fleet },
    Target { name: "http", feed: http },
    Target { name: "image", feed: image },
    Target { name: "inputs", feed: inputs },
    Target { name: "onnx", feed: onnx },
    Target { name: "plans", feed: plans },
    Target { name: "reply", feed: reply },
    Target { name: "request", feed: request },
    Target { name: "sealed", feed: sealed },
    Target { name: "server_files", feed: server_files },
    Target { name: "suite_inputs", feed: suite_inputs },
];

/// Makes what the targets share ahead of the first input, so that no input has to wait for it.
pub fn prepare() {
    LazyLock::force(&EXCHANGE);
    LazyLock::force(&PRIVATE);
}

/// Public plans of a hostile server: refused, or every input encrypts, and to requests of one length. What a
/// client refused would tell the server something of the input.
pub fn acceptance(input: &[u8]) {
    let mut plan = exchange(input).plan.public.clone();
    let figures = input.len().min(64);
    input[..figures].chunks_exact(10).for_each(|edit| tamper(&mut plan, edit));
    for plan in [decoded(&altered(&plan.to_bytes(), &input[figures..])), Some(plan)].into_iter().flatten() {
        if plan.validate().is_ok() {
            encrypts_everything(plan);
        }
    }
}

/// Changes one figure: which, how (set or multiplied), and by what number.
fn tamper(plan: &mut PublicPlan, edit: &[u8]) {
    let number = f64::from_le_bytes(edit[2..10].try_into().expect("eight bytes"));
    let figures = [&mut plan.mean[0], &mut plan.std[0], &mut plan.input_range.0, &mut plan.input_range.1];
    let reply = [&mut plan.reply.scale.0, &mut plan.reply.capacity, &mut plan.reply.range_check_divisor];
    let others = [&mut plan.input_scale.0, &mut plan.score_bound, &mut plan.predicted_error];
    let mut all: Vec<&mut f64> = figures.into_iter().chain(reply).chain(others).collect();
    let (count, which) = (all.len(), usize::from(edit[0]));
    let (which, byte) = (which % (count + 6), edit[1]);
    match all.get_mut(which) {
        Some(figure) if byte & 1 == 0 => **figure = number,
        Some(figure) => **figure *= number,
        None => match which - count {
            0 => plan.input_level.0 = usize::from(byte),
            1 => plan.parameters.moduli.truncate(usize::from(byte % 16)),
            2 => plan.security = postcard::from_bytes(&[byte % 3]).expect("one of three"),
            3 => plan.masking = Some(Masking { kappa: byte.into(), noise_bits: edit[2].into() }),
            4 => plan.masking = None,
            _ => {
                let mut level = plan.input_level;
                level.0 = usize::from(byte / 2);
                plan.keys.public = (byte & 1 == 1).then_some(level);
            }
        },
    }
}

fn decoded(bytes: &[u8]) -> Option<PublicPlan> {
    postcard::from_bytes(bytes).ok()
}

/// The largest request that is made here: larger ones differ in nothing but time.
const MOST_REQUEST_BYTES: u64 = 64 << 20;

fn encrypts_everything(plan: PublicPlan) {
    let (shape, (least, largest)) = (plan.input.shape(), plan.input_range);
    let client = Client::generate(plan, [0; 32]).expect("a valid plan");
    if client.cost().request_bytes > MOST_REQUEST_BYTES {
        return;
    }
    let constant = |value| vec![value; shape.elements()];
    let uneven = (0..shape.elements()).map(|i| if i * i % 7 < 3 { least } else { largest }).collect();
    for values in [uneven, constant(1e300), constant(f64::NEG_INFINITY), constant(f64::NAN)] {
        let request = client.encrypt_input(&values).expect("every input encrypts");
        assert_eq!(request.len() as u64, client.cost().request_bytes);
    }
    let pixels =
        [0, 255].map(|pixel| Image::new(shape, vec![pixel; shape.elements()]).expect("as many pixels"));
    for image in pixels {
        let request = client.encrypt(&image).expect("every image encrypts");
        assert_eq!(request.len() as u64, client.cost().request_bytes);
    }
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
    let exchange = exchange(input);
    if let Ok(keys) = exchange.server.read_keys(&edited(&exchange.key_frame, input)[..])
        && let Ok(request) = exchange.server.read_request(&keys, &exchange.request[..])
    {
        exchange.server.compute(&keys, request).expect("what was read can be computed with");
    }
    let _ = exchange.server.read_keys(input);
}

/// Image files: refused, or converted to the shape that was asked for.
pub fn image(input: &[u8]) {
    for shape in [Shape::new(1, 28, 28), Shape::new(3, 8, 12)] {
        for bytes in [input, &edited(PNG, input), &edited(JPEG, input)] {
            if let Ok((image, _)) = decode_image("fuzzed", bytes, shape) {
                assert_eq!(image.shape(), shape);
            }
        }
    }
}

/// Files of numbers, the first byte says of which kind: refused, or as many finite values as the network
/// takes.
pub fn inputs(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let ending = ["npy", "npz", "csv", "json"][usize::from(*kind) % 4];
    let thread = std::thread::current().id();
    let name = format!("blindsight-inputs-{}-{thread:?}.{ending}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("the temporary folder can be written");
    for shape in [Shape::vector(3), Shape::vector(12), Shape::new(2, 3, 4), Shape::new(1, 2, 3)] {
        let spec = InputSpec::new(shape, Metadata::new(shape, 3));
        let sound = |values: &[f64]| {
            assert!(values.len() == shape.elements() && values.iter().all(|value| value.is_finite()));
        };
        for source in
            [InputSource::Numbered { path: path.clone(), index: 1 }, InputSource::File(path.clone())]
        {
            source.load(&spec).into_iter().for_each(|input| sound(&input.values));
        }
        let data = Dataset::open(&path, Split::Test, &spec);
        if let Ok((values, labels)) = data.and_then(|data| data.inputs(0..10)) {
            values.iter().for_each(|values| sound(values));
            assert!(labels.iter().all(|label| *label < 3));
        }
    }
    std::fs::remove_file(&path).expect("it was written");
}

/// ONNX files.
pub fn onnx(input: &[u8]) {
    let _ = Model::from_bytes("fuzzed", input);
    let _ = Model::from_bytes("fuzzed", &edited(ONNX, input));
}

/// Plans, whole and public, and secret keys: refused, or fit to be used.
pub fn plans(input: &[u8]) {
    let Exchange { public_plan, whole_plan, .. } = exchange(input);
    for bytes in [&edited(public_plan, input)[..], &redigested(public_plan, input), input] {
        if let Ok((plan, digest)) = blindsight_protocol::read_plan(bytes) {
            let values = vec![plan.input_range.0; plan.input.shape().elements()];
            let _ = plan.write(&values);
            let _ = Client::read(plan, digest, input);
        }
    }
    for bytes in [&edited(whole_plan, input)[..], input] {
        if let Ok(plan) = Plan::read(bytes) {
            plan.public.validate().expect("what was read is valid");
        }
    }
}

/// A reply: the client refuses it, or gives a label.
pub fn reply(input: &[u8]) {
    let exchange = exchange(input);
    if let Ok(read) = exchange.client.decrypt(&edited(&exchange.reply, input)[..]) {
        assert!(exchange.plan.public.labels.contains(&read.label));
    }
    let _ = exchange.client.decrypt(input);
}

/// A request: the server refuses it, or computes on it.
pub fn request(input: &[u8]) {
    let exchange = exchange(input);
    if let Ok(request) = exchange.server.read_request(&exchange.keys, &edited(&exchange.request, input)[..]) {
        exchange.server.compute(&exchange.keys, request).expect("what was read can be computed on");
    }
    let _ = exchange.server.read_request(&exchange.keys, input);
}

/// The FHE Benchmarking Suite's text of inputs: refused, or images of as many pixels as the shape has.
pub fn suite_inputs(input: &[u8]) {
    for shape in [Shape::new(1, 2, 3), Shape::new(3, 2, 1), Shape::new(1, 1, 1)] {
        // A line that is refused ends the reading of a file.
        for image in Images::new(input, shape).map_while(Result::ok) {
            assert_eq!(image.len(), shape.elements());
        }
    }
}

/// The shipped model with the smallest keys: more inputs in the same time.
const MODEL: &str = "lola-small-mnist";
const ONNX: &[u8] = include_bytes!("../../../models/lola-small-mnist.onnx");
/// A drawn digit.
const PNG: &[u8] = include_bytes!("../../../samples/digit-4.png");
/// A small photo, with EXIF data.
const JPEG: &[u8] = include_bytes!("../../data/tests/truth/turned.jpg");

/// Both parties, and a sound frame of each kind.
struct Exchange {
    plan: Plan,
    public_plan: Vec<u8>,
    whole_plan: Vec<u8>,
    server: PreparedModel,
    client: Client,
    keys: ClientKeys,
    key_frame: Vec<u8>,
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// Made once in a process.
static EXCHANGE: LazyLock<Exchange> = LazyLock::new(|| Exchange::new(Packing::Im2col(5), ReplyKind::Clean));
/// The same with private replies: a public key, levels of two primes, replies of two limbs.
static PRIVATE: LazyLock<Exchange> =
    LazyLock::new(|| Exchange::new(Packing::Auto, ReplyKind::Private { kappa: 10 }));
/// The same without evaluation keys: replies of three parts, no special primes.
static KEYLESS: LazyLock<Exchange> = LazyLock::new(|| Exchange::new(Packing::Keyless, ReplyKind::Clean));

/// By its length every fourth input goes to the exchange of private replies, and every fourth to the one
/// without keys.
fn exchange(input: &[u8]) -> &'static Exchange {
    match input.len() % 4 {
        2 => &KEYLESS,
        3 => &PRIVATE,
        _ => &EXCHANGE,
    }
}

impl Exchange {
    fn new(packing: Packing, reply: ReplyKind) -> Self {
        let model = Model::from_bytes(MODEL, ONNX).expect("the shipped model");
        let plan = plan(&model, &Options { packing, reply, ..Options::default() }).expect("a plan");
        let server = PreparedModel::new(&model, &plan).expect("its own plan");
        let client = Client::generate(plan.public.clone(), plan.digest()).expect("a client");
        let key_frame = client.evaluation_keys(|_, _| {}).expect("keys");
        let keys = server.read_keys(&key_frame[..]).expect("its own keys");
        let (image, _) = decode_image("digit", PNG, model.graph.input).expect("a digit");
        let request = client.encrypt(&image).expect("a request");
        let reply = server.infer(&keys, &request[..]).expect("a reply");
        let public_plan = blindsight_protocol::write_plan(&plan.public, &plan.private_digest());
        let whole_plan = plan.write();
        Exchange { plan, public_plan, whole_plan, server, client, keys, key_frame, request, reply }
    }
}

/// A frame with the edits that the input lists.
///
/// The input is a byte of flags and edits of five bytes each: where (little-endian, modulo the frame's
/// length), and what to add there; an edit that adds nothing cuts the frame off. Where the flags are odd, the
/// checksum is made right again, so that only the parser's own checks are left.
pub fn edited(frame: &[u8], input: &[u8]) -> Vec<u8> {
    let Some((&flags, edits)) = input.split_first() else { return frame.to_vec() };
    let mut frame = altered(frame, edits);
    if flags & 1 == 1 && frame.len() >= 32 {
        let body = frame.len() - 32;
        let checksum = Sha256::digest(&frame[..body]);
        frame[body..].copy_from_slice(&checksum);
    }
    frame
}

/// Bytes with the edits of five bytes each that the input lists, as [`edited`] says.
fn altered(bytes: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in edits.chunks_exact(5) {
        let at = u32::from_le_bytes([edit[0], edit[1], edit[2], edit[3]]) as usize % bytes.len().max(1);
        match edit[4] {
            0 => bytes.truncate(at),
            amount if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(amount),
            _ => {}
        }
    }
    bytes
}

/// The frame of a public plan with edits in its payload, its digest and checksum made right again where it
/// still is a plan's.
fn redigested(frame: &[u8], edits: &[u8]) -> Vec<u8> {
    let (head, payload) = frame[..frame.len() - 32].split_at(68);
    let payload = altered(payload, edits);
    let mut frame = [head, &payload].concat();
    if let Some((private, encoded)) = payload.split_first_chunk()
        && let Some(plan) = decoded(encoded)
    {
        frame[12..44].copy_from_slice(&plan.digest(private));
    }
    frame[60..68].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let checksum = Sha256::digest(&frame);
    frame.extend(checksum);
    frame
}

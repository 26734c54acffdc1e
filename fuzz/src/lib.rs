//! What the targets share: both parties of an exchange, and sound frames to damage.
//!
//! Random bytes do not get past a checksum. So a target's input is a list of edits of a sound frame, five bytes each (where, and what to
//! add there); where its first byte is odd, the checksum is made right again, so that only the parser's own checks are left.

use client::Client;
use network::{Image, Model};
use packing::Plan;
use packing::planner::{Options, plan};
use server::{ClientKeys, PreparedModel};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The shipped model.
pub const ONNX: &[u8] = include_bytes!("../../models/cryptonets-mnist.onnx");
/// A drawn digit.
pub const PNG: &[u8] = include_bytes!("../../samples/digit-4.png");

/// Both parties, and a sound frame of each kind.
pub struct Exchange {
    pub plan: Plan,
    pub server: PreparedModel,
    pub client: Client,
    pub keys: ClientKeys,
    pub key_frame: Vec<u8>,
    pub request: Vec<u8>,
    pub reply: Vec<u8>,
}

/// Made once in a process.
pub static EXCHANGE: LazyLock<Exchange> = LazyLock::new(|| {
    let model = Model::from_bytes("cryptonets-mnist", ONNX).expect("the shipped model");
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

/// A frame with the edits that the input lists; cut off where an edit adds nothing.
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

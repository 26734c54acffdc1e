//! How many bytes things take: files exactly as `blindsight_ckks::wire` writes them, and what stays in
//! memory.

use blindsight_circuit::{Circuit, Role, working_bytes};
use blindsight_ckks::wire::{self, FRAME_BYTES, ReplyShape};
use blindsight_ckks::{KeyRequirements, Level, Parameters};

/// The file of one request: `count` seeded ciphertexts at `level`, which exists.
pub fn upload(parameters: &Parameters, level: Level, count: usize) -> u64 {
    file(wire::ciphertexts_bytes(parameters, level, count))
}

/// The file of one reply.
pub fn download(parameters: &Parameters, shape: ReplyShape) -> u64 {
    file(wire::reply_bytes(parameters, shape))
}

/// The file of evaluation keys, whose levels exist.
pub fn evaluation_keys(parameters: &Parameters, keys: &KeyRequirements) -> u64 {
    file(wire::evaluation_keys_bytes(parameters, keys))
}

fn file(payload: usize) -> u64 {
    (FRAME_BYTES + payload) as u64
}

/// The encoded model in the server's memory; less where plaintexts are equal, which are kept once, or
/// repeat more often than they say.
pub fn encoded_model(circuit: &Circuit) -> u64 {
    let special = circuit.parameters().special().len();
    let plain = |spec: &blindsight_circuit::PlainSpec| {
        let special = if spec.role == Role::ExtendedFactor { special } else { 0 };
        ((circuit.parameters().limbs(spec.level) + special)
            * (circuit.slots() / spec.repeats)
            * size_of::<u32>()) as u64
    };
    circuit.plains().iter().map(plain).sum::<u64>() + circuit.chain_bytes() as u64
}

/// What a server needs for a circuit beside keys: the encoded model, and the values of one inference.
pub fn memory(circuit: &Circuit) -> u64 {
    encoded_model(circuit) + working_bytes(circuit)
}

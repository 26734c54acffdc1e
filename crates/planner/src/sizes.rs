//! How many bytes things take: files exactly as `blindsight_ckks::wire` writes them, and what stays in
//! memory.

use blindsight_circuit::{Circuit, Operation, Plain, Role, working_bytes};
use blindsight_ckks::wire::{self, FRAME_BYTES, ReplyShape};
use blindsight_ckks::{KeyRequirements, Level, Parameters};
use std::collections::BTreeSet;

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

/// The encoded model in the server's memory; less where factors of sums and products by themselves, or
/// summands, are equal, which are kept once, or repeat more often than they say.
pub fn encoded_model(circuit: &Circuit) -> u64 {
    let special = circuit.parameters().special().len();
    let plain = |plain: Plain| {
        let spec = &circuit.plains()[plain.index()];
        let special = if spec.role == Role::ExtendedFactor { special } else { 0 };
        ((circuit.parameters().limbs(spec.level) + special)
            * (circuit.slots() / spec.repeats)
            * size_of::<u32>()) as u64
    };
    // A transform has its factors together in memory; what others share is there once.
    let (mut of_transforms, mut others) = (vec![], BTreeSet::new());
    for node in circuit.nodes() {
        match &node.operation {
            transform @ Operation::Transform { .. } => of_transforms.extend(transform.plains()),
            other => others.extend(other.plains()),
        }
    }
    of_transforms.into_iter().chain(others).map(plain).sum::<u64>() + circuit.chain_bytes() as u64
}

/// What a server needs for a circuit beside keys: the encoded model, and the values of one inference.
pub fn memory(circuit: &Circuit) -> u64 {
    encoded_model(circuit) + working_bytes(circuit)
}

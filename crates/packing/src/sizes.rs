//! How many bytes things take, encoded: words of a prime take as many bits as the prime has, and uniform halves travel as seeds.

use circuit::{Circuit, Role};
use ckks::{KeyRequirements, Level, Parameters};
use ring::Modulus;

/// Magic, version, kind, plan digest and lengths of one file.
const HEADER: u64 = 64;
/// A seed.
const SEED: u64 = 32;

fn limb(degree: usize, modulus: &Modulus) -> u64 {
    (degree as u64 * u64::from(32 - modulus.value().leading_zeros())).div_ceil(8)
}

fn limbs(parameters: &Parameters, level: Level) -> u64 {
    parameters.moduli()[..level.limbs()].iter().map(|m| limb(parameters.degree(), m)).sum()
}

/// One request: `count` seeded ciphertexts at `level`.
pub fn upload(parameters: &Parameters, level: Level, count: usize) -> u64 {
    HEADER + count as u64 * (limbs(parameters, level) + SEED)
}

/// One reply: `c_1` at level 0, and so many words of `c_0`.
pub fn download(parameters: &Parameters, coefficients: usize) -> u64 {
    HEADER + limbs(parameters, Level(0)) + 4 * coefficients as u64
}

/// Evaluation keys, seeded: for each digit one half over the extended basis.
pub fn evaluation_keys(parameters: &Parameters, keys: &KeyRequirements) -> u64 {
    let special: u64 = parameters.special().iter().map(|m| limb(parameters.degree(), m)).sum();
    let key = |level| parameters.digits(level) as u64 * (limbs(parameters, level) + special + SEED);
    HEADER + keys.iter().map(|(_, level)| key(level)).sum::<u64>()
}

/// The encoded model in the server's memory.
pub fn encoded_model(circuit: &Circuit) -> u64 {
    let special = circuit.parameters().special().len();
    let plain = |spec: &circuit::PlainSpec| {
        let special = if spec.role == Role::ExtendedFactor { special } else { 0 };
        ((spec.level.limbs() + special) * circuit.slots() * size_of::<u32>()) as u64
    };
    circuit.plains().iter().map(plain).sum()
}

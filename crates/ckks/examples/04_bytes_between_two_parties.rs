//! # 4. Bytes between two parties
//!
//! Client and server share parameters and a plan, and otherwise only bytes. This essay computes the mean of
//! `x_j w_j` over 8192 slots, `x` the client's secret, `w` the server's, with one product and no rotation,
//! and looks at what travels.

use blindsight_ckks::wire::{self, Expected, Header, Kind, Length, ReplyShape};
use blindsight_ckks::{
    Context, EvaluationKeys, Evaluator, Extension, Level, ParametersLiteral, Randomness, Rescale, Scale,
    SecretKey,
};
use blindsight_ring::Kernel;
use std::error::Error;

const LEVEL: Level = Level(1);
const SCALE: Scale = Scale(67_108_864.0);
/// What the server sends back of the result: its constant coefficient.
const COEFFICIENTS: [usize; 1] = [0];
const SHAPE: ReplyShape = ReplyShape::of_one(COEFFICIENTS.len());
/// The digest of the plan that both sides hold, and the client's key: files carry both, so that nobody
/// decrypts the wrong thing.
const PLAN: [u8; 32] = [7; 32];

/// Runs the essay.
pub fn main() -> Result<(), Box<dyn Error>> {
    let literal = ParametersLiteral {
        degree: 8192,
        moduli: vec![268369921, 67043329, 67239937, 66813953, 67502081, 66551809],
        special: vec![268271617, 268238849],
        digit_limbs: 2,
    };
    let context = Context::new(literal.validate()?, Kernel::from_environment()?)?;

    // --- The client encrypts, and writes a request ---
    //
    // The payload is the ciphertext's seed and its other half, each word packed to its prime's width. The
    // frame around it says what it is, whose, and how long, and ends with a checksum. The checksum finds
    // accidents: a frame is not authenticated.
    let mut randomness = Randomness::from_system()?;
    let secret = SecretKey::generate(&context, &mut randomness);
    let key_id = randomness.seed()[..16].try_into()?;
    let x: Vec<f64> = (0..8192).map(|j| (f64::from(j) * 0.003).sin()).collect();
    let ciphertext = secret.encrypt(&context, &x, LEVEL, SCALE, &mut randomness)?;
    let header = Header { kind: Kind::Ciphertexts, plan: PLAN, key: key_id };
    let request = wire::seal(&header, &wire::write_ciphertexts(&context, &[ciphertext]));
    println!("request: {} bytes for {} numbers", request.len(), x.len());

    // --- The server answers ---
    let w: Vec<f64> = (0..8192).map(|j| (f64::from(j) * 0.003 + 0.5).sin()).collect();
    let response = answer(&context, &w, &request)?;
    println!("reply: {} bytes", response.len());

    // A damaged file is refused before anything is computed, and so is one of another kind, plan, key or
    // length.
    let mut damaged = request.clone();
    damaged[1000] ^= 1;
    println!("one bit flipped: {}", answer(&context, &w, &damaged).unwrap_err());
    println!("the reply sent as a request: {}", answer(&context, &w, &response).unwrap_err());

    // --- The client decrypts the reply ---
    //
    // It knows from the plan how long the reply must be, at which scale, and which coefficients it carries;
    // nothing is read from the bytes that could be known beforehand.
    let length = Length::Exactly(wire::reply_bytes(context.parameters(), SHAPE));
    let expected = Expected { kind: Kind::Reply, plan: Some(PLAN), key: Some(key_id), length };
    let (_, payload) = wire::open(&response[..], &expected)?;
    let reply = wire::read_replies(&context, &payload, SHAPE, SCALE)?.remove(0);
    let mean = secret.decrypt_reply(&context, &reply, &COEFFICIENTS)[0];
    let truth = x.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>() / 8192.0;
    println!("mean product: {mean:.7}, in the clear {truth:.7}");
    assert!((mean - truth).abs() < 1e-5);
    Ok(())
}

/// The server: bytes in, bytes out. It has tables and weights, and no way to hold a secret key.
fn answer(context: &Context, w: &[f64], request: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    // The server takes any client's request for its plan; the reply carries the request's key identity back.
    // The length follows from the plan, and is compared with the one announced before a byte of payload is
    // read.
    let length = Length::Exactly(wire::ciphertexts_bytes(context.parameters(), LEVEL, 1));
    let expected = Expected { kind: Kind::Ciphertexts, plan: Some(PLAN), key: None, length };
    let (header, payload) = wire::open(request, &expected)?;
    let mut ciphertexts = wire::read_ciphertexts(context, &payload, 1, LEVEL, SCALE)?;
    let x = ciphertexts.remove(0).expand(context.basis(LEVEL));

    // Slots multiply one by one. Encoded at q_1, the weights leave the scale as it was after the rescale.
    let factor_scale = Scale(context.parameters().modulus(LEVEL));
    let w = context.encode_factor(w, LEVEL, factor_scale, Extension::Plain)?;
    let keys = EvaluationKeys::default();
    let evaluator = Evaluator::new(context, &keys);
    let product = evaluator.multiply_plain(&x, &w, Rescale::Yes)?;

    // To sum the slots would take thirteen rotations. But the constant coefficient of a polynomial is the
    // mean of its slots already, so the server sends that coefficient, and c_1, which decryption needs.
    // (Other coefficients are means over cosines, which is how one product serves many sums.) The products
    // themselves stay hidden from the client, too: their coefficients of c_0 are not in the reply, whose
    // bytes do not depend on them.
    let reply = evaluator.reply(&product, &COEFFICIENTS)?;
    Ok(wire::seal(&Header { kind: Kind::Reply, ..header }, &wire::write_replies(context, &[reply])))
}

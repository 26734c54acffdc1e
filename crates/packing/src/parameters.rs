//! Parameters for a ring degree and a depth: levels of 26 bits over a base prime of 28, and special primes.

use crate::Error;
use blindsight_ckks::{Parameters, ParametersLiteral};

/// Degrees that are tried where none is asked for.
pub(crate) const DEGREES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];

/// How many limbs a digit has, and how many special primes of how many bits cover it: the first that fits is taken. Two-limb digits halve the
/// transforms of a key-switch; one-limb digits leave room for one level more.
const DIGITS: [(usize, usize, u32); 2] = [(2, 2, 28), (1, 1, 30)];

/// What the primes of the levels are nearest to: the scale, or where these come to a fraction of a bit too much a little less.
const CENTRES: [u64; 2] = [1 << 26, (1 << 26) - (1 << 21)];

/// The parameters of 128 bits of security at `degree` with so many levels.
///
/// # Errors
/// Where the degree has too few primes of the size, or too little room for them.
pub fn parameters(degree: usize, levels: usize) -> Result<Parameters, Error> {
    if !degree.is_power_of_two() || !(1024..=65536).contains(&degree) {
        return Err(Error::does_not_fit("ring degree", degree, "a power of two from 1024 to 65536"));
    }
    let mut refused = None;
    for (digits, centre) in DIGITS.into_iter().flat_map(|digits| CENTRES.map(|centre| (digits, centre))) {
        match literal(degree, levels, digits, centre)?.validate() {
            Ok(parameters) => return Ok(parameters),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.expect("there are digits to try").into())
}

/// The refusal of a network that takes more levels than any degree has.
pub(crate) fn too_deep(levels: usize) -> Error {
    let most = |degree| (1..levels).take_while(|levels| parameters(degree, *levels).is_ok()).count();
    let deepest = DEGREES.into_iter().map(|degree| (most(degree), degree)).max();
    let (most, degree) = deepest.expect("there are degrees to try");
    let expected = format!(
        "{most} levels at most, which ring degree {degree} has at 128 bits of security; each layer with weights takes a level, each square one more"
    );
    Error::does_not_fit("the network's depth", format!("{levels} levels"), expected)
}

/// Primes of 26 bits, those nearest to the scale, for the levels; the largest of 28 bits for base and special primes. At degree 8192 the
/// order is such that two-limb digits and drifting scales come out even.
fn literal(
    degree: usize,
    levels: usize,
    (digit_limbs, special, special_bits): (usize, usize, u32),
    centre: u64,
) -> Result<ParametersLiteral, Error> {
    if degree == 8192 && levels <= 5 && special == 2 {
        let moduli = [268_369_921, 67_043_329, 67_239_937, 66_813_953, 67_502_081, 66_551_809];
        let (moduli, special) = (moduli[..=levels].to_vec(), vec![268_271_617, 268_238_849]);
        return Ok(ParametersLiteral { degree, moduli, special, digit_limbs });
    }
    let small = blindsight_ring::primes::search(degree, centre, centre - (1 << 24), centre + (1 << 24));
    let below = |bits: u32| blindsight_ring::primes::search(degree, 1 << bits, 1 << (bits - 1), 1 << bits);
    let mut large = below(28);
    let base = if large.is_empty() { None } else { Some(large.remove(0)) };
    let special = if special_bits == 28 { large.get(..special) } else { None }
        .map(<[u32]>::to_vec)
        .or_else(|| below(special_bits).get(..special).map(<[u32]>::to_vec));
    let (Some(levels), Some(base), Some(special)) = (small.get(..levels), base, special) else {
        let expected = format!("one with {levels} primes near 2^26; it has {}", small.len());
        return Err(Error::does_not_fit("ring degree", degree, expected));
    };
    let moduli = std::iter::once(base).chain(levels.iter().copied()).collect();
    Ok(ParametersLiteral { degree, moduli, special, digit_limbs })
}

//! Parameters for a ring degree: five levels of 26 bits over a base prime of 28, two special primes of 28.

use crate::Error;
use ckks::{Parameters, ParametersLiteral};

/// Degrees that are tried where none is asked for.
pub(crate) const DEGREES: [usize; 3] = [8192, 16384, 32768];

/// The parameters of 128 bits of security at `degree`.
///
/// # Errors
/// Where the degree has too few primes of the size, or too little room for them.
pub fn parameters(degree: usize) -> Result<Parameters, Error> {
    Ok(literal(degree)?.validate()?)
}

/// Primes of 26 and 28 bits, those nearest to the scale for the levels and the largest for base and special primes. At degree 8192 the
/// order is such that two-limb digits and drifting scales come out even.
fn literal(degree: usize) -> Result<ParametersLiteral, Error> {
    if degree == 8192 {
        let moduli = vec![268_369_921, 67_043_329, 67_239_937, 66_813_953, 67_502_081, 66_551_809];
        return Ok(ParametersLiteral {
            degree,
            moduli,
            special: vec![268_271_617, 268_238_849],
            digit_limbs: 2,
        });
    }
    if !degree.is_power_of_two() || !(1024..=65536).contains(&degree) {
        return Err(Error::does_not_fit("ring degree", degree, "a power of two from 1024 to 65536"));
    }
    let levels = ring::primes::search(degree, 1 << 26, (1 << 26) - (1 << 22), (1 << 26) + (1 << 22));
    let large = ring::primes::search(degree, 1 << 28, 1 << 27, 1 << 28);
    let (Some(levels), [special @ .., base]) = (levels.get(..5), large.get(..3).unwrap_or(&[])) else {
        return Err(Error::does_not_fit(
            "ring degree",
            degree,
            "a degree with enough primes of 26 and 28 bits",
        ));
    };
    let moduli = std::iter::once(*base).chain(levels.iter().copied()).collect();
    Ok(ParametersLiteral { degree, moduli, special: special.to_vec(), digit_limbs: 2 })
}

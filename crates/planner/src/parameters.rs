//! Parameters for a ring degree and a depth: levels near a nominal scale, a base prime two bits larger, and
//! special primes that cover digits of one to eight limbs.

use crate::Error;
use blindsight_circuit::{CostModel, Tally, Work};
use blindsight_ckks::parameters::{MOST_DIGIT_LIMBS, MOST_SPECIAL, largest_log_qp};
use blindsight_ckks::{Demands, Level, Parameters, ParametersLiteral, Security};
use blindsight_layout::Masking;
use blindsight_ring::primes::search;
use std::sync::OnceLock;

/// Degrees that are tried where none is asked for.
pub(crate) const DEGREES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];

/// Up to which degree the shape of digits is one of [`SMALL_RINGS`], whatever else would fit: plans are made
/// for these.
const LARGEST_SMALL_RING: usize = 16384;

/// How many limbs a digit has, and how many special primes of how many bits cover it: the first that fits is
/// taken. Two-limb digits halve the transforms of a key-switch; one-limb digits leave room for one level
/// more.
const SMALL_RINGS: [(usize, usize, u32); 2] = [(2, 2, 28), (1, 1, 30)];

/// What the primes of the levels are nearest to, in parts of the scale: the scale, or where these come to a
/// fraction of a bit too much a little less.
const CENTRES: [(u64, u64); 2] = [(32, 32), (31, 32)];

/// How many bits special primes should be larger than the largest digit: then key products add little to the
/// error of the division.
const MARGIN: f64 = 6.0;
/// The margin that is insisted on, and a little for primes that lie beside what is asked for.
const LEAST_MARGIN: f64 = 2.02;
/// The least and the preferred bits of a special prime. Transforms of larger ones take longer.
const SPECIAL_BITS: (f64, f64) = (24.0, 28.5);
/// Where room is scarce special primes may be so small.
const LEAST_SPECIAL_BITS: f64 = 23.5;
/// The bits of the largest primes there are, nearly.
const LARGEST_BITS: f64 = 29.99;
/// Bits that are left over, for primes that lie beside what is asked for.
const ROOM_LEFT: f64 = 0.05;

/// The parameters of 128 bits of security at `degree` with so many levels: up to degree 16384 digits of two
/// limbs, or else of one; beyond it the candidate that rotates fastest by the cost model, which counts the
/// reading of keys.
///
/// # Errors
/// Where the degree has too few primes of the size, or too little room for them.
pub fn parameters(degree: usize, levels: usize) -> Result<Parameters, Error> {
    parameters_of(degree, levels, Security::Bits128)
}

/// The same for so much security.
///
/// # Errors
/// As [`parameters`].
pub fn parameters_of(degree: usize, levels: usize, security: Security) -> Result<Parameters, Error> {
    check_degree(degree)?;
    if degree <= LARGEST_SMALL_RING {
        return small_ring(degree, levels, security);
    }
    Ok(fastest(all_candidates(degree, levels, security)?).expect("there is a candidate, or an error"))
}

/// Of parameters of one degree those that rotate fastest, by the cost model.
fn fastest(candidates: Vec<Parameters>) -> Option<Parameters> {
    let model = CostModel::default();
    let time = |p: &Parameters| model.microseconds(&rotations(p), p.degree());
    candidates.into_iter().min_by(|a, b| time(a).total_cmp(&time(b)))
}

/// Parameters for masked replies: of each level two primes, whose product is near `2^bits`, and of those that
/// rotate fastest.
///
/// # Errors
/// Where the degree has too few primes of the size, or too little room for them.
pub(crate) fn wide_parameters(
    degree: usize,
    levels: usize,
    security: Security,
    bits: u32,
) -> Result<Parameters, Error> {
    check_degree(degree)?;
    let moduli = wide_moduli(degree, levels, f64::from(bits))?;
    let demands = Demands { security, level_limbs: Masking::LEVEL_LIMBS };
    let (mut found, mut refused) = (vec![], None);
    for digit_limbs in 1..=MOST_DIGIT_LIMBS.min(moduli.len()) {
        let special = special_primes(degree, &moduli, digit_limbs, security);
        let parameters = special.and_then(|special| {
            let moduli = moduli.clone();
            Ok(ParametersLiteral { degree, moduli, special, digit_limbs }.validate_as(demands)?)
        });
        match parameters {
            Ok(parameters) => found.push(parameters),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    fastest(found).ok_or_else(|| refused.expect("there are digits to try"))
}

/// The bits of a level of two primes, at most: there are enough primes of half of that below `2^30`.
pub(crate) const WIDEST_LEVEL: u32 = 58;
/// And at least.
pub(crate) const NARROWEST_LEVEL: u32 = 48;
/// How many bits larger the base is than a level, where there are primes of that size: scores and their
/// errors are this far apart, and the encryption of zero adds to the errors.
const WIDE_BASE: f64 = 4.0;

/// Two primes for the base and two for each level: of the nearest to the root of its product the smallest
/// with the largest, so that products are near each other.
fn wide_moduli(degree: usize, levels: usize, bits: f64) -> Result<Vec<u32>, Error> {
    let centre = |bits: f64| (bits / 2.0).exp2() as u64;
    let largest = LARGEST_BITS.exp2() as u64;
    let base = nearest(degree, centre((bits + WIDE_BASE).min(2.0 * LARGEST_BITS)), 1 << 23, largest);
    let base = &base[..2.min(base.len())];
    let near = nearest(degree, centre(bits), 1 << 23, 1 << 30).into_iter();
    let mut near: Vec<u32> = near.filter(|q| !base.contains(q)).take(2 * levels).collect();
    if base.len() < 2 || near.len() < 2 * levels {
        let expected =
            format!("one with {} primes near 2^{:.1}; it has {}", 2 * levels, bits / 2.0, near.len());
        return Err(Error::does_not_fit("ring degree", degree, expected));
    }
    near.sort_unstable();
    let pairs = (0..levels).flat_map(|i| [near[i], near[2 * levels - 1 - i]]);
    Ok(base.iter().copied().chain(pairs).collect())
}

/// All parameters worth a look at `degree` with so many levels: for each nominal scale that suits the degree
/// and each number of limbs in a digit one set, with as few special primes as cover it. Those whose rotations
/// take the fewest transforms come first.
///
/// # Errors
/// Where there are none, with what refuses those of one-limb digits.
pub fn candidates(degree: usize, levels: usize) -> Result<Vec<Parameters>, Error> {
    all_candidates(degree, levels, Security::Bits128)
}

fn all_candidates(degree: usize, levels: usize, security: Security) -> Result<Vec<Parameters>, Error> {
    check_degree(degree)?;
    let mut found: Vec<Parameters> =
        if degree <= LARGEST_SMALL_RING { small_ring(degree, levels, security).ok() } else { None }
            .into_iter()
            .collect();
    let mut refused = None;
    for bits in nominal_bits(degree) {
        match candidates_of(degree, levels, *bits, security) {
            Ok(more) => found.extend(more),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let shape = |p: &Parameters| (p.literal().digit_limbs, p.nominal_scale().0.to_bits());
    let mut shapes = std::collections::BTreeSet::new();
    found.retain(|p| shapes.insert(shape(p)));
    found.sort_by_key(|p| rotations(p).ntts);
    match refused {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// The same for a nominal scale of so many bits, 24 to 30.
///
/// # Errors
/// As [`candidates`].
pub fn candidates_at(degree: usize, levels: usize, bits: u32) -> Result<Vec<Parameters>, Error> {
    candidates_of(degree, levels, bits, Security::Bits128)
}

/// The same for so much security.
///
/// # Errors
/// As [`candidates`].
pub(crate) fn candidates_of(
    degree: usize,
    levels: usize,
    bits: u32,
    security: Security,
) -> Result<Vec<Parameters>, Error> {
    check_degree(degree)?;
    if !(24..=30).contains(&bits) {
        return Err(Error::does_not_fit("nominal scale", format!("2^{bits}"), "2^24 to 2^30"));
    }
    let (mut found, mut refused) = (vec![], None);
    for digit_limbs in 1..=MOST_DIGIT_LIMBS.min(levels + 1) {
        let fits = |centre| candidate((degree, levels, security), bits, centre, digit_limbs);
        match fits(CENTRES[0]).or_else(|error| fits(CENTRES[1]).map_err(|_| error)) {
            Ok(parameters) => found.push(parameters),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    found.sort_by_key(|p| rotations(p).ntts);
    match refused {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// The nominal scales that suit a degree, cheapest first. Errors grow with the degree: a division's deviation
/// is `N / 2` or so.
fn nominal_bits(degree: usize) -> &'static [u32] {
    match degree {
        65536.. => &[28, 30],
        32768.. => &[26, 28],
        _ => &[26],
    }
}

/// The work of one rotation at each level.
fn rotations(parameters: &Parameters) -> Work {
    let at = |level| Tally::new(parameters, Level(level)).rotate(1);
    (0..=parameters.max_level().0).map(at).sum::<blindsight_circuit::Counts>().work
}

fn check_degree(degree: usize) -> Result<(), Error> {
    if !degree.is_power_of_two() || !(1024..=65536).contains(&degree) {
        return Err(Error::does_not_fit("ring degree", degree, "a power of two from 1024 to 65536"));
    }
    Ok(())
}

/// The primes of 23 to 30 bits of a degree, in rising order: searched for once.
fn primes(degree: usize) -> &'static [u32] {
    static FOUND: [OnceLock<Vec<u32>>; 7] = [const { OnceLock::new() }; 7];
    // By distance from the least number is in rising order.
    FOUND[(degree / 1024).trailing_zeros() as usize].get_or_init(|| search(degree, 0, 1 << 23, 1 << 30))
}

/// Those of the primes that are between `low` and `high`, the nearest to `centre` first.
pub(crate) fn nearest(degree: usize, centre: u64, low: u64, high: u64) -> Vec<u32> {
    let within = primes(degree).iter().filter(|&&q| (low..high).contains(&q.into()));
    let mut within: Vec<u32> = within.copied().collect();
    within.sort_by_key(|&q| (u64::from(q).abs_diff(centre), q));
    within
}

/// Levels near `2^bits` (or a part of it), a base prime nearly two bits larger, and special primes for digits
/// of so many limbs.
fn candidate(
    (degree, levels, security): (usize, usize, Security),
    bits: u32,
    (part, parts): (u64, u64),
    digit_limbs: usize,
) -> Result<Parameters, Error> {
    let (scale, largest) = (1u64 << bits, 1u64 << (bits + 2).min(30));
    let base = nearest(degree, largest / 32 * 31, largest / 2, largest).first().copied();
    let near = nearest(degree, scale / parts * part, scale / 2, scale / 2 * 3).into_iter();
    let near: Vec<u32> = near.filter(|q| Some(*q) != base).take(levels).collect();
    let (Some(base), true) = (base, near.len() == levels) else {
        let expected = format!("one with {levels} primes near 2^{bits}; it has {}", near.len());
        return Err(Error::does_not_fit("ring degree", degree, expected));
    };
    let moduli = [vec![base], near].concat();
    let special = special_primes(degree, &moduli, digit_limbs, security)?;
    let demands = Demands { security, ..Demands::default() };
    Ok(ParametersLiteral { degree, moduli, special, digit_limbs }.validate_as(demands)?)
}

/// As few primes as cover the largest digit: by [`MARGIN`] bits, by more where primes would be too small to
/// be there, and by less where room is scarce or they would be large.
fn special_primes(
    degree: usize,
    moduli: &[u32],
    digit_limbs: usize,
    security: Security,
) -> Result<Vec<u32>, Error> {
    let digit = moduli.chunks(digit_limbs).map(bits_of).fold(0.0, f64::max);
    let least = digit + LEAST_MARGIN;
    let count = (least / LARGEST_BITS).ceil();
    if count > MOST_SPECIAL as f64 {
        let expected = format!("{MOST_SPECIAL} special primes at most, not {count}");
        return Err(Error::does_not_fit("limbs of a digit", digit_limbs, expected));
    }
    let preferred = (digit + MARGIN).min(count * SPECIAL_BITS.1).max(count * SPECIAL_BITS.0);
    let room = largest_log_qp(degree, security) - bits_of(moduli) - ROOM_LEFT;
    let target = preferred.min(room).max(least).max(count * LEAST_SPECIAL_BITS);
    let mut special: Vec<u32> = vec![];
    for left in (1..=count as usize).rev() {
        let centre = ((target - bits_of(&special)) / left as f64).min(30.0).exp2() as u64;
        let unused = |q: &u32| !moduli.contains(q) && !special.contains(q);
        let found = nearest(degree, centre, 0, u64::MAX).into_iter().find(unused);
        special
            .push(found.ok_or_else(|| Error::does_not_fit("ring degree", degree, "one with more primes"))?);
    }
    Ok(special)
}

fn bits_of(primes: &[u32]) -> f64 {
    primes.iter().map(|&q| f64::from(q).log2()).sum()
}

/// The refusal of a network that takes more levels than any degree has.
pub(crate) fn too_deep(levels: usize, security: Security) -> Error {
    let fits = |degree, levels| parameters_of(degree, levels, security).is_ok();
    let most = |degree| (1..levels).take_while(|levels| fits(degree, *levels)).count();
    let deepest = DEGREES.into_iter().map(|degree| (most(degree), degree)).max();
    let (most, degree) = deepest.expect("there are degrees to try");
    let expected = format!(
        "{most} levels at most, which ring degree {degree} has at {security} bits of security; each layer with weights takes a level, each square one more"
    );
    Error::does_not_fit("the network's depth", format!("{levels} levels"), expected)
}

/// The first of [`SMALL_RINGS`] that fits.
fn small_ring(degree: usize, levels: usize, security: Security) -> Result<Parameters, Error> {
    let demands = Demands { security, ..Demands::default() };
    let mut refused = None;
    for (digits, centre) in SMALL_RINGS.into_iter().flat_map(|digits| CENTRES.map(|centre| (digits, centre)))
    {
        match literal(degree, levels, digits, (1 << 26) / centre.1 * centre.0)?.validate_as(demands) {
            Ok(parameters) => return Ok(parameters),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.expect("there are digits to try").into())
}

/// Primes of 26 bits, those nearest to the scale, for the levels; the largest of 28 bits for base and special
/// primes. At degree 8192 the order is such that two-limb digits and drifting scales come out even.
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
    let small = search(degree, centre, centre - (1 << 24), centre + (1 << 24));
    let below = |bits: u32| search(degree, 1 << bits, 1 << (bits - 1), 1 << bits);
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

//! Which parameters there are for a degree and a depth.

use crate::{candidates, candidates_at, parameters};
use blindsight_circuit::Tally;
use blindsight_ckks::{Level, Parameters, Scale};

fn rotation_transforms(parameters: &Parameters) -> u64 {
    (0..=parameters.max_level().0).map(|l| Tally::new(parameters, Level(l)).rotate(1).work.ntts).sum()
}

/// The numbers of limbs that digits may have, in rising order.
fn digit_limbs(all: &[Parameters]) -> Vec<usize> {
    let mut limbs: Vec<usize> = all.iter().map(|p| p.literal().digit_limbs).collect();
    limbs.sort_unstable();
    limbs
}

/// The primes of the shipped models' plans, which keys and plans in the field depend on.
#[test]
fn small_rings_stay_as_they_are() {
    let expected = [
        (8192, 5, 2, 213.98916464345223),
        (8192, 3, 2, 161.99276145403513),
        (16384, 7, 2, 265.99908477566976),
        (16384, 13, 2, 422.02232573219845),
        (16384, 14, 1, 421.95),
    ];
    for (degree, levels, limbs, log_qp) in expected {
        let p = parameters(degree, levels).unwrap();
        assert_eq!(p.literal().digit_limbs, limbs, "{degree}, {levels} levels");
        assert!((p.log_qp() - log_qp).abs() < if levels == 14 { 0.05 } else { 1e-9 }, "{}", p.log_qp());
        assert!(candidates(degree, levels).unwrap().contains(&p));
    }
    let special = parameters(16384, 13).unwrap().literal().special.clone();
    let largest = blindsight_ring::primes::search(16384, 1 << 28, 1 << 27, 1 << 28);
    assert_eq!(special, largest[1..3]);
}

#[test]
fn the_nominal_scale_is_what_the_levels_lie_around() {
    for (degree, levels, bits) in [
        (4096, 1, 26),
        (8192, 0, 26),
        (8192, 6, 26),
        (16384, 14, 26),
        (32768, 31, 26),
        (65536, 9, 28),
        (65536, 59, 28),
    ] {
        assert_eq!(parameters(degree, levels).unwrap().nominal_scale(), Scale::bits(f64::from(bits)));
    }
    for bits in [25, 26, 28, 29, 30] {
        for p in candidates_at(32768, 12, bits).unwrap() {
            assert_eq!(p.nominal_scale(), Scale::bits(f64::from(bits)));
        }
    }
    assert!(candidates_at(32768, 12, 23).is_err() && candidates_at(32768, 12, 31).is_err());
}

#[test]
fn candidates_are_secure_distinct_and_cheapest_first() {
    for (degree, levels) in [(8192, 5), (16384, 11), (32768, 9), (32768, 27), (65536, 39), (65536, 45)] {
        let all = candidates(degree, levels).unwrap();
        assert!(all.contains(&parameters(degree, levels).unwrap()));
        assert!(all.iter().all(|p| p.max_level() == Level(levels) && p.security_bits() >= 128));
        assert!(all.is_sorted_by_key(rotation_transforms), "degree {degree}, {levels} levels");
        for (i, p) in all.iter().enumerate() {
            assert!(!all[..i].contains(p));
        }
    }
}

#[test]
fn wide_digits_fit_deep_rings() {
    let [deep, deeper] = [27, 28].map(|levels| candidates_at(32768, levels, 26).unwrap());
    assert_eq!((digit_limbs(&deep), digit_limbs(&deeper)), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4]));
    let four = deep.iter().find(|p| p.literal().digit_limbs == 4).unwrap();
    assert_eq!(four.special().len(), 4);
    assert!((four.log_qp() - 842.0).abs() < 1.0 && four.log_p() > 111.0, "{}", four.log_qp());
    assert_eq!(digit_limbs(&candidates_at(65536, 45, 28).unwrap()), [1, 2, 3, 4, 5, 6, 7, 8]);
    // Six key products instead of twenty-three, and keys of less than a third.
    assert_eq!(parameters(65536, 45).unwrap().literal().digit_limbs, 8);
    assert_eq!(digit_limbs(&candidates(16384, 12).unwrap()), [1, 2, 3]);
    assert_eq!(digit_limbs(&candidates(16384, 13).unwrap()), [1, 2]);
}

#[test]
fn what_does_not_fit_is_refused_with_the_figures() {
    for degree in [0, 512, 10_000, 1 << 17] {
        assert!(candidates(degree, 1).is_err() && candidates_at(degree, 1, 26).is_err());
    }
    let refused = |degree, levels| candidates(degree, levels).unwrap_err().to_string();
    assert!(refused(16384, 15).contains("at most 430"), "{}", refused(16384, 15));
    assert!(refused(65536, 60).contains("at most 1747"), "{}", refused(65536, 60));
}

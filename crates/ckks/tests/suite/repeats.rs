//! Factors whose slots repeat: found, encoded as in full, and the same bits in every product.

use crate::common::{Setup, giant_step, literal, map_of, random_slots};
use blindsight_ckks::{
    Evaluator, Extension, GiantOrder, GiantStep, KeyRequirements, Level, PlainFactor, Rescale, Scale,
    most_repeats, testing,
};
use blindsight_ring::Kernel;
use proptest::prelude::*;

/// Degrees 16, 64, ... 4096, each with every kernel: the last has blocks of a part of a limb.
fn setups() -> &'static [Setup] {
    thread_local! { static SETUPS: &'static [Setup] = Vec::leak(make_setups()); }
    SETUPS.with(|setups| *setups)
}

fn make_setups() -> Vec<Setup> {
    let mut keys = KeyRequirements::default();
    (1..4).for_each(|k| keys.rotate_at(k, Level(3)));
    let of_degree = |bits: usize| {
        let keys = &keys;
        Kernel::available().into_iter().map(move |kernel| {
            let parameters = literal(1 << bits, 2).validate_insecure().unwrap();
            Setup::with(parameters, keys, 5, kernel)
        })
    };
    [4, 6, 8, 10, 12].into_iter().flat_map(of_degree).collect()
}

fn repeating(slots: usize, repeats: usize, seed: u64) -> Vec<f64> {
    random_slots(slots / repeats, seed).repeat(repeats)
}

/// Two giant steps of two baby steps.
fn giant_steps(factors: &[PlainFactor]) -> [GiantStep; 2] {
    [0, 2].map(|g| giant_step(g, &[0, 1].map(|baby_step| (0, baby_step, factors[g + baby_step].clone()))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn compact_factors_give_the_same_bits(
        index in 0usize..16, logs in prop::collection::vec(0u32..8, 4), level in 1usize..4, seed: u64, extended: bool,
    ) {
        let setups = setups();
        let setup = &setups[index % setups.len()];
        let (context, slots) = (&setup.context, setup.context.parameters().slots());
        let (level, scale) = (Level(level), Scale::bits(26.0));
        let extension = if extended { Extension::Extended } else { Extension::Plain };
        let factor = |(i, log): (usize, &u32)| {
            let repeats = slots.min(1 << log);
            let numbers = repeating(slots, repeats, seed ^ i as u64);
            let factor = context.encode_factor(&numbers, level, scale, extension).unwrap();
            assert_eq!(factor.repeats(), repeats.min(most_repeats(slots)));
            factor
        };
        let compact: Vec<_> = logs.iter().enumerate().map(factor).collect();
        let full: Vec<_> = compact.iter().map(|factor| testing::full_factor(context, factor)).collect();
        prop_assert!(full.iter().zip(&compact).all(|(f, c)| f.bytes() == c.bytes() * c.repeats()));
        let a = setup.encrypt(&random_slots(slots, seed), level, scale);
        let evaluator = Evaluator::new(context, &setup.keys);
        if extension == Extension::Plain {
            let dot = |factors: &[PlainFactor]| {
                let terms: Vec<_> = factors.iter().map(|factor| (&a, factor)).collect();
                evaluator.dot(&terms, Rescale::Yes).unwrap()
            };
            prop_assert_eq!(dot(&full), dot(&compact));
        }
        for order in [GiantOrder::Apart, GiantOrder::Chained] {
            let of = |factors: &[PlainFactor]| {
                let steps = giant_steps(factors);
                evaluator.transform(&[&a], &map_of(&steps, order), Rescale::Yes).unwrap()
            };
            prop_assert_eq!(of(&full), of(&compact));
        }
    }

    /// The polynomial in the subring is the one in the ring: the same integers, but where one rounds up and
    /// the other down, half-way between two.
    #[test]
    fn compact_factors_encode_what_full_ones_do(
        index in 0usize..16, log in 1u32..7, bits in 1.0f64..40.0, seed: u64, extended: bool,
    ) {
        let setups = setups();
        let context = &setups[index % setups.len()].context;
        let slots = context.parameters().slots();
        let numbers = repeating(slots, slots.min(1 << log), seed);
        let extension = if extended { Extension::Extended } else { Extension::Plain };
        let scale = Scale::bits(bits);
        let factor = context.encode_factor(&numbers, Level(3), scale, extension).unwrap();
        let residues = testing::factor_residues(context, &factor);
        let integers = testing::integers(context, &numbers, Level(3), scale).unwrap();
        let exact = context.slots_to_coefficients(&numbers).unwrap();
        let moduli = context.parameters().moduli().iter().chain(context.parameters().special());
        let moduli: Vec<i64> = moduli.map(|m| m.value().into()).collect();
        let primes = if extended { [&moduli[..4], &moduli[6..]].concat() } else { moduli[..4].to_vec() };
        prop_assert_eq!(residues.limbs(), primes.len());
        for (j, integer) in integers.iter().enumerate() {
            let half_way = ((exact[j] * scale.0).fract().abs() - 0.5).abs() < 1e-3;
            let is = |x: &i64| {
                residues.iter().zip(&primes).all(|(limb, q)| i64::from(limb[j]) == x.rem_euclid(*q))
            };
            let near = half_way && [integer - 1, integer + 1].iter().any(is);
            prop_assert!(is(integer) || near, "coefficient {j}: {integer}");
            prop_assert!(*integer == 0 || j % factor.repeats() == 0);
        }
    }
}

#[test]
fn only_what_repeats_is_compact() {
    let setup = setups().last().unwrap();
    let repeats = |numbers: &[f64]| {
        setup.context.encode_factor(numbers, Level(0), Scale::bits(20.0), Extension::Plain).unwrap().repeats()
    };
    let slots = setup.context.parameters().slots();
    let mut numbers = repeating(slots, 8, 1);
    assert_eq!(repeats(&numbers), 8);
    assert_eq!(repeats(&numbers[..slots - 1]), 1, "the last slot is zero");
    numbers[slots / 2 + 1] += 1e-9;
    assert_eq!(repeats(&numbers), 1);
    assert_eq!(repeats(&[]), 16);
    assert_eq!(repeats(&vec![0.5; slots]), 16);
}

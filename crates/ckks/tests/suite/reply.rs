//! A reply holds the chosen coefficients and nothing else of the message: its bytes do not depend on the
//! others.

use crate::common::{Setup, random_slots};
use blindsight_ckks::{
    Ciphertext, Encoding, Evaluator, KeyRequirements, Level, Scale, testing,
    wire::{self, ReplyShape},
};
use proptest::prelude::*;

const N: usize = 64;
const SCALE: Scale = Scale(1_048_576.0);

fn setup() -> Setup {
    Setup::new(N, 2, &KeyRequirements::default(), 17)
}

fn reply_bytes(setup: &Setup, a: &Ciphertext, indices: &[usize]) -> Vec<u8> {
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    wire::write_replies(&setup.context, &[evaluator.reply(a, indices).unwrap()])
}

/// Words of `bits` bits, the first in the lowest ones: the packing, one bit at a time.
fn packed(words: impl Iterator<Item = u32>, bits: usize) -> Vec<u8> {
    let all: Vec<bool> = words.flat_map(|w| (0..bits).map(move |i| w >> i & 1 == 1)).collect();
    all.chunks(8).map(|byte| byte.iter().rev().fold(0, |b, &bit| b << 1 | u8::from(bit))).collect()
}

/// The ciphertext of a message that differs from that of `a` by `difference`, with the same `c_1` and the
/// same noise.
fn moved(setup: &Setup, a: &Ciphertext, difference: &[f64]) -> Ciphertext {
    let plain = setup.context.encode_summand(difference, Encoding::Coefficients, Level(0), SCALE).unwrap();
    Evaluator::new(&setup.context, &setup.keys).add_plain(a.clone(), &plain).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn bytes_do_not_depend_on_coefficients_that_are_not_sent(
        sent in proptest::sample::subsequence((0..N).collect::<Vec<_>>(), 0..N), seed: u64,
    ) {
        let setup = setup();
        let a = setup.encrypt(&random_slots(N, seed), Level(0), SCALE);
        let mut difference = random_slots(N, !seed);
        sent.iter().for_each(|&i| difference[i] = 0.0);
        let b = moved(&setup, &a, &difference);
        prop_assert!(testing::halves(&a)[1] == testing::halves(&b)[1] && testing::halves(&a)[0] != testing::halves(&b)[0]);
        let messages = [&a, &b].map(|c| setup.secret.decrypt_coefficients(&setup.context, c));
        prop_assert!((0..N).all(|i| sent.contains(&i) || messages[0][i] != messages[1][i]));
        prop_assert_eq!(reply_bytes(&setup, &a, &sent), reply_bytes(&setup, &b, &sent));
    }

    #[test]
    fn each_coefficient_that_is_sent_changes_the_bytes(index in 0..N, seed: u64) {
        let setup = setup();
        let a = setup.encrypt(&random_slots(N, seed), Level(0), SCALE);
        let mut difference = vec![0.0; N];
        difference[index] = 1.0 / SCALE.0;
        let b = moved(&setup, &a, &difference);
        prop_assert_ne!(reply_bytes(&setup, &a, &[index]), reply_bytes(&setup, &b, &[index]));
    }
}

/// `c_1` as values and then the chosen words of `c_0` as coefficients, packed: not a byte besides.
#[test]
fn a_reply_is_one_half_and_the_chosen_words() {
    let setup = setup();
    let a = setup.encrypt(&random_slots(N, 1), Level(0), SCALE);
    let basis = setup.context.basis(Level(0));
    let bits = 32 - basis.modulus(0).value().leading_zeros() as usize;
    let [c0, c1] = testing::halves(&a);
    let coefficients = basis.inverse(c0.clone());
    for indices in [vec![], vec![0], vec![5, 1, 63], vec![7; 3], (0..N).collect()] {
        let words = indices.iter().map(|&i| coefficients.words()[i]);
        let expected = packed(c1.words().iter().copied().chain(words), bits);
        let bytes = reply_bytes(&setup, &a, &indices);
        assert_eq!(bytes, expected, "{indices:?}");
        assert_eq!(bytes.len(), (N * bits / 8) + (indices.len() * bits).div_ceil(8));
        assert_eq!(
            bytes.len(),
            wire::reply_bytes(setup.context.parameters(), ReplyShape::of_one(indices.len()))
        );
    }
}

#[test]
fn a_reply_decrypts_to_its_coefficients_in_order() {
    let setup = setup();
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let x = random_slots(N, 2);
    let coefficients = setup.context.slots_to_coefficients(&x).unwrap();
    let a = setup.encrypt(&x, Level(0), SCALE);
    for indices in [vec![], vec![0], vec![N - 1, 0, 17, 17]] {
        let reply = evaluator.reply(&a, &indices).unwrap();
        assert_eq!(
            (reply.len(), reply.is_empty(), reply.scale()),
            (indices.len(), indices.is_empty(), SCALE)
        );
        let decrypted = setup.secret.decrypt_reply(&setup.context, &reply, &indices);
        assert_eq!(decrypted.len(), indices.len());
        for (&i, value) in indices.iter().zip(decrypted) {
            assert!((value - coefficients[i]).abs() < 30.0 / SCALE.0, "coefficient {i}: {value}");
        }
    }
}

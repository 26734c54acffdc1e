//! Encryptions in three parts: what a circuit without keys ends in.

use crate::common::{Setup, assert_variance, literal, mean_square, random_slots};
use blindsight_ckks::wire::{self, ReplyShape};
use blindsight_ckks::{
    Ciphertext, Encoding, Error, EvaluationKeys, Evaluator, Extension, KeyRequirements, Level,
    ParametersLiteral, Parts, PlainFactor, Pointwise, ScalarRow, Scale, Unrelinearised, noise, testing,
};
use blindsight_ring::{Kernel, Modulus};
use proptest::prelude::*;

const INPUTS: usize = 3;
const INPUT_SCALE: Scale = Scale((1u64 << 22) as f64);
const WEIGHT_SCALE: Scale = Scale(1024.0);
const FACTOR_SCALE: Scale = Scale((1u64 << 14) as f64);
const LEVEL: Level = Level(2);

/// Three primes and none that is special: there are no keys that could have any.
fn keyless(degree: usize) -> ParametersLiteral {
    let ParametersLiteral { moduli, .. } = literal(degree, 2);
    ParametersLiteral { degree, moduli: moduli[..3].to_vec(), special: vec![], digit_limbs: 1 }
}

fn setup(degree: usize, seed: u64) -> Setup {
    let parameters = keyless(degree).validate_insecure().unwrap();
    Setup::with(parameters, &KeyRequirements::default(), seed, Kernel::from_environment().unwrap())
}

/// Two sums of scalar multiples, squared, and two sums of products of these.
struct Network {
    inputs: Vec<Vec<f64>>,
    sums: Vec<ScalarRow>,
    factors: Vec<Vec<Vec<f64>>>,
}

impl Network {
    fn new(degree: usize, seed: u64) -> Self {
        let numbers = |index: usize| random_slots(degree, seed.wrapping_add(index as u64));
        let row = |index: usize| ScalarRow {
            terms: numbers(50 + index)[..INPUTS].iter().zip(0..).map(|(w, at)| (at, *w)).collect(),
            constant: 0.25 - index as f64 / 2.0,
        };
        let factors = |row: usize| (0..2).map(|value| numbers(20 + 2 * row + value)).collect();
        Self {
            inputs: (0..INPUTS).map(numbers).collect(),
            sums: (0..2).map(row).collect(),
            factors: (0..2).map(factors).collect(),
        }
    }

    /// Its two results in the clear.
    fn expected(&self) -> Vec<Vec<f64>> {
        let at = |slot: usize, row: &Vec<Vec<f64>>| {
            let value = |sum: &ScalarRow| {
                let terms = sum.terms.iter().map(|(at, w)| w * self.inputs[*at as usize][slot]);
                (sum.constant + terms.sum::<f64>()).powi(2)
            };
            self.sums.iter().zip(row).map(|(sum, factor)| factor[slot] * value(sum)).sum()
        };
        let slots = || 0..self.inputs[0].len();
        self.factors.iter().map(|row| slots().map(|slot| at(slot, row)).collect()).collect()
    }

    fn chain(&self, setup: &Setup) -> Pointwise {
        let context = &setup.context;
        let factor = |slots: &Vec<f64>| -> PlainFactor {
            context.encode_factor(slots, LEVEL, FACTOR_SCALE, Extension::Plain).unwrap()
        };
        let mut chain = Pointwise::new(INPUTS, LEVEL, INPUT_SCALE);
        chain.sums(context, &self.sums, WEIGHT_SCALE).unwrap();
        chain.squares();
        chain.products(self.factors.iter().map(|row| row.iter().map(factor).collect()).collect()).unwrap();
        chain
    }

    fn run(&self, setup: &Setup, rescales: usize) -> Vec<Unrelinearised> {
        let inputs: Vec<_> = self.inputs.iter().map(|x| setup.encrypt(x, LEVEL, INPUT_SCALE)).collect();
        let none = EvaluationKeys::default();
        let inputs: Vec<&Ciphertext> = inputs.iter().collect();
        let evaluator = Evaluator::new(&setup.context, &none);
        evaluator.pointwise_unrelinearised(&inputs, &self.chain(setup), rescales).unwrap()
    }
}

/// The product of two conjugate-invariant polynomials, term by term, in the basis `{1, X^i + X^-i}`:
/// `(X^i + X^-i)(X^j + X^-j) = (X^(i+j) + X^-(i+j)) + (X^(i-j) + X^-(i-j))`, and `X^N + X^-N` is zero.
fn product(m: Modulus, a: &[u32], b: &[u32]) -> Vec<u32> {
    let n = a.len();
    let mut product = vec![0; n];
    let mut add = |exponent: usize, x: u32| match exponent {
        0 => product[0] = m.add(product[0], x),
        e if e < n => product[e] = m.add(product[e], x),
        e if e > n => product[2 * n - e] = m.sub(product[2 * n - e], x),
        _ => {}
    };
    for (i, &x) in a.iter().enumerate() {
        for (j, &y) in b.iter().enumerate() {
            let z = m.mul(x, y);
            match (i, j) {
                (0, _) | (_, 0) => add(i + j, z),
                _ => {
                    add(i + j, z);
                    // Of `X^0 + X^-0` there are two.
                    (0..if i == j { 2 } else { 1 }).for_each(|_| add(i.abs_diff(j), z));
                }
            }
        }
    }
    product
}

/// `c_0 + c_1 s + c_2 s^2` modulo the first prime, by the schoolbook, from parts and key alone.
fn schoolbook(setup: &Setup, a: &Unrelinearised) -> Vec<i64> {
    let basis = setup.context.basis(a.level());
    let m = basis.modulus(0);
    let [c0, c1, c2] = testing::parts(a).map(|part| basis.inverse(part.clone()).limb(0).to_vec());
    let secret: Vec<u32> =
        setup.secret.coefficients().iter().map(|&c| m.reduce_signed(i64::from(c))).collect();
    let square = product(m, &secret, &secret);
    let (linear, quadratic) = (product(m, &c1, &secret), product(m, &c2, &square));
    let sum = |i: usize| m.add(c0[i], m.add(linear[i], quadratic[i]));
    let q = i64::from(m.value());
    (0..c0.len()).map(|i| i64::from(sum(i))).map(|x| if x > q / 2 { x - q } else { x }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What a reply decrypts to is what parts and key give by definition, and that is the network's result.
    #[test]
    fn a_reply_of_three_parts_is_the_schoolbooks(seed: u64, log_degree in 5u32..8, indices in
        proptest::collection::vec(0usize..32, 1..8)) {
        let setup = setup(1 << log_degree, seed);
        let network = Network::new(1 << log_degree, seed);
        let evaluator = Evaluator::new(&setup.context, &setup.keys);
        for (value, slots) in network.run(&setup, 2).iter().zip(network.expected()) {
            let scale = value.scale();
            prop_assert_eq!(value.level(), Level(0));
            let words = schoolbook(&setup, value);
            let reply = evaluator.reply_unrelinearised(value, &indices).unwrap();
            let read = setup.secret.decrypt_reply(&setup.context, &reply, &indices);
            let by_definition: Vec<f64> = indices.iter().map(|&i| words[i] as f64 / scale.0).collect();
            prop_assert_eq!(&read, &by_definition);
            let coefficients: Vec<f64> = words.iter().map(|&w| w as f64 / scale.0).collect();
            let decrypted = setup.context.coefficients_to_slots(&coefficients).unwrap();
            for (slot, expected) in decrypted.iter().zip(slots) {
                prop_assert!((slot - expected).abs() < 0.02, "{slot}: expected {expected}");
            }
        }
    }

    /// A plaintext is added to the first part; bytes come back as they were, and no others are accepted.
    #[test]
    fn replies_of_three_parts_come_back_from_bytes(seed: u64, count in 1usize..20) {
        let setup = setup(32, seed);
        let evaluator = Evaluator::new(&setup.context, &setup.keys);
        let indices: Vec<usize> = (0..count).collect();
        let values = Network::new(32, seed).run(&setup, 2);
        let replies: Vec<_> =
            values.iter().map(|v| evaluator.reply_unrelinearised(v, &indices).unwrap()).collect();
        let shape = ReplyShape { ciphertexts: 2, parts: Parts::Three, coefficients: count };
        let bytes = wire::write_replies(&setup.context, &replies);
        let bits = 32 - setup.context.basis(Level(0)).modulus(0).value().leading_zeros() as usize;
        prop_assert_eq!(bytes.len(), 2 * (2 * 32 * bits / 8 + (count * bits).div_ceil(8)));
        let read = |bytes: &[u8]| wire::read_replies(&setup.context, bytes, shape, values[0].scale());
        prop_assert_eq!(read(&bytes).unwrap(), replies.clone());
        prop_assert!(read(&bytes[1..]).is_err() && read(&[&bytes[..], &[0]].concat()).is_err());

        let bias = random_slots(count, !seed);
        let scale = values[0].scale();
        let plain = setup.context.encode_summand(&bias, Encoding::Coefficients, Level(0), scale).unwrap();
        let sum = evaluator.add_plain_unrelinearised(values[0].clone(), &plain).unwrap();
        let reply = evaluator.reply_unrelinearised(&sum, &indices).unwrap();
        let read = |reply| setup.secret.decrypt_reply(&setup.context, reply, &indices);
        for ((before, after), bias) in read(&replies[0]).iter().zip(read(&reply)).zip(bias) {
            prop_assert!((after - before - bias).abs() <= 0.51 / scale.0);
        }
    }
}

/// The rounding of the third part, times the square of the secret, is what the error is made of.
#[test]
fn the_error_of_a_division_of_three_parts_is_the_predicted_one() {
    let (setup, network) = (setup(2048, 5), Network::new(2048, 5));
    let (before, after) = (network.run(&setup, 0), network.run(&setup, 2));
    // The same messages under other errors: what they differ by beyond these is the division's.
    let predicted = noise::division_unrelinearised(setup.context.parameters());
    for (before, after) in before.iter().zip(&after) {
        let exact = testing::raw_message_unrelinearised(&setup.context, &setup.secret, before);
        let divided = testing::raw_message_unrelinearised(&setup.context, &setup.secret, after);
        let ratio = before.scale().0 / after.scale().0;
        let errors: Vec<f64> = exact.iter().zip(&divided).map(|(x, y)| y - x / ratio).collect();
        let slots = setup.context.coefficients_to_slots(&errors).unwrap();
        assert_variance(mean_square(slots), predicted, "a division of three parts");
    }
}

/// Without special primes there is no key for anything, and no key-switch.
#[test]
fn keys_need_special_primes() {
    let setup = setup(32, 1);
    let mut requirements = KeyRequirements::default();
    assert_eq!(requirements.check(setup.context.parameters()), Ok(()));
    requirements.rotate_at(1, Level(1));
    assert_eq!(requirements.check(setup.context.parameters()), Err(Error::NoSpecialPrimes));
    let a = setup.encrypt(&[1.0], LEVEL, INPUT_SCALE);
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    assert!(matches!(evaluator.rotate(&a, 1), Err(Error::MissingKey { .. })));
    assert!(matches!(evaluator.square(&a, blindsight_ckks::Rescale::No), Err(Error::MissingKey { .. })));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (setup, network) = (setup(32, 2), Network::new(32, 2));
    let evaluator = Evaluator::new(&setup.context, &setup.keys);
    let chain = network.chain(&setup);
    let inputs: Vec<_> = network.inputs.iter().map(|x| setup.encrypt(x, LEVEL, INPUT_SCALE)).collect();
    let inputs: Vec<&Ciphertext> = inputs.iter().collect();
    assert_eq!(evaluator.pointwise_unrelinearised(&inputs, &chain, 3), Err(Error::NoLevelLeft));
    let low = setup.encrypt(&network.inputs[0], Level(1), INPUT_SCALE);
    let refused = evaluator.pointwise_unrelinearised(&[&low, inputs[1], inputs[2]], &chain, 1);
    assert_eq!(refused, Err(Error::LevelMismatch { left: Level(1), right: LEVEL }));
    let high = evaluator.pointwise_unrelinearised(&inputs, &chain, 1).unwrap().remove(0);
    let refused = evaluator.reply_unrelinearised(&high, &[1]);
    assert_eq!(refused, Err(Error::LevelMismatch { left: Level(1), right: Level(0) }));
    let low = network.run(&setup, 2).remove(0);
    let refused = evaluator.reply_unrelinearised(&low, &[32]);
    assert_eq!(refused, Err(Error::NoSuchCoefficient { index: 32, degree: 32 }));
    let mut chain = Pointwise::new(1, LEVEL, INPUT_SCALE);
    let factor = |level| setup.context.encode_factor(&[1.0], level, FACTOR_SCALE, Extension::Plain).unwrap();
    let refused = chain.products(vec![vec![factor(Level(0))]]);
    assert_eq!(refused, Err(Error::LevelMismatch { left: Level(0), right: LEVEL }));
}

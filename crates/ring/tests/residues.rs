//! Residue number system arithmetic against big integers.

mod common;

use blindsight_ring::kernels::{LINE, Run, WovenSum};
use blindsight_ring::{Basis, Coefficients, Conversion, Kernel, Modulus, Poly, kernels, primes};
use common::Words;
use num_bigint::BigInt;
use proptest::prelude::*;

const DEGREE: usize = 64;

/// Primes of 26, 28 and just under 30 bits, by turns.
fn basis(count: usize, kernel: Kernel) -> Basis {
    let near = |bits: u32| primes::search(DEGREE, 1 << bits, (1 << bits) - 60_000, (1 << bits) + 60_000);
    let sizes = [near(26), near(28), near(30)];
    let primes: Vec<u32> = (0..count).map(|i| sizes[i % 3][i / 3]).collect();
    Basis::new(DEGREE, &primes, kernel).unwrap()
}

fn modulus(basis: &Basis) -> BigInt {
    basis.moduli().map(|m| BigInt::from(m.value())).product()
}

fn residue(x: &BigInt, m: Modulus) -> u32 {
    let q = BigInt::from(m.value());
    u32::try_from(((x % &q) + &q) % &q).unwrap()
}

/// The representative in `[0, Q)`.
fn reduced(x: &BigInt, q: &BigInt) -> BigInt {
    ((x % q) + q) % q
}

fn poly(basis: &Basis, integers: &[BigInt]) -> Poly<Coefficients> {
    let mut poly = basis.zero();
    for (limb, m) in poly.iter_mut().zip(basis.moduli()) {
        limb.iter_mut().zip(integers).for_each(|(x, integer)| *x = residue(integer, m));
    }
    poly
}

/// Chinese remainders: the integers in `[0, Q)`.
fn integers(basis: &Basis, poly: &Poly<Coefficients>) -> Vec<BigInt> {
    let q = modulus(basis);
    let parts: Vec<BigInt> = basis
        .moduli()
        .map(|m| {
            let cofactor = &q / m.value();
            let inverse = m.inverse(residue(&cofactor, m));
            cofactor * inverse
        })
        .collect();
    let integer = |j: usize| poly.iter().zip(&parts).map(|(limb, part)| part * limb[j]).sum::<BigInt>();
    (0..DEGREE).map(|j| reduced(&integer(j), &q)).collect()
}

/// Integers in `[-bound, bound]`, extremes among them.
fn random_integers(words: &mut Words, bound: &BigInt) -> Vec<BigInt> {
    let random = |words: &mut Words| {
        let digits = (0..8).fold(BigInt::from(0), |x, _| (x << 64) + words.next());
        reduced(&digits, &(bound * 2 + 1)) - bound
    };
    let extremes = [bound.clone(), -bound.clone(), BigInt::from(0), BigInt::from(1), BigInt::from(-1)];
    let mut integers: Vec<BigInt> = (0..DEGREE - extremes.len()).map(|_| random(words)).collect();
    integers.extend(extremes);
    integers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn arithmetic_equals_big_integers(seed: u64, count in 1usize..7, scalar: u64) {
        let mut words = Words(seed);
        for kernel in Kernel::available() {
            let basis = basis(count, kernel);
            let q = modulus(&basis);
            let (x, y) = (random_integers(&mut words, &(&q / 2)), random_integers(&mut words, &(&q / 2)));
            let (a, b) = (poly(&basis, &x), poly(&basis, &y));
            let expect = |f: &dyn Fn(&BigInt, &BigInt) -> BigInt| -> Vec<BigInt> {
                x.iter().zip(&y).map(|(x, y)| reduced(&f(x, y), &q)).collect()
            };
            let mut result = a.clone();
            basis.add(&mut result, &b);
            prop_assert_eq!(integers(&basis, &result), expect(&|x, y| x + y));
            let mut result = a.clone();
            basis.sub(&mut result, &b);
            prop_assert_eq!(integers(&basis, &result), expect(&|x, y| x - y));
            let mut result = a.clone();
            basis.negate(&mut result);
            prop_assert_eq!(integers(&basis, &result), expect(&|x, _| -x));
            let scalars: Vec<_> = basis.moduli().map(|m| m.scalar(m.reduce(scalar))).collect();
            let mut result = a.clone();
            basis.mul_scalars(&mut result, &scalars);
            prop_assert_eq!(integers(&basis, &result), expect(&|x, _| x * scalar));
            // Word by word, the product of values is the product of residues.
            let mut result = a.assume();
            basis.mul(&mut result, &basis.to_factor(b.assume()));
            prop_assert_eq!(integers(&basis, &result.assume()), expect(&|x, y| x * y));
        }
    }

    #[test]
    fn conversion_lifts_centred_integers(seed: u64, count in 1usize..=9, targets in 1usize..4) {
        let mut words = Words(seed);
        for kernel in Kernel::available() {
            let all = basis(count + targets, kernel);
            let (sources, targets) = (all.select(0..count), all.select(count..count + targets));
            let moduli = |basis: &Basis| basis.moduli().collect::<Vec<_>>();
            let conversion = Conversion::new(&moduli(&sources), &moduli(&targets), kernel);
            let lifted = |x: &[BigInt]| {
                let a = poly(&sources, x);
                let lift = conversion.lift(&a.iter().collect::<Vec<_>>());
                let mut out = targets.zero();
                out.iter_mut().enumerate().for_each(|(i, limb)| lift.write(i, limb));
                out
            };
            let q = modulus(&sources);
            // Exact wherever |x| < Q/2 (1 - 2^-17).
            let bound: BigInt = &q / 2 - (&q >> 18) - 1;
            let x = random_integers(&mut words, &bound);
            prop_assert_eq!(lifted(&x), poly(&targets, &x));
            // Nearer to the half: one of the two nearest representatives.
            let near: Vec<BigInt> = (0..DEGREE).map(|i| &q / 2 - (&q >> 22) * i / DEGREE).collect();
            let (out, low, high) = (
                lifted(&near),
                poly(&targets, &near),
                poly(&targets, &near.iter().map(|x| x - &q).collect::<Vec<_>>()),
            );
            for j in 0..DEGREE {
                let column = |p: &Poly<Coefficients>| p.iter().map(|limb| limb[j]).collect::<Vec<_>>();
                prop_assert!(column(&out) == column(&low) || column(&out) == column(&high));
            }
        }
    }

    #[test]
    fn difference_times_inverse_divides_exactly(seed: u64, count in 2usize..6) {
        let mut words = Words(seed);
        for kernel in Kernel::available() {
            let basis = basis(count, kernel);
            let (rest, dropped) = (basis.select(0..count - 1), basis.modulus(count - 1));
            let q = BigInt::from(dropped.value());
            let x = random_integers(&mut words, &(modulus(&basis) / 2));
            let remainders: Vec<BigInt> = x.iter().map(|x| reduced(x, &q)).collect();
            let (mut a, r) = (poly(&rest, &x), poly(&rest, &remainders));
            for (i, m) in rest.moduli().enumerate() {
                let inverse = m.scalar(m.inverse(m.reduce(dropped.value().into())));
                kernels::sub_mul_scalar(kernel, m, a.limb_mut(i), r.limb(i), inverse);
            }
            let quotients: Vec<BigInt> = x.iter().zip(&remainders).map(|(x, r)| (x - r) / &q).collect();
            prop_assert_eq!(a, poly(&rest, &quotients));
        }
    }

    #[test]
    fn tensors_and_sums_of_products_equal_big_integers(seed: u64, count in 1usize..40) {
        let mut words = Words(seed);
        for kernel in Kernel::available() {
            for m in basis(3, kernel).moduli() {
                let q = BigInt::from(m.value());
                let limbs: Vec<_> = (0..3 * count.max(2)).map(|_| words.residues(m.value(), DEGREE)).collect();
                let [mut low, mut middle, mut high] = [const { [0; DEGREE] }; 3];
                let (a, b) = ([&limbs[0][..], &limbs[1]], [&limbs[2][..], &limbs[3]]);
                kernels::tensor(kernel, m, a, b, [&mut low, &mut middle, &mut high]);
                let at = |limb: &[u32], j: usize| BigInt::from(limb[j]);
                for j in 0..DEGREE {
                    prop_assert_eq!(at(&low, j), reduced(&(at(a[0], j) * at(b[0], j)), &q));
                    let cross = at(a[0], j) * at(b[1], j) + at(a[1], j) * at(b[0], j);
                    prop_assert_eq!(at(&middle, j), reduced(&cross, &q));
                    prop_assert_eq!(at(&high, j), reduced(&(at(a[1], j) * at(b[1], j)), &q));
                }
                let terms: Vec<_> = limbs
                    .chunks(3)
                    .map(|l| kernels::Pair { left: [&l[0], &l[1]], shared: &l[2] })
                    .collect();
                kernels::dot_pair(kernel, m, &terms, [&mut low, &mut high]);
                for j in 0..DEGREE {
                    let sum = |k: usize| terms.iter().map(|t| at(t.left[k], j) * at(t.shared, j)).sum::<BigInt>();
                    prop_assert_eq!(reduced(&(at(&low, j) << 32), &q), reduced(&sum(0), &q));
                    prop_assert_eq!(reduced(&(at(&high, j) << 32), &q), reduced(&sum(1), &q));
                }
                let (once, left) = ([low, high], terms.iter().map(|term| term.left).collect::<Vec<_>>());
                let line = |at: usize| terms.iter().flat_map(move |term| &term.shared[at..at + LINE]);
                let shared: Vec<u32> = (0..DEGREE).step_by(LINE).flat_map(line).copied().collect();
                let (of, runs) = ((0..terms.len() as u32).collect::<Vec<_>>(), [Run { terms: terms.len(), repeats: 1 }]);
                let (stride, out) = (LINE * terms.len(), [&mut low[..], &mut high[..]]);
                let woven = WovenSum { left: &of, runs: &runs, shared: &shared, stride, out };
                kernels::dot_woven(kernel, m, &left, &mut [woven], true);
                for j in 0..DEGREE {
                    prop_assert_eq!([low[j], high[j]], once.map(|once| m.add(once[j], once[j])));
                }
            }
        }
    }
}

#[test]
fn signed_coefficients_are_taken_modulo_each_prime() {
    let basis = basis(3, Kernel::detect());
    let coefficients: Vec<i32> = (0..DEGREE as i32).map(|i| (i - 32) * 1_000_003).collect();
    let expected = poly(&basis, &coefficients.iter().map(|&c| BigInt::from(c)).collect::<Vec<_>>());
    assert_eq!(basis.from_signed(&coefficients), expected);
    assert_eq!(basis.factor_from_signed(&coefficients), basis.to_factor(basis.forward(expected)));
}

//! The transform and the automorphisms against their definitions, coefficient by coefficient.

mod common;

use blindsight_ring::ntt::{leaf_of_exponent, slot_leaves};
use blindsight_ring::{Automorphism, Basis, Kernel, Modulus, NttTable, automorphism, kernels, primes};
use common::Words;
use proptest::prelude::*;

/// A conjugate-invariant polynomial as the element of `Z[X]/(X^2N + 1)` that it is.
fn expand(m: Modulus, a: &[u32]) -> Vec<u32> {
    let n = a.len();
    let mut full = vec![0; 2 * n];
    full[..n].copy_from_slice(a);
    (1..n).for_each(|i| full[2 * n - i] = m.neg(a[i]));
    full
}

/// Adds `c X^k` modulo `X^2N + 1`.
fn add_monomial(m: Modulus, a: &mut [u32], c: u32, k: usize) {
    let n = a.len();
    let slot = &mut a[k % n];
    *slot = if (k / n).is_multiple_of(2) { m.add(*slot, c) } else { m.sub(*slot, c) };
}

/// The product, term by term.
fn product(m: Modulus, a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut product = vec![0; 2 * a.len()];
    for (i, &x) in expand(m, a).iter().enumerate() {
        for (j, &y) in expand(m, b).iter().enumerate() {
            add_monomial(m, &mut product, m.mul(x, y), i + j);
        }
    }
    product.truncate(a.len());
    product
}

/// The image under `X -> X^g`, term by term.
fn image(m: Modulus, a: &[u32], g: usize) -> Vec<u32> {
    let mut image = vec![0; 2 * a.len()];
    for (i, &x) in expand(m, a).iter().enumerate() {
        add_monomial(m, &mut image, x, i * g);
    }
    image.truncate(a.len());
    image
}

/// The value at `root`: `a_0 + sum of a_i (root^i + root^-i)`, by Horner's rule on both sides.
fn value(m: Modulus, a: &[u32], root: u32) -> u32 {
    let horner = |x| a[1..].iter().rev().fold(0, |sum, &c| m.mul(m.add(sum, c), x));
    m.add(a[0], m.add(horner(root), horner(m.inverse(root))))
}

/// A few primes for a degree, of about that many bits.
fn some_primes(degree: usize, bits: u32, count: usize) -> Vec<u32> {
    let (centre, reach) = (1u64 << bits, 400 * degree as u64);
    primes::search(degree, centre, centre - reach, centre + reach)[..count].to_vec()
}

/// The root that the values are taken at: the twiddle factor of the first node of the last layer.
fn root(table: &NttTable) -> u32 {
    let root = table.forward().get(table.degree() / 2).value;
    let m = table.modulus();
    assert_eq!(m.pow(root, 2 * table.degree() as u64), m.value() - 1, "a primitive 4N-th root of unity");
    root
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn products_equal_schoolbook(log_degree in 4u32..10, seed: u64, bits in 22u32..30) {
        let degree = 1 << log_degree;
        let primes = some_primes(degree, bits, 2);
        let mut words = Words(seed);
        for kernel in Kernel::available() {
            let basis = Basis::new(degree, &primes, kernel).unwrap();
            let (mut a, mut b) = (basis.zero(), basis.zero());
            for (i, m) in basis.moduli().enumerate() {
                a.limb_mut(i).copy_from_slice(&words.residues(m.value(), degree));
                b.limb_mut(i).copy_from_slice(&words.residues(m.value(), degree));
            }
            let mut values = basis.forward(a.clone());
            basis.mul(&mut values, &basis.to_factor(basis.forward(b.clone())));
            let result = basis.inverse(values);
            for (i, m) in basis.moduli().enumerate() {
                prop_assert_eq!(result.limb(i), product(m, a.limb(i), b.limb(i)));
            }
            prop_assert_eq!(basis.inverse(basis.forward(a.clone())), a);
        }
    }

    #[test]
    fn automorphisms_equal_schoolbook(log_degree in 4u32..11, seed: u64, g in 0usize..1 << 14) {
        let (degree, g) = (1 << log_degree, 1 + 4 * g);
        let q = some_primes(degree, 26, 1)[0];
        for kernel in Kernel::available() {
            let basis = Basis::new(degree, &[q], kernel).unwrap();
            let mut a = basis.zero();
            a.words_mut().copy_from_slice(&Words(seed).residues(q, degree));
            let values = basis.forward(a.clone());
            let mut moved = basis.zero();
            Automorphism::new(degree, g).apply(kernel, values.limb(0), moved.limb_mut(0));
            let m = basis.modulus(0);
            let result = basis.inverse(moved.clone());
            prop_assert_eq!(result.limb(0), image(m, a.limb(0), g));
            let (mut twice, mut sum) = (moved.clone(), moved.clone());
            Automorphism::new(degree, g).apply_add(kernel, m, values.limb(0), twice.limb_mut(0));
            basis.add(&mut sum, &moved);
            prop_assert_eq!(&twice, &sum);
            // Block by block it is the same.
            for log_words in 4..=log_degree {
                let automorphism = Automorphism::new(degree, g);
                for (block, expected) in moved.limb(0).chunks_exact(1 << log_words).enumerate() {
                    let words = block << log_words..(block + 1) << log_words;
                    let source = &values.limb(0)[automorphism.source(&words)];
                    let mut out = vec![0; 1 << log_words];
                    automorphism.apply_block(kernel, words.start, source, &mut out);
                    prop_assert_eq!(&out[..], expected);
                    automorphism.apply_block_add(kernel, m, words.start, source, &mut out);
                    prop_assert_eq!(&out[..], &sum.limb(0)[words]);
                }
            }
        }
    }
}

#[test]
fn leaves_and_slots_hold_the_values_at_the_powers_of_the_root() {
    for degree in [16, 64, 512] {
        for q in some_primes(degree, 28, 2) {
            let m = Modulus::new(q.into()).unwrap();
            let table = NttTable::new(m, degree).unwrap();
            let zeta = root(&table);
            let coefficients = Words(q.into()).residues(q, degree);
            let mut values = coefficients.clone();
            kernels::ntt_forward(Kernel::Scalar, &table, &mut values);
            for exponent in (1..4 * degree).step_by(4) {
                let expected = value(m, &coefficients, m.pow(zeta, exponent as u64));
                assert_eq!(values[leaf_of_exponent(degree, exponent)], expected);
            }
            let mut exponent = 1;
            for leaf in slot_leaves(degree) {
                assert_eq!(values[leaf], value(m, &coefficients, m.pow(zeta, exponent as u64)));
                exponent = exponent * 5 % (4 * degree);
            }
        }
    }
}

#[test]
fn rotations_shift_slots_cyclically() {
    for degree in [16, 256, 8192] {
        let slots = slot_leaves(degree);
        let values: Vec<u32> = (0..degree as u32).collect();
        for steps in [0, 1, 2, 5, degree / 2, degree - 1, degree + 3] {
            for kernel in Kernel::available() {
                let mut rotated = vec![0; degree];
                Automorphism::rotation(degree, steps).apply(kernel, &values, &mut rotated);
                for j in 0..degree {
                    assert_eq!(rotated[slots[j]], values[slots[(j + steps) % degree]]);
                }
            }
            let g = automorphism::rotation_exponent(degree, steps);
            assert_eq!(g % 4, 1);
        }
    }
}

#[test]
fn tables_refuse_what_they_cannot_transform() {
    let m = Modulus::new(67_043_329).unwrap();
    assert_eq!(NttTable::new(m, 24).unwrap_err(), blindsight_ring::Error::Degree(24));
    assert_eq!(NttTable::new(m, 8).unwrap_err(), blindsight_ring::Error::Degree(8));
    assert_eq!(NttTable::new(m, 1 << 17).unwrap_err(), blindsight_ring::Error::Degree(1 << 17));
    let error = NttTable::new(m, 1 << 16).unwrap_err();
    assert_eq!(error, blindsight_ring::Error::NoRoot { modulus: 67_043_329, degree: 1 << 16 });
    assert_eq!(
        error.to_string(),
        "modulus 67043329 at degree 65536: expected a prime equal to 1 modulo 262144"
    );
}

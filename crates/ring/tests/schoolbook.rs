//! The transform against schoolbook multiplication in the conjugate-invariant ring.

use proptest::prelude::*;
use ring::{Basis, Coefficients, Kernel, Modulus, Poly, primes};

/// The product in the basis `{1, X^i + X^-i}`, computed in `Z[X]/(X^2N + 1)` term by term.
fn schoolbook(m: Modulus, a: &[u32], b: &[u32]) -> Vec<u32> {
    let n = a.len();
    let expand = |p: &[u32]| {
        let mut full = vec![0; 2 * n];
        full[..n].copy_from_slice(p);
        (1..n).for_each(|i| full[2 * n - i] = m.neg(p[i]));
        full
    };
    let (a, b) = (expand(a), expand(b));
    let mut product = vec![0; 2 * n];
    for (i, &x) in a.iter().enumerate() {
        for (j, &y) in b.iter().enumerate() {
            let term = m.mul(x, y);
            let k = i + j;
            let slot = &mut product[k % (2 * n)];
            *slot = if k < 2 * n { m.add(*slot, term) } else { m.sub(*slot, term) };
        }
    }
    product.truncate(n);
    product
}

fn poly(basis: &Basis, words: &[u32]) -> Poly<Coefficients> {
    let mut poly = basis.zero();
    for (i, limb) in poly.iter_mut().enumerate() {
        limb.iter_mut().zip(words).for_each(|(x, &w)| *x = basis.modulus(i).reduce(w.into()));
    }
    poly
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_equal_schoolbook(log_degree in 4u32..9, seed: u64, centre_bits in 24u32..30) {
        let degree = 1 << log_degree;
        let primes = &primes::search(degree, 1 << centre_bits, 1 << 20, 1 << 30)[..2];
        let words = |salt: u64| (0..degree as u64)
            .map(|i| ((i + 1).wrapping_mul(seed ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32)
            .collect::<Vec<_>>();
        for kernel in Kernel::available() {
            let basis = Basis::new(degree, primes, kernel).unwrap();
            let (a, b) = (poly(&basis, &words(1)), poly(&basis, &words(2)));
            let expected: Vec<_> = (0..2).map(|i| schoolbook(basis.modulus(i), a.limb(i), b.limb(i))).collect();
            let mut product = basis.forward(a.clone());
            basis.mul(&mut product, &basis.to_factor(basis.forward(b)));
            let product = basis.inverse(product);
            prop_assert_eq!(product.words(), expected.concat());
            prop_assert_eq!(&basis.inverse(basis.forward(a.clone())), &a);
        }
    }
}

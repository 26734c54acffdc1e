//! Every vector kernel against the scalar one, bit for bit.

use ring::kernels::{self};
use ring::{Kernel, Modulus, NttTable, primes};

/// A generator good enough for test data (SplitMix64).
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Residues: uniform ones, or ones that are extreme or mixed with extremes.
    fn residues(&mut self, q: u32, degree: usize) -> Vec<u32> {
        let kind = self.next() % 6;
        let word = |x: u64| match kind {
            0 => 0,
            1 => q - 1,
            2 => [0, 1, q / 2, q / 2 + 1, q - 2, q - 1][(x % 6) as usize],
            _ => (x % u64::from(q)) as u32,
        };
        (0..degree).map(|_| word(self.next())).collect()
    }
}

/// Primes of all sizes at a degree, the least and the largest among them.
fn some_primes(degree: usize) -> Vec<u32> {
    let mut found: Vec<u32> = (17..=30)
        .flat_map(|bits| {
            let (centre, reach) = (1u64 << bits, 400 * degree as u64);
            primes::search(degree, centre, centre.saturating_sub(reach), centre + reach).into_iter().take(2)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn vector_kernels() -> impl Iterator<Item = Kernel> {
    Kernel::available().into_iter().filter(|&k| k != Kernel::Scalar)
}

#[test]
fn transforms_equal_scalar_at_all_degrees_and_sizes_of_primes() {
    let mut words = Words(1);
    for log_degree in 4..=15 {
        let degree = 1 << log_degree;
        for q in some_primes(degree) {
            let table = NttTable::new(Modulus::new(q.into()).unwrap(), degree).unwrap();
            for _ in 0..6 {
                let a = words.residues(q, degree);
                let transformed = |kernel, transform: fn(Kernel, &NttTable, &mut [u32])| {
                    let mut a = a.clone();
                    transform(kernel, &table, &mut a);
                    a
                };
                let forward = transformed(Kernel::Scalar, kernels::ntt_forward);
                let inverse = transformed(Kernel::Scalar, kernels::ntt_inverse);
                for kernel in vector_kernels() {
                    assert!(transformed(kernel, kernels::ntt_forward) == forward, "{kernel:?} {q} {degree}");
                    assert!(transformed(kernel, kernels::ntt_inverse) == inverse, "{kernel:?} {q} {degree}");
                }
            }
        }
    }
}

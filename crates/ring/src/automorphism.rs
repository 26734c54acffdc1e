//! The automorphisms `X -> X^g` on polynomials in value form.

use crate::Modulus;
use crate::kernels::{self, Kernel};
use crate::ntt::{leaf_of_exponent, reverse_bits};

/// The permutation of leaves that `X -> X^g` is.
///
/// Leaf `t` of the image takes the value at `zeta^(g e_t)`. The leaves of a block of 16 share the low bits of their exponents,
/// and multiplication by `g` keeps that so: whole blocks map to whole blocks, and within one the permutation is one of
/// at most 16 patterns. A rotation is therefore vector loads and in-register permutations, no gather.
#[derive(Debug, Clone)]
pub struct Automorphism {
    blocks: Vec<u32>,
    lanes: Vec<[u32; 16]>,
}

impl Automorphism {
    /// `X -> X^g` at `degree`, for `g = 1 mod 4`.
    pub fn new(degree: usize, g: usize) -> Self {
        assert_eq!(g % 4, 1, "exponents equal to 1 modulo 4 represent the automorphisms");
        let bits = degree.trailing_zeros();
        // In 64 bits, since the product of two exponents may exceed a 32-bit word.
        let (order, g) = (4 * degree as u64, g as u64);
        let exponent = |t: usize| 1 + 4 * reverse_bits(t, bits) as u64;
        let source = |t: usize| leaf_of_exponent(degree, (exponent(t) * (g % order) % order) as usize);
        let (mut blocks, mut lanes) = (Vec::with_capacity(degree / 16), Vec::new());
        for block in 0..degree / 16 {
            let pattern: [u32; 16] = std::array::from_fn(|lane| (source(16 * block + lane) % 16) as u32);
            let index = lanes.iter().position(|p| *p == pattern).unwrap_or_else(|| {
                lanes.push(pattern);
                lanes.len() - 1
            });
            blocks.push((source(16 * block) / 16 * 16 + index) as u32);
        }
        Self { blocks, lanes }
    }

    /// The automorphism that rotates slots to the left by `steps`: slot `j` of the image is slot `j + steps`.
    pub fn rotation(degree: usize, steps: usize) -> Self {
        Self::new(degree, rotation_exponent(degree, steps))
    }

    /// `out = image of a`, one limb of values.
    pub fn apply(&self, kernel: Kernel, a: &[u32], out: &mut [u32]) {
        kernels::permute(kernel, &self.blocks, &self.lanes, a, out);
    }

    /// `out += image of a`, one limb of values.
    pub fn apply_add(&self, kernel: Kernel, m: Modulus, a: &[u32], out: &mut [u32]) {
        kernels::permute_add(kernel, m, &self.blocks, &self.lanes, a, out);
    }
}

/// `5^steps mod 4N`.
pub fn rotation_exponent(degree: usize, steps: usize) -> usize {
    (0..steps % degree).fold(1, |g, _| g * 5 % (4 * degree))
}

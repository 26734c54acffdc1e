//! The automorphisms `X -> X^g` on polynomials in value form.

use crate::Modulus;
use crate::kernels::{self, Kernel};
use crate::ntt::{leaf_of_exponent, reverse_bits};
use std::ops::Range;

/// The permutation of leaves that `X -> X^g` is.
///
/// Leaf `t` of the image takes the value at `zeta^(g e_t)`. The leaves of a block of 16 share the low bits of
/// their exponents, and multiplication by `g` keeps that so: whole blocks map to whole blocks, and within one
/// the permutation is one of at most 16 patterns. A rotation is therefore vector loads and in-register
/// permutations, no gather.
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
        self.apply_block(kernel, 0, a, out);
    }

    /// `out += image of a`, one limb of values.
    pub fn apply_add(&self, kernel: Kernel, m: Modulus, a: &[u32], out: &mut [u32]) {
        self.apply_block_add(kernel, m, 0, a, out);
    }

    /// Where the values of a block of the image lie: a block too. Blocks are of a power of two of words, 16
    /// or more, and begin at a multiple of their length.
    ///
    /// The leaves of such a block are those whose exponents agree modulo a power of two, and multiplication
    /// by `g` keeps that so.
    pub fn source(&self, block: &Range<usize>) -> Range<usize> {
        let words = block.len();
        assert!(words.is_power_of_two() && words >= 16 && block.start.is_multiple_of(words));
        let first = kernels::source_block(self.blocks[block.start / 16], self.blocks.len()) * 16;
        let start = first / words * words;
        start..start + words
    }

    /// `out = block of the image` that begins at word `start`, from the block `a` that
    /// [`source`](Self::source) names.
    pub fn apply_block(&self, kernel: Kernel, start: usize, a: &[u32], out: &mut [u32]) {
        kernels::permute(kernel, self.entries(start, out.len()), &self.lanes, a, out);
    }

    /// `out += block of the image`, as [`apply_block`](Self::apply_block).
    pub fn apply_block_add(&self, kernel: Kernel, m: Modulus, start: usize, a: &[u32], out: &mut [u32]) {
        kernels::permute_add(kernel, m, self.entries(start, out.len()), &self.lanes, a, out);
    }

    fn entries(&self, start: usize, words: usize) -> &[u32] {
        &self.blocks[start / 16..][..words / 16]
    }
}

/// `5^steps mod 4N`.
pub fn rotation_exponent(degree: usize, steps: usize) -> usize {
    (0..steps % degree).fold(1, |g, _| g * 5 % (4 * degree))
}

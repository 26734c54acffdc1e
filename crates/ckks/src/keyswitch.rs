//! Hybrid key-switching: digits, and their products with a key (Han and Ki, ia.cr/2019/688, section 3).

use crate::blocks::Block;
use crate::keys::{RotationKey, SwitchingKey};
use crate::{Context, Level};
use blindsight_ring::kernels::{self, Pair};
use blindsight_ring::{Automorphism, Coefficients, Poly, Values, parallel};
use std::ops::Range;

/// A polynomial taken apart into digits, each lifted (centred) to the extended basis: what rotations of one
/// ciphertext share.
pub(crate) struct Digits<'a> {
    context: &'a Context,
    level: Level,
    source: &'a Poly<Values>,
    /// For each digit the limbs outside of it, in order; its own limbs are the source's.
    lifted: Vec<Poly<Values>>,
    own: Vec<Range<usize>>,
}

/// A key-switch that ends with a rotation.
pub(crate) struct Rotation<'a> {
    digits: &'a Digits<'a>,
    key: &'a SwitchingKey,
    automorphism: &'a Automorphism,
}

impl<'a> Digits<'a> {
    /// Cost at `l` limbs, `d` digits and `k` special primes: `l` inverse and `d (l + k) - l` forward NTTs.
    pub(crate) fn new(context: &'a Context, source: &'a Poly<Values>, level: Level) -> Self {
        let (basis, extended) = (context.basis(level), context.extended_basis(level));
        let mut coefficients = basis.scratch::<Coefficients>();
        parallel::for_each(coefficients.iter_mut().zip(source.iter()).enumerate(), |(i, (limb, values))| {
            limb.copy_from_slice(values);
            kernels::ntt_inverse(basis.kernel(), basis.table(i), limb);
        });
        let own: Vec<_> =
            (0..context.parameters().digits(level)).map(|j| context.parameters().digit(level, j)).collect();
        let lifted = |own: &Range<usize>| Poly::scratch(basis.degree(), extended.len() - own.len());
        let mut lifted: Vec<_> = own.iter().map(lifted).collect();
        parallel::for_each(lifted.iter_mut().zip(&own).enumerate(), |(j, (lifted, own))| {
            let limbs: Vec<&[u32]> = own.clone().map(|i| coefficients.limb(i)).collect();
            let lift = context.digit_conversion(level, j).lift(&limbs);
            parallel::for_each(lifted.iter_mut().enumerate(), |(t, limb)| {
                lift.write(t, limb);
                let table = extended.table(if t < own.start { t } else { t + own.len() });
                kernels::ntt_forward(extended.kernel(), table, limb);
            });
        });
        Self { context, level, source, lifted, own }
    }

    /// Limb `i` of digit `j`, in the extended basis.
    fn limb(&self, j: usize, i: usize) -> &[u32] {
        let own = &self.own[j];
        if own.contains(&i) {
            self.source.limb(i)
        } else {
            self.lifted[j].limb(if i < own.start { i } else { i - own.len() })
        }
    }

    /// A block of the sum over digits of digit times key, in the extended basis.
    pub(crate) fn times_key(&self, key: &SwitchingKey, block: &Block, out: [&mut [u32]; 2]) {
        let extended = self.context.extended_basis(self.level);
        // A key for a higher level has more ciphertext primes before the special ones.
        let (i, limbs) = (block.limb, self.context.parameters().limbs(self.level));
        let key_limb = if i < limbs { i } else { i + self.context.parameters().limbs(key.level) - limbs };
        let term = |j: usize| Pair {
            left: key.digits[j].each_ref().map(|half| &half.limb(key_limb)[block.words.clone()]),
            shared: &self.limb(j, i)[block.words.clone()],
        };
        let terms: Vec<_> = (0..self.own.len()).map(term).collect();
        kernels::dot_pair(extended.kernel(), extended.modulus(i), &terms, out);
    }
}

impl<'a> Rotation<'a> {
    pub(crate) fn new(digits: &'a Digits<'a>, (key, automorphism): &'a RotationKey) -> Self {
        Self { digits, key, automorphism }
    }

    /// A block of the rotation of `digits times key + (first, 0)`, written to `out` or added to it;
    /// `add_first` adds a block of `first`.
    pub(crate) fn block(
        &self,
        add_first: impl Fn(&Block, &mut [u32]),
        block: &Block,
        [out_0, out_1]: [&mut [u32]; 2],
        accumulate: bool,
    ) {
        let extended = self.digits.context.extended_basis(self.digits.level);
        let (kernel, m, start) = (extended.kernel(), extended.modulus(block.limb), block.words.start);
        let mut product = Poly::<Values>::scratch(block.words.len(), 2);
        let (first, second) = product.words_mut().split_at_mut(block.words.len());
        let source = block.at(self.automorphism.source(&block.words));
        self.digits.times_key(self.key, &source, [&mut *first, &mut *second]);
        add_first(&source, first);
        for (half, out) in [(first, out_0), (second, out_1)] {
            if accumulate {
                self.automorphism.apply_block_add(kernel, m, start, half, out);
            } else {
                self.automorphism.apply_block(kernel, start, half, out);
            }
        }
    }
}

/// Adds a block of `P plain` to `out`: what a ciphertext's half is in the extended basis, where its special
/// limbs are zero.
pub(crate) fn add_special_multiple(
    context: &Context,
    level: Level,
    plain: &Poly<Values>,
    block: &Block,
    out: &mut [u32],
) {
    let basis = context.basis(level);
    if let Some(&product) = context.special_product(level).get(block.limb) {
        kernels::add_mul_scalar(basis.kernel(), basis.modulus(block.limb), out, block.of(plain), product);
    }
}

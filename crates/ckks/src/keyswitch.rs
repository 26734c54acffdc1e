//! Hybrid key-switching: digits, and their products with a key (Han and Ki, ia.cr/2019/688, section 3).

use crate::evaluator::Halves;
use crate::keys::SwitchingKey;
use crate::{Context, Level};
use ring::kernels::{self, Pair};
use ring::{Poly, Values, parallel};

/// A polynomial taken apart into digits, each lifted (centred) to the extended basis: what rotations of one ciphertext share.
pub(crate) struct Digits<'a> {
    level: Level,
    source: &'a Poly<Values>,
    /// For each digit the limbs outside of it, in order; its own limbs are the source's.
    lifted: Vec<Poly<Values>>,
    own: Vec<std::ops::Range<usize>>,
}

impl<'a> Digits<'a> {
    /// Cost at `l` limbs, `d` digits and `k` special primes: `l` inverse and `d (l + k) - l` forward NTTs.
    pub(crate) fn new(context: &Context, source: &'a Poly<Values>, level: Level) -> Self {
        let (basis, extended) = (context.basis(level), context.extended_basis(level));
        let coefficients = basis.inverse(source.clone());
        let own: Vec<_> =
            (0..context.parameters().digits(level)).map(|j| context.parameters().digit(level, j)).collect();
        let lift_digit = |(j, own): (usize, &std::ops::Range<usize>)| {
            let limbs: Vec<&[u32]> = own.clone().map(|i| coefficients.limb(i)).collect();
            let lift = context.digit_conversion(level, j).lift(&limbs);
            let mut lifted = Poly::scratch(basis.degree(), extended.len() - own.len());
            parallel::for_each(lifted.iter_mut().enumerate(), |(t, limb)| {
                lift.write(t, limb);
                let table = extended.table(if t < own.start { t } else { t + own.len() });
                kernels::ntt_forward(extended.kernel(), table, limb);
            });
            lifted
        };
        let lifted = own.iter().enumerate().map(lift_digit).collect();
        Self { level, source, lifted, own }
    }

    fn len(&self) -> usize {
        self.own.len()
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

    pub(crate) fn level(&self) -> Level {
        self.level
    }
}

/// The sum over digits of digit times key, in the extended basis.
pub(crate) fn key_product(context: &Context, digits: &Digits<'_>, key: &SwitchingKey) -> Halves {
    let extended = context.extended_basis(digits.level);
    let [mut u0, mut u1]: Halves = [extended.scratch(), extended.scratch()];
    parallel::for_each(u0.iter_mut().zip(u1.iter_mut()).enumerate(), |(i, (out_0, out_1))| {
        key_product_limb(context, digits, key, i, [out_0, out_1]);
    });
    [u0, u1]
}

/// Limb `i` of [`key_product`].
pub(crate) fn key_product_limb(
    context: &Context,
    digits: &Digits<'_>,
    key: &SwitchingKey,
    i: usize,
    out: [&mut [u32]; 2],
) {
    let extended = context.extended_basis(digits.level);
    // A key for a higher level has more ciphertext primes before the special ones.
    let limbs = digits.level.limbs();
    let key_limb = if i < limbs { i } else { i + key.level.limbs() - limbs };
    let term = |j: usize| Pair {
        left: [key.digits[j][0].limb(key_limb), key.digits[j][1].limb(key_limb)],
        shared: digits.limb(j, i),
    };
    let terms: Vec<_> = (0..digits.len()).map(term).collect();
    kernels::dot_pair(extended.kernel(), extended.modulus(i), &terms, out);
}

/// `extended += P plain`: lifts a ciphertext's half to the extended basis, where its special limbs are zero.
pub(crate) fn add_special_multiple(
    context: &Context,
    extended: &mut Poly<Values>,
    plain: &Poly<Values>,
    level: Level,
) {
    let basis = context.basis(level);
    let limbs = extended.iter_mut().zip(plain.iter()).zip(context.special_product(level)).enumerate();
    parallel::for_each(limbs, |(i, ((out, limb), &product))| {
        kernels::add_mul_scalar(basis.kernel(), basis.modulus(i), out, limb, product);
    });
}

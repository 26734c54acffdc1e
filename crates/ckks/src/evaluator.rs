//! Operations on ciphertexts. Everything costs what its level costs: at two limbs, two limbs.

use crate::blocks::{Halves, each_block};
use crate::ciphertext::{Ciphertext, Reply, Unrelinearised};
use crate::context::Division;
use crate::keyswitch::{Digits, Rotation, add_special_multiple};
use crate::{Context, Error, EvaluationKeys, Level, PlainFactor, PlainSummand, Scale};
use blindsight_ring::kernels::{self, Pair};
use blindsight_ring::{Poly, Values, parallel};

/// Whether an operation ends with a rescale: a division by the last prime of its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescale {
    /// Same level; the scale is the product of the operands' scales.
    No,
    /// One level less; the scale is divided by the prime.
    Yes,
}

/// Evaluates on ciphertexts with evaluation keys. Cannot decrypt: it has no secret key, by type.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'a> {
    pub(crate) context: &'a Context,
    pub(crate) keys: &'a EvaluationKeys,
}

impl<'a> Evaluator<'a> {
    /// An evaluator for ciphertexts of this context under the key that `keys` belong to.
    pub fn new(context: &'a Context, keys: &'a EvaluationKeys) -> Self {
        Self { context, keys }
    }

    /// The context that it was made for.
    pub fn context(&self) -> &Context {
        self.context
    }

    /// `a + b`. Level and scale: the operands', which must be the same. Error: the sum of both.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] and [`Error::ScaleMismatch`].
    pub fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        same_level(a.level, b.level)?;
        same_scale(a.scale, b.scale)?;
        let (basis, mut sum) = (self.context.basis(a.level), a.clone());
        basis.add(&mut sum.c0, &b.c0);
        basis.add(&mut sum.c1, &b.c1);
        Ok(sum)
    }

    /// `a - b`. Level and scale: the operands', which must be the same. Error: the sum of both.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] and [`Error::ScaleMismatch`].
    pub fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        same_level(a.level, b.level)?;
        same_scale(a.scale, b.scale)?;
        let (basis, mut difference) = (self.context.basis(a.level), a.clone());
        basis.sub(&mut difference.c0, &b.c0);
        basis.sub(&mut difference.c1, &b.c1);
        Ok(difference)
    }

    /// `a + plain`. Level and scale: the operands', which must be the same. Error: the plaintext's rounding.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] and [`Error::ScaleMismatch`].
    pub fn add_plain(&self, mut a: Ciphertext, plain: &PlainSummand) -> Result<Ciphertext, Error> {
        same_level(a.level, plain.level)?;
        same_scale(a.scale, plain.scale)?;
        self.context.basis(a.level).add(&mut a.c0, &plain.poly);
        Ok(a)
    }

    /// `a + plain`, where `a` was not relinearised: as [`add_plain`](Self::add_plain).
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] and [`Error::ScaleMismatch`].
    pub fn add_plain_unrelinearised(
        &self,
        mut a: Unrelinearised,
        plain: &PlainSummand,
    ) -> Result<Unrelinearised, Error> {
        same_level(a.level, plain.level)?;
        same_scale(a.scale, plain.scale)?;
        self.context.basis(a.level).add(&mut a.parts[0], &plain.poly);
        Ok(a)
    }

    /// The product with one real number, encoded at `scale` and rounded. Same level; scale: the product of
    /// both.
    ///
    /// Error: the ciphertext's times the number, and the message times the number's rounding. No NTT.
    ///
    /// # Errors
    /// [`Error::InvalidScale`], and [`Error::Overflow`] where number times scale is no integer below `2^62`.
    pub fn multiply_scalar(&self, a: &Ciphertext, number: f64, scale: Scale) -> Result<Ciphertext, Error> {
        scale.check()?;
        let integer = (number * scale.0).round_ties_even();
        if !integer.is_finite() || integer.abs() >= 2f64.powi(62) {
            let (needed, available) = (integer.abs().log2(), 62.0);
            return Err(Error::Overflow { magnitude: number, scale, needed, available, level: a.level });
        }
        let (basis, mut product) = (self.context.basis(a.level), a.clone());
        let scalars: Vec<_> = basis.moduli().map(|m| m.scalar(m.reduce_signed(integer as i64))).collect();
        basis.mul_scalars(&mut product.c0, &scalars);
        basis.mul_scalars(&mut product.c1, &scalars);
        product.scale = Scale(a.scale.0 * scale.0);
        Ok(product)
    }

    /// The product with a plaintext: [`dot`](Self::dot) of one term.
    pub fn multiply_plain(
        &self,
        a: &Ciphertext,
        plain: &PlainFactor,
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        self.dot(&[(a, plain)], rescale)
    }

    /// The sum of products of ciphertexts with plaintexts, summed unreduced. All at one level, all products
    /// at one scale.
    ///
    /// Scale: the products' (over the prime, where rescaled). Error: [`crate::noise::plain_product`] for each
    /// term, and that of the rescale. Cost: `2 l` multiply-accumulates for each term at `l` limbs, and the
    /// rescale's `2 l` NTTs.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::ScaleMismatch`] and, for a rescale at level 0,
    /// [`Error::NoLevelLeft`].
    ///
    /// # Panics
    /// Where there are no terms.
    pub fn dot(&self, terms: &[(&Ciphertext, &PlainFactor)], rescale: Rescale) -> Result<Ciphertext, Error> {
        let (first, factor) = terms.first().expect("a dot product has terms");
        let (level, scale) = (first.level, Scale(first.scale.0 * factor.scale.0));
        for (ciphertext, plain) in terms {
            same_level(ciphertext.level, level)?;
            same_level(plain.level, level)?;
            same_scale(Scale(ciphertext.scale.0 * plain.scale.0), scale)?;
        }
        let basis = self.context.basis(level);
        let mut sum: Halves = [basis.scratch(), basis.scratch()];
        each_block(&mut sum, |block, out| {
            let pairs = terms.iter().map(|(ciphertext, plain)| Pair {
                left: [block.of(&ciphertext.c0), block.of(&ciphertext.c1)],
                shared: plain.block(block),
            });
            let pairs: Vec<_> = pairs.collect();
            kernels::dot_pair(basis.kernel(), basis.modulus(block.limb), &pairs, out);
        });
        let [c0, c1] = sum;
        self.finish(Ciphertext { c0, c1, level, scale }, rescale)
    }

    /// The product of two ciphertexts at one level, relinearised. Scale: the product of both (over the prime,
    /// where rescaled).
    ///
    /// Needs the relinearisation key. Error: [`crate::noise::product`] and [`crate::noise::key_switch`];
    /// mod-down and rescale are one division.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::MissingKey`] and, for a rescale at level 0, [`Error::NoLevelLeft`].
    pub fn multiply(&self, a: &Ciphertext, b: &Ciphertext, rescale: Rescale) -> Result<Ciphertext, Error> {
        same_level(a.level, b.level)?;
        let level = a.level;
        let basis = self.context.basis(level);
        let [mut d0, mut d1, mut d2] = [basis.scratch(), basis.scratch(), basis.scratch()];
        let limbs = d0.iter_mut().zip(d1.iter_mut()).zip(d2.iter_mut()).enumerate();
        parallel::for_each(limbs, |(i, ((d0, d1), d2))| {
            let [left, right] = [a, b].map(|c| [c.c0.limb(i), c.c1.limb(i)]);
            kernels::tensor(basis.kernel(), basis.modulus(i), left, right, [d0, d1, d2]);
        });
        self.relinearise([d0, d1, d2], level, Scale(a.scale.0 * b.scale.0), rescale)
    }

    /// The ciphertext that `d_0 + d_1 s + d_2 s^2` is.
    pub(crate) fn relinearise(
        &self,
        [d0, d1, d2]: [Poly<Values>; 3],
        level: Level,
        scale: Scale,
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        let key = self.keys.relinearisation(level)?;
        let digits = Digits::new(self.context, &d2, level);
        let mut product = self.extended_scratch(level);
        each_block(&mut product, |block, [out_0, out_1]| {
            digits.times_key(key, block, [&mut *out_0, &mut *out_1]);
            add_special_multiple(self.context, level, &d0, block, out_0);
            add_special_multiple(self.context, level, &d1, block, out_1);
        });
        self.divide(product, level, scale, rescale)
    }

    /// The square: [`multiply`](Self::multiply) by itself. Error: [`crate::noise::square`] and
    /// [`crate::noise::key_switch`].
    pub fn square(&self, a: &Ciphertext, rescale: Rescale) -> Result<Ciphertext, Error> {
        self.multiply(a, a, rescale)
    }

    /// Divides by the last prime, or the last two where a level has two: one level and its bits of scale
    /// less.
    ///
    /// Error: [`crate::noise::division`]. Errors: [`Error::NoLevelLeft`] at level 0.
    pub fn rescale(&self, a: Ciphertext) -> Result<Ciphertext, Error> {
        let division = self.context.rescale(a.level)?;
        let scale = Scale(a.scale.0 / self.context.parameters().modulus(a.level));
        let level = a.level.below().ok_or(Error::NoLevelLeft)?;
        let [c0, c1] = divided([a.c0, a.c1], division);
        Ok(Ciphertext { c0, c1, level, scale })
    }

    /// Drops limbs down to `level` without changing message or scale. No error, no cost.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] for a level above the ciphertext's.
    pub fn drop_level(&self, mut a: Ciphertext, level: Level) -> Result<Ciphertext, Error> {
        if level > a.level {
            return Err(Error::LevelMismatch { left: a.level, right: level });
        }
        let limbs = self.context.parameters().limbs(level);
        a.c0.truncate(limbs);
        a.c1.truncate(limbs);
        Ok(Ciphertext { level, ..a })
    }

    /// The rotation to the left by `steps` slots (slot `j` takes slot `j + steps`). Needs that rotation's
    /// key, unless it is by zero.
    ///
    /// Same level and scale. Error: [`crate::noise::key_switch`].
    ///
    /// # Errors
    /// [`Error::MissingKey`].
    pub fn rotate(&self, a: &Ciphertext, steps: usize) -> Result<Ciphertext, Error> {
        let [rotated] =
            self.hoisted_rotations(a, &[steps])?.try_into().expect("one rotation gives one result");
        Ok(rotated)
    }

    /// Several rotations of one ciphertext that share its decomposition (Halevi and Shoup, ia.cr/2018/244).
    /// Needs their keys.
    ///
    /// Same level and scale. Error: [`crate::noise::key_switch`] each.
    ///
    /// # Errors
    /// [`Error::MissingKey`].
    pub fn hoisted_rotations(&self, a: &Ciphertext, steps: &[usize]) -> Result<Vec<Ciphertext>, Error> {
        let digits = steps.iter().any(|&k| k != 0).then(|| Digits::new(self.context, &a.c1, a.level));
        let rotation = |&k: &usize| match (&digits, k) {
            (Some(digits), 1..) => {
                self.rotate_digits(a, &Rotation::new(digits, self.keys.rotation(k, a.level)?))
            }
            _ => Ok(a.clone()),
        };
        steps.iter().map(rotation).collect()
    }

    /// A rotation of `a`, whose second half was decomposed.
    pub(crate) fn rotate_digits(&self, a: &Ciphertext, rotation: &Rotation<'_>) -> Result<Ciphertext, Error> {
        let mut rotated = self.extended_scratch(a.level);
        each_block(&mut rotated, |block, out| {
            let add_first =
                |block: &_, out: &mut _| add_special_multiple(self.context, a.level, &a.c0, block, out);
            rotation.block(add_first, block, out, false);
        });
        self.divide(rotated, a.level, a.scale, Rescale::No)
    }

    /// Coefficients of a ciphertext at level 0, for the owner of the secret key: `c_1` and the words of `c_0`
    /// at `indices`.
    ///
    /// # Errors
    /// Where the ciphertext is at another level, or has no such coefficient.
    pub fn reply(&self, a: &Ciphertext, indices: &[usize]) -> Result<Reply, Error> {
        let c0 = self.reply_words(a.level, indices, a.c0.clone())?;
        Ok(Reply { c0, whole: vec![a.c1.clone()], scale: a.scale })
    }

    /// The same of what was not relinearised: `c_1` and `c_2` go whole. Only the coefficients at `indices`
    /// can be read of it, too: any other one is hidden by the missing one of `c_0`.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn reply_unrelinearised(&self, a: &Unrelinearised, indices: &[usize]) -> Result<Reply, Error> {
        let [first, second, third] = a.parts.clone();
        let c0 = self.reply_words(a.level, indices, first)?;
        Ok(Reply { c0, whole: vec![second, third], scale: a.scale })
    }

    /// For each prime the coefficients at `indices` of what is to be the first part of a reply at `level`.
    pub(crate) fn reply_words(
        &self,
        level: Level,
        indices: &[usize],
        first: Poly<Values>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        same_level(level, Level(0))?;
        let degree = first.degree();
        if let Some(&index) = indices.iter().find(|&&i| i >= degree) {
            return Err(Error::NoSuchCoefficient { index, degree });
        }
        let first = self.context.basis(level).inverse(first);
        Ok(first.iter().map(|limb| indices.iter().map(|&i| limb[i]).collect()).collect())
    }

    pub(crate) fn finish(&self, a: Ciphertext, rescale: Rescale) -> Result<Ciphertext, Error> {
        match rescale {
            Rescale::No => Ok(a),
            Rescale::Yes => self.rescale(a),
        }
    }

    /// From the extended basis back to ciphertexts: mod-down, fused with the rescale where both are asked
    /// for.
    pub(crate) fn divide(
        &self,
        halves: Halves,
        level: Level,
        scale: Scale,
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        match rescale {
            Rescale::No => {
                let [c0, c1] = divided(halves, self.context.mod_down(level)?);
                Ok(Ciphertext { c0, c1, level, scale })
            }
            Rescale::Yes => {
                let below = level.below().ok_or(Error::NoLevelLeft)?;
                let [c0, c1] = divided(halves, self.context.mod_down_rescale(level)?);
                let scale = Scale(scale.0 / self.context.parameters().modulus(level));
                Ok(Ciphertext { c0, c1, level: below, scale })
            }
        }
    }

    /// To be written in full.
    pub(crate) fn extended_scratch(&self, level: Level) -> Halves {
        let extended = self.context.extended_basis(level);
        [extended.scratch(), extended.scratch()]
    }
}

fn divided(mut halves: Halves, division: &Division) -> Halves {
    parallel::for_each(halves.iter_mut(), |half| division.apply(half));
    halves
}

pub(crate) fn same_level(left: Level, right: Level) -> Result<(), Error> {
    if left == right { Ok(()) } else { Err(Error::LevelMismatch { left, right }) }
}

pub(crate) fn same_scale(left: Scale, right: Scale) -> Result<(), Error> {
    if left.agrees(right) { Ok(()) } else { Err(Error::ScaleMismatch { left, right }) }
}

//! Linear maps of slots: double-hoisted baby-step giant-step transforms, and hoisted folds.

use crate::ciphertext::Ciphertext;
use crate::evaluator::{Halves, pair, same_level, same_scale};
use crate::keys::SwitchingKey;
use crate::keyswitch::{Digits, key_product_limb};
use crate::{Error, Evaluator, Extension, Level, PlainFactor, Rescale, Scale};
use ring::kernels::{self, Pair};
use ring::{Automorphism, Poly, Values, parallel};
use std::collections::BTreeSet;

/// A linear map of several inputs as a sum over giant steps of rotated sums over baby steps:
/// `sum_g rotate_g(sum_(i, b) factor_gib * rotate_b(v_i))` (Bossuat et al., ia.cr/2020/1203, section 5).
#[derive(Debug, Clone, PartialEq)]
pub struct LinearTransform<'a> {
    /// The giant steps.
    pub giants: Vec<Giant<'a>>,
}

/// One giant step.
#[derive(Debug, Clone, PartialEq)]
pub struct Giant<'a> {
    /// The rotation of the sum.
    pub rotation: usize,
    /// What is summed.
    pub terms: Vec<Term<'a>>,
}

/// One product of a giant step: an input, rotated, times a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term<'a> {
    /// Which input.
    pub input: usize,
    /// Its rotation.
    pub baby: usize,
    /// What multiplies it; extended.
    pub factor: &'a PlainFactor,
}

/// A rotated input in the extended basis.
struct Baby {
    input: usize,
    steps: usize,
    halves: Halves,
}

type RotationKey = (SwitchingKey, Automorphism);

impl Evaluator<'_> {
    /// Applies a linear map to ciphertexts of one level; its factors are extended and at that level, all products at one scale.
    ///
    /// Scale: the products' (over the prime, where rescaled). Needs the keys of all baby and giant rotations. Cost: one
    /// decomposition for all babies of an input, and for each giant a mod-down of one half, a decomposition and a key product; one division
    /// at the end, fused with the rescale. Error: that of the babies' key products times the factors, of the giants', and of the division.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::ScaleMismatch`], [`Error::MissingKey`] and, for a rescale at level 0, [`Error::NoLevelLeft`].
    ///
    /// # Panics
    /// Where there are no terms at all, a term reads an input that is not there, or a factor is not extended.
    pub fn transform(
        &self,
        inputs: &[&Ciphertext],
        map: &LinearTransform<'_>,
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        let (level, scale) = check_transform(inputs, map)?;
        let babies = self.babies(inputs, map)?;
        let mut sum: Option<Halves> = None;
        for giant in &map.giants {
            let inner = self.inner_sum(level, &babies, giant);
            let rotated = self.giant_step(inner, giant.rotation, level)?;
            match &mut sum {
                None => sum = Some(rotated),
                Some(sum) => self.add_extended(sum, &rotated, level),
            }
        }
        self.divide(sum.expect("checked: there are giant steps"), level, scale, rescale)
    }

    /// The rotated inputs that the map reads, each once, in order.
    fn babies(&self, inputs: &[&Ciphertext], map: &LinearTransform<'_>) -> Result<Vec<Baby>, Error> {
        let terms = map.giants.iter().flat_map(|giant| &giant.terms);
        let distinct: BTreeSet<(usize, usize)> = terms.map(|term| (term.input, term.baby)).collect();
        let distinct: Vec<_> = distinct.into_iter().collect();
        let mut babies = Vec::with_capacity(distinct.len());
        for of_input in distinct.chunk_by(|a, b| a.0 == b.0) {
            self.add_babies(inputs[of_input[0].0], of_input, &mut babies)?;
        }
        Ok(babies)
    }

    /// The babies of one input, which share its decomposition.
    fn add_babies(
        &self,
        a: &Ciphertext,
        steps: &[(usize, usize)],
        babies: &mut Vec<Baby>,
    ) -> Result<(), Error> {
        let digits = steps.iter().any(|(_, b)| *b != 0).then(|| Digits::new(self.context, &a.c1, a.level));
        let multiple = self.special_multiple(a);
        for &(input, steps) in steps {
            let halves = match &digits {
                Some(digits) if steps != 0 => {
                    let (key, automorphism) = self.keys.rotation(steps, a.level)?;
                    let mut out = self.extended_scratch(a.level);
                    self.each_extended(&mut out, a.level, |i, out| {
                        self.rotated_limb(digits, key, automorphism, &multiple[0], i, out, false);
                    });
                    out
                }
                _ => multiple.clone(),
            };
            babies.push(Baby { input, steps, halves });
        }
        Ok(())
    }

    fn inner_sum(&self, level: Level, babies: &[Baby], giant: &Giant<'_>) -> Halves {
        let find = |term: &Term<'_>| {
            let found =
                babies.binary_search_by_key(&(term.input, term.baby), |baby| (baby.input, baby.steps));
            &babies[found.expect("every baby is there")].halves
        };
        let mut out = self.extended_scratch(level);
        let extended = self.context.extended_basis(level);
        self.each_extended(&mut out, level, |i, out| {
            let halves = giant.terms.iter().map(|term| (find(term), term.factor));
            let terms: Vec<Pair<'_>> =
                halves.map(|([u0, u1], f)| pair([u0, u1], f.poly.limb(i), i)).collect();
            kernels::dot_pair(extended.kernel(), extended.modulus(i), &terms, out);
        });
        out
    }

    /// Rotates a sum in the extended basis: only its second half is divided and switched, the first is added as it is.
    fn giant_step(&self, inner: Halves, rotation: usize, level: Level) -> Result<Halves, Error> {
        if rotation == 0 {
            return Ok(inner);
        }
        let (key, automorphism) = self.keys.rotation(rotation, level)?;
        let [first, second] = inner;
        let second = self.context.mod_down(level).apply(second);
        let digits = Digits::new(self.context, &second, level);
        let mut out = self.extended_scratch(level);
        self.each_extended(&mut out, level, |i, out| {
            self.rotated_limb(&digits, key, automorphism, &first, i, out, false);
        });
        Ok(out)
    }

    /// Sums rotations of a ciphertext in stages: in each, `v = v + sum of rotate_k(v)` over the stage's steps.
    ///
    /// A stage `[k]` doubles, `[k, 2k, 3k]` quadruples with one decomposition. Same level and scale (one level and the prime less
    /// where rescaled; the last division is fused). Needs the keys of all steps. Error: doubled or quadrupled in variance by the sum
    /// at most as the message is, plus [`crate::noise::key_switch`] of each stage.
    ///
    /// # Errors
    /// [`Error::MissingKey`], for a step of zero too, and for a rescale at level 0 [`Error::NoLevelLeft`].
    pub fn fold(&self, a: Ciphertext, stages: &[Vec<usize>], rescale: Rescale) -> Result<Ciphertext, Error> {
        let Some((last, before)) = stages.split_last() else {
            return match rescale {
                Rescale::No => Ok(a),
                Rescale::Yes => self.rescale(a),
            };
        };
        let folded = before.iter().try_fold(a, |v, stage| self.fold_stage(&v, stage, Rescale::No))?;
        self.fold_stage(&folded, last, rescale)
    }

    fn fold_stage(&self, a: &Ciphertext, steps: &[usize], rescale: Rescale) -> Result<Ciphertext, Error> {
        let digits = Digits::new(self.context, &a.c1, a.level);
        let keys: Vec<&RotationKey> =
            steps.iter().map(|&k| self.keys.rotation(k, a.level)).collect::<Result<_, _>>()?;
        let mut sum = self.special_multiple(a);
        let multiple = sum[0].clone();
        self.each_extended(&mut sum, a.level, |i, [sum_0, sum_1]| {
            for (key, automorphism) in &keys {
                self.rotated_limb(&digits, key, automorphism, &multiple, i, [&mut *sum_0, &mut *sum_1], true);
            }
        });
        self.divide(sum, a.level, a.scale, rescale)
    }

    /// Limb `i` of `rotate(key product + (first, 0))`, written to `out` or added to it.
    #[allow(clippy::too_many_arguments)]
    fn rotated_limb(
        &self,
        digits: &Digits<'_>,
        key: &SwitchingKey,
        automorphism: &Automorphism,
        first: &Poly<Values>,
        i: usize,
        out: [&mut [u32]; 2],
        accumulate: bool,
    ) {
        let extended = self.context.extended_basis(digits.level());
        let (kernel, m) = (extended.kernel(), extended.modulus(i));
        let mut scratch = Poly::<Values>::scratch(extended.degree(), 2);
        let (s0, s1) = scratch.words_mut().split_at_mut(extended.degree());
        key_product_limb(self.context, digits, key, i, [&mut *s0, &mut *s1]);
        kernels::add(kernel, m, s0, first.limb(i));
        for (s, o) in [s0, s1].into_iter().zip(out) {
            if accumulate {
                automorphism.apply_add(kernel, m, s, o);
            } else {
                automorphism.apply(kernel, s, o);
            }
        }
    }

    /// `P` times a ciphertext, in the extended basis.
    fn special_multiple(&self, a: &Ciphertext) -> Halves {
        let mut multiple = self.extended_zero(a.level);
        for (out, half) in multiple.iter_mut().zip([&a.c0, &a.c1]) {
            crate::keyswitch::add_special_multiple(self.context, out, half, a.level);
        }
        multiple
    }

    fn extended_scratch(&self, level: Level) -> Halves {
        let extended = self.context.extended_basis(level);
        [extended.scratch(), extended.scratch()]
    }

    fn extended_zero(&self, level: Level) -> Halves {
        let extended = self.context.extended_basis(level);
        [extended.zero(), extended.zero()]
    }

    fn each_extended(
        &self,
        halves: &mut Halves,
        level: Level,
        body: impl Fn(usize, [&mut [u32]; 2]) + Sync + Send,
    ) {
        let [first, second] = halves;
        let limbs = first.iter_mut().zip(second.iter_mut()).enumerate();
        debug_assert_eq!(limbs.len(), self.context.extended_basis(level).len());
        parallel::for_each(limbs, |(i, (a, b))| body(i, [a, b]));
    }

    fn add_extended(&self, sum: &mut Halves, other: &Halves, level: Level) {
        let extended = self.context.extended_basis(level);
        sum.iter_mut().zip(other).for_each(|(a, b)| extended.add(a, b));
    }
}

/// The level of the inputs and the scale of all products.
fn check_transform(inputs: &[&Ciphertext], map: &LinearTransform<'_>) -> Result<(Level, Scale), Error> {
    let mut terms = map.giants.iter().flat_map(|giant| &giant.terms).peekable();
    let product = |term: &Term<'_>| Scale(inputs[term.input].scale.0 * term.factor.scale.0);
    let first = terms.peek().expect("a linear map has terms");
    let (level, scale) = (inputs[first.input].level, product(first));
    for term in terms {
        assert_eq!(term.factor.extension, Extension::Extended, "factors of a linear map are extended");
        same_level(level, inputs[term.input].level)?;
        same_level(level, term.factor.level)?;
        same_scale(scale, product(term))?;
    }
    Ok((level, scale))
}

//! Linear maps of slots: baby-step giant-step transforms, hoisted once or twice, and hoisted rotate-and-sum.

use crate::blocks::{Block, Halves, Staggered, each_block, each_block_of};
use crate::ciphertext::Ciphertext;
use crate::evaluator::{same_level, same_scale};
use crate::keys::RotationKey;
use crate::keyswitch::{Digits, Rotation, add_special_multiple};
use crate::woven::Woven;
use crate::{Error, Evaluator, Extension, Level, PlainFactor, Rescale, Scale};
use blindsight_ring::kernels::{self, Run};
use blindsight_ring::{Basis, parallel};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A linear map of several inputs as a sum over giant steps of rotated sums over baby steps:
/// `sum_g rotate_g(sum_(i, b) factor_gib * rotate_b(v_i))` (Bossuat et al., ia.cr/2020/1203, section 5).
///
/// Factors decide where sums over baby steps are kept. With extended ones it is in the extended basis: baby
/// steps need no mod-down each, but every product and factor has the special primes, too. With plain ones
/// baby steps are brought down: where each is read many times, that is less.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearTransform<'a> {
    /// The giant steps.
    pub giant_steps: Vec<&'a GiantStep>,
    /// How their rotations are made.
    pub order: GiantOrder,
}

/// How the rotations of giant steps are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GiantOrder {
    /// Each sum is rotated by itself: a key for each giant step, and threads may share them.
    Apart,
    /// By Horner's rule, from the farthest giant step on: what is summed so far is rotated by the distance to
    /// the next one. As many rotations, but giant steps that are evenly spaced share one key. Errors of early
    /// rotations are rotated along, and add up just the same.
    Chained,
}

impl GiantOrder {
    /// The rotations that are made for giant steps by these rotations, which ascend: one for each that is not
    /// zero.
    pub fn rotations(self, giant_steps: &[usize]) -> Vec<usize> {
        match self {
            Self::Apart => giant_steps.iter().copied().filter(|giant_step| *giant_step != 0).collect(),
            Self::Chained => {
                let before = std::iter::once(&0).chain(giant_steps);
                giant_steps
                    .iter()
                    .zip(before)
                    .map(|(giant_step, before)| giant_step - before)
                    .filter(|step| *step != 0)
                    .collect()
            }
        }
    }
}

/// One giant step, with the factors of its sum in the order in which they are read.
#[derive(Clone, PartialEq)]
pub struct GiantStep {
    rotation: usize,
    /// In ascending order.
    terms: Vec<Term>,
    factors: Woven,
}

/// One product of a giant step: an input, rotated, times a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// Which input.
    pub input: usize,
    /// Its rotation.
    pub baby_step: usize,
    /// How often the slots of its factor repeat at least, a power of two up to
    /// [`most_repeats`](crate::most_repeats): it takes so much less memory. 1 where that is not known.
    pub repeats: usize,
}

impl GiantStep {
    /// For each rotation and its terms the rotation of the sum of their products with the factors that
    /// `factor` gives, by the position of the giant step and of the term. The factors of all these giant
    /// steps lie together in memory: those of a map are made together, where there is time. Few factors are
    /// there twice meanwhile; inside a rayon pool threads make one each.
    ///
    /// # Errors
    /// Those of `factor`.
    ///
    /// # Panics
    /// Where a giant step has no terms, factors differ in level or extension, or one repeats less often than
    /// its term says or factors can.
    pub fn together<E: Send>(
        shapes: &[(usize, Vec<Term>)],
        factor: impl Fn(usize, usize) -> Result<PlainFactor, E> + Sync + Send,
    ) -> Result<Vec<Self>, E> {
        // Ascending terms, each with its position among those that are given.
        let sort = |(_, terms): &(usize, Vec<Term>)| {
            let mut terms: Vec<(Term, usize)> = terms.iter().copied().zip(0..).collect();
            terms.sort_unstable();
            terms
        };
        let sorted: Vec<Vec<(Term, usize)>> = shapes.iter().map(sort).collect();
        let repeats = |terms: &Vec<(Term, usize)>| terms.iter().map(|(term, _)| term.repeats).collect();
        let repeats: Vec<Vec<usize>> = sorted.iter().map(repeats).collect();
        let factors =
            Woven::new(&repeats, |giant_step, term| factor(giant_step, sorted[giant_step][term].1))?;
        let step = |(index, factors): (usize, Woven)| Self {
            rotation: shapes[index].0,
            terms: sorted[index].iter().map(|(term, _)| *term).collect(),
            factors,
        };
        Ok(factors.into_iter().enumerate().map(step).collect())
    }

    /// Bytes of memory of its factors.
    pub fn bytes(&self) -> usize {
        self.factors.bytes()
    }
}

impl std::fmt::Debug for GiantStep {
    /// Rotation and terms: weights are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut printed = f.debug_struct("GiantStep");
        printed.field("rotation", &self.rotation).field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// A rotation that a map makes of an input, and its key; none where it is by zero.
struct Baby<'a> {
    input: usize,
    steps: usize,
    key: Option<&'a RotationKey>,
}

/// A sum over baby steps: in the extended basis, or not.
struct Inner {
    halves: Halves,
    extension: Extension,
}

/// The ciphertext that a baby step is a rotation of, and the rotation; none where it is the ciphertext
/// itself.
struct Rotated<'a> {
    input: &'a Ciphertext,
    rotation: Option<Rotation<'a>>,
}

/// How many baby steps are worked on at a time: a block of both halves of each fits the second cache.
const BABY_STEPS: usize = 128;

/// Words of a block of sums: so few that the rotated inputs and the sums of many giant steps fit the second
/// cache together.
const SUM_WORDS: usize = 256;

/// From how many inputs they may come: each has its digits in memory.
const INPUTS: usize = 8;

impl Evaluator<'_> {
    /// Applies a linear map to ciphertexts of one level; its factors are at that level, all extended or none,
    /// all products at one scale.
    ///
    /// Scale: the products' (over the prime, where rescaled). Needs the keys of all baby step rotations, and
    /// of those that [`GiantOrder::rotations`] names. Cost: one decomposition for all baby steps of an input,
    /// and for each giant step a mod-down of one half, a decomposition and a key product; one division at the
    /// end, fused with the rescale. With plain factors each baby step has a mod-down, and giant steps only
    /// where they are chained. Error: that of the baby steps' key products (and mod-downs) times the factors,
    /// of the giant steps', and of the division.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::ScaleMismatch`], [`Error::MissingKey`] and, for a rescale at level
    /// 0, [`Error::NoLevelLeft`].
    ///
    /// # Panics
    /// Where there are no giant steps, a term reads an input that is not there, or some factors are extended
    /// and others are not.
    pub fn transform(
        &self,
        inputs: &[&Ciphertext],
        map: &LinearTransform<'_>,
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        let (level, scale, extension) = check_transform(inputs, map)?;
        let baby_steps = self.baby_steps(level, map)?;
        let sums = match extension {
            Extension::Extended => self.inner_sums(inputs, level, &baby_steps, map),
            Extension::Plain => self.plain_inner_sums(inputs, level, &baby_steps, map)?,
        };
        if extension == Extension::Plain && map.giant_steps.iter().all(|giant_step| giant_step.rotation == 0)
        {
            let [c0, c1] = self.added(level, sums);
            return self.finish(Ciphertext { c0, c1, level, scale }, rescale);
        }
        let sums = sums.into_iter().map(|halves| Inner { halves, extension }).collect();
        let sum = match map.order {
            GiantOrder::Apart => self.giant_steps(level, map, sums)?,
            GiantOrder::Chained => self.chained_giant_steps(level, map, sums)?,
        };
        self.divide(sum, level, scale, rescale)
    }

    /// The rotated inputs that the map reads, each once, in order.
    fn baby_steps(&self, level: Level, map: &LinearTransform<'_>) -> Result<Vec<Baby<'_>>, Error> {
        let terms = map.giant_steps.iter().flat_map(|giant_step| &giant_step.terms);
        let distinct: BTreeSet<(usize, usize)> = terms.map(|term| (term.input, term.baby_step)).collect();
        let baby_step = |(input, steps)| {
            let key = (steps != 0).then(|| self.keys.rotation(steps, level)).transpose()?;
            Ok(Baby { input, steps, key })
        };
        distinct.into_iter().map(baby_step).collect()
    }

    /// For each giant step the sum of its products, in the extended basis.
    fn inner_sums(
        &self,
        inputs: &[&Ciphertext],
        level: Level,
        baby_steps: &[Baby<'_>],
        map: &LinearTransform<'_>,
    ) -> Vec<Halves> {
        let mut sums: Vec<Halves> = map.giant_steps.iter().map(|_| self.extended_scratch(level)).collect();
        for (index, group) in groups(baby_steps).into_iter().enumerate() {
            let of_inputs = || group.chunk_by(|a, b| a.input == b.input);
            let digits = |of_input: &[Baby<'_>]| {
                let input = inputs[of_input[0].input];
                of_input.iter().any(|b| b.key.is_some()).then(|| Digits::new(self.context, &input.c1, level))
            };
            let digits: Vec<_> = of_inputs().map(digits).collect();
            let rotated = of_inputs().zip(&digits).flat_map(|(of_input, digits)| {
                of_input.iter().map(move |baby_step| Rotated {
                    input: inputs[baby_step.input],
                    rotation: digits
                        .as_ref()
                        .zip(baby_step.key)
                        .map(|(digits, key)| Rotation::new(digits, key)),
                })
            });
            self.add_products(&rotated.collect::<Vec<_>>(), &shares(group, map), &mut sums, index == 0);
        }
        sums
    }

    /// The same for factors that are not extended: baby steps are brought down, and all is modulo the primes
    /// of the level.
    fn plain_inner_sums(
        &self,
        inputs: &[&Ciphertext],
        level: Level,
        baby_steps: &[Baby<'_>],
        map: &LinearTransform<'_>,
    ) -> Result<Vec<Halves>, Error> {
        let basis = self.context.basis(level);
        let mut sums: Vec<Halves> =
            map.giant_steps.iter().map(|_| [basis.scratch(), basis.scratch()]).collect();
        for (index, group) in groups(baby_steps).into_iter().enumerate() {
            let mut rotated: Vec<Cow<'_, Ciphertext>> = vec![];
            for of_input in group.chunk_by(|a, b| a.input == b.input) {
                rotated.extend(self.rotations(inputs[of_input[0].input], of_input)?);
            }
            let shares = shares(group, map);
            each_block_of(&mut sums, SUM_WORDS, |block, outs| {
                let blocks = Staggered::filled(rotated.len(), block, |baby_step, [first, second]| {
                    first.copy_from_slice(block.of(&rotated[baby_step].c0));
                    second.copy_from_slice(block.of(&rotated[baby_step].c1));
                });
                add_shares(basis, block, &blocks, &shares, outs, index == 0);
            });
        }
        Ok(sums)
    }

    /// The baby steps of one input as ciphertexts.
    fn rotations<'c>(
        &self,
        input: &'c Ciphertext,
        baby_steps: &[Baby<'_>],
    ) -> Result<Vec<Cow<'c, Ciphertext>>, Error> {
        let rotated = baby_steps.iter().any(|baby_step| baby_step.key.is_some());
        let digits = rotated.then(|| Digits::new(self.context, &input.c1, input.level));
        let rotation = |baby_step: &Baby<'_>| match (&digits, baby_step.key) {
            (Some(digits), Some(key)) => {
                Ok(Cow::Owned(self.rotate_digits(input, &Rotation::new(digits, key))?))
            }
            _ => Ok(Cow::Borrowed(input)),
        };
        parallel::map(baby_steps.iter(), rotation).into_iter().collect()
    }

    /// The sum of pairs of halves modulo the primes of a level.
    fn added(&self, level: Level, sums: Vec<Halves>) -> Halves {
        let basis = self.context.basis(level);
        let add = |mut sum: Halves, other: Halves| {
            sum.iter_mut().zip(&other).for_each(|(a, b)| basis.add(a, b));
            sum
        };
        sums.into_iter().reduce(add).expect("a linear map has giant steps")
    }

    /// The sums of products with these baby steps, written to `sums` (`first`) or added to them. Baby steps
    /// live for a block only: nothing of them is written to memory.
    fn add_products(
        &self,
        baby_steps: &[Rotated<'_>],
        shares: &[Share<'_>],
        sums: &mut [Halves],
        first: bool,
    ) {
        let extended = self.context.extended_basis(baby_steps[0].input.level);
        each_block_of(sums, SUM_WORDS, |block, outs| {
            let rotated = Staggered::filled(baby_steps.len(), block, |baby_step, out| {
                self.baby_block(&baby_steps[baby_step], block, out);
            });
            add_shares(extended, block, &rotated, shares, outs, first);
        });
    }

    /// A block of both halves of a baby step, in the extended basis.
    fn baby_block(&self, baby_step: &Rotated<'_>, block: &Block, [first, second]: [&mut [u32]; 2]) {
        let Ciphertext { c0, c1, level, .. } = baby_step.input;
        let multiple = |half, block: &Block, out: &mut [u32]| {
            add_special_multiple(self.context, *level, half, block, out)
        };
        if let Some(rotation) = &baby_step.rotation {
            return rotation.block(|b, o| multiple(c0, b, o), block, [first, second], false);
        }
        for (half, out) in [(c0, first), (c1, second)] {
            out.fill(0);
            multiple(half, block, out);
        }
    }

    /// The sum of the rotated sums, in the extended basis: of each only the second half is divided and
    /// switched, the first is added as it is. Threads take a share of the giant steps each.
    fn giant_steps(
        &self,
        level: Level,
        map: &LinearTransform<'_>,
        sums: Vec<Inner>,
    ) -> Result<Halves, Error> {
        let (rotated, still): (Vec<_>, Vec<_>) =
            sums.into_iter().zip(&map.giant_steps).partition(|(_, giant_step)| giant_step.rotation != 0);
        let with_key = |(sum, giant_step): (Inner, &&GiantStep)| {
            Ok((sum, self.keys.rotation(giant_step.rotation, level)?))
        };
        let mut rotated = rotated.into_iter().map(with_key).collect::<Result<Vec<_>, Error>>()?;
        let add = |mut sum: Halves, other: Halves| {
            self.add_extended(&mut sum, &other, level);
            sum
        };
        let still = still.into_iter().map(|(sum, _)| self.raised(sum, level));
        let mut sums: Vec<Halves> = still.reduce(add).into_iter().collect();
        let share = rotated.len().div_ceil(parallel::threads()).max(1);
        let shares = rotated.chunks_mut(share);
        sums.resize_with(shares.len().max(1), || self.extended_zero(level));
        parallel::for_each(sums.iter_mut().zip(shares), |(sum, share)| {
            share.iter_mut().for_each(|(inner, key)| self.add_giant_step(level, inner, key, sum));
        });
        Ok(sums.into_iter().reduce(add).expect("there is one at least"))
    }

    /// The same by Horner's rule.
    fn chained_giant_steps(
        &self,
        level: Level,
        map: &LinearTransform<'_>,
        sums: Vec<Inner>,
    ) -> Result<Halves, Error> {
        let mut steps: Vec<(usize, Inner)> =
            map.giant_steps.iter().map(|giant_step| giant_step.rotation).zip(sums).collect();
        steps.sort_by_key(|(rotation, _)| *rotation);
        let (mut at, mut sum) = steps.pop().expect("a linear map has giant steps");
        while at != 0 {
            let (next, onto) = steps.pop().map_or_else(
                || (0, self.extended_zero(level)),
                |(next, onto)| (next, self.raised(onto, level)),
            );
            let mut halves = onto;
            if next == at {
                self.add_extended(&mut halves, &self.raised(sum, level), level);
            } else {
                self.add_giant_step(level, &mut sum, self.keys.rotation(at - next, level)?, &mut halves);
            }
            (at, sum) = (next, Inner { halves, extension: Extension::Extended });
        }
        Ok(steps.into_iter().fold(self.raised(sum, level), |mut sum, (_, other)| {
            self.add_extended(&mut sum, &self.raised(other, level), level);
            sum
        }))
    }

    /// Adds an inner sum, rotated; of one in the extended basis the second half is brought down first.
    fn add_giant_step(&self, level: Level, inner: &mut Inner, key: &RotationKey, sum: &mut Halves) {
        let extended = self.context.extended_basis(level);
        let Inner { halves: [first, second], extension } = inner;
        if *extension == Extension::Extended {
            self.context
                .mod_down(level)
                .expect("where there is a key there are special primes")
                .apply(second);
        }
        let digits = Digits::new(self.context, second, level);
        let rotation = Rotation::new(&digits, key);
        let add_first = |block: &Block, out: &mut [u32]| match extension {
            Extension::Extended => {
                kernels::add(extended.kernel(), extended.modulus(block.limb), out, block.of(first));
            }
            Extension::Plain => add_special_multiple(self.context, level, first, block, out),
        };
        each_block(sum, |block, out| rotation.block(add_first, block, out, true));
    }

    /// An inner sum in the extended basis.
    fn raised(&self, inner: Inner, level: Level) -> Halves {
        if inner.extension == Extension::Extended {
            return inner.halves;
        }
        let mut raised = self.extended_scratch(level);
        each_block(&mut raised, |block, outs| {
            for (half, out) in inner.halves.iter().zip(outs) {
                out.fill(0);
                add_special_multiple(self.context, level, half, block, out);
            }
        });
        raised
    }

    /// Sums rotations of a ciphertext in stages: in each, `v = v + sum of rotate_k(v)` over the stage's
    /// steps.
    ///
    /// A stage `[k]` doubles, `[k, 2k, 3k]` quadruples with one decomposition. Same level and scale (one
    /// level and the prime less where rescaled; the last division is fused). Needs the keys of all steps.
    /// Error: doubled or quadrupled in variance by the sum at most as the message is, plus
    /// [`crate::noise::key_switch`] of each stage.
    ///
    /// # Errors
    /// [`Error::MissingKey`], for a step of zero too, and for a rescale at level 0 [`Error::NoLevelLeft`].
    pub fn rotate_and_sum(
        &self,
        a: Ciphertext,
        stages: &[Vec<usize>],
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        let Some((last, before)) = stages.split_last() else {
            return match rescale {
                Rescale::No => Ok(a),
                Rescale::Yes => self.rescale(a),
            };
        };
        let summed =
            before.iter().try_fold(a, |v, stage| self.rotate_and_sum_stage(&v, stage, Rescale::No))?;
        self.rotate_and_sum_stage(&summed, last, rescale)
    }

    fn rotate_and_sum_stage(
        &self,
        a: &Ciphertext,
        steps: &[usize],
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        let keys = steps.iter().map(|&k| self.keys.rotation(k, a.level)).collect::<Result<Vec<_>, _>>()?;
        let digits = Digits::new(self.context, &a.c1, a.level);
        let rotations: Vec<_> = keys.into_iter().map(|key| Rotation::new(&digits, key)).collect();
        let mut sum = self.extended_scratch(a.level);
        each_block(&mut sum, |block, [sum_0, sum_1]| {
            let multiple = |half, block: &Block, out: &mut [u32]| {
                add_special_multiple(self.context, a.level, half, block, out)
            };
            for (half, sum) in [(&a.c0, &mut *sum_0), (&a.c1, &mut *sum_1)] {
                sum.fill(0);
                multiple(half, block, sum);
            }
            for rotation in &rotations {
                rotation.block(|b, o| multiple(&a.c0, b, o), block, [&mut *sum_0, &mut *sum_1], true);
            }
        });
        self.divide(sum, a.level, a.scale, rescale)
    }

    pub(crate) fn extended_zero(&self, level: Level) -> Halves {
        let extended = self.context.extended_basis(level);
        [extended.zero(), extended.zero()]
    }

    fn add_extended(&self, sum: &mut Halves, other: &Halves, level: Level) {
        let extended = self.context.extended_basis(level);
        sum.iter_mut().zip(other).for_each(|(a, b)| extended.add(a, b));
    }
}

/// The level of the inputs, the scale of all products, and whether their factors are extended.
fn check_transform(
    inputs: &[&Ciphertext],
    map: &LinearTransform<'_>,
) -> Result<(Level, Scale, Extension), Error> {
    let first = map.giant_steps.first().expect("a linear map has giant steps");
    let product = |term: &Term, scale: &Scale| Scale(inputs[term.input].scale.0 * scale.0);
    let (level, extension) = (inputs[first.terms[0].input].level, first.factors.extension());
    let scale = product(&first.terms[0], &first.factors.scales()[0]);
    for GiantStep { terms, factors, .. } in &map.giant_steps {
        assert_eq!(factors.extension(), extension, "factors of a linear map are all extended, or none");
        same_level(level, factors.level())?;
        for (term, factor) in terms.iter().zip(factors.scales()) {
            same_level(level, inputs[term.input].level)?;
            same_scale(scale, product(term, factor))?;
        }
    }
    Ok((level, scale, extension))
}

/// Baby steps in groups of whole inputs: no more than [`INPUTS`] of them, and no more than [`BABY_STEPS`]
/// unless one input has more.
fn groups<'b, 'a>(baby_steps: &'b [Baby<'a>]) -> Vec<&'b [Baby<'a>]> {
    let (mut groups, mut rest) = (vec![], baby_steps);
    while !rest.is_empty() {
        let mut end = 0;
        for of_input in rest.chunk_by(|a, b| a.input == b.input).take(INPUTS) {
            if end > 0 && end + of_input.len() > BABY_STEPS {
                break;
            }
            end += of_input.len();
        }
        let (group, after) = rest.split_at(end);
        groups.push(group);
        rest = after;
    }
    groups
}

/// What a giant step sums of a group of baby steps: some terms in a row.
struct Share<'a> {
    factors: &'a Woven,
    first: usize,
    /// For each term the baby step that it reads, by its position in the group.
    left: Vec<u32>,
    runs: Vec<Run>,
}

/// What each giant step sums of these baby steps.
fn shares<'a>(group: &[Baby<'_>], map: &LinearTransform<'a>) -> Vec<Share<'a>> {
    let share = |giant_step: &&'a GiantStep| {
        let position = |term: &Term| {
            group.binary_search_by_key(&(term.input, term.baby_step), |baby| (baby.input, baby.steps)).ok()
        };
        let GiantStep { terms, factors, .. } = giant_step;
        let first = terms.iter().position(|term| position(term).is_some()).unwrap_or(0);
        let left: Vec<u32> = terms[first..].iter().map_while(|term| Some(position(term)? as u32)).collect();
        Share { factors, first, runs: factors.runs(first..first + left.len()), left }
    };
    map.giant_steps.iter().map(share).collect()
}

/// Writes a block of the sums of these shares, or (unless `first`) adds to it.
fn add_shares(
    basis: &Basis,
    block: &Block,
    rotated: &Staggered,
    shares: &[Share<'_>],
    outs: Vec<[&mut [u32]; 2]>,
    first: bool,
) {
    let left: Vec<_> = rotated.pairs().collect();
    let sums = shares.iter().zip(outs);
    let sums =
        sums.map(|(share, out)| share.factors.sum(block, share.first, (&share.left, &share.runs), out));
    let mut sums: Vec<_> = sums.collect();
    kernels::dot_woven(basis.kernel(), basis.modulus(block.limb), &left, &mut sums, !first);
}

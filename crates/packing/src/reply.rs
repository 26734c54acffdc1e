//! The reply's layout: which coefficients are read, and what they say of themselves.

use crate::Error;
use crate::kernels::NOMINAL_SCALE;
use ckks::Scale;
use network::Dense;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The coefficients that the server sends, and how scores are read from them.
///
/// Beside the scores there are *sentinels*, which must be zero: under the keys of another client they are random. And each score has a
/// *coarse copy*, the score over a divisor: a score beyond the capacity wraps around, its coarse copy does not, and the two disagree.
///
/// A score `s` wraps around `k` times, `k` the integer nearest to `s / 2 capacity`; the two agree by accident where its copy wraps around
/// `k / divisor` times, so only where `k` is a multiple of the divisor. Every score of less than `2 divisor - 1` capacities is therefore
/// told from one within, and of those beyond all but the share of `1 / divisor`. Which scores wrapped, how many, and how often does not matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyLayout {
    /// The coefficient of each score.
    pub scores: Vec<usize>,
    /// Coefficients that must be zero.
    pub sentinels: Vec<usize>,
    /// The coefficient of each score's coarse copy.
    pub coarse: Vec<usize>,
    /// What coarse copies are divided by.
    pub coarse_divisor: f64,
    /// The scale of all of them.
    pub scale: Scale,
    /// The magnitude from which on a score wraps around.
    pub capacity: f64,
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The scores, in the order of the labels. Meaningless unless the verdict is sound.
    pub scores: Vec<f64>,
    /// Whether they can be trusted.
    pub verdict: Verdict,
}

/// Whether a reply is what it should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Sentinels are zero, and each score agrees with its coarse copy.
    Sound,
    /// A sentinel is not zero: the reply was made with other keys, or damaged.
    WrongKeys {
        /// The largest sentinel.
        found: f64,
        /// What it may be at most.
        allowed: f64,
    },
    /// A score does not agree with its coarse copy: it is beyond the capacity, so the input was outside the range that the model was made for.
    OutOfRange {
        /// By how much the two disagree at most.
        found: f64,
        /// By how much they may.
        allowed: f64,
    },
}

/// How many sentinels there are: the most where there is room. Under a wrong key each is within its tolerance with probability
/// [`TOLERANCE`], and each score agrees with its copy with nearly the same: `2^-8` each, so with `k` scores and `s` sentinels a label
/// comes with `2^-(8 (s + k))`.
const SENTINELS: RangeInclusive<usize> = 3..=5;
/// What coarse copies are divided by: they wrap around at so many capacities.
const COARSE_DIVISOR: f64 = 64.0;
/// What a sentinel may be, as a share of the capacity.
const TOLERANCE: f64 = 1.0 / 256.0;
/// No more scores than this.
const MOST_SCORES: usize = 1 << 14;

impl ReplyLayout {
    /// The layout for so many scores of at most `bound` in magnitude: the capacity is the least power of two that is twice that, and one at
    /// least. With `copies` slots for each value there is room for `copies / 2 - 1` coefficients; where they are few, there are
    /// fewer sentinels.
    ///
    /// # Errors
    /// Where there is no room for the scores, their copies and three sentinels.
    pub fn new(scores: usize, bound: f64, modulus: f64, copies: usize) -> Result<Self, Error> {
        let capacity = (2.0 * bound).max(1.0).log2().ceil().exp2();
        let room = room(copies).saturating_sub(scores.saturating_mul(2));
        let first_coarse = 1 + scores + room.clamp(*SENTINELS.start(), *SENTINELS.end());
        let layout = Self {
            scores: (1..=scores).collect(),
            sentinels: (1 + scores..first_coarse).collect(),
            coarse: (first_coarse..first_coarse + scores).collect(),
            coarse_divisor: COARSE_DIVISOR,
            scale: Scale(modulus / 2.0 / capacity),
            capacity,
        };
        layout.validate(copies)?;
        Ok(layout)
    }

    /// All coefficients that are read, in the order in which a reply holds them: scores, sentinels, coarse copies.
    pub fn indices(&self) -> Vec<usize> {
        [&self.scores[..], &self.sentinels, &self.coarse].concat()
    }

    /// How large a sentinel may be; errors must stay well below.
    pub fn tolerance(&self) -> f64 {
        self.capacity * TOLERANCE
    }

    /// How far a score and its coarse copy may be apart: as far as errors of the tolerance in both can bring them. A score that wraps
    /// around is off by at least twice the capacity, which is almost eight times that.
    fn coarse_tolerance(&self) -> f64 {
        self.tolerance() * (self.coarse_divisor + 1.0)
    }

    /// Checks that the coefficients are 1, 2, ..., no more than there is room for, and the figures positive.
    pub(crate) fn validate(&self, copies: usize) -> Result<(), Error> {
        let [scores, sentinels, coarse] = [&self.scores, &self.sentinels, &self.coarse].map(Vec::len);
        let count = scores + sentinels + coarse;
        if scores == 0 || scores > MOST_SCORES || count > room(copies) {
            let (what, actual) = (
                "number of reply coefficients",
                format!("{count} ({scores} scores, {coarse} coarse copies, {sentinels} sentinels)"),
            );
            let expected = format!("at most {} for {copies} copies of each value", room(copies));
            return Err(Error::does_not_fit(what, actual, expected));
        }
        let kinds = coarse == scores && SENTINELS.contains(&sentinels);
        if !kinds || !self.indices().iter().copied().eq(1..=count) {
            return Err(Error::Plan(
                "the reply's coefficients are not 1, 2, ... for scores, three to five sentinels and as many coarse copies as scores".into(),
            ));
        }
        let positive = [self.coarse_divisor, self.scale.0, self.capacity];
        if positive.iter().any(|x| !x.is_finite() || *x <= 0.0) || self.scale.0 > NOMINAL_SCALE.0 * 4.0 {
            return Err(Error::Plan(format!(
                "reply scale {} or capacity {} out of range",
                self.scale, self.capacity
            )));
        }
        Ok(())
    }

    /// The weights of each coefficient that is not zero, its bias last.
    pub(crate) fn rows(&self, last: &Dense) -> Vec<(usize, Vec<f64>)> {
        let row = |r: usize| last.row(r).iter().chain([&last.bias[r]]).copied().collect::<Vec<f64>>();
        let rows: Vec<_> = (0..last.rows).map(row).collect();
        let coarse = rows.iter().map(|row| row.iter().map(|w| w / self.coarse_divisor).collect());
        let coarse: Vec<_> = self.coarse.iter().copied().zip(coarse).collect();
        self.scores.iter().copied().zip(rows).chain(coarse).collect()
    }

    /// Reads the scores from the decrypted coefficients, given in the order of [`indices`](Self::indices).
    ///
    /// # Errors
    /// Where their number is not the layout's.
    pub fn read(&self, coefficients: &[f64]) -> Result<Scores, Error> {
        let (expected, actual) = (self.indices().len(), coefficients.len());
        if actual != expected {
            return Err(Error::Length { what: "reply", expected, actual });
        }
        let (scores, rest) = coefficients.split_at(self.scores.len());
        let (sentinels, coarse) = rest.split_at(self.sentinels.len());
        Ok(Scores { scores: scores.to_vec(), verdict: self.verdict(scores, sentinels, coarse) })
    }

    fn verdict(&self, scores: &[f64], sentinels: &[f64], coarse: &[f64]) -> Verdict {
        let (found, allowed) = (largest(sentinels.iter().copied()), self.tolerance());
        if found > allowed {
            return Verdict::WrongKeys { found, allowed };
        }
        let apart = scores.iter().zip(coarse).map(|(score, copy)| score - copy * self.coarse_divisor);
        let (found, allowed) = (largest(apart), self.coarse_tolerance());
        if found > allowed { Verdict::OutOfRange { found, allowed } } else { Verdict::Sound }
    }
}

/// For how many coefficients there is room with so many slots for each value: so many cosines are orthogonal over them.
fn room(copies: usize) -> usize {
    (copies / 2).saturating_sub(1)
}

/// The largest magnitude; infinite where one is not a number.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |m: f64, v| if v.is_nan() { f64::INFINITY } else { m.max(v.abs()) })
}

//! The reply's layout: which coefficients are read, and what they say of themselves.

use crate::Error;
use crate::kernels::NOMINAL_SCALE;
use ckks::Scale;
use network::Dense;
use serde::{Deserialize, Serialize};

/// The coefficients that the server sends, and how scores are read from them.
///
/// Beside the scores there are *sentinels*, which must be zero: under the keys of another client they
/// are random. And there is a *check*, the sum of all scores over a divisor: a score beyond the capacity wraps around and no longer adds up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyLayout {
    /// The coefficient of each score.
    pub scores: Vec<usize>,
    /// Coefficients that must be zero.
    pub sentinels: Vec<usize>,
    /// The coefficient of the check.
    pub check: usize,
    /// What the sum of all scores is divided by in the check.
    pub check_divisor: f64,
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
    /// Sentinels are zero and the scores add up.
    Sound,
    /// A sentinel is not zero: the reply was made with other keys, or damaged.
    WrongKeys {
        /// The largest sentinel.
        found: f64,
        /// What it may be at most.
        allowed: f64,
    },
    /// The scores do not add up: one is beyond the capacity, so the input was outside the range that the model was made for.
    OutOfRange {
        /// By how much the sum is off, in units of the check.
        found: f64,
        /// What it may be off at most.
        allowed: f64,
    },
}

/// How many sentinels there are. Under a wrong key each is within its tolerance with probability [`TOLERANCE`], all with `2^-40`.
const SENTINELS: usize = 5;
/// What the sum of scores is divided by, so that it does not wrap around itself.
const CHECK_DIVISOR: f64 = 64.0;
/// What a sentinel may be, as a share of the capacity.
const TOLERANCE: f64 = 1.0 / 256.0;
/// No more scores than this.
const MOST_SCORES: usize = 1 << 14;

impl ReplyLayout {
    /// The layout for so many scores of at most `bound` in magnitude: the capacity is the least power of two that is twice that, and one at least.
    pub fn new(scores: usize, bound: f64, modulus: f64) -> Self {
        let capacity = (2.0 * bound).max(1.0).log2().ceil().exp2();
        Self {
            scores: (1..=scores).collect(),
            sentinels: (scores + 1..=scores + SENTINELS).collect(),
            check: scores + SENTINELS + 1,
            check_divisor: CHECK_DIVISOR,
            scale: Scale(modulus / 2.0 / capacity),
            capacity,
        }
    }

    /// All coefficients that are read, in the order in which a reply holds them: scores, sentinels, check.
    pub fn indices(&self) -> Vec<usize> {
        self.scores.iter().chain(&self.sentinels).chain([&self.check]).copied().collect()
    }

    /// How large a sentinel may be; errors must stay well below.
    pub fn tolerance(&self) -> f64 {
        self.capacity * TOLERANCE
    }

    /// Checks that the indices are distinct, in order and within `copies / 2 - 1`, and the figures positive.
    pub(crate) fn validate(&self, copies: usize) -> Result<(), Error> {
        let count = self.scores.len() + self.sentinels.len() + 1;
        let most = (copies / 2).saturating_sub(1);
        if self.scores.is_empty() || self.scores.len() > MOST_SCORES || count > most {
            let (what, actual) =
                ("number of reply coefficients", format!("{count} ({} scores)", self.scores.len()));
            return Err(Error::does_not_fit(
                what,
                actual,
                format!("at most {most} for {copies} copies of each value"),
            ));
        }
        if !self.indices().iter().copied().eq(1..=count) || self.sentinels.len() != SENTINELS {
            return Err(Error::Plan("the reply's coefficients are not 1, 2, ... with five sentinels".into()));
        }
        let positive = [self.check_divisor, self.scale.0, self.capacity];
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
        let sum = |column| rows.iter().map(|row| row[column]).sum::<f64>() / self.check_divisor;
        let check = (self.check, (0..=last.columns).map(sum).collect());
        self.scores.iter().copied().zip(rows.iter().cloned()).chain([check]).collect()
    }

    /// Reads the scores from the decrypted coefficients, given in the order of [`indices`](Self::indices).
    ///
    /// # Errors
    /// Where their number is not the layout's.
    pub fn read(&self, coefficients: &[f64]) -> Result<Scores, Error> {
        let expected = self.scores.len() + self.sentinels.len() + 1;
        if coefficients.len() != expected {
            return Err(Error::Length { what: "reply", expected, actual: coefficients.len() });
        }
        let (scores, rest) = coefficients.split_at(self.scores.len());
        let (check, sentinels) = rest.split_last().expect("the check is there");
        Ok(Scores { scores: scores.to_vec(), verdict: self.verdict(scores, sentinels, *check) })
    }

    fn verdict(&self, scores: &[f64], sentinels: &[f64], check: f64) -> Verdict {
        let worst =
            sentinels.iter().fold(0.0, |m: f64, s| if s.is_nan() { f64::INFINITY } else { m.max(s.abs()) });
        if worst > self.tolerance() {
            return Verdict::WrongKeys { found: worst, allowed: self.tolerance() };
        }
        // A score that wraps around once is off by twice the capacity.
        let (found, allowed) = (
            (scores.iter().sum::<f64>() / self.check_divisor - check).abs(),
            self.capacity / self.check_divisor,
        );
        if found <= allowed { Verdict::Sound } else { Verdict::OutOfRange { found, allowed } }
    }
}

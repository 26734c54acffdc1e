//! The reply's layout: which coefficients are read, and what they say of themselves.

use crate::Error;
use blindsight_circuit::Embedding;
use blindsight_ckks::wire::ReplyShape;
use blindsight_ckks::{Parts, Scale};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// How the values of a reply lie in the coefficients that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplyForm {
    /// A value is the coefficient of its index.
    Coefficients,
    /// Values repeat over the slots: slot `s` holds value `s mod period`. A polynomial with such slots lies
    /// in the subring of degree `period`: its coefficients are zero but for those at the multiples of
    /// `slots / period`, and these are a polynomial of the ring of that degree, with the same slots.
    Periodic {
        /// How many values there are.
        period: usize,
        /// Slots of a ciphertext.
        slots: usize,
    },
    /// A batch: each score has a ciphertext of its own, in whose slots it stands for each image; all
    /// coefficients are sent. Every slot is a score, of an image or of what a client wrote into a slot that
    /// it left over, so nothing else can be read. There are no zero checks and no range checks: see
    /// [`ReplyLayout::read_batch`].
    Batch {
        /// Slots of a ciphertext.
        slots: usize,
    },
    /// Each score comes in a ciphertext of its own, the same in every slot: it is the first coefficient, and
    /// the others are zero.
    Constants,
    /// Of a circuit without keys: encryptions in three parts, of which each carries the coefficients 1 to
    /// `each`. Value `v` is coefficient `1 + v mod each` of encryption `v / each`.
    Unrelinearised {
        /// How many there are.
        ciphertexts: usize,
        /// How many values each carries.
        each: usize,
    },
}

/// The coefficients that the server sends, and how scores are read from them.
///
/// Beside the scores there are *zero checks*, which must be zero: under the keys of another client they are
/// random. And each score has a *range check*, the score over a divisor: a score beyond the capacity wraps
/// around, its range check does not, and the two disagree.
///
/// A score `s` wraps around `k` times, `k` the integer nearest to `s / 2 capacity`; the two agree by accident
/// where its range check wraps around `k / divisor` times, so only where `k` is a multiple of the divisor.
/// Every score of less than `2 divisor - 1` capacities is therefore told from one within, and of those beyond
/// all but the share of `1 / divisor`. Which scores wrapped, how many, and how often does not matter.
///
/// Where each score has a ciphertext of its own, range checks would double the work, and without keys they
/// would take further encryptions. There the capacity is `h` times the range of scores: one beyond the range
/// is read as such unless it comes to lie in the range once more. So every score of less than `2 h - 1`
/// ranges is told from one within, and of those beyond all but the share of `1 / h`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyLayout {
    /// How values lie in coefficients.
    pub form: ReplyForm,
    /// The index of each score among the values.
    pub scores: Vec<usize>,
    /// Values that must be zero.
    pub zero_checks: Vec<usize>,
    /// The index of each score's range check.
    pub range_checks: Vec<usize>,
    /// What range checks are divided by.
    pub range_check_divisor: f64,
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
    /// Sentinels are zero, and each score agrees with its range check.
    Sound,
    /// A zero check is not zero: the reply was made with other keys, or damaged.
    WrongKeys {
        /// The largest zero check.
        found: f64,
        /// What it may be at most.
        allowed: f64,
    },
    /// A score does not agree with its range check, or is itself out of range: the input was outside the
    /// range that the model was made for.
    OutOfRange {
        /// By how much the two disagree at most; the largest score where there are no range checks.
        found: f64,
        /// What it may be.
        allowed: f64,
    },
}

/// The root mean squares of what is wrong in a reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplyErrors {
    /// Of scores.
    pub score: f64,
    /// Of values that must be zero; zero where there are none.
    pub zero_check: f64,
    /// Of scores less what their range checks say they are; zero where there are none.
    pub range_check: f64,
}

/// How many zero checks there are: the most where there is room. Under a wrong key each is within its
/// tolerance with probability [`TOLERANCE`], and each score agrees with its range check with nearly the same:
/// `2^-8` each, so with `k` scores and `s` zero checks a label comes with `2^-(8 (s + k))`.
const ZERO_CHECKS: RangeInclusive<usize> = 3..=5;
/// What range checks are divided by: they wrap around at so many capacities.
const RANGE_CHECK_DIVISOR: f64 = 64.0;
/// What a zero check may be, as a share of the capacity.
const TOLERANCE: f64 = 1.0 / 256.0;
/// Sentinels of each score that has a ciphertext of its own.
const CONSTANT_ZERO_CHECKS: usize = 3;
/// How many times the largest score in range fits into the capacity where there are no range checks: a score
/// that wraps around, wherever it comes to lie, is read as one in range with a probability of one in so many.
const CONSTANT_HEADROOM: f64 = 8.0;
/// How many times it fits where there are no keys. The third part's rounding is large beside a reply's scale:
/// more would leave too little of the first prime for precision.
const UNRELINEARISED_HEADROOM: f64 = 32.0;
/// No reply has a smaller capacity: scores of that size come of weights that are lost in their own rounding.
const LEAST_CAPACITY: f64 = 1.0 / (1u64 << 20) as f64;
/// No reply has a larger scale: no two primes are larger than `2^60`, and half of that holds the least
/// capacity.
const LARGEST_SCALE: f64 = (1u128 << 80) as f64;
/// No more scores than this.
const MOST_SCORES: usize = 1 << 14;

impl ReplyLayout {
    /// The layout for so many scores of at most `bound` in magnitude, as coefficients: the capacity is the
    /// least power of two that is twice that. With `replicas` slots for each value there is room for
    /// `replicas / 2 - 1` coefficients; where they are few, there are fewer zero checks.
    ///
    /// # Errors
    /// Where there is no room for the scores, their range checks and three zero checks.
    pub fn coefficients(scores: usize, bound: f64, modulus: f64, replicas: usize) -> Result<Self, Error> {
        let room = room(replicas).saturating_sub(scores.saturating_mul(2));
        let zero_checks = room.clamp(*ZERO_CHECKS.start(), *ZERO_CHECKS.end());
        let layout = Self::new(ReplyForm::Coefficients, 1, [scores, zero_checks], bound, modulus);
        layout.check_room(replicas)?;
        layout.validate()?;
        Ok(layout)
    }

    /// The layout for so many scores of at most `bound` in magnitude that repeat over all slots: the period
    /// is the least power of two with room for the scores, their range checks and three zero checks; what is
    /// left of it are zero checks, too.
    ///
    /// # Errors
    /// Where a ciphertext has no room for them.
    pub fn periodic(scores: usize, bound: f64, modulus: f64, slots: usize) -> Result<Self, Error> {
        let needed = scores.saturating_mul(2).saturating_add(*ZERO_CHECKS.start());
        if needed > slots {
            let expected = format!("at most {slots}");
            return Err(Error::does_not_fit("number of reply values", needed, expected));
        }
        let period = needed.next_power_of_two();
        let form = ReplyForm::Periodic { period, slots };
        let layout = Self::new(form, 0, [scores, period - 2 * scores], bound, modulus);
        layout.validate()?;
        Ok(layout)
    }

    /// The layout for a batch: so many scores of at most `bound` in magnitude for each image.
    ///
    /// # Errors
    /// Where there are no scores, or absurdly many.
    pub fn batch(scores: usize, bound: f64, modulus: f64, slots: usize) -> Result<Self, Error> {
        let form = ReplyForm::Batch { slots };
        let layout = Self { range_checks: vec![], ..Self::new(form, 0, [scores, 0], bound, modulus) };
        layout.validate()?;
        Ok(layout)
    }

    /// The layout for so many scores of at most `bound` in magnitude, a ciphertext for each: the capacity is
    /// the least power of two that is sixteen times that.
    ///
    /// # Errors
    /// For no scores, or absurdly many.
    pub fn constants(scores: usize, bound: f64, modulus: f64) -> Result<Self, Error> {
        let zero_checks = scores.saturating_mul(CONSTANT_ZERO_CHECKS);
        let usual = Self::new(ReplyForm::Constants, 0, [scores, zero_checks], bound, modulus);
        let layout = usual.with_headroom(CONSTANT_HEADROOM);
        layout.validate()?;
        Ok(layout)
    }

    /// The layout for so many scores of at most `bound` in magnitude of a circuit without keys: as few
    /// encryptions as have room for the scores and three zero checks with `replicas` slots for each value.
    /// The capacity is the least power of two that is 64 times the bound.
    ///
    /// # Errors
    /// For no scores, absurdly many, or where there is no room for one.
    pub fn unrelinearised(scores: usize, bound: f64, modulus: f64, replicas: usize) -> Result<Self, Error> {
        let needed = scores.saturating_add(*ZERO_CHECKS.start());
        if room(replicas) == 0 || scores > MOST_SCORES {
            let expected = format!("at most {} for {replicas} replicas of each value", room(replicas));
            return Err(Error::does_not_fit("number of reply coefficients", needed, expected));
        }
        let ciphertexts = needed.div_ceil(room(replicas));
        let wished = scores + *ZERO_CHECKS.end();
        let each = wished.div_ceil(ciphertexts).min(room(replicas));
        let form = ReplyForm::Unrelinearised { ciphertexts, each };
        let zero_checks = ciphertexts * each - scores;
        let layout =
            Self::new(form, 0, [scores, zero_checks], bound, modulus).with_headroom(UNRELINEARISED_HEADROOM);
        layout.validate()?;
        Ok(layout)
    }

    /// The same without range checks, for a capacity that is so many times as large.
    fn with_headroom(self, headroom: f64) -> Self {
        let (scale, capacity) = (Scale(self.scale.0 / headroom), self.capacity * headroom);
        Self { range_checks: vec![], scale, capacity, ..self }
    }

    fn new(
        form: ReplyForm,
        first: usize,
        [scores, zero_checks]: [usize; 2],
        bound: f64,
        modulus: f64,
    ) -> Self {
        let capacity = (2.0 * bound).log2().ceil().exp2().max(LEAST_CAPACITY);
        let [end, first_range_check] = [first + scores, first + scores + zero_checks];
        Self {
            form,
            scores: (first..end).collect(),
            zero_checks: (end..first_range_check).collect(),
            range_checks: (first_range_check..first_range_check + scores).collect(),
            range_check_divisor: RANGE_CHECK_DIVISOR,
            scale: Scale(modulus / 2.0 / capacity),
            capacity,
        }
    }

    /// All values, in the order scores, zero checks, range check: they are numbered so.
    pub fn values(&self) -> Vec<usize> {
        [&self.scores[..], &self.zero_checks, &self.range_checks].concat()
    }

    /// How many ciphertexts the reply is made of.
    pub fn ciphertexts(&self) -> usize {
        match self.form {
            ReplyForm::Batch { .. } | ReplyForm::Constants => self.scores.len(),
            ReplyForm::Coefficients | ReplyForm::Periodic { .. } => 1,
            ReplyForm::Unrelinearised { ciphertexts, .. } => ciphertexts,
        }
    }

    /// What its length follows from.
    pub fn shape(&self) -> ReplyShape {
        let parts = match self.form {
            ReplyForm::Unrelinearised { .. } => Parts::Three,
            _ => Parts::Two,
        };
        ReplyShape { ciphertexts: self.ciphertexts(), parts, coefficients: self.indices().len() }
    }

    /// The coefficients that are read of each ciphertext, in the order in which a reply holds them.
    pub fn indices(&self) -> Vec<usize> {
        match self.form {
            ReplyForm::Constants => (0..=CONSTANT_ZERO_CHECKS).collect(),
            ReplyForm::Coefficients => self.values(),
            ReplyForm::Unrelinearised { each, .. } => (1..=each).collect(),
            ReplyForm::Periodic { period, slots } => (0..period).map(|j| j * (slots / period)).collect(),
            ReplyForm::Batch { slots } => (0..slots).collect(),
        }
    }

    /// How large a zero check may be; errors must stay well below.
    pub fn tolerance(&self) -> f64 {
        self.range() * TOLERANCE
    }

    /// The magnitude that a score in range is below.
    fn range(&self) -> f64 {
        match self.form {
            ReplyForm::Constants => self.capacity / CONSTANT_HEADROOM,
            ReplyForm::Unrelinearised { .. } => self.capacity / UNRELINEARISED_HEADROOM,
            ReplyForm::Coefficients | ReplyForm::Periodic { .. } | ReplyForm::Batch { .. } => self.capacity,
        }
    }

    /// How far a score and its range check may be apart: as far as errors of the tolerance in both can bring
    /// them. A score that wraps around is off by at least twice the capacity, which is almost eight times
    /// that.
    pub fn range_check_tolerance(&self) -> f64 {
        self.tolerance() * (self.range_check_divisor + 1.0)
    }

    /// Checks that there is room for the coefficients with so many replicas of each value.
    pub(crate) fn check_room(&self, replicas: usize) -> Result<(), Error> {
        let [scores, zero_checks, range_checks] =
            [&self.scores, &self.zero_checks, &self.range_checks].map(Vec::len);
        let count = scores + zero_checks + range_checks;
        if count <= room(replicas) {
            return Ok(());
        }
        let actual =
            format!("{count} ({scores} scores, {range_checks} range checks, {zero_checks} zero checks)");
        let expected = format!("at most {} for {replicas} replicas of each value", room(replicas));
        Err(Error::does_not_fit("number of reply coefficients", actual, expected))
    }

    /// Checks that the capacity is the one at which scores of this scale wrap around modulo `modulus`, so
    /// that what it is compared with means something. A batch's scale is what its whole-numbered scales come
    /// to, not exactly what was aimed at.
    pub(crate) fn check_capacity(&self, modulus: f64) -> Result<(), Error> {
        let share = 2.0 * self.scale.0 * self.capacity / modulus;
        let allowed = match self.form {
            ReplyForm::Batch { .. } => 0.5..=2.0,
            ReplyForm::Coefficients
            | ReplyForm::Periodic { .. }
            | ReplyForm::Constants
            | ReplyForm::Unrelinearised { .. } => 1.0 - 1e-6..=1.0 + 1e-6,
        };
        if allowed.contains(&share)
            && (self.range_checks.is_empty() || self.range_check_divisor == RANGE_CHECK_DIVISOR)
        {
            return Ok(());
        }
        Err(Error::Plan(format!(
            "the reply's capacity of {} is not half the modulus {modulus} over its scale {}, or its range checks are not over {RANGE_CHECK_DIVISOR}",
            self.capacity, self.scale
        )))
    }

    /// Checks that the values are numbered in order, and the figures are in range.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let [scores, zero_checks, range_checks] =
            [&self.scores, &self.zero_checks, &self.range_checks].map(Vec::len);
        let count = scores + zero_checks + range_checks;
        let (first, form_fits) = match self.form {
            ReplyForm::Coefficients => (1, range_checks == scores && ZERO_CHECKS.contains(&zero_checks)),
            ReplyForm::Unrelinearised { ciphertexts, each } => (
                0,
                range_checks == 0
                    && zero_checks >= *ZERO_CHECKS.start()
                    && ciphertexts.checked_mul(each) == Some(count),
            ),
            ReplyForm::Constants => (0, range_checks == 0 && zero_checks == scores * CONSTANT_ZERO_CHECKS),
            ReplyForm::Periodic { period, slots } => {
                let powers = period.is_power_of_two() && slots.is_power_of_two();
                (
                    0,
                    range_checks == scores
                        && powers
                        && period == count
                        && period <= slots
                        && slots <= 1 << 16
                        && zero_checks >= 3,
                )
            }
            ReplyForm::Batch { slots } => {
                (0, range_checks + zero_checks == 0 && slots.is_power_of_two() && slots <= 1 << 16)
            }
        };
        let numbered = self.values().iter().copied().eq(first..first + count);
        if !(1..=MOST_SCORES).contains(&scores) || !form_fits || !numbered {
            return Err(Error::Plan(
                "the reply's values are not numbered in order: scores, three zero checks or more, as many range checks as scores".into(),
            ));
        }
        let positive = [self.range_check_divisor, self.scale.0, self.capacity];
        if positive.iter().any(|x| !x.is_finite() || *x <= 0.0) || self.scale.0 > LARGEST_SCALE {
            return Err(Error::Plan(format!(
                "reply scale {} or capacity {} out of range",
                self.scale, self.capacity
            )));
        }
        Ok(())
    }

    /// The bias of each value, zeros too.
    pub fn biases(&self, bias: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; self.values().iter().max().map_or(0, |last| last + 1)];
        for ((score, check), bias) in self.scores.iter().zip(&self.range_checks).zip(bias) {
            (all[*score], all[*check]) = (*bias, bias / self.range_check_divisor);
        }
        all
    }

    /// What is wrong with the values, in units of scores, for the errors of all coefficients that are read,
    /// run by run. These may depend on each other: what is wrong in a layer's bias is wrong in all scores,
    /// and in no zero check.
    pub fn errors(&self, runs: &[Vec<f64>]) -> ReplyErrors {
        let (mut scores, mut zero_checks, mut range_checks) = (vec![], vec![], vec![]);
        for values in runs.iter().map(|run| self.in_order(run)) {
            if matches!(self.form, ReplyForm::Batch { .. }) {
                scores.extend(values);
                continue;
            }
            let (own, rest) = values.split_at(self.scores.len());
            let (zeros, checks) = rest.split_at(self.zero_checks.len());
            range_checks.extend(own.iter().zip(checks).map(|(s, c)| s - c * self.range_check_divisor));
            scores.extend(own);
            zero_checks.extend(zeros);
        }
        let [score, zero_check, range_check] =
            [scores, zero_checks, range_checks].map(|errors| root_mean_square(&errors));
        ReplyErrors { score, zero_check, range_check }
    }

    /// The same with an independent error of this root mean square, in units of scores, added to each
    /// coefficient that is read.
    pub fn with_noise(&self, errors: ReplyErrors, deviation: f64) -> ReplyErrors {
        let noise = match self.form {
            // A slot is the first coefficient and twice each other one times a cosine.
            ReplyForm::Periodic { period, .. } => deviation * (2.0 * period as f64).sqrt(),
            ReplyForm::Coefficients
            | ReplyForm::Batch { .. }
            | ReplyForm::Constants
            | ReplyForm::Unrelinearised { .. } => deviation,
        };
        let with = |error: f64, noise: f64, checks: &[usize]| {
            if checks.is_empty() { error } else { error.hypot(noise) }
        };
        ReplyErrors {
            score: errors.score.hypot(noise),
            zero_check: with(errors.zero_check, noise, &self.zero_checks),
            range_check: with(
                errors.range_check,
                noise * self.range_check_divisor.hypot(1.0),
                &self.range_checks,
            ),
        }
    }

    /// What coefficients are of: scores, zero checks and range checks. It is a linear map.
    fn in_order(&self, coefficients: &[f64]) -> Vec<f64> {
        match self.form {
            ReplyForm::Coefficients | ReplyForm::Batch { .. } | ReplyForm::Unrelinearised { .. } => {
                coefficients.to_vec()
            }
            ReplyForm::Constants => {
                let each = || coefficients.chunks(1 + CONSTANT_ZERO_CHECKS);
                each().map(|c| c[0]).chain(each().flat_map(|c| &c[1..]).copied()).collect()
            }
            ReplyForm::Periodic { period, .. } => {
                let mut slots = vec![0.0; period];
                Embedding::new(period).add_coefficients(coefficients, &mut slots);
                slots
            }
        }
    }

    /// Reads the scores from the decrypted coefficients, given ciphertext by ciphertext in the order of
    /// [`indices`](Self::indices).
    ///
    /// # Errors
    /// Where their number is not the layout's.
    pub fn read(&self, coefficients: &[f64]) -> Result<Scores, Error> {
        let (expected, actual) = (self.values().len(), coefficients.len());
        if actual != expected {
            return Err(Error::Length { what: "reply", expected, actual });
        }
        let values = self.in_order(coefficients);
        let (scores, rest) = values.split_at(self.scores.len());
        let (zero_checks, range_checks) = rest.split_at(self.zero_checks.len());
        Ok(Scores { scores: scores.to_vec(), verdict: self.verdict(scores, zero_checks, range_checks) })
    }

    /// Reads the scores of the first `images` images of a batch from the decrypted slots of all ciphertexts.
    ///
    /// Scores within the bound have a root mean square of at most half the capacity, those of all slots
    /// together. A single coefficient that wraps around lifts it beyond the capacity: it is off by twice the
    /// capacity, and that is spread over all slots. Under other keys all coefficients are uniform, and slots
    /// `sqrt(2N / 3)` capacities.
    ///
    /// # Errors
    /// Where there is not one vector of slots for each score, or they have fewer slots than there are images.
    pub fn read_batch(&self, slots: &[Vec<f64>], images: usize) -> Result<(Vec<Vec<f64>>, Verdict), Error> {
        let expected = self.scores.len();
        if slots.len() != expected {
            return Err(Error::Length { what: "reply", expected, actual: slots.len() });
        }
        if let Some(short) = slots.iter().find(|s| s.len() < images) {
            return Err(Error::Length { what: "slots of a reply", expected: images, actual: short.len() });
        }
        let scores = (0..images).map(|image| slots.iter().map(|s| s[image]).collect()).collect();
        let (found, allowed) = (slots.iter().map(|s| root_mean_square(s)).fold(0.0, f64::max), self.capacity);
        let verdict = match found / allowed {
            share if share <= 1.0 => Verdict::Sound,
            share if share <= WRAPPED => Verdict::OutOfRange { found, allowed },
            _ => Verdict::WrongKeys { found, allowed },
        };
        Ok((scores, verdict))
    }

    fn verdict(&self, scores: &[f64], zero_checks: &[f64], range_checks: &[f64]) -> Verdict {
        let (found, allowed) = (largest(zero_checks.iter().copied()), self.tolerance());
        if found > allowed {
            return Verdict::WrongKeys { found, allowed };
        }
        if range_checks.is_empty() {
            let (found, allowed) = (largest(scores.iter().copied()), self.range());
            return if found > allowed { Verdict::OutOfRange { found, allowed } } else { Verdict::Sound };
        }
        let apart =
            scores.iter().zip(range_checks).map(|(score, check)| score - check * self.range_check_divisor);
        let (found, allowed) = (largest(apart), self.range_check_tolerance());
        if found > allowed { Verdict::OutOfRange { found, allowed } } else { Verdict::Sound }
    }
}

/// From how many capacities on the slots of a batch are noise, and no scores some of which wrapped around.
const WRAPPED: f64 = 12.0;

/// Zero of no values.
fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// For how many coefficients there is room with so many slots for each value: so many cosines are orthogonal
/// over them.
fn room(replicas: usize) -> usize {
    (replicas / 2).saturating_sub(1)
}

/// The largest magnitude; infinite where one is not a number.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |m: f64, v| if v.is_nan() { f64::INFINITY } else { m.max(v.abs()) })
}

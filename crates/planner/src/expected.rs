//! How large the scores of a model are expected to be: as its file says, or by probe inputs.

use crate::Error;
use blindsight_network::{Model, probe};

/// What is expected of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    /// What no score's magnitude should exceed.
    pub bound: f64,
    /// Whether the file says so.
    pub is_said: bool,
    /// The usual size of a score, root mean square: recorded on data, or that of probe inputs, and no more
    /// than an eighth of the bound.
    pub usual: f64,
    /// The largest score that is known to occur.
    pub reached: f64,
    /// Whether that is of a few inputs that are unlike the others.
    pub is_outlier: bool,
}

/// How many times as large as those of most probe inputs scores of real inputs may be.
const HEADROOM: f64 = 4.0;
/// The share of a score's usual size that an error may have before less noise is worth more time.
const NEGLIGIBLE: f64 = 0.005;
/// The share of a score's usual size that the noise of a private reply may have.
const NOISE: f64 = 0.01;
/// The share of what a score is usually at most that an error may have, root mean square: from half of that
/// on a notice says that it shows.
const LARGEST: f64 = 0.04;
/// How many times the usual score fits into the bound, at least: a mean square may come from a few images
/// that are far off.
const BOUND_IN_SCORES: f64 = 8.0;
/// From how many times the largest known score on a bound is far too large, and from how many times the usual
/// one on a score is an outlier.
const LARGE: f64 = 64.0;
/// The bound of a network whose scores are all zero.
const OF_ZEROS: f64 = 1.0;

impl Expected {
    /// Of a model. Where its file says no bound, that of 16 probe inputs: four times the largest score of
    /// most of them, and of the ring that errors are predicted on.
    ///
    /// # Errors
    /// Where scores of a probe input are not finite.
    pub fn of(model: &Model) -> Result<Self, Error> {
        let metadata = &model.metadata;
        let recorded = model.graph.last().and_then(|layer| metadata.ranges.get(&layer.name));
        if let (Some(bound), Some(range)) = (metadata.score_bound, recorded) {
            let usual = range.rms.min(bound / BOUND_IN_SCORES);
            let is_outlier = range.max > LARGE * range.rms;
            return Ok(Self { bound, is_said: true, usual, reached: range.max, is_outlier });
        }
        let probed = Probed::new(model)?;
        let reached = recorded.map_or(probed.ring, |range| range.max);
        let bound = metadata
            .score_bound
            .unwrap_or_else(|| (HEADROOM * probed.largest.max(reached)).max(f64::MIN_POSITIVE));
        let bound = if bound.is_normal() { bound } else { OF_ZEROS };
        let usual = recorded.map_or(probed.usual, |range| range.rms).min(bound / BOUND_IN_SCORES);
        Ok(Self { bound, is_said: metadata.score_bound.is_some(), usual, reached, is_outlier: false })
    }

    /// An error that hardly shows.
    pub fn negligible_error(&self) -> f64 {
        NEGLIGIBLE * self.usual
    }

    /// The largest error that a plan may have unless less is asked for. It is much: a notice says so.
    pub fn largest_error(&self) -> f64 {
        LARGEST * self.bound / BOUND_IN_SCORES
    }

    /// What noise may mask scores: it shows in the second digit.
    pub fn tolerable_noise(&self) -> f64 {
        NOISE * self.usual
    }

    /// Whether scores are known that the bound has no room for.
    pub fn exceeds_bound(&self) -> bool {
        self.is_said && self.reached > self.bound
    }

    /// Whether the bound is so large that precision is lost for nothing.
    pub fn is_bound_large(&self) -> bool {
        self.is_said && self.reached > 0.0 && self.bound > LARGE * self.reached
    }

    /// A bound that would do.
    pub fn suggested_bound(&self) -> f64 {
        let digits = 10f64.powf((HEADROOM * self.reached).log10().floor() - 1.0);
        (HEADROOM * self.reached / digits).ceil() * digits
    }
}

/// The scores of probe inputs.
struct Probed {
    /// The largest of the ring.
    ring: f64,
    /// The largest of most inputs: the upper quartile, for a few may be unlike anything that was trained on.
    largest: f64,
    /// The root mean square, by the lower quartile: scores are no smaller for most inputs.
    usual: f64,
}

impl Probed {
    fn new(model: &Model) -> Result<Self, Error> {
        let inputs = probe::inputs(model.graph.input, model.metadata.input_range);
        let scores = model.graph.infer_batch(&inputs)?;
        let largest = |scores: &Vec<f64>| scores.iter().fold(0.0, |most: f64, s| most.max(s.abs()));
        let usual = |scores: &Vec<f64>| {
            (scores.iter().map(|s| s * s).sum::<f64>() / scores.len().max(1) as f64).sqrt()
        };
        let ring = scores.first().map_or(0.0, largest);
        let (mut all, mut sizes): (Vec<f64>, Vec<f64>) =
            (scores.iter().map(largest).collect(), scores.iter().map(usual).collect());
        all.sort_by(f64::total_cmp);
        sizes.sort_by(f64::total_cmp);
        let (largest, usual) = (all[all.len() * 3 / 4], sizes[sizes.len() / 4]);
        if largest.is_finite() && ring.is_finite() {
            return Ok(Self { ring, largest, usual });
        }
        Err(Error::does_not_fit(
            "a score of the network on a probe input",
            largest.max(ring),
            "a finite number: check blindsight.input_range, mean and std, and the scale of the weights",
        ))
    }
}

//! What is to be known of a plan: what was assumed, what is an estimate, and what looks wrong.

use crate::expected::Expected;
use crate::{Error, Plan, sizes};
use blindsight_layout::{DEFAULT_AGREED_KEYS, DEFAULT_KEY_QUOTA};
use blindsight_network::Model;
use std::fmt;

/// Something that whoever uses a plan should know.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// The file says no mean and no deviation: pixels are taken to go in as 0 to 1.
    AssumedPixels,
    /// The file says no score bound.
    EstimatedBound {
        /// The estimate.
        bound: f64,
    },
    /// The file says a score bound that scores exceed.
    SmallBound {
        /// What it says.
        bound: f64,
        /// The largest score that is known to occur.
        reached: f64,
        /// A bound that would do.
        suggested: f64,
    },
    /// A few inputs have scores beyond the bound, which are unlike those of all others.
    Outliers {
        /// What the file says.
        bound: f64,
        /// The largest score that is known to occur.
        reached: f64,
    },
    /// The file says a score bound that is far larger than any score.
    LargeBound {
        /// What it says.
        bound: f64,
        /// The largest score that is known to occur.
        reached: f64,
        /// A bound that would do.
        suggested: f64,
    },
    /// The keys are more than servers store for a client unless they are told to.
    KeysBeyondQuota {
        /// Bytes of the keys.
        keys: u64,
    },
    /// The keys are more than clients make unless they are told to.
    KeysBeyondAgreement {
        /// Bytes of the keys.
        keys: u64,
    },
    /// The predicted error is not small beside the scores.
    ErrorShows {
        /// The error, root mean square.
        error: f64,
        /// The usual size of a score.
        usual: f64,
    },
}

/// The share of a score's usual size from which on an error shows.
const SHOWS: f64 = 0.02;

/// What is to be known of a plan of a model.
///
/// # Errors
/// Where scores of a probe input are not finite.
pub fn notices(model: &Model, plan: &Plan) -> Result<Vec<Notice>, Error> {
    let expected = Expected::of(model)?;
    let (bound, reached, suggested) = (expected.bound, expected.reached, expected.suggested_bound());
    let mut notices = vec![];
    let input = model.graph.input;
    if !model.metadata.is_normalised && input.height > 1 && input.width > 1 {
        notices.push(Notice::AssumedPixels);
    }
    if !expected.is_said {
        notices.push(Notice::EstimatedBound { bound });
    }
    if expected.exceeds_bound() && expected.is_outlier {
        notices.push(Notice::Outliers { bound, reached });
    } else if expected.exceeds_bound() {
        notices.push(Notice::SmallBound { bound, reached, suggested });
    }
    if expected.is_bound_large() {
        notices.push(Notice::LargeBound { bound, reached, suggested });
    }
    let keys = sizes::evaluation_keys(&plan.public.parameters.validate()?, &plan.public.keys);
    if keys > DEFAULT_KEY_QUOTA {
        notices.push(Notice::KeysBeyondQuota { keys });
    }
    if keys > DEFAULT_AGREED_KEYS {
        notices.push(Notice::KeysBeyondAgreement { keys });
    }
    let error = plan.public.predicted_error;
    if error > SHOWS * expected.usual {
        notices.push(Notice::ErrorShows { error, usual: expected.usual });
    }
    Ok(notices)
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssumedPixels => f.write_str(
                "the model says no mean and std: pixels are taken as 0 to 1; `fit --mean --std` writes them down",
            ),
            Self::EstimatedBound { bound } => write!(
                f,
                "the model says no score bound: {} is an estimate by {} probe inputs; `fit` measures it on data",
                short(*bound),
                blindsight_network::probe::COUNT
            ),
            Self::SmallBound { bound, reached, suggested } => write!(
                f,
                "scores reach {}, but the model's score bound is {}: {} would do; `fit` measures it on data",
                short(*reached),
                short(*bound),
                short(*suggested)
            ),
            Self::Outliers { bound, reached } => write!(
                f,
                "a few inputs have scores up to {}, beyond the model's score bound of {}: they are refused",
                short(*reached),
                short(*bound)
            ),
            Self::LargeBound { bound, reached, suggested } => write!(
                f,
                "scores reach {}, but the model's score bound is {}, which costs precision: {} would do",
                short(*reached),
                short(*bound),
                short(*suggested)
            ),
            Self::KeysBeyondQuota { keys } => write!(
                f,
                "keys of {} MiB are more than the {} MiB that servers store for a client: `serve --quota {}`",
                mib(*keys),
                mib(DEFAULT_KEY_QUOTA),
                mib(*keys)
            ),
            Self::KeysBeyondAgreement { keys } => write!(
                f,
                "keys of {} MiB are more than the {} MiB that clients agree to: `--max-key-bytes {keys}`",
                mib(*keys),
                mib(DEFAULT_AGREED_KEYS)
            ),
            Self::ErrorShows { error, usual } => write!(
                f,
                "the predicted error of a score, {}, is {:.0} % of a usual score of {}: close calls may flip",
                short(*error),
                100.0 * error / usual,
                short(*usual)
            ),
        }
    }
}

/// So many bytes in whole mebibytes.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// A figure with three digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e4).contains(&size) => {
            let decimals = (2.0 - size.log10().floor()).max(0.0) as usize;
            let digits = format!("{value:.decimals$}");
            if decimals == 0 { digits } else { digits.trim_end_matches('0').trim_end_matches('.').into() }
        }
        _ => format!("{value:.2e}"),
    }
}

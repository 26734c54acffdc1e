//! The planner: from a model and what is asked for to the best plan.
//!
//! It enumerates the choices of a family of plans ([`Choice`]), counts each by a dry run of its circuit, orders them by the objective and
//! takes the first whose predicted error is small enough; of plans that differ in radices and baby steps only, whose errors are nearly
//! the same, one is looked at. All is deterministic: the same model, options and cost model give the same plan.

use crate::assemble::{Assembly, assemble, input_level};
use crate::parameters::DEGREES;
use crate::stack::Stack;
use crate::{Choice, Error, Plan, parameters, probe, sizes};
use circuit::{CostModel, Counts, dry_run, predict};
use ckks::Parameters;
use network::Model;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What a plan should be best at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// Predicted time on the server.
    #[default]
    Latency,
    /// Homomorphic operations, then key-switches, then time.
    Operations,
    /// Key-switches, then operations, then time.
    KeySwitches,
    /// Bytes of a request, then time.
    Upload,
}

impl FromStr for Objective {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let not_offered = |reason| Error::NotOffered { what: "objective", asked: name.into(), reason };
        match name {
            "latency" => Ok(Self::Latency),
            "operations" => Ok(Self::Operations),
            "key-switches" => Ok(Self::KeySwitches),
            "upload" => Ok(Self::Upload),
            "throughput" => Err(not_offered(
                "it needs a plan for batches of images, and there is none yet; use latency, operations, key-switches or upload",
            )),
            _ => Err(not_offered("there are latency, operations, key-switches and upload")),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latency => "latency",
            Self::Operations => "operations",
            Self::KeySwitches => "key-switches",
            Self::Upload => "upload",
        })
    }
}

/// Which plans are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// All that are offered.
    #[default]
    Auto,
    /// Those with so many taps of the first layer in each input ciphertext.
    Taps(usize),
}

/// The names of [`Family`] for help texts; `taps-T` stands for any number that fits.
pub const OFFERED: &str =
    "auto, taps-1, taps-2, ... taps-T (T taps of the first layer in each input ciphertext)";

impl FromStr for Family {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let refused = |reason| Error::Representation { asked: name.into(), reason, offered: OFFERED.into() };
        if name == "auto" {
            return Ok(Self::Auto);
        }
        if ["cryptonets", "lola", "lola-dense"].contains(&name) {
            return Err(refused("not offered yet"));
        }
        let taps = name.strip_prefix("taps-").and_then(|t| t.parse().ok()).filter(|t| *t > 0);
        taps.map(Self::Taps).ok_or_else(|| refused("unknown"))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Taps(taps) => write!(f, "taps-{taps}"),
        }
    }
}

/// What the reply may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyKind {
    /// Nothing but the scores (and what proves them) can be read.
    #[default]
    Clean,
}

impl FromStr for ReplyKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let reason = match name {
            "clean" => return Ok(Self::Clean),
            "raw" => {
                "the clean reply of these plans is a single product, so a raw one would cost more bytes and save nothing"
            }
            _ => "there is clean",
        };
        Err(Error::NotOffered { what: "reply", asked: name.into(), reason })
    }
}

impl fmt::Display for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("clean")
    }
}

/// What is asked of the planner.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which plans are looked at.
    pub family: Family,
    /// What the plan should be best at.
    pub objective: Objective,
    /// The ring degree; without it the smallest that fits.
    pub ring_degree: Option<usize>,
    /// What the reply may hold.
    pub reply: ReplyKind,
    /// The most bytes that evaluation keys may take.
    pub max_key_bytes: Option<u64>,
    /// The largest predicted error (root mean square) of a score; an eighth of what the sentinels of the reply tolerate is never exceeded.
    pub max_error: Option<f64>,
    /// How long operations take.
    pub cost: CostModel,
}

/// How many times the predicted error must fit into the sentinels' tolerance: at eight deviations no sound reply is refused.
const TOLERANCE_IN_DEVIATIONS: f64 = 8.0;
/// The score bound of a model that has none in its metadata.
pub(crate) const DEFAULT_SCORE_BOUND: f64 = 64.0;

/// The best plan for a model.
///
/// # Errors
/// Where the model is not of a shape that a plan exists for, does not fit the ring degree asked for (or any), or no plan keeps keys and error
/// within the limits; each with the figures.
pub fn plan(model: &Model, options: &Options) -> Result<Plan, Error> {
    match options.ring_degree {
        Some(degree) => plan_for(model, &parameters(degree)?, options),
        None => {
            let mut refused = None;
            for degree in DEGREES {
                match plan_for(model, &parameters(degree)?, options) {
                    Err(error @ Error::DoesNotFit { .. }) => refused = Some(error),
                    done => return done,
                }
            }
            Err(refused.expect("there are degrees to try"))
        }
    }
}

/// The best plan for a model with these parameters; [`Options::ring_degree`] is not looked at.
///
/// # Errors
/// As [`plan`].
pub fn plan_for(model: &Model, parameters: &Parameters, options: &Options) -> Result<Plan, Error> {
    let stack = Arc::new(Stack::new(&model.graph)?);
    let bound = model.metadata.score_bound.unwrap_or(DEFAULT_SCORE_BOUND);
    let candidates = candidates(&stack, parameters, options, bound)?;
    let image = probe::image(stack.input, model.metadata.input_range);
    let (mut least, mut allowed, mut refused) = (f64::INFINITY, 0.0, HashSet::new());
    for candidate in &candidates {
        let class = candidate.choice.error_class();
        if refused.contains(&class) {
            continue;
        }
        let assembly = assemble(&stack, parameters, &candidate.choice, bound)?;
        let error = predicted_error(&assembly, &image)?;
        let tolerable = assembly.reply.tolerance() / TOLERANCE_IN_DEVIATIONS;
        allowed = options.max_error.map_or(tolerable, |e| e.min(tolerable));
        if error <= allowed {
            return Plan::new(model, options, candidate.choice.clone(), &assembly, bound, error);
        }
        least = least.min(error);
        refused.insert(class);
    }
    let candidates = candidates.len();
    Err(Error::Limit { candidates, what: "a predicted score error", actual: least, allowed })
}

/// The root mean square of the scores' errors. The reply's other coefficients, which have smaller ones, are left out.
fn predicted_error(assembly: &Assembly, image: &[f64]) -> Result<f64, Error> {
    let predictions = predict(&assembly.circuit, &assembly.input.write(image)?)?;
    let scores = &predictions[0].deviations[..assembly.reply.scores.len()];
    Ok((scores.iter().map(|d| d * d).sum::<f64>() / scores.len() as f64).sqrt())
}

/// One plan, counted.
struct Candidate {
    choice: Choice,
    counts: Counts,
    milliseconds: f64,
    upload: u64,
    keys: u64,
}

/// The plans within the key limit, best first; of equals the first enumerated.
fn candidates(
    stack: &Arc<Stack>,
    parameters: &Parameters,
    options: &Options,
    bound: f64,
) -> Result<Vec<Candidate>, Error> {
    let taps = match options.family {
        Family::Auto => None,
        Family::Taps(taps) => Some(taps),
    };
    let choices = Choice::enumerate(stack, parameters.slots(), taps)?;
    let count = choices.len();
    let all = choices.into_iter().map(|c| Candidate::new(stack, parameters, options, c, bound));
    let mut all = all.collect::<Result<Vec<_>, _>>()?;
    let least = all.iter().map(|c| c.keys).min().unwrap_or(0);
    let allowed = options.max_key_bytes.unwrap_or(u64::MAX);
    all.retain(|c| c.keys <= allowed);
    if all.is_empty() {
        let (actual, allowed) = (least as f64, allowed as f64);
        return Err(Error::Limit { candidates: count, what: "evaluation key bytes", actual, allowed });
    }
    let order = |c: &Candidate| c.cost(options.objective);
    all.sort_by(|a, b| order(a).partial_cmp(&order(b)).expect("costs are finite"));
    Ok(all)
}

impl Candidate {
    fn new(
        stack: &Arc<Stack>,
        parameters: &Parameters,
        options: &Options,
        choice: Choice,
        bound: f64,
    ) -> Result<Self, Error> {
        let assembly = assemble(stack, parameters, &choice, bound)?;
        let run = dry_run(&assembly.circuit);
        Ok(Self {
            choice,
            counts: run.totals,
            milliseconds: run.milliseconds(&options.cost),
            upload: sizes::upload(parameters, input_level(parameters)?, assembly.input.ciphertexts()),
            keys: sizes::evaluation_keys(parameters, &assembly.circuit.keys()),
        })
    }

    /// What is minimised, most important first; the last figures break ties.
    fn cost(&self, objective: Objective) -> [f64; 4] {
        let (hops, switches) = (self.counts.hops() as f64, self.counts.key_switches() as f64);
        let (time, keys) = (self.milliseconds, self.keys as f64);
        match objective {
            Objective::Latency => [time, keys, hops, switches],
            Objective::Operations => [hops, switches, time, keys],
            Objective::KeySwitches => [switches, hops, time, keys],
            Objective::Upload => [self.upload as f64, time, keys, hops],
        }
    }
}

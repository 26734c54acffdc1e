//! The planner: from a model and what is asked for to the best plan.
//!
//! For each tensor it looks at the layouts worth trying (`forms`), for neighbouring layouts at the ways to compute the layer between (`steps`):
//! costs add up, so the cheapest path through layouts is the best plan (`search`). What a step costs is counted before anything is built. Of the best
//! plan the error is predicted. Where it shows, every sum is rescaled after its fold and not before, which adds less noise; where it is too large
//! even so, plans without copies and of other families are tried. All is deterministic: the same model, options and cost model give the same plan.

use crate::assemble::{Assembly, assemble, input_level};
use crate::batch;
use crate::chain::Chain;
use crate::parameters::{DEGREES, too_deep};
use crate::search::{self, Search};
use crate::{Choice, Error, InputLayout, Lola, Plan, Recipe, explain, parameters, probe, sizes};
use circuit::{CostModel, predict};
use ckks::Parameters;
use network::Model;
use std::fmt;
use std::str::FromStr;

/// What a plan should be best at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// Predicted time on the server from a request's bytes to the reply; a megabyte of keys counts as 0.3 ms.
    #[default]
    Latency,
    /// Homomorphic operations, then key-switches, then time.
    Operations,
    /// Key-switches, then operations, then time.
    KeySwitches,
    /// Bytes of a request, then time.
    Upload,
    /// Images a second: a batch, unless a plan for single images is asked for.
    Throughput,
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
            "throughput" => Ok(Self::Throughput),
            _ => Err(not_offered("there are latency, operations, key-switches, upload and throughput")),
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
            Self::Throughput => "throughput",
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
    /// Those whose input is the image itself.
    Image,
    /// LoLa's plans.
    Lola(Lola),
    /// The one for batches of images.
    Batch,
}

/// The names of [`Family`] for help texts; `taps-T` stands for any number that fits.
pub const OFFERED: &str = "auto, image (the image itself), taps-1, taps-2, ... taps-T (T taps of the first layer in each input ciphertext), lola, lola-dense, cryptonets (a batch, an image in each slot)";

impl FromStr for Family {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let refused = |reason| Error::Representation { asked: name.into(), reason, offered: OFFERED.into() };
        match name {
            "auto" => return Ok(Self::Auto),
            "image" => return Ok(Self::Image),
            "lola" => return Ok(Self::Lola(Lola::Offsets)),
            "lola-dense" => return Ok(Self::Lola(Lola::Dense)),
            "cryptonets" => return Ok(Self::Batch),
            _ => {}
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
            Self::Image => f.write_str("image"),
            Self::Batch => f.write_str("cryptonets"),
            Self::Lola(Lola::Offsets) => f.write_str("lola"),
            Self::Lola(Lola::Dense) => f.write_str("lola-dense"),
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
    /// The most bytes that the encoded model may take in the server's memory.
    pub max_model_bytes: Option<u64>,
    /// The largest predicted error (root mean square) of a score; an eighth of what the sentinels of the reply tolerate is never exceeded.
    pub max_error: Option<f64>,
    /// How long operations take.
    pub cost: CostModel,
}

impl Options {
    /// Whether a plan for batches is asked for.
    fn is_batch(&self) -> bool {
        let fastest = self.family == Family::Auto && self.objective == Objective::Throughput;
        self.family == Family::Batch || fastest
    }
}

/// How many times the predicted error must fit into the sentinels' tolerance: at eight deviations no sound reply is refused.
const TOLERANCE_IN_DEVIATIONS: f64 = 8.0;
/// The score bound of a model that has none in its metadata.
pub(crate) const DEFAULT_SCORE_BOUND: f64 = 64.0;

/// The best plan for a model.
///
/// # Errors
/// Where the model is not of a shape that a plan exists for, does not fit the ring degree asked for (or any), or no plan keeps keys, encoded
/// model and error within the limits; each with the figures.
pub fn plan(model: &Model, options: &Options) -> Result<Plan, Error> {
    let chain = Chain::new(&model.graph)?;
    let levels = match options.family {
        _ if options.is_batch() => batch::levels(&chain, score_bound(model))?,
        Family::Lola(lola) => lola.depth(&chain),
        _ => chain.depth(),
    };
    if let Some(degree) = options.ring_degree {
        return plan_for(model, &parameters(degree, levels)?, options);
    }
    let mut refused = None;
    for parameters in DEGREES.into_iter().filter_map(|degree| parameters(degree, levels).ok()) {
        match plan_for(model, &parameters, options) {
            Err(error @ Error::DoesNotFit { .. }) => refused = Some(error),
            done => return done,
        }
    }
    Err(refused.unwrap_or_else(|| too_deep(levels)))
}

/// The best plan for a model with these parameters; [`Options::ring_degree`] is not looked at. Where its encoded model is too large, the plan of
/// the fewest operations is tried: the fewest products have the fewest weights.
///
/// # Errors
/// As [`plan`].
pub fn plan_for(model: &Model, parameters: &Parameters, options: &Options) -> Result<Plan, Error> {
    match best_plan(model, parameters, options) {
        Err(error @ Error::Limit { what: MODEL_BYTES, .. }) if !options.is_batch() => {
            let fewest = Options { objective: Objective::Operations, ..options.clone() };
            let mut plan = best_plan(model, parameters, &fewest).map_err(|other| smaller(error, other))?;
            plan.public.objective = options.objective.to_string();
            Ok(plan)
        }
        plan => plan,
    }
}

/// Of two reasons to refuse, the one with the smaller encoded model; else the first.
fn smaller(error: Error, other: Error) -> Error {
    let bytes = |error: &Error| match error {
        Error::Limit { what: MODEL_BYTES, actual, .. } => *actual,
        _ => f64::INFINITY,
    };
    if bytes(&other) < bytes(&error) { other } else { error }
}

fn best_plan(model: &Model, parameters: &Parameters, options: &Options) -> Result<Plan, Error> {
    let chain = Chain::new(&model.graph)?;
    let recipes = match options.family {
        Family::Lola(lola) => vec![Recipe::Lola(lola)],
        _ if options.is_batch() => vec![Recipe::Batch],
        _ => {
            input_level(&chain, parameters)?;
            return searched(model, &chain, parameters, options);
        }
    };
    first_sound(model, &chain, parameters, options, recipes)
}

/// The best plan that the search finds; where its error is too large, the best without copies of babies, which are noisier, and then that of another
/// family: the image itself goes through more noise than windows do.
fn searched(model: &Model, chain: &Chain, parameters: &Parameters, options: &Options) -> Result<Plan, Error> {
    let all = Search::new(chain, parameters, options, score_bound(model));
    let quieter = Search { key_worth: 0.0, ..all };
    let mut refused = None;
    for search in [all, quieter] {
        let best = within_key_limit(search)?;
        match first_sound(model, chain, parameters, options, orders(&best)) {
            Err(error @ Error::Limit { what: ERROR, .. }) => refused = Some((error, best)),
            plan => return plan,
        }
    }
    let (error, best) = refused.expect("two were refused");
    if options.family != Family::Auto {
        return Err(error);
    }
    let search = Search { without: Some(best.family()), ..quieter };
    let families = search::best(&search).ok().map(|(_, other)| other.family());
    let named = [Family::Image, Family::Lola(Lola::Offsets), Family::Lola(Lola::Dense)];
    let others = families.into_iter().chain(named).filter_map(|family| {
        let plan = plan_for(model, parameters, &Options { family, ..options.clone() }).ok()?;
        let cost = explain(&plan, model, &options.cost).ok()?.cost(options.objective);
        Some((cost, plan))
    });
    others.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, plan)| plan).ok_or(error)
}

/// A choice as it is, and with less noise for more time.
fn orders(choice: &Choice) -> Vec<Recipe> {
    vec![Recipe::Layers(choice.clone()), Recipe::Layers(choice.clone().rescaled_late())]
}

/// What the planner would have chosen in the same ring if the family of its plan were not offered; `None` where no other fits, and for plans that
/// were asked for by name.
///
/// # Errors
/// Those of a model that cannot be planned.
pub fn runner_up(model: &Model, plan: &Plan, options: &Options) -> Result<Option<Plan>, Error> {
    let Recipe::Layers(chosen) = plan.recipe() else { return Ok(None) };
    if options.family != Family::Auto {
        return Ok(None);
    }
    let (chain, parameters) = (Chain::new(&model.graph)?, plan.public.parameters.clone().validate()?);
    let all = Search::new(&chain, &parameters, options, score_bound(model));
    let search = Search { without: Some(chosen.family()), ..all };
    let Ok((_, choice)) = search::best(&search) else { return Ok(None) };
    match first_sound(model, &chain, &parameters, options, orders(&choice)) {
        Err(Error::Limit { .. }) => Ok(None),
        plan => plan.map(Some),
    }
}

/// The plan of the first recipe whose error hardly shows; else of that with the least, where it is allowed.
fn first_sound(
    model: &Model,
    chain: &Chain,
    parameters: &Parameters,
    options: &Options,
    recipes: Vec<Recipe>,
) -> Result<Plan, Error> {
    let (bound, image) = (score_bound(model), probe::image(chain.input, model.metadata.input_range));
    let negligible = negligible_error(model);
    let mut best: Option<(f64, Recipe, Assembly)> = None;
    for recipe in recipes {
        let assembly = recipe.assemble(chain, parameters, bound)?;
        check_sizes(&assembly, options)?;
        let error = predicted_error(&assembly, &image)?;
        if best.as_ref().is_none_or(|(least, ..)| error < *least) {
            best = Some((error, recipe, assembly));
        }
        if error <= negligible {
            break;
        }
    }
    let (error, recipe, assembly) = best.expect("there is a recipe");
    let tolerable = assembly.reply.tolerance() / TOLERANCE_IN_DEVIATIONS;
    let allowed = options.max_error.map_or(tolerable, |e| e.min(tolerable));
    if error > allowed {
        return Err(Error::Limit { what: ERROR, actual: error, allowed });
    }
    Plan::new(model, options, recipe, &assembly, bound, error)
}

/// The share of a score's usual size that an error may have before less noise is worth more time.
const NEGLIGIBLE: f64 = 0.005;

/// How many times the usual score fits into the bound, at least: a mean square may come from a few images that are far off.
const BOUND_IN_SCORES: f64 = 8.0;

/// An error that hardly shows, where the model says how large its scores are.
fn negligible_error(model: &Model) -> f64 {
    let scores = model.graph.layers.last().and_then(|layer| model.metadata.ranges.get(&layer.name));
    let usual = |rms: f64| rms.min(score_bound(model) / BOUND_IN_SCORES);
    scores.map_or(f64::INFINITY, |range| NEGLIGIBLE * usual(range.rms))
}

fn score_bound(model: &Model) -> f64 {
    model.metadata.score_bound.unwrap_or(DEFAULT_SCORE_BOUND)
}

/// What a kilobyte of keys costs, in the units of the objective, where keys are limited: more and more.
const KEY_PRICES: [f64; 10] = [0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3];

/// The best choice whose keys are within the limit: keys are given a price, which rises until they are.
fn within_key_limit(mut search: Search<'_>) -> Result<Choice, Error> {
    let limit = search.options.max_key_bytes.unwrap_or(u64::MAX);
    let mut least = u64::MAX;
    for price in KEY_PRICES {
        search.key_price = price;
        let (_, choice) = search::best(&search)?;
        let assembly = assemble(search.chain, search.parameters, &choice, search.bound)?;
        let keys = sizes::evaluation_keys(search.parameters, &assembly.circuit.keys());
        if keys <= limit {
            return Ok(choice);
        }
        least = least.min(keys);
    }
    Err(Error::Limit { what: KEY_BYTES, actual: least as f64, allowed: limit as f64 })
}

/// What is limited by [`Options::max_error`].
const ERROR: &str = "a predicted score error";
/// What is limited by [`Options::max_key_bytes`].
const KEY_BYTES: &str = "evaluation key bytes";
/// What is limited by [`Options::max_model_bytes`].
const MODEL_BYTES: &str = "encoded model bytes";

/// Checks that the keys and the encoded model are within their limits, before any of them exists.
fn check_sizes(assembly: &Assembly, options: &Options) -> Result<(), Error> {
    let check = |what, actual: u64, limit: Option<u64>| match limit {
        Some(limit) if actual > limit => {
            Err(Error::Limit { what, actual: actual as f64, allowed: limit as f64 })
        }
        _ => Ok(()),
    };
    let circuit = &assembly.circuit;
    check(KEY_BYTES, sizes::evaluation_keys(circuit.parameters(), &circuit.keys()), options.max_key_bytes)?;
    check(MODEL_BYTES, sizes::encoded_model(circuit), options.max_model_bytes)
}

/// The root mean square of the scores' errors. The reply's other values, which have smaller ones, are left out.
fn predicted_error(assembly: &Assembly, image: &[f64]) -> Result<f64, Error> {
    /// Slots of a batch do not meet: a few, which all hold the same image, speak for all.
    const SLOTS: usize = 16;
    let inputs = match assembly.input {
        InputLayout::Batch(_) => image.iter().map(|pixel| vec![*pixel; SLOTS]).collect(),
        _ => assembly.input.write(image)?,
    };
    let predictions = predict(&assembly.circuit, &inputs)?;
    let deviations: Vec<f64> = predictions.into_iter().flat_map(|p| p.deviations).collect();
    Ok(assembly.reply.score_deviation(&deviations))
}

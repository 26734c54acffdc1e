//! Calibration data in, a ready private network out.
//!
//! A trained network has activations that no ciphertext can compute: ReLU, GELU, SiLU and their like. [`fit`]
//! gives the network with polynomials in their place and weights that make up for it, from a thousand or two
//! inputs: no training, no gradients, no labels needed.
//!
//! # How
//!
//! 1. A fifth of the inputs is held back: choices are made, and the outcome is reported, on it.
//! 2. Both networks run side by side, node by node. Each activation is replaced, channel by channel, by the
//!    polynomial that is nearest to it in the mean square over what *arrives there in the replaced
//!    network*.
//! 3. Each linear layer behind is corrected: of its weights, those that bring its output nearest to what
//!    the original network had there, by ridge regression; at the end of a residual branch, to what the
//!    *sum* was. So errors do not add up from layer to layer: each one starts again from the original.
//! 4. Degrees start at 2 and rise as far as the accuracy needs; [`Options::max_drop`] says what it may
//!    lose.
//!
//! # Sources
//!
//! Layer-wise least squares against the original's outputs is what post-training quantisation and pruning
//! do (Nagel et al., Up or Down?, ICML 2020; Frantar et al., Optimal Brain Compression, NeurIPS 2022). That
//! a polynomial is to be fitted to the distribution of its argument, and not to an interval, is known for
//! private inference from Chou et al., Faster CryptoNets, 2018. Everything is deterministic: the same
//! inputs and seed give the same network.
//!
//! # Contract
//!
//! Nothing here reads or writes files. The result passes [`Graph::to_onnx`] and has a plan. Arithmetic of
//! the search is of single precision; what is reported is computed by [`Graph::infer_batch`]. Memory: four
//! bytes for each element of the layers that are in use at once, for each input, twice. Work is spread over
//! rayon's current pool.

mod batch;
mod build;
mod data;
mod error;
mod findings;
mod judgement;
mod linear;
mod polynomial;
mod prepare;
mod price;
mod report;
mod search;
mod solve;

use blindsight_network::{FinalActivation, Graph, Metadata, Polynomial};
use blindsight_planner as planner;

use crate::build::Built;
use crate::data::Data;

pub use error::Error;
pub use findings::Finding;
pub use report::{FittedActivation, Report, Trial};

/// What is no line: an activation of a lower degree would be none.
const LOWEST_DEGREE: usize = 2;
/// How much larger a score may become than any that was seen.
const BOUND_MARGIN: f64 = 1.5;

/// What is asked of a fit.
#[derive(Clone, Debug)]
pub struct Options {
    /// One degree for all activations, from 2 to 31; without it the cheapest that keep the accuracy.
    pub degree: Option<usize>,
    /// How many points (hundredths) of accuracy may be lost on the inputs held back. Default 1.
    pub max_drop: f64,
    /// Whether pools by the largest value become average pools. Default no: they are refused.
    pub replace_max_pool: bool,
    /// Which inputs are held back. Default 1.
    pub seed: u64,
    /// What is asked of the planner, and how long operations take.
    pub plan: planner::Options,
    /// What a fit of the same network, inputs and options found out before it was broken off: it is not found
    /// out again. Default nothing.
    pub known: Vec<Finding>,
}

impl Default for Options {
    fn default() -> Self {
        let plan = planner::Options::default();
        Self { degree: None, max_drop: 1.0, replace_max_pool: false, seed: 1, plan, known: vec![] }
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A network with these degrees is fitted, and this node of so many is at work on.
    Fitting {
        /// One for each activation.
        degrees: &'a [usize],
        /// The node, from 0.
        node: usize,
        /// How many there are.
        nodes: usize,
    },
    /// A network with these degrees is planned, to know its price.
    Planning {
        /// One for each activation.
        degrees: &'a [usize],
    },
    /// Something was found out: whoever keeps these can go on where a fit is broken off.
    Found(&'a Finding),
}

/// A network that can be run encrypted.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The network, without activations.
    pub graph: Graph,
    /// The metadata given, with the ranges of all nodes and the score bound as measured, and a range of
    /// inputs that holds all that were given; the accuracy, which is that over test images, is left open.
    pub metadata: Metadata,
    /// What was done, and what it cost.
    pub report: Report,
}

/// Replaces the activations of `graph` by polynomials, corrects its linear layers on `inputs`, and measures
/// what the planner has to know. A network that is polynomial already is only measured.
///
/// `inputs` are normalised, each of the elements that `graph.input` has; `labels`, where known, are their
/// classes. Without labels, the classes that the network gave before count as right. `metadata` is the
/// network's. `progress` is told what is being done.
///
/// # Errors
/// Data that do not fit the network; options out of range; a pool by the largest value that is not
/// to be replaced; no degrees that keep the accuracy, or none that a plan exists for, with the figures.
///
/// # Example
/// ```
/// use blindsight_fit::{Options, fit};
/// use blindsight_network::{Activation, Dense, Graph, Metadata, Operator, Shape};
///
/// let dense = |rows, columns, weights: &[f64]| {
///     Operator::Dense(Dense { rows, columns, weights: weights.to_vec(), bias: vec![0.1; rows] })
/// };
/// let layers = [
///     ("hidden", dense(3, 2, &[1.0, -1.0, 0.5, 1.0, -1.0, 0.3])),
///     ("relu", Operator::Activation(Activation::Relu)),
///     ("scores", dense(2, 3, &[1.0, 0.2, -0.4, -0.3, 0.8, 0.5])),
/// ];
/// let graph = Graph::chain(Shape::vector(2), layers.map(|(name, layer)| (name.to_string(), layer)));
/// let input = |i: i32| vec![f64::from(i % 20) / 20.0, f64::from(i / 20) / 10.0];
/// let inputs: Vec<Vec<f64>> = (0..200).map(input).collect();
/// let metadata = Metadata::new(graph.input, 2);
/// let options = Options { max_drop: 5.0, ..Options::default() };
/// let fitted = fit(&graph, &metadata, &inputs, None, &options, &mut |_| ())?;
/// assert!(fitted.report.agree >= 0.95);
/// assert!(fitted.graph.fused(&fitted.metadata).is_ok());
/// # Ok::<(), blindsight_fit::Error>(())
/// ```
pub fn fit(
    graph: &Graph,
    metadata: &Metadata,
    inputs: &[Vec<f64>],
    labels: Option<&[usize]>,
    options: &Options,
    progress: &mut dyn FnMut(Step<'_>),
) -> Result<Fitted, Error> {
    check(options)?;
    let prepared = prepare::prepared(graph, options.replace_max_pool)?;
    let input_range = data::range(metadata.input_range, inputs);
    let usual_input = data::usual(graph.input, inputs);
    let metadata =
        Metadata { accuracy: None, error_ratio: None, input_range, usual_input, ..metadata.clone() };
    let data = Data::new(graph, &metadata, inputs, labels, options.seed)?;
    let chosen = search::chosen(&prepared, &metadata, &data, options, progress)?;
    let error_ratio = Some(chosen.error_ratio);
    let metadata = Metadata { error_ratio, ..measured(&metadata, &chosen.built) };
    let count = metadata.labels.len();
    let [before, after] = [graph, &chosen.built.graph].map(|graph| classes(graph, count, inputs, &data));
    let (before, after) = (before?, after?);
    let right = |found: &[usize]| {
        let labels = data.labels.as_ref()?;
        Some(agreement(found, &labels[data.calibration..]))
    };
    let (score_rms, score_spread) = sizes(&chosen.built);
    let report = Report {
        count: data.len(),
        held_back: before.len(),
        accuracy_before: right(&before),
        accuracy_after: right(&after),
        agree: agreement(&before, &after),
        score_bound: metadata.score_bound.unwrap_or_default(),
        score_rms,
        score_spread,
        levels: chosen.price.levels,
        predicted_ms: chosen.price.milliseconds,
        activations: chosen.built.activations,
        tried: chosen.tried,
    };
    Ok(Fitted { graph: chosen.built.graph, metadata, report })
}

fn check(options: &Options) -> Result<(), Error> {
    let (least, most) = (LOWEST_DEGREE, Polynomial::MAX_DEGREE);
    if let Some(degree) = options.degree.filter(|d| !(least..=most).contains(d)) {
        let expected = format!("{least} to {most}");
        return Err(Error::Option { what: "degree", expected, found: degree.to_string() });
    }
    if !(0.0..=100.0).contains(&options.max_drop) {
        let (expected, found) = ("0 to 100".into(), options.max_drop.to_string());
        return Err(Error::Option { what: "points of accuracy that may be lost", expected, found });
    }
    Ok(())
}

/// The metadata with what a walk measured.
fn measured(metadata: &Metadata, built: &Built) -> Metadata {
    let scores = &built.scores.values[..(built.scores.len() - 1) * built.scores.shape.elements()];
    let most = scores.iter().fold(0.0f32, |most, s| most.max(s.abs()));
    // A few digits: a bound is no measurement.
    let bound = format!("{:.2e}", BOUND_MARGIN * f64::from(most)).parse().ok().filter(|b: &f64| *b > 0.0);
    Metadata {
        ranges: built.ranges.clone(),
        score_bound: bound.or(metadata.score_bound),
        // What the inputs were normalised by is known now.
        is_normalised: true,
        ..metadata.clone()
    }
}

/// The classes, of so many, of the inputs held back.
fn classes(graph: &Graph, count: usize, inputs: &[Vec<f64>], data: &Data) -> Result<Vec<usize>, Error> {
    let held_back: Vec<Vec<f64>> =
        data.order[data.calibration..].iter().map(|n| inputs[*n].clone()).collect();
    Ok(graph.infer_batch(&held_back)?.iter().map(|s| FinalActivation::class_of(s, count)).collect())
}

fn agreement(a: &[usize], b: &[usize]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

/// The root mean square of the scores, and that about the mean of each input's.
fn sizes(built: &Built) -> (f64, f64) {
    // The last one is the planner's probe.
    let images = built.scores.len() - 1;
    let count = (images * built.scores.shape.elements()) as f64;
    let (mut squares, mut about) = (0.0, 0.0);
    for n in 0..images {
        let scores = built.scores.image(n);
        let mean = scores.iter().map(|s| f64::from(*s)).sum::<f64>() / scores.len() as f64;
        for score in scores.iter().map(|s| f64::from(*s)) {
            squares += score * score;
            about += (score - mean).powi(2);
        }
    }
    ((squares / count).sqrt(), (about / count).sqrt())
}

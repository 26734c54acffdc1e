//! The best plan with given parameters.
//!
//! For each tensor it looks at the layouts worth trying, for neighbouring layouts at the ways to compute the
//! layer between, which layer kernels offer: costs add up, so the cheapest path through layouts is the best
//! plan ([`crate::search`]). What a step costs is counted before anything is built. Of the best plan the
//! error is predicted. Where it shows, every sum is rescaled at its end and not before, which adds less
//! noise; where it is too large even so, plans whose baby steps are made in one rotation each are tried; in
//! both cases also those of other packings, one of which may be cheaper as it is.

use crate::error::Limit;
use crate::errors::runs;
use crate::expected::Expected;
use crate::literature::{Chain, Lola};
use crate::objective::{Objective, PlanCost};
use crate::options::{DEFAULT_MEMORY_LIMIT, Options, Packing};
use crate::parameters::parameters_of;
use crate::search::{Map, Search};
use crate::sharing::share_keys;
use crate::{Error, Plan, Recipe, masking, sizes};
use blindsight_circuit::Circuit;
use blindsight_ckks::{KeyRequirements, Parameters};
use blindsight_layers::{Assembly, Choice, Cost, LayerGraph, Network, assemble, input_level};
use blindsight_layout::{Masking, ReplyErrors, ReplyLayout};
use blindsight_network::{Model, probe};

/// How many times predicted errors must fit into the tolerances of checks: at eight deviations no sound reply
/// is refused.
const TOLERANCE_IN_DEVIATIONS: f64 = 8.0;

/// The best plan for a model with these parameters; [`Options::ring_degree`] is not looked at. Where it takes
/// too much memory, the best is tried at higher prices of memory, and then the plan of the fewest operations:
/// the fewest products have the fewest weights.
///
/// # Errors
/// As [`crate::plan`].
pub fn plan_for(model: &Model, parameters: &Parameters, options: &Options) -> Result<Plan, Error> {
    plan_within(model, &Expected::of(model)?, parameters, options)
}

/// As [`plan_for`], for a model of such scores.
pub(crate) fn plan_within(
    model: &Model,
    expected: &Expected,
    parameters: &Parameters,
    options: &Options,
) -> Result<Plan, Error> {
    let best = |options: &Options| best_plan(model, expected, parameters, options);
    match best(options) {
        Err(error) if error.is_beyond(Limit::Memory) && !options.is_batch() => {
            let fewest = Options { objective: Objective::Operations, ..options.clone() };
            let mut plan = best(&fewest).map_err(|other| smaller(error, other))?;
            plan.public.objective = options.objective.to_string();
            Ok(plan)
        }
        // Noise is large for other reasons.
        Err(error)
            if error.is_beyond(Limit::Error)
                && expected.exceeds_bound()
                && options.reply.kappa().is_none() =>
        {
            Err(score_bound_error(model, expected, expected.reached))
        }
        plan => plan,
    }
}

/// The best plan of other packings than this one.
///
/// # Errors
/// As [`plan_for`].
pub(crate) fn plan_without(
    model: &Model,
    expected: &Expected,
    parameters: &Parameters,
    options: &Options,
    packing: Packing,
) -> Result<Plan, Error> {
    let graph = &LayerGraph::new(&model.graph, &model.metadata)?;
    let task = Task { model, expected, graph, parameters, options, weights: 1.0 };
    task.searched_for_memory(&[packing])
}

/// What a plan of these parameters costs by the objective.
pub(crate) fn cost(
    model: &Model,
    plan: &Plan,
    parameters: &Parameters,
    options: &Options,
) -> Result<f64, Error> {
    let (circuit, public) = (plan.circuit_for(model, parameters)?, &plan.public);
    let cost = PlanCost::of(&circuit, &public.input, public.input_level, &options.cost);
    Ok(options.objective.value(&cost))
}

/// What is said of a score bound that scores exceed.
fn score_bound_error(model: &Model, expected: &Expected, reached: f64) -> Error {
    let layer = model.graph.last().map_or("input", |layer| &layer.name).to_string();
    let reached = expected.reached.max(reached);
    let suggested = Expected { reached, ..*expected }.suggested_bound();
    Error::ScoreBound { layer, reached, bound: expected.bound, suggested }
}

/// Of two reasons to refuse the first; where both are memory, the one of less.
fn smaller(error: Error, other: Error) -> Error {
    let bytes = |error: &Error| match error {
        Error::Limit { limit: Limit::Memory, actual, .. } => Some(*actual),
        _ => None,
    };
    match (bytes(&error), bytes(&other)) {
        (Some(first), Some(second)) if second < first => other,
        _ => error,
    }
}

fn best_plan(
    model: &Model,
    expected: &Expected,
    parameters: &Parameters,
    options: &Options,
) -> Result<Plan, Error> {
    let graph = &LayerGraph::new(&model.graph, &model.metadata)?;
    let task = Task { model, expected, graph, parameters, options, weights: 1.0 };
    let fixed = match options.packing {
        Packing::Lola(lola) => Some(Recipe::Lola(lola)),
        Packing::Keyless => Some(Recipe::Keyless),
        _ if options.is_batch() => Some(Recipe::Batch),
        _ => None,
    };
    if let Some(recipe) = fixed {
        let max_memory = Some(options.max_memory.unwrap_or(DEFAULT_MEMORY_LIMIT));
        let options = &Options { max_memory, ..options.clone() };
        return Task { options, ..task }.first_sound(vec![recipe]);
    }
    let is_private = options.reply.kappa().is_some();
    // The search costs what these levels have: that there are enough is asked first.
    input_level(graph, parameters)?;
    match task.searched_for_memory(&[]) {
        Err(error) if error.is_beyond(Limit::Error) && options.packing == Packing::Auto && !is_private => {
            task.literature().ok_or(error)
        }
        plan => plan,
    }
}

/// What is planned.
#[derive(Clone, Copy)]
struct Task<'a> {
    model: &'a Model,
    expected: &'a Expected,
    graph: &'a LayerGraph,
    parameters: &'a Parameters,
    options: &'a Options,
    /// How many times as much as usual the memory of encoded weights costs.
    weights: f64,
}

/// How many times as much as usual the memory of encoded weights costs where it is scarce, and where that is
/// not enough.
const DEAR: [f64; 2] = [15.0, 100.0];

/// So much memory is taken without a thought where no limit is said: half of what a small server has.
const AMPLE_MEMORY: u64 = 8 << 30;

impl<'a> Task<'a> {
    fn search(&self) -> Search<'a> {
        let search = Search::new(self.graph, self.parameters, self.options, self.expected.bound);
        search.at(search.costs.with_dearer_model(self.weights))
    }

    /// The best plan that the search finds, those of these packings aside; where its memory is over the
    /// limit, the best where weights are dearer and dearer.
    fn searched_for_memory(&self, without: &[Packing]) -> Result<Plan, Error> {
        let mut plan = self.searched(without.to_vec());
        for weights in DEAR {
            match plan {
                Err(error) if error.is_beyond(Limit::Memory) => {
                    let other = Self { weights, ..*self }.searched(without.to_vec());
                    plan = other.map_err(|other| smaller(error, other));
                }
                done => return done,
            }
        }
        plan
    }

    /// The best plan of a packing where weights are dear, as the best of all takes much memory and nobody
    /// said how much it may. Another packing is not looked for: a server's memory is no reason to send more.
    fn spared(&self, packing: Packing) -> Result<Plan, Error> {
        let options = &Options { packing, max_memory: Some(DEFAULT_MEMORY_LIMIT), ..self.options.clone() };
        let task = |weights| Task { options, weights, ..*self };
        match task(DEAR[0]).searched(vec![]) {
            Err(Error::Limit { .. }) => task(1.0).searched_for_memory(&[]),
            plan => plan,
        }
    }

    /// Whether a plan is refused for its memory though nobody said how much it may take.
    fn may_spare(&self, error: &Error) -> bool {
        self.options.max_memory.is_none() && error.is_beyond(Limit::Memory)
    }

    /// So much memory is taken without looking for plans of less.
    fn max_memory(&self) -> u64 {
        let default = if self.options.objective.is_time() { AMPLE_MEMORY } else { DEFAULT_MEMORY_LIMIT };
        self.options.max_memory.unwrap_or(default)
    }

    fn cost(&self, plan: &Plan) -> Result<f64, Error> {
        cost(self.model, plan, self.parameters, self.options)
    }

    /// The best plan that the search finds. Families are looked at in the order of what they cost at least:
    /// where the error asks for a plan that costs more than what was found, one of another packing may be
    /// cheaper.
    fn searched(&self, mut without: Vec<Packing>) -> Result<Plan, Error> {
        let (mut best, named) = (Best::default(), self.options.packing != Packing::Auto);
        let search = self.search();
        let map = Map::new(&search);
        loop {
            let found = match within_key_limit(&map, &without, &best) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    best.refused.push(error);
                    break;
                }
            };
            let packing = Packing::of(&found.choice);
            let options = &Options { packing, ..self.options.clone() };
            match (Task { options, ..*self }).sound(&found.choice) {
                Ok(plan) if named || (best.plan.is_none() && plan.is_of(&found.choice)) => return Ok(plan),
                Ok(plan) => best.consider(self.cost(&plan)?, plan),
                Err(error) if best.plan.is_none() && self.may_spare(&error) => return self.spared(packing),
                Err(error) => best.refused.push(error),
            }
            without.push(packing);
            if named || best.settles(found.least) || best.is_hopeless() {
                break;
            }
        }
        best.result()
    }

    /// The plan of a choice that was found for a packing; where its error is too large, the best whose baby
    /// steps are made in one rotation each, which is less noisy.
    fn sound(&self, found: &Choice) -> Result<Plan, Error> {
        match self.first_sound(orders(found)) {
            Err(error) if error.is_beyond(Limit::Error) => {
                let search = self.search();
                let search = search.at(search.costs.with_key_cost(0.0));
                let quieter = within_key_limit(&Map::new(&search), &[], &Best::default())?;
                self.first_sound(orders(&quieter.expect("nothing is better yet").choice))
            }
            plan => plan,
        }
    }

    /// The better of LoLa's plans, with the levels that they take, where they fit the ring.
    fn literature(&self) -> Option<Plan> {
        let (chain, security) = (Chain::new(self.graph).ok()?, self.options.security);
        let plans = [Lola::Offsets, Lola::Dense].into_iter().filter_map(|lola| {
            let parameters = parameters_of(self.parameters.degree(), lola.depth(&chain), security).ok()?;
            let options = Options { packing: Packing::Lola(lola), ..self.options.clone() };
            let plan = plan_within(self.model, self.expected, &parameters, &options).ok()?;
            Some((cost(self.model, &plan, &parameters, self.options).ok()?, plan))
        });
        plans.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, plan)| plan)
    }

    /// The plan of the first recipe whose error hardly shows; else of that with the least, where it is
    /// allowed.
    fn first_sound(&self, recipes: Vec<Recipe>) -> Result<Plan, Error> {
        let (model, bound) = (self.model, self.expected.bound);
        let image = probe::usual(self.graph.input, &model.metadata);
        let kappa = self.options.reply.kappa();
        let negligible = match kappa {
            None => self.expected.negligible_error(),
            Some(_) => self.expected.tolerable_noise(),
        };
        let mut best: Option<((ReplyErrors, Option<Masking>), Recipe, Assembly)> = None;
        for recipe in recipes {
            let assembly = recipe.assemble(self.graph, self.parameters, bound)?;
            check_sizes(&assembly, self.options.max_key_bytes, self.max_memory())?;
            let mut runs = runs(&assembly, &image).map_err(|error| self.named(error, &assembly.circuit))?;
            let ratio = model.metadata.error_ratio.unwrap_or(1.0);
            runs.iter_mut().flatten().for_each(|error| *error *= ratio);
            let (errors, masking) = match kappa {
                None => (assembly.reply.errors(&runs), None),
                Some(kappa) => masking::masked(&assembly, &runs, kappa)?,
            };
            let sound = errors.score <= negligible && self.excess(&assembly.reply, &errors).is_none();
            if best.as_ref().is_none_or(|((least, _), ..)| errors.score < least.score) {
                best = Some(((errors, masking), recipe, assembly));
            }
            if sound {
                break;
            }
        }
        let ((errors, masking), recipe, assembly) = best.expect("there is a recipe");
        if let Some((actual, allowed)) = self.excess(&assembly.reply, &errors) {
            return Err(Error::Limit { limit: Limit::Error, actual, allowed });
        }
        Plan::new(model, self.options, recipe, &assembly, bound, (errors.score, masking))
    }

    /// A refusal of the circuit in words that a user knows: the layer, its values, what to do.
    fn named(&self, error: Error, circuit: &Circuit) -> Error {
        use blindsight_circuit::Error as Refusal;
        let Error::Circuit(Refusal::Overflow { value, magnitude, scale, available, .. }) = error else {
            return error;
        };
        let span = circuit.layers().iter().position(|span| span.contains(value));
        if span.is_some_and(|span| span + 1 == circuit.layers().len()) && self.expected.is_said {
            return score_bound_error(self.model, self.expected, magnitude);
        }
        let layer = span.map_or("the input", |span| &circuit.layers()[span].label.name).to_string();
        let most = (available - 1.0).exp2() / scale.0;
        Error::Magnitude { layer, reached: magnitude, most, bound: self.expected.bound }
    }

    /// An error that is too large, and how large it may be: that of scores for what is asked, those of checks
    /// for no sound reply to be refused.
    fn excess(&self, reply: &ReplyLayout, errors: &ReplyErrors) -> Option<(f64, f64)> {
        // No client accepts a plan with an error beyond what zero checks may be.
        let largest = self.expected.largest_error().min(reply.tolerance());
        let limits = [
            (errors.score, self.options.max_error.map_or(largest, |most| most.min(largest))),
            (errors.zero_check, reply.tolerance() / TOLERANCE_IN_DEVIATIONS),
            (errors.range_check, reply.range_check_tolerance() / TOLERANCE_IN_DEVIATIONS),
        ];
        limits.into_iter().find(|(actual, allowed)| actual > allowed)
    }
}

/// What packings have brought so far.
#[derive(Default)]
struct Best {
    /// The cheapest plan, and what it costs.
    plan: Option<(f64, Plan)>,
    /// Why there is none of others.
    refused: Vec<Error>,
}

impl Best {
    /// To save less than a thousandth no other packing is looked at.
    const NEAR: f64 = 1.001;
    /// How many packings are tried where all are refused: those by im2col are much alike.
    const TRIED: usize = 3;

    /// Whether plans that cost so much at least need not be looked at.
    fn settles(&self, least: f64) -> bool {
        self.plan.as_ref().is_some_and(|(cost, _)| *cost <= Self::NEAR * least)
    }

    fn is_hopeless(&self) -> bool {
        self.plan.is_none() && self.refused.len() == Self::TRIED
    }

    fn consider(&mut self, cost: f64, plan: Plan) {
        if self.plan.as_ref().is_none_or(|(least, _)| cost < *least) {
            self.plan = Some((cost, plan));
        }
    }

    /// The cheapest plan, or why there is none of the first packing, or of that of the least memory.
    fn result(self) -> Result<Plan, Error> {
        let refusal = || self.refused.into_iter().reduce(smaller).expect("what brings no plan is refused");
        self.plan.map(|(_, plan)| plan).ok_or_else(refusal)
    }
}

/// A choice as it is, and with less noise for more time.
fn orders(choice: &Choice) -> Vec<Recipe> {
    vec![Recipe::Layers(choice.clone()), Recipe::Layers(choice.clone().rescaled_late())]
}

/// What a kilobyte of keys costs, in the units of the objective, where keys are limited: more and more.
const KEY_SURCHARGES: [f64; 9] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3];

/// What a search found.
struct Found {
    /// What any plan of the search costs at least.
    least: f64,
    choice: Choice,
}

/// The best choice of other packings than these whose keys are within the limit: keys are given a cost, which
/// rises until they are. `None` where no such plan is better than the best.
fn within_key_limit(map: &Map<'_>, without: &[Packing], best: &Best) -> Result<Option<Found>, Error> {
    let search = map.search;
    let Network { graph, parameters, bound, .. } = search.network;
    let limit = search.options.max_key_bytes;
    let is_better = |cost| !best.settles(at_this_cost(cost, search));
    let Some((cost, choice)) = map.cheapest(without, is_better)? else { return Ok(None) };
    let least = at_this_cost(cost, search);
    let surcharged = KEY_SURCHARGES.into_iter().map(|key_surcharge| {
        let found = Map::new(&search.at(search.costs.with_key_surcharge(key_surcharge)))
            .cheapest(without, |_| true)?;
        Ok::<_, Error>(found.expect("anything is worth it").1)
    });
    let mut least_keys = u64::MAX;
    for choice in std::iter::once(Ok(choice)).chain(surcharged) {
        let choice = share_keys(search, choice?);
        let assembly = assemble(graph, parameters, &choice, bound)?;
        let keys = sizes::evaluation_keys(parameters, &assembly.circuit.keys());
        if keys <= limit {
            return Ok(Some(Found { least, choice }));
        }
        least_keys = least_keys.min(keys);
    }
    Err(Error::Limit { limit: Limit::KeyBytes, actual: least_keys as f64, allowed: limit as f64 })
}

/// What a finished plan of this cost costs, in the units of [`Objective::value`].
fn at_this_cost(Cost([first, ..]): Cost, search: &Search<'_>) -> f64 {
    let parameters = search.network.parameters;
    match search.options.objective {
        Objective::Latency | Objective::Throughput => first / 1e3,
        Objective::Operations | Objective::KeySwitches => first,
        Objective::Upload => sizes::upload(parameters, parameters.max_level(), first as usize) as f64,
    }
}

/// Checks that keys and memory are within their limits, before any of them exists.
fn check_sizes(assembly: &Assembly, max_key_bytes: u64, max_memory: u64) -> Result<(), Error> {
    let check = |limit, actual: u64, allowed: u64| match actual > allowed {
        true => Err(Error::Limit { limit, actual: actual as f64, allowed: allowed as f64 }),
        false => Ok(()),
    };
    let circuit = &assembly.circuit;
    let keys = circuit.keys();
    // The file without keys is no more than its frame.
    let key_bytes = match keys == KeyRequirements::default() {
        true => 0,
        false => sizes::evaluation_keys(circuit.parameters(), &keys),
    };
    check(Limit::KeyBytes, key_bytes, max_key_bytes)?;
    check(Limit::Memory, sizes::memory(circuit), max_memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::plans::of_two_convolutions;

    #[test]
    fn what_is_spared_is_of_the_same_packing() {
        let model = of_two_convolutions();
        let (expected, options) = (&Expected::of(&model).unwrap(), &Options::default());
        let graph = &LayerGraph::new(&model.graph, &model.metadata).unwrap();
        let parameters = &parameters_of(8192, graph.depth(), options.security).unwrap();
        let task = Task { model: &model, expected, graph, parameters, options, weights: 1.0 };
        let best = task.searched(vec![]).unwrap();
        let packing = |plan: &Plan| match plan.recipe() {
            Recipe::Layers(choice) => Packing::of(choice),
            _ => panic!("it was searched"),
        };
        let spared = task.spared(packing(&best)).unwrap();
        assert_eq!(packing(&spared), packing(&best));
        let memory = |plan: &Plan| sizes::memory(&plan.circuit_for(&model, parameters).unwrap());
        assert!(memory(&spared) < memory(&best), "{} {}", memory(&spared), memory(&best));
        assert!(task.cost(&best).unwrap() < task.cost(&spared).unwrap());
    }
}

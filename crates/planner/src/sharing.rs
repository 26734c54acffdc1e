//! Keys that layers share: of a choice that was found layer by layer, splits are chosen anew, with the keys
//! that other layers need at hand.
//!
//! The search adds up what steps cost, so it takes every layer to need keys of its own. But a rotation that
//! is made in two layers needs one key, for the higher level of the two. Layer by layer, the split is taken
//! that costs least in time and in what it adds to the keys of all others, until nothing changes.

use crate::costs::Costs;
use crate::search::Search;
use blindsight_ckks::{GiantOrder, Level, Parameters, Rescale};
use blindsight_layers::{
    Choice, CostFunction, DiagonalSet, LayerChoice, Resources, Shapes, Split, Units, VisitMarks,
    diagonal_set, hoisted, products, spans, strides, units,
};
use blindsight_layout::Layout;
use std::collections::{BTreeMap, BTreeSet};

/// How often all layers are looked at, at most.
const ROUNDS: usize = 4;

/// From how many bytes of keys on they are many: a server then holds more for a client than for a small
/// model.
const MANY: f64 = (64 << 20) as f64;
/// How much more keys cost where they are many.
const OF_MANY: f64 = 3.0;

/// The choice of a search, its splits chosen for keys that are shared.
pub(crate) fn share_keys(search: &Search<'_>, mut choice: Choice) -> Choice {
    let mut layers = layers(search, &choice);
    let costs = search.costs.with_key_cost(key_cost(search, &layers));
    let parameters = search.network.parameters;
    for _ in 0..ROUNDS {
        let mut changed = false;
        for index in 0..layers.len() {
            let others = keys(layers.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, l)| l));
            let origins: BTreeSet<usize> = layers.iter().filter_map(|l| Some(l.split?.origin)).collect();
            let best = layers[index].best(&costs, parameters, &others, &origins);
            changed |= best != layers[index].split;
            layers[index].split = best;
        }
        if !changed {
            break;
        }
    }
    for (layer, chosen) in layers.iter().zip(&mut choice.layers) {
        if let (Some(new), LayerChoice::Diagonals { split, .. }) = (layer.split, chosen) {
            *split = new;
        }
    }
    choice
}

/// What a kilobyte of these layers' keys costs, in microseconds.
fn key_cost(search: &Search<'_>, layers: &[Layer]) -> f64 {
    let costs = &search.costs;
    let bytes: f64 = keys(layers.iter()).into_values().map(|level| costs.key_bytes(level)).sum();
    costs.key_cost * if bytes > MANY { OF_MANY } else { 1.0 }
}

/// A layer of a choice.
struct Layer {
    level: Level,
    /// What is split; none where nothing is.
    split: Option<Split>,
    diagonals: Option<DiagonalSet>,
    /// The strides of the layouts.
    units: Units,
    /// Whether diagonals are the same wherever they are counted from.
    is_fixed: bool,
    /// Whether products are rescaled, or what is summed of them.
    rescale: Rescale,
    /// The rotations of its rotate-and-sum, and the level that they are made at.
    sum: (Vec<usize>, Level),
}

/// All layers of a choice.
fn layers(search: &Search<'_>, choice: &Choice) -> Vec<Layer> {
    let network = &search.network;
    let mut tensors = vec![choice.image.clone()];
    let mut layers = vec![];
    for (index, (layer, chosen)) in network.graph.layers.iter().zip(&choice.layers).enumerate() {
        let layer = if chosen.sum().is_some() { network.rows(index) } else { layer };
        let from = layer.terms.iter().map(|term| tensors[term.operand.tensor].as_ref());
        let from: Option<Vec<&Layout>> = from.collect();
        layers.push(Layer::new(layer, from, chosen));
        tensors.push(chosen.sum().map(|(output, _)| output.sums()));
    }
    layers
}

/// The keys of layers: for each rotation the highest level.
fn keys<'l>(layers: impl Iterator<Item = &'l Layer>) -> BTreeMap<usize, Level> {
    let mut keys = BTreeMap::new();
    for (rotation, level) in layers.flat_map(Layer::keys) {
        let known = keys.entry(rotation).or_insert(level);
        *known = level.max(*known);
    }
    keys
}

impl Layer {
    fn new(layer: &blindsight_layers::Layer, from: Option<Vec<&Layout>>, chosen: &LayerChoice) -> Self {
        let level = layer.level;
        let rescale = chosen.sum().map_or(Rescale::Yes, |(_, sum)| sum.before());
        let at = if rescale == Rescale::Yes { level.below().unwrap_or(level) } else { level };
        let rotations = chosen.sum().map(|(output, sum)| sum.rotations(output.blocks.spacing).concat());
        let sum = (rotations.unwrap_or_default(), at);
        let (split, diagonals) = (None, None);
        let bare = Self { level, split, diagonals, units: Units::new(), is_fixed: false, rescale, sum };
        let (LayerChoice::Diagonals { output, preference, split, .. }, Some(from)) = (chosen, from) else {
            return bare;
        };
        let units = units(from.iter().copied().chain([output]), output.slots);
        let is_fixed = from.iter().chain([&output]).all(|layout| layout.blocks.count == 1);
        let diagonals = Some(diagonal_set(layer, &from, output, split.origin, *preference));
        Self { split: Some(*split), diagonals, units, is_fixed, ..bare }
    }

    /// Its rotations and their levels.
    fn keys(&self) -> Vec<(usize, Level)> {
        let (sum, at) = &self.sum;
        let mut keys: Vec<_> = sum.iter().map(|rotation| (*rotation, *at)).collect();
        if let (Some(split), Some(diagonals)) = (&self.split, &self.diagonals) {
            keys.extend(diagonals.rotations(split).into_iter().map(|rotation| (rotation, self.level)));
        }
        keys
    }

    /// The split that costs least, with these keys at hand; its own where no other costs less.
    fn best(
        &self,
        costs: &Costs<'_>,
        parameters: &Parameters,
        others: &BTreeMap<usize, Level>,
        origins: &BTreeSet<usize>,
    ) -> Option<Split> {
        let (split, diagonals) = (self.split?, self.diagonals.as_ref()?);
        let mut marks = VisitMarks::new(diagonals.slots());
        let own = diagonals.giant_steps(split.origin, split.span, &mut marks).ordered(split.order);
        let shapes = own.shapes(split.stride, &mut marks).hoisted(split.hoisting);
        let cost = |shapes: &Shapes, keys: f64| {
            let products = products(parameters, shapes, self.level, self.rescale);
            costs.cost(&Resources::of(products).with_keys(keys))
        };
        let mut best = (cost(&shapes, self.added(&split, costs, others)), split);
        let own = BTreeSet::from([split.origin]);
        for origin in if self.is_fixed { origins } else { &own } {
            for shapes in self.ways(diagonals, *origin, &mut marks) {
                let shapes = hoisted(costs, parameters, &shapes, self.level);
                if cost(&shapes, 0.0) < best.0 {
                    let added = self.added(&shapes.split, costs, others);
                    let cost = cost(&shapes, added);
                    best = if cost < best.0 { (cost, shapes.split) } else { best };
                }
            }
        }
        Some(best.1)
    }

    /// All ways to split diagonals that are counted from an origin.
    fn ways(&self, diagonals: &DiagonalSet, origin: usize, marks: &mut VisitMarks) -> Vec<Shapes> {
        let mut ways = vec![];
        for span in spans(diagonals, origin, &self.units) {
            let steps = diagonals.giant_steps(origin, span, marks);
            for order in [GiantOrder::Apart, GiantOrder::Chained] {
                let steps = steps.ordered(order);
                ways.extend(strides(&self.units, span).into_iter().map(|stride| steps.shapes(stride, marks)));
            }
        }
        ways
    }

    /// The bytes that a split adds to the keys of others.
    fn added(&self, split: &Split, costs: &Costs<'_>, others: &BTreeMap<usize, Level>) -> f64 {
        let rotations = self.diagonals.as_ref().map(|diagonals| diagonals.rotations(split));
        let of_sum = |rotation: &usize| self.sum.0.contains(rotation).then_some(self.sum.1);
        let added = |rotation: usize| {
            let known = others.get(&rotation).copied().max(of_sum(&rotation));
            (costs.key_bytes(self.level) - known.map_or(0.0, |level| costs.key_bytes(level))).max(0.0)
        };
        rotations.into_iter().flatten().map(added).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Map;
    use crate::tests::{check_search, figures, options};
    use crate::{Objective, sizes};
    use blindsight_circuit::dry_run;
    use blindsight_layers::{Network, assemble};
    use proptest::prelude::*;

    /// Time, keys and encoded weights of a choice, as they are weighed against each other.
    fn cost(search: &Search<'_>, choice: &Choice) -> f64 {
        let Network { graph, parameters, bound, .. } = search.network;
        let circuit = assemble(graph, parameters, choice, bound).unwrap().circuit;
        let resources = Resources {
            counts: dry_run(&circuit).totals,
            key_bytes: sizes::evaluation_keys(parameters, &circuit.keys()) as f64,
            ..Resources::default()
        };
        search.costs.cost(&resources).0[0]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// What is counted here is what circuits need, before and after, and nothing is lost by sharing.
        #[test]
        fn shared_keys_are_those_of_the_circuit(f in figures(), log_degree in 9u32..=10, options in options()) {
            check_search(&f, log_degree, &options, |search| {
                let Ok(Some((_, choice))) = Map::new(search).cheapest(&[], |_| true) else { return Ok(()) };
                let shared = share_keys(search, choice.clone());
                for choice in [&choice, &shared] {
                    let Network { graph, parameters, bound, .. } = search.network;
                    let assembly = assemble(graph, parameters, choice, bound).unwrap();
                    let mut needed = assembly.circuit.keys().rotations;
                    needed.remove(&0);
                    prop_assert_eq!(keys(layers(search, choice).iter()), needed);
                }
                if options.objective == Objective::Latency {
                    prop_assert!(cost(search, &shared) <= cost(search, &choice) * (1.0 + 1e-9));
                }
                Ok(())
            })?;
        }
    }
}

//! What steps by diagonals cost, counted before anything is built; of all ways the cheapest.

use super::build::DiagonalLayer;
use super::giant_steps::Shapes;
use super::offsets::{RotationOffsets, bearer};
use super::split::Split;
use super::ways::{Decided, units};
use crate::choice::LayerChoice;
use crate::cost::{Cost, CostFunction, Resources};
use crate::graph::Layer;
use crate::kernel::{Arrangement, Form, Network, Step, StepCosts};
use crate::known::Known;
use crate::rotate_and_sum::{CheapestSum, RotateAndSum};
use blindsight_circuit::{BabySteps, Counts, Factors, Hoisting, Tally, TransformShape};
use blindsight_ckks::{GiantOrder, Level, MOST_REPEATS, Parameters, Rescale};
use blindsight_layout::{Blocks, Layout};
use std::sync::Arc;

/// The costs of all steps of a network.
pub struct DiagonalCosts<'a> {
    network: &'a Network<'a>,
    costs: &'a dyn CostFunction,
    /// For each layer the first that takes the same diagonals: networks repeat themselves.
    patterns: Vec<usize>,
    offsets: Known<OffsetKey, Arc<RotationOffsets>>,
    decided: Known<StepKey, Option<Arc<Decided>>>,
    /// The cheapest way to take the diagonals of a step, at each level.
    cheapest: Known<(StepKey, Level), Option<(Cost, LayerChoice)>>,
}

/// All that offsets depend on: the layer's pattern, the term, whether its input brings the bias slot, and the
/// layouts but for their blocks.
type OffsetKey = (usize, usize, bool, Layout, Layout);
/// All that diagonals depend on: the layer's pattern, the layouts of its inputs, and that of its output.
type StepKey = (usize, Vec<Layout>, Layout);

/// A step between tensors in slots.
struct InSlots<'a> {
    index: usize,
    layer: &'a Layer,
    from: Vec<&'a Arrangement>,
    to: &'a Arrangement,
}

/// Whether a ciphertext of the output pays for the pre-rotated inputs that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inputs {
    Paid,
    Free,
}

impl<'a> DiagonalCosts<'a> {
    /// Nothing is found out yet.
    pub fn new(network: &'a Network<'a>, costs: &'a dyn CostFunction) -> Self {
        let patterns = patterns(network);
        let (offsets, decided, cheapest) = (Known::new(), Known::new(), Known::new());
        Self { network, costs, patterns, offsets, decided, cheapest }
    }

    fn in_slots<'s>(&'s self, step: &Step<'s>) -> Option<InSlots<'s>> {
        let from = step.from.iter().map(|form| form.slots()).collect::<Option<_>>()?;
        Some(InSlots { index: step.index, layer: self.network.rows(step.index), from, to: step.to.slots()? })
    }

    fn offsets(
        &self,
        (index, term, bears): (usize, usize, bool),
        from: &Arrangement,
        to: &Arrangement,
    ) -> Arc<RotationOffsets> {
        let bare = |layout: &Layout| layout.clone().with_blocks(Blocks::ONE);
        let key = (self.patterns[index], term, bears, bare(&from.layout), bare(&to.partial));
        self.offsets.get(key, || {
            let layer = self.network.rows(index);
            let (bias, linear) = (bears.then_some(&*layer.bias), &layer.terms[term].linear);
            Arc::new(RotationOffsets::new(linear, bias, &from.placement, &to.partial_placement))
        })
    }

    fn key(&self, step: &InSlots<'_>) -> StepKey {
        let from = step.from.iter().map(|tensor| tensor.layout.clone()).collect();
        (self.patterns[step.index], from, step.to.partial.clone())
    }

    fn decided(&self, step: &InSlots<'_>) -> Option<Arc<Decided>> {
        self.decided.get(self.key(step), || {
            let (bearer, index) = (step.bearer(), step.index);
            let offsets = step
                .from
                .iter()
                .enumerate()
                .map(|(term, from)| self.offsets((index, term, bearer == Some(term)), from, step.to));
            let offsets: Vec<_> = offsets.collect();
            let from: Vec<_> = step.from.iter().map(|from| from.placement.clone()).collect();
            Decided::fewest(step.layer, &from, &step.to.partial_placement, &offsets).map(Arc::new)
        })
    }

    /// What so many products cost at least, given for each ciphertext of output and input. Pre-rotated inputs
    /// serve all rows: one of these pays for them, whichever makes the bound the highest, and to the others
    /// they are free.
    fn least_cost(&self, factors: &[Vec<Factors>], level: Level) -> Cost {
        let tally = Tally::new(self.network.parameters, level);
        let least = |row: &[Factors], inputs| self.least_row(&tally, row, inputs);
        if let [row] = factors {
            return least(row, Inputs::Paid);
        }
        let none = (Cost::default(), Cost::default());
        let (_, bound) = factors.iter().fold(none, |(free, bound), row| {
            let (of_row, paid) = (least(row, Inputs::Free), least(row, Inputs::Paid));
            (free + of_row, (bound + of_row).max(free + paid))
        });
        bound
    }

    /// The same for one ciphertext of the output: by the best hoisting and number of giant steps, each of
    /// which meets all baby steps.
    fn least_row(&self, tally: &Tally<'_>, row: &[Factors], inputs: Inputs) -> Cost {
        let ways = HOISTINGS.map(|hoisting| self.least_hoisted(tally, row, hoisting, inputs));
        ways.into_iter().min().expect("there are ways")
    }

    fn least_hoisted(&self, tally: &Tally<'_>, row: &[Factors], hoisting: Hoisting, inputs: Inputs) -> Cost {
        let mut factors = row.iter().copied().sum::<Factors>();
        if factors.count == 0 {
            factors = Factors::repeating(1, MOST_REPEATS);
        }
        let terms = factors.count as usize;
        let read = || row.iter().map(|factors| factors.count as usize).filter(|terms| *terms > 0);
        let cost = |counts| self.costs.cost(&Resources::of(counts));
        let (order, mut least) = (GiantOrder::Apart, Cost::NEVER);
        for giant_steps in 1..=terms {
            let shape = TransformShape {
                baby_steps: vec![],
                giant_steps,
                rotated: giant_steps - 1,
                factors,
                order,
                hoisting,
            };
            let products = tally.transform(&shape, Rescale::Yes);
            if cost(products) >= least {
                break;
            }
            let baby_steps = read()
                .map(|terms| self.fewest_baby_steps(tally, terms.div_ceil(giant_steps), hoisting, inputs))
                .sum();
            least = least.min(cost(products + baby_steps));
        }
        least
    }

    /// So many baby steps of one input: the input itself is one of them where that is cheaper than a
    /// rotation; and where pre-rotated inputs are free, each may be one of these.
    fn fewest_baby_steps(
        &self,
        tally: &Tally<'_>,
        count: usize,
        hoisting: Hoisting,
        inputs: Inputs,
    ) -> Counts {
        let made = |rotated, unrotated| tally.baby_steps(BabySteps { rotated, unrotated }, hoisting);
        let pre_rotated = (inputs == Inputs::Free).then(|| made(0, true) * count);
        [made(count - 1, true), made(count, false)]
            .into_iter()
            .chain(pre_rotated)
            .min_by_key(|counts| self.costs.cost(&Resources::of(*counts)))
            .expect("there are two")
    }

    /// The best split of diagonals into baby and giant steps, and the best sum.
    fn split(&self, step: &InSlots<'_>, decided: &Decided) -> Option<(Cost, Split, RotateAndSum)> {
        let bias = DiagonalLayer::adds_bias(&step.layer.bias, step.bearer(), &step.to.partial_placement);
        let units = || units(step.layouts(), step.to.partial.slots);
        let mut best: Option<(Cost, Split, RotateAndSum)> = None;
        for way in decided.ways(units) {
            let plain = self.hoisted(&way.plain, step.layer.level);
            let Some((cost, sum, least_pre_rotated)) = self.shapes_cost(&plain, step, bias) else { continue };
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, plain.split, sum));
            }
            let shared = plain.transforms.len() > 1;
            if !shared && best.as_ref().is_some_and(|(least, ..)| least_pre_rotated >= *least) {
                continue;
            }
            for shapes in way.pre_rotated(units) {
                let shapes = self.hoisted(shapes, step.layer.level);
                let Some((cost, sum, _)) = self.shapes_cost(&shapes, step, bias) else { continue };
                if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                    best = Some((cost, shapes.split, sum));
                }
            }
        }
        best
    }

    fn hoisted(&self, shapes: &Shapes, level: Level) -> Shapes {
        hoisted(self.costs, self.network.parameters, shapes, level)
    }

    /// What a split costs with its best sum; and what it would cost at least with baby steps made in two
    /// rotations, which saves keys, and nothing else where there is one ciphertext of output.
    fn shapes_cost(
        &self,
        shapes: &Shapes,
        step: &InSlots<'_>,
        bias: bool,
    ) -> Option<(Cost, RotateAndSum, Cost)> {
        let (level, parameters) = (step.layer.level, self.network.parameters);
        let product = |rescale| products(parameters, shapes, level, rescale);
        let found = CheapestSum::find(self.costs, parameters, (level, &step.to.partial), bias, product)?;
        let key_bytes = self.costs.key_bytes(level);
        let pre_rotated = Resources::of(found.counts + Tally::new(parameters, level).rotate(1));
        let least_pre_rotated = self.costs.cost(&pre_rotated.with_keys(found.key_bytes + key_bytes));
        let keys = found.key_bytes + shapes.keys as f64 * key_bytes;
        Some((self.costs.cost(&Resources::of(found.counts).with_keys(keys)), found.sum, least_pre_rotated))
    }
}

impl StepCosts for DiagonalCosts<'_> {
    fn lower_bound(&self, index: usize, from: &Form, to: &Form) -> Cost {
        let (Some(from), Some(to)) = (from.slots(), to.slots()) else { return Cost::NEVER };
        let layer = self.network.rows(index);
        let main = layer.terms.iter().position(|term| std::ptr::eq(term, layer.main()));
        // Without those of the bias slot, where another term may bring it.
        let bears = layer.terms.len() == 1 && from.placement.has_bias_slot();
        let term = main.expect("the main term is one of the terms");
        let offsets = self.offsets((index, term, bears), from, to);
        self.least_cost(&offsets.least_factors(&from.placement, &to.partial_placement), layer.level)
    }

    fn closer_bound(&self, step: &Step<'_>) -> Cost {
        let decided = self.in_slots(step).and_then(|step| self.decided(&step));
        let level = self.network.rows(step.index).level;
        decided.map_or(Cost::NEVER, |decided| self.least_cost(&decided.diagonals.factors(), level))
    }

    fn cost(&self, step: &Step<'_>) -> Option<(Cost, LayerChoice)> {
        let step = self.in_slots(step)?;
        self.cheapest.get((self.key(&step), step.layer.level), || {
            let decided = self.decided(&step)?;
            let (cost, split, sum) = self.split(&step, &decided)?;
            let (output, preference) = (step.to.partial.clone(), decided.preference);
            Some((cost, LayerChoice::Diagonals { output, preference, split, sum }))
        })
    }
}

impl InSlots<'_> {
    /// Which of the terms brings the bias slot.
    fn bearer(&self) -> Option<usize> {
        bearer(self.from.iter().map(|tensor| &*tensor.placement))
    }

    fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.from.iter().map(|tensor| &tensor.layout).chain([&self.to.partial])
    }
}

/// The ways to hoist a transform.
const HOISTINGS: [Hoisting; 2] = [Hoisting::Twice, Hoisting::Once];

/// A split in the cheapest way to hoist it: what is hoisted once has encoded weights without special limbs.
pub fn hoisted(costs: &dyn CostFunction, parameters: &Parameters, shapes: &Shapes, level: Level) -> Shapes {
    let cost =
        |shapes: &Shapes| costs.cost(&Resources::of(products(parameters, shapes, level, Rescale::Yes)));
    let once = shapes.clone().hoisted(Hoisting::Once);
    if cost(&once) < cost(shapes) { once } else { shapes.clone() }
}

/// The products of a split, and the rotations of its inputs that baby steps are made of.
pub fn products(parameters: &Parameters, shapes: &Shapes, level: Level, rescale: Rescale) -> Counts {
    let tally = Tally::new(parameters, level);
    let transforms: Counts = shapes.transforms.iter().map(|shape| tally.transform(shape, rescale)).sum();
    transforms + tally.rotate(1) * shapes.pre_rotated
}

/// For each layer the first that has its pattern. The last one is like no other: it may have the reply's
/// rows.
fn patterns(network: &Network<'_>) -> Vec<usize> {
    let layers = &network.graph.layers;
    let inner = layers.len() - 1;
    let first = |index: usize| {
        let mut before = 0..index.min(inner);
        before.find(|other| index < inner && layers[*other].has_pattern_of(&layers[index])).unwrap_or(index)
    };
    (0..layers.len()).map(first).collect()
}

//! What the steps between layouts cost, counted before anything is built; of each kind of step the cheapest way.

use crate::choice::windows;
use crate::kernels::{
    DiagonalKernel, Diagonals, Differences, FoldChoice, GiantSteps, Meetings, PointwiseKernel, Preference,
    ScoreKernel, Shapes, Split, Stamps, WindowKernel, bearer,
};
use crate::layer_graph::{Layer, LayerGraph};
use crate::layout::Layout;
use crate::objective::{KEY_WORTH, Objective, Price, StepCost};
use crate::options::Options;
use crate::placement::Placement;
use crate::{LayerChoice, ReplyLayout, sizes};
use blindsight_circuit::{Babies, Cost, Counts, Factors, Hoisting, TransformShape};
use blindsight_ckks::{GiantOrder, KeyRequirements, Level, MOST_REPEATS, Parameters, Rescale};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;
use std::sync::{Arc, OnceLock};

/// What is searched.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub graph: &'a LayerGraph,
    pub parameters: &'a Parameters,
    pub options: &'a Options,
    /// What no score's magnitude should exceed.
    pub bound: f64,
    /// What a kilobyte of keys is worth, in microseconds.
    pub key_worth: f64,
    /// What a kilobyte of keys costs beside, in the units of the objective.
    pub key_price: f64,
}

impl<'a> Search<'a> {
    /// Of everything that is offered, where keys are not limited.
    pub fn new(graph: &'a LayerGraph, parameters: &'a Parameters, options: &'a Options, bound: f64) -> Self {
        Self { graph, parameters, options, bound, key_worth: KEY_WORTH, key_price: 0.0 }
    }
}

/// A tensor in a layout that it may have.
pub(crate) struct Tensor {
    /// The layout that it is computed in, of partial sums.
    pub output: Layout,
    pub to: Arc<Placement>,
    /// Where whole sums lie.
    pub layout: Layout,
    pub placement: Arc<Placement>,
}

impl Tensor {
    pub fn new(output: Layout) -> Self {
        let layout = output.sums();
        let (to, placement) = (Arc::new(Placement::new(&output)), Arc::new(Placement::new(&layout)));
        Self { output, to, layout, placement }
    }
}

/// A layer between tensors.
pub(crate) struct Step<'a> {
    pub layer: &'a Layer,
    /// The tensor that each of its terms reads.
    pub from: Vec<&'a Tensor>,
    pub to: &'a Tensor,
}

impl Step<'_> {
    /// Which of the terms brings the one.
    fn bearer(&self) -> Option<usize> {
        bearer(self.from.iter().map(|tensor| &*tensor.placement))
    }

    fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.from.iter().map(|tensor| &tensor.layout).chain([&self.to.output])
    }
}

/// The diagonals of a step, decided.
pub(crate) struct Decided {
    diagonals: Diagonals,
    origin: usize,
    preference: Preference,
    /// The ways to split them that are worth a look, once one is asked for.
    ways: OnceLock<Vec<Way>>,
}

/// A way to split diagonals into giant steps: with every baby a rotation of its input, and with babies made of copies, once these are asked for.
struct Way {
    steps: GiantSteps,
    plain: Shapes,
    copied: OnceLock<Vec<Shapes>>,
}

/// Steps and their prices.
pub(crate) struct Prices<'a> {
    search: &'a Search<'a>,
    /// Bytes of a rotation's key at each level.
    key_bytes: Vec<f64>,
    /// Bytes of a factor's special limbs.
    special_bytes: f64,
    /// What a mebibyte of the encoded model is worth, in the units of the objective.
    model_worth: f64,
}

impl<'a> Prices<'a> {
    pub fn new(search: &'a Search<'a>) -> Self {
        let parameters = search.parameters;
        let special_bytes = (parameters.special().len() * parameters.slots() * size_of::<u32>()) as f64;
        let is_time = matches!(search.options.objective, Objective::Latency | Objective::Throughput);
        let model_worth = if is_time { MODEL_WORTH } else { 0.0 };
        Self { search, key_bytes: key_bytes(parameters), special_bytes, model_worth }
    }

    /// Bytes of a rotation's key at a level.
    pub fn key_bytes(&self, level: Level) -> f64 {
        self.key_bytes[level.0]
    }

    /// What it costs to read an image from so many ciphertexts.
    pub fn inputs(&self, ciphertexts: usize) -> Price {
        self.price(Counts::default(), 0.0, ciphertexts)
    }

    /// The first layer by windows that the client writes out; `None` where there are fewer taps than classes.
    pub fn windows(&self, layer: &Layer, output: &Layout) -> Option<(Price, LayerChoice)> {
        let (windows, level) = (windows(layer, output).ok()?.0, layer.level);
        if windows.taps.len() < output.blocks.classes {
            return None;
        }
        let (inputs, ciphertexts) = (windows.inputs(), windows.ciphertexts());
        let bias = WindowKernel::adds_bias(&windows, &layer.bias);
        let cost = Cost::new(self.search.parameters, level);
        let factors = Factors::repeating(inputs, windows.output.repeats());
        let product = |rescale| cost.dot(factors, rescale) * output.ciphertexts;
        let (counts, keys, fold) = self.folded(level, output, bias, product)?;
        Some((self.price(counts, keys, ciphertexts), LayerChoice::Windows { output: output.clone(), fold }))
    }

    /// What acts element by element on a layer's output, which is summed from this layout; more than anything where it cannot act there.
    pub fn pointwise(&self, layer: &Layer, output: &Layout) -> Price {
        if !layer.pointwise.iter().all(|pointwise| PointwiseKernel::reads(&pointwise.operation, output)) {
            return Price::NEVER;
        }
        let layout = &output.sums();
        let costs = layer.pointwise.iter().map(|pointwise| {
            let kernel = PointwiseKernel::new(&pointwise.operation, layout);
            kernel.cost(self.search.parameters, pointwise.level, layout.ciphertexts)
        });
        self.price(costs.sum(), 0.0, 0)
    }

    /// The scores as coefficients of one product; `None` where they cannot be.
    pub fn coefficients(&self, layer: &Layer, from: &Tensor) -> Option<Price> {
        let (parameters, layout) = (self.search.parameters, &from.layout);
        let modulus = parameters.modulus(Level(0));
        let copies = layout.blocks.count;
        if layer.terms.len() > 1 || !ScoreKernel::reads(layout) {
            return None;
        }
        ReplyLayout::coefficients(layer.rows(), self.search.bound, modulus, copies).ok()?;
        let adds_bias = layout.one.is_none() && !layer.is_unbiased();
        let bias = if adds_bias { Cost::new(parameters, Level(0)).addition(1) } else { Counts::default() };
        let product = Cost::new(parameters, layer.level).dot(Factors::full(1), Rescale::Yes);
        Some(self.price(product + bias, 0.0, 0))
    }

    /// What a layer costs at least, of which one term is between these tensors.
    pub fn least(&self, layer: &Layer, [from, to]: [&Tensor; 2], differences: &Differences) -> Price {
        self.least_price(&differences.least_factors(&from.placement, &to.to), layer.level)
    }

    /// What a step costs at least, once its diagonals are decided.
    pub fn least_decided(&self, step: &Step<'_>, decided: &Decided) -> Price {
        self.least_price(&decided.diagonals.factors(), step.layer.level)
    }

    /// What so many products cost at least, given for each ciphertext of output and input.
    fn least_price(&self, factors: &[Vec<Factors>], level: Level) -> Price {
        let cost = Cost::new(self.search.parameters, level);
        factors.iter().map(|row| self.least_row(&cost, row)).fold(Price::default(), Price::add)
    }

    /// The same for one ciphertext of the output: by the best hoisting and number of giant steps, each of
    /// which meets all babies.
    fn least_row(&self, cost: &Cost<'_>, row: &[Factors]) -> Price {
        let ways = HOISTINGS.map(|hoisting| self.least_hoisted(cost, row, hoisting));
        ways.into_iter().min().expect("there are ways")
    }

    fn least_hoisted(&self, cost: &Cost<'_>, row: &[Factors], hoisting: Hoisting) -> Price {
        let mut factors = row.iter().copied().sum::<Factors>();
        if factors.count == 0 {
            factors = Factors::repeating(1, MOST_REPEATS);
        }
        let terms = factors.count as usize;
        let read = || row.iter().map(|factors| factors.count as usize).filter(|terms| *terms > 0);
        let price = |counts| self.price(counts, 0.0, 0);
        let (order, mut least) = (GiantOrder::Apart, Price::NEVER);
        for giants in 1..=terms {
            let shape =
                TransformShape { babies: vec![], giants, turned: giants - 1, factors, order, hoisting };
            let products = cost.transform(&shape, Rescale::Yes);
            if price(products) >= least {
                break;
            }
            let babies = read().map(|terms| self.fewest_babies(cost, terms.div_ceil(giants), hoisting)).sum();
            least = least.min(price(products + babies));
        }
        least
    }

    /// So many babies of one input: the input itself is one of them where that is cheaper than a rotation.
    fn fewest_babies(&self, cost: &Cost<'_>, count: usize, hoisting: Hoisting) -> Counts {
        let with_it = cost.babies(Babies { rotated: count - 1, unrotated: true }, hoisting);
        let without = cost.babies(Babies { rotated: count, unrotated: false }, hoisting);
        [with_it, without]
            .into_iter()
            .min_by_key(|counts| self.price(*counts, 0.0, 0))
            .expect("there are two")
    }

    /// The cheapest way to compute a layer between two layouts by these diagonals.
    pub fn diagonals(&self, step: &Step<'_>, decided: &Decided) -> Option<(Price, LayerChoice)> {
        let (price, split, fold) = self.split(step, decided)?;
        let (output, preference) = (step.to.output.clone(), decided.preference);
        Some((price, LayerChoice::Diagonals { output, preference, split, fold }))
    }

    /// The best split of diagonals into baby and giant steps, and the best fold.
    fn split(&self, step: &Step<'_>, decided: &Decided) -> Option<(Price, Split, FoldChoice)> {
        let bias = DiagonalKernel::adds_bias(&step.layer.bias, step.bearer(), &step.to.to);
        let units = || units(step.layouts(), step.to.output.slots);
        let mut best: Option<(Price, Split, FoldChoice)> = None;
        for way in decided.ways(units) {
            let plain = self.hoisted(way.plain.clone(), step.layer.level);
            let Some((price, fold, least_copied)) = self.shapes_price(&plain, step, bias) else { continue };
            if best.as_ref().is_none_or(|(least, ..)| price < *least) {
                best = Some((price, plain.split, fold));
            }
            if best.as_ref().is_some_and(|(least, ..)| least_copied >= *least) {
                continue;
            }
            for shapes in way.copied(units) {
                let shapes = self.hoisted(shapes.clone(), step.layer.level);
                let Some((price, fold, _)) = self.shapes_price(&shapes, step, bias) else { continue };
                if best.as_ref().is_none_or(|(least, ..)| price < *least) {
                    best = Some((price, shapes.split, fold));
                }
            }
        }
        best
    }

    /// A split in the cheapest way to hoist it.
    pub fn hoisted(&self, shapes: Shapes, level: Level) -> Shapes {
        let cost = Cost::new(self.search.parameters, level);
        let counts = |shapes: &Shapes| -> Counts {
            shapes.transforms.iter().map(|shape| cost.transform(shape, Rescale::Yes)).sum()
        };
        let once = shapes.clone().hoisted(Hoisting::Once);
        let parts: u64 = shapes.transforms.iter().map(|shape| shape.factors.parts).sum();
        let saved = self.special_bytes * parts as f64 / MOST_REPEATS as f64;
        let worth = Price([self.model_worth * saved / (1 << 20) as f64, 0.0, 0.0, 0.0]);
        if self.price(counts(&once), 0.0, 0) < self.price(counts(&shapes), 0.0, 0) + worth {
            once
        } else {
            shapes
        }
    }

    /// What a split costs with its best fold; and what it would cost at least with copies, which save keys and nothing else.
    fn shapes_price(
        &self,
        shapes: &Shapes,
        step: &Step<'_>,
        bias: bool,
    ) -> Option<(Price, FoldChoice, Price)> {
        let level = step.layer.level;
        let cost = Cost::new(self.search.parameters, level);
        let product = |rescale| self.products(shapes, level, rescale);
        let (counts, fold_keys, fold) = self.folded(level, &step.to.output, bias, product)?;
        let keys = shapes.keys as f64 * self.key_bytes[level.0];
        let least_copied = self.price(counts + cost.rotate(1), fold_keys + self.key_bytes[level.0], 0);
        Some((self.price(counts, fold_keys + keys, 0), fold, least_copied))
    }

    /// The products of a split, and its copies.
    pub fn products(&self, shapes: &Shapes, level: Level, rescale: Rescale) -> Counts {
        let cost = Cost::new(self.search.parameters, level);
        let copying = cost.rotate(1) * shapes.copies;
        shapes.transforms.iter().map(|shape| cost.transform(shape, rescale)).sum::<Counts>() + copying
    }

    /// The best fold of a product, for all ciphertexts of the output: the counts of product, fold and bias, and the bytes of the fold's keys.
    fn folded(
        &self,
        level: Level,
        output: &Layout,
        bias: bool,
        product: impl Fn(Rescale) -> Counts,
    ) -> Option<(Counts, f64, FoldChoice)> {
        let below = level.below()?;
        let parameters = self.search.parameters;
        let (early, late) = (product(Rescale::Yes), product(Rescale::No));
        let bias = if bias { Cost::new(parameters, below).addition(1) } else { Counts::default() };
        let mut best: Option<(Price, Counts, f64, FoldChoice)> = None;
        for fold in FoldChoice::all(output.blocks.classes) {
            let stages = fold.rotations(output.blocks.spacing);
            let (product, at) = match fold.before() {
                Rescale::Yes => (early, below),
                Rescale::No => (late, level),
            };
            let folding = match stages.is_empty() {
                true => Counts::default(),
                false => Cost::new(parameters, at).fold(&stages, fold.after()),
            };
            let counts = product + (folding + bias) * output.ciphertexts;
            let keys = stages.iter().flatten().count() as f64 * self.key_bytes[at.0];
            let price = self.price(counts, keys, 0);
            if best.as_ref().is_none_or(|(least, ..)| price < *least) {
                best = Some((price, counts, keys, fold));
            }
        }
        best.map(|(_, counts, keys, fold)| (counts, keys, fold))
    }

    /// What such work costs, with so many bytes of keys and for so many ciphertexts of the input.
    pub fn price(&self, counts: Counts, keys: f64, inputs: usize) -> Price {
        let (parameters, options) = (self.search.parameters, self.search.options);
        let limbs = inputs * parameters.max_level().limbs();
        let time = options.cost.microseconds(&counts.work, parameters.degree())
            + options.cost.expansion_microseconds(limbs, parameters.degree())
            + self.search.key_worth * keys / 1024.0;
        let (hops, key_switches) = (counts.hops() as f64, counts.key_switches() as f64);
        let surcharge = self.search.key_price * keys / 1024.0;
        options.objective.price(&StepCost {
            time,
            keys,
            hops,
            key_switches,
            inputs: inputs as f64,
            surcharge,
        })
    }
}

/// Bytes of a rotation's key at each level.
fn key_bytes(parameters: &Parameters) -> Vec<f64> {
    let none = sizes::evaluation_keys(parameters, &KeyRequirements::default());
    let at = |level| {
        let mut one = KeyRequirements::default();
        one.rotations.insert(1, Level(level));
        (sizes::evaluation_keys(parameters, &one) - none) as f64
    };
    (0..=parameters.max_level().0).map(at).collect()
}

/// What a mebibyte of the encoded model is worth, in microseconds: less than it takes to read it, for all
/// clients share it.
const MODEL_WORTH: f64 = 20.0;

/// The ways to hoist a transform.
const HOISTINGS: [Hoisting; 2] = [Hoisting::Twice, Hoisting::Once];

/// Numbers of giant steps that are aimed at.
const GIANTS: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26, 32, 40, 50, 64, 80, 100];

/// Distances at which diagonals repeat.
pub(crate) type Units = BTreeSet<usize>;

/// The strides of the layouts.
pub(crate) fn units<'a>(layouts: impl Iterator<Item = &'a Layout>, slots: usize) -> Units {
    let strides = layouts.flat_map(|layout| &layout.digits).map(|d| d.stride);
    strides.chain([1]).filter(|u| (1..slots).contains(u)).collect()
}

/// Spans of giant steps that are worth a look.
pub(crate) fn spans(diagonals: &Diagonals, origin: usize, units: &Units) -> BTreeSet<usize> {
    let (range, terms) = (diagonals.range(origin), diagonals.products());
    let spans = |unit: &usize| {
        let (unit, steps) = (*unit, range.div_ceil(*unit));
        let giants = GIANTS.into_iter().filter(move |g| *g <= steps && g * g <= 2 * terms);
        giants.map(move |giants| steps.div_ceil(giants) * unit)
    };
    units.iter().flat_map(spans).filter(|s| *s <= diagonals.slots()).collect()
}

/// How far apart copies may lie: as far as the strides of the layouts, times powers of two; the last is the
/// span, for none.
pub(crate) fn strides(units: &Units, span: usize) -> BTreeSet<usize> {
    let multiples =
        |unit: &usize| std::iter::successors(Some(*unit), |s| Some(s * 2)).take_while(|s| *s < span);
    units.iter().flat_map(multiples).chain([span]).collect()
}

/// Splits into giant steps, for each number of them: the one with the fewest baby steps.
fn useful_splits(
    diagonals: &Diagonals,
    origin: usize,
    units: &Units,
    stamps: &mut Stamps,
) -> Vec<GiantSteps> {
    let mut best: BTreeMap<usize, GiantSteps> = BTreeMap::new();
    for span in spans(diagonals, origin, units) {
        let steps = diagonals.giant_steps(origin, span, stamps);
        if !steps.is_whole() {
            return vec![];
        }
        let turned = steps.turned();
        if best.get(&turned).is_none_or(|least| steps.babies() < least.babies()) {
            best.insert(turned, steps);
        }
    }
    best.into_values().collect()
}

/// Ways to make babies of copies: those that take fewer keys than all with as few copies.
fn ways_to_copy(steps: &GiantSteps, units: &Units) -> Vec<Shapes> {
    let mut stamps = Stamps::new(steps.slots());
    let strides = strides(units, steps.span).into_iter().filter(|stride| *stride < steps.span);
    let mut ways: Vec<Shapes> = strides.map(|stride| steps.shapes(stride, &mut stamps)).collect();
    ways.sort_by_key(|shapes| (shapes.copies, shapes.keys));
    let mut least = usize::MAX;
    ways.retain(|shapes| {
        let fewer = shapes.keys < least;
        least = least.min(shapes.keys);
        fewer
    });
    ways
}

impl Way {
    fn new(steps: GiantSteps, stamps: &mut Stamps) -> Self {
        let plain = steps.shapes(steps.span, stamps);
        Self { steps, plain, copied: OnceLock::new() }
    }

    fn copied(&self, units: impl FnOnce() -> Units) -> &[Shapes] {
        self.copied.get_or_init(|| ways_to_copy(&self.steps, &units()))
    }
}

impl Decided {
    fn ways(&self, units: impl FnOnce() -> Units) -> &[Way] {
        self.ways.get_or_init(|| {
            let mut stamps = Stamps::new(self.diagonals.slots());
            let splits = useful_splits(&self.diagonals, self.origin, &units(), &mut stamps);
            splits.into_iter().map(|steps| Way::new(steps, &mut stamps)).collect()
        })
    }

    /// The meetings with the fewest products, over origins and preferences, for the differences of each term; `None` where there are none.
    pub fn fewest(step: &Step<'_>, differences: &[Arc<Differences>]) -> Option<Self> {
        // Rows of a dense layer see all columns, so there is nothing to gain by looking for the best origin.
        let dense = step.layer.terms.iter().all(|term| term.linear.is_dense());
        let preferences =
            if dense { &[Preference::First][..] } else { &[Preference::First, Preference::Used] };
        let all = differences.iter().map(|differences| &**differences);
        let mut origins = if dense { vec![0] } else { vec![0, Differences::origin(all)] };
        origins.dedup();
        let ways = origins.into_iter().flat_map(|origin| preferences.iter().map(move |p| (origin, *p)));
        let decided = ways.map(|(origin, preference)| {
            let parts = step.from.iter().zip(differences).map(|(from, differences)| {
                let (from, to) = (from.placement.clone(), step.to.to.clone());
                Meetings::new(differences, from, to, origin, preference).into_diagonals()
            });
            let ways = OnceLock::new();
            Self { diagonals: Diagonals::joined(parts.collect()), origin, preference, ways }
        });
        decided
            .min_by_key(|decided| decided.diagonals.size())
            .filter(|decided| decided.diagonals.products() > 0)
    }
}

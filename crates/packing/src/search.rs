//! The search behind the planner: cheapest paths through layouts.

use crate::chain::{Chain, Link};
use crate::choice::windows;
use crate::forms;
use crate::kernels::{
    DiagonalKernel, Differences, FoldChoice, GiantSteps, Meetings, Preference, ScoreKernel, Shapes, Split,
    Stamps, WindowKernel,
};
use crate::layout::{Blocks, Layout};
use crate::linear::Linear;
use crate::placement::Placement;
use crate::planner::{Family, Objective, Options};
use crate::{Choice, Error, LayerChoice, ReplyLayout, Windows, sizes};
use circuit::{Cost, Counts, TransformShape};
use ckks::{KeyRequirements, Level, Parameters, Rescale};
use ring::parallel;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

/// What is searched.
pub(crate) struct Search<'a> {
    pub chain: &'a Chain,
    pub parameters: &'a Parameters,
    pub options: &'a Options,
    /// What no score's magnitude should exceed.
    pub bound: f64,
    /// What a kilobyte of keys is worth, in microseconds.
    pub key_worth: f64,
}

/// What a step costs, most important first; the last figures break ties.
type Price = [f64; 4];

/// A way to a layout: what it costs, and the choices on it.
#[derive(Clone)]
struct Path {
    price: Price,
    image: Option<Layout>,
    choices: Vec<LayerChoice>,
    /// Where whole sums lie.
    layout: Layout,
    placement: Arc<Placement>,
}

impl Path {
    fn choice(&self) -> Choice {
        Choice { image: self.image.clone(), layers: self.choices.clone() }
    }

    /// This path, one last step further.
    fn to_scores(&self, price: Price, choice: LayerChoice) -> Self {
        let choices = [&self.choices[..], &[choice]].concat();
        Self { price: add(self.price, price), choices, ..self.clone() }
    }
}

/// A layer and where its output should lie.
struct Goal<'a> {
    linear: &'a Arc<Linear>,
    index: usize,
    output: &'a Layout,
    to: Arc<Placement>,
    level: Level,
}

/// One way to compute a layer.
struct Step {
    price: Price,
    choice: LayerChoice,
}

/// The best choice, keys priced at so much for a kilobyte.
///
/// # Errors
/// Where no layout of some tensor fits.
pub(crate) fn best(search: &Search<'_>, key_price: f64) -> Result<Choice, Error> {
    let key_bytes = key_bytes(search.parameters);
    let run = Run { search, key_price, differences: Mutex::default(), key_bytes };
    let levels = search.chain.levels();
    let mut paths = run.images();
    paths.sort_by(|a, b| a.price.partial_cmp(&b.price).expect("prices are finite"));
    let last = search.chain.links.len() - 1;
    for (index, link) in search.chain.links.iter().enumerate() {
        let level = Level(levels[index]);
        let mut next = match index == last {
            true => run.scores(&paths, &link.linear, level),
            false => run.layer(&paths, index, link, level),
        };
        if index == 0 && index != last {
            next.extend(run.windows(link, level));
        }
        if next.is_empty() {
            return Err(run.nothing_fits(index));
        }
        next.sort_by(|a, b| a.price.partial_cmp(&b.price).expect("prices are finite"));
        paths = next;
    }
    Ok(paths[0].choice())
}

/// The best choice whose first layer is of another family than that of `chosen`, and whose later layers lie as its do: what it would have cost to
/// begin otherwise. `None` where no other family fits.
pub(crate) fn runner_up(search: &Search<'_>, chosen: &Choice) -> Option<Choice> {
    let (levels, last) = (search.chain.levels(), search.chain.links.len() - 1);
    let (first, rest) = search.chain.links.split_first().filter(|_| last > 0)?;
    let key_bytes = key_bytes(search.parameters);
    let run = Run { search, key_price: 0.0, differences: Mutex::default(), key_bytes };
    let mut paths = run.layer(&run.images(), 0, first, Level(levels[0]));
    paths.extend(run.windows(first, Level(levels[0])));
    paths.retain(|path| path.choice().family() != chosen.family());
    for (index, link) in (1..).zip(rest) {
        paths.sort_by(|a, b| a.price.partial_cmp(&b.price).expect("prices are finite"));
        let level = Level(levels[index]);
        if index == last {
            paths = run.scores(&paths, &link.linear, level);
            continue;
        }
        let (output, _) = chosen.layers[index].sum()?;
        let (path, step) = run.cheapest(&paths, &Goal::new(&link.linear, index, output, level))?;
        let choices = [&path.choices[..], &[step.choice]].concat();
        paths = vec![run.path(add(path.price, step.price), path.image.clone(), choices, output)];
    }
    let best = paths.into_iter().min_by(|a, b| a.price.partial_cmp(&b.price).expect("prices are finite"));
    best.map(|path| path.choice())
}

struct Run<'a> {
    search: &'a Search<'a>,
    key_price: f64,
    /// Differences between layouts, by all of them that differences depend on.
    differences: Mutex<HashMap<(usize, Layout, Layout), Arc<Differences>>>,
    /// Bytes of a rotation's key at each level.
    key_bytes: Vec<f64>,
}

impl<'a> Goal<'a> {
    fn new(linear: &'a Arc<Linear>, index: usize, output: &'a Layout, level: Level) -> Self {
        Self { linear, index, output, to: Arc::new(Placement::new(output)), level }
    }
}

impl Run<'_> {
    fn slots(&self) -> usize {
        self.search.parameters.slots()
    }

    fn nothing_fits(&self, index: usize) -> Error {
        let link = &self.search.chain.links[index].linear;
        let (family, slots) = (self.search.options.family, self.slots());
        Error::does_not_fit(
            format!("output of {}", link.name),
            format!("{} ({} elements)", link.output, link.output.elements()),
            format!("a tensor that the {family} representation can lay out in ciphertexts of {slots} slots"),
        )
    }

    /// Ways to write the image itself.
    fn images(&self) -> Vec<Path> {
        if matches!(self.search.options.family, Family::Taps(_)) && self.search.chain.links.len() > 1 {
            return vec![];
        }
        let layouts = forms::images(self.search.chain, self.slots());
        let path = |layout: Layout| {
            let price = self.price(Counts::default(), 0.0, layout.ciphertexts);
            let placement = Arc::new(Placement::new(&layout));
            Path { price, image: Some(layout.clone()), choices: vec![], layout, placement }
        };
        layouts.into_iter().map(path).collect()
    }

    /// Ways to write out the windows of the first layer.
    fn windows(&self, link: &Link, level: Level) -> Vec<Path> {
        let taps = match self.search.options.family {
            Family::Image | Family::Lola(_) | Family::Batch => return vec![],
            Family::Taps(taps) => Some(taps),
            Family::Auto => None,
        };
        let layouts = forms::outputs(self.search.chain, 0, true, self.slots());
        let Some(first) = layouts.first() else { return vec![] };
        let template = windows(&link.linear, first);
        let asked = layouts.into_iter().filter(|layout| taps.is_none_or(|t| t == layout.blocks.classes));
        asked
            .filter_map(|output| {
                self.window_path(link, level, Windows { output: output.clone(), ..template.clone() })
            })
            .collect()
    }

    fn window_path(&self, link: &Link, level: Level, windows: Windows) -> Option<Path> {
        let output = &windows.output;
        if windows.taps.len() < output.blocks.classes {
            return None;
        }
        let (inputs, ciphertexts) = (windows.inputs(), windows.ciphertexts());
        let bias = WindowKernel::adds_bias(&windows, &link.linear);
        let cost = Cost::new(self.search.parameters, level);
        let product = |rescale| times(cost.dot(inputs, rescale), output.ciphertexts);
        let (counts, keys, fold) = self.folded(level, output, bias, product)?;
        let squares = self.squares(link, level, output.ciphertexts);
        let price = self.price(counts + squares, keys, ciphertexts);
        let choice = LayerChoice::Windows { output: output.clone(), fold };
        Some(self.path(price, None, vec![choice], output))
    }

    /// The cheapest way to each layout of a layer's output; inside a rayon pool threads look at different layouts.
    fn layer(&self, paths: &[Path], index: usize, link: &Link, level: Level) -> Vec<Path> {
        if paths.is_empty() {
            return vec![];
        }
        let outputs = forms::outputs(self.search.chain, index, false, self.slots());
        let found = parallel::map(outputs.iter(), |output| {
            let (path, step) = self.cheapest(paths, &Goal::new(&link.linear, index, output, level))?;
            let squares = self.squares(link, level, output.ciphertexts);
            let price = add(add(path.price, step.price), self.price(squares, 0.0, 0));
            let choices = [&path.choices[..], &[step.choice]].concat();
            Some(self.path(price, path.image.clone(), choices, output))
        });
        found.into_iter().flatten().collect()
    }

    fn cheapest<'p>(&self, paths: &'p [Path], goal: &Goal<'_>) -> Option<(&'p Path, Step)> {
        let mut best: Option<(&Path, Step, Price)> = None;
        for path in paths {
            // Paths come cheapest first, and no step is for nothing.
            if best.as_ref().is_some_and(|(.., least)| path.price >= *least) {
                break;
            }
            let room = best.as_ref().map(|(.., least)| subtract(*least, path.price));
            let Some(step) = self.diagonals(path, goal, room) else { continue };
            let price = add(path.price, step.price);
            if best.as_ref().is_none_or(|(.., least)| price < *least) {
                best = Some((path, step, price));
            }
        }
        best.map(|(path, step, _)| (path, step))
    }

    /// The ways to the scores: as coefficients of one product, or as values that repeat over the slots.
    fn scores(&self, paths: &[Path], linear: &Arc<Linear>, level: Level) -> Vec<Path> {
        let mut found = self.coefficients(paths, linear, level);
        found.extend(self.periodic(paths, linear, level));
        found
    }

    fn coefficients(&self, paths: &[Path], linear: &Linear, level: Level) -> Vec<Path> {
        let (parameters, bound) = (self.search.parameters, self.search.bound);
        let modulus = parameters.modulus(Level(0));
        let fits = |path: &&Path| {
            let copies = path.layout.blocks.count;
            ScoreKernel::reads(&path.layout)
                && ReplyLayout::coefficients(linear.rows(), bound, modulus, copies).is_ok()
        };
        let scored = |path: &Path| {
            let bias = path.layout.one.is_none() && !linear.is_unbiased();
            let bias = if bias { Cost::new(parameters, Level(0)).addition(1) } else { Counts::default() };
            let product = Cost::new(parameters, level).dot(1, Rescale::Yes);
            path.to_scores(self.price(product + bias, 0.0, 0), LayerChoice::Scores)
        };
        paths.iter().filter(fits).map(scored).collect()
    }

    fn periodic(&self, paths: &[Path], linear: &Linear, level: Level) -> Option<Path> {
        let (slots, modulus) = (self.slots(), self.search.parameters.modulus(Level(0)));
        let reply = ReplyLayout::periodic(linear.rows(), self.search.bound, modulus, slots).ok()?;
        let extended = Arc::new(reply.extended(linear));
        let copies = slots / extended.rows();
        let output =
            Layout::packed(extended.output, slots).with_blocks(Blocks::cyclic(copies, slots, copies));
        let goal = Goal::new(&extended, self.search.chain.links.len() - 1, &output, level);
        let (path, step) = self.cheapest(paths, &goal)?;
        Some(path.to_scores(step.price, step.choice))
    }

    /// The cheapest way to compute a layer between two layouts by diagonals; `None` where it cannot be cheaper than `room`.
    fn diagonals(&self, path: &Path, goal: &Goal<'_>, room: Option<Price>) -> Option<Step> {
        let differences = self.differences(path, goal);
        let least = differences.least_terms(path.placement.shifts.len(), goal.output.blocks.classes);
        let too_dear = |terms| room.is_some_and(|room| self.least_price(terms, goal.level) >= room);
        if too_dear(least) {
            return None;
        }
        let (meetings, origin, preference) = fewest(&differences, path, goal)?;
        if too_dear(meetings.terms()) {
            return None;
        }
        let (price, split, fold) = self.split(&meetings, &path.layout, goal, origin)?;
        let choice = LayerChoice::Diagonals { output: goal.output.clone(), preference, split, fold };
        Some(Step { price, choice })
    }

    /// What so many products cost at least.
    fn least_price(&self, terms: usize, level: Level) -> Price {
        let shape = TransformShape { babies: vec![], giants: 1, turned: 0, terms: terms.max(1) };
        self.price(Cost::new(self.search.parameters, level).transform(&shape, Rescale::Yes), 0.0, 0)
    }

    fn differences(&self, path: &Path, goal: &Goal<'_>) -> Arc<Differences> {
        let bare = |layout: &Layout| layout.clone().with_blocks(Blocks::ONE);
        let key = (goal.index, bare(&path.layout), bare(goal.output));
        let known = || self.differences.lock().expect("nothing panics while it is locked");
        if let Some(differences) = known().get(&key) {
            return differences.clone();
        }
        // Threads may find the same ones at the same time; they are equal.
        let differences = Arc::new(Differences::new(goal.linear, &path.placement, &goal.to));
        known().insert(key, differences.clone());
        differences
    }

    /// The best split of diagonals into baby and giant steps, and the best fold.
    fn split(
        &self,
        meetings: &Meetings,
        from: &Layout,
        goal: &Goal<'_>,
        origin: usize,
    ) -> Option<(Price, Split, FoldChoice)> {
        let bias = DiagonalKernel::adds_bias(goal.linear, meetings.from(), &goal.to);
        let units = units(from, goal.output);
        let mut stamps = Stamps::new(self.slots());
        let mut best: Option<(Price, Split, FoldChoice)> = None;
        for steps in useful_splits(meetings, origin, &units, &mut stamps) {
            let plain = steps.shapes(steps.span, &mut stamps);
            let Some((price, fold, least_copied)) = self.shapes_price(&plain, goal, bias) else { continue };
            if best.as_ref().is_none_or(|(least, ..)| price < *least) {
                best = Some((price, plain.split, fold));
            }
            if best.as_ref().is_some_and(|(least, ..)| least_copied >= *least) {
                continue;
            }
            for shapes in ways_to_copy(&steps, &units, &mut stamps) {
                let Some((price, fold, _)) = self.shapes_price(&shapes, goal, bias) else { continue };
                if best.as_ref().is_none_or(|(least, ..)| price < *least) {
                    best = Some((price, shapes.split, fold));
                }
            }
        }
        best
    }

    /// What a split costs with its best fold; and what it would cost at least with copies, which save keys and nothing else.
    fn shapes_price(
        &self,
        shapes: &Shapes,
        goal: &Goal<'_>,
        bias: bool,
    ) -> Option<(Price, FoldChoice, Price)> {
        let cost = Cost::new(self.search.parameters, goal.level);
        let copying = times(cost.rotate(1), shapes.copies);
        let product = |rescale| {
            shapes.transforms.iter().map(|shape| cost.transform(shape, rescale)).sum::<Counts>() + copying
        };
        let (counts, fold_keys, fold) = self.folded(goal.level, goal.output, bias, product)?;
        let keys = shapes.keys as f64 * self.key_bytes[goal.level.0];
        let least_copied = self.price(counts + cost.rotate(1), fold_keys + self.key_bytes[goal.level.0], 0);
        Some((self.price(counts, fold_keys + keys, 0), fold, least_copied))
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
            let counts = product + times(folding + bias, output.ciphertexts);
            let keys = stages.iter().flatten().count() as f64 * self.key_bytes[at.0];
            let price = self.price(counts, keys, 0);
            if best.as_ref().is_none_or(|(least, ..)| price < *least) {
                best = Some((price, counts, keys, fold));
            }
        }
        best.map(|(_, counts, keys, fold)| (counts, keys, fold))
    }

    fn squares(&self, link: &Link, level: Level, ciphertexts: usize) -> Counts {
        let mut level = level.below();
        let mut counts = Counts::default();
        for _ in &link.squares {
            let Some(at) = level else { break };
            counts += times(Cost::new(self.search.parameters, at).multiply(Rescale::Yes), ciphertexts);
            level = at.below();
        }
        counts
    }

    fn price(&self, counts: Counts, keys: f64, inputs: usize) -> Price {
        let (parameters, options) = (self.search.parameters, self.search.options);
        let (hops, switches) = (counts.hops() as f64, counts.key_switches() as f64);
        let limbs = inputs * parameters.max_level().limbs();
        let time = options.cost.microseconds(&counts.work, parameters.degree())
            + options.cost.expansion_microseconds(limbs, parameters.degree())
            + self.search.key_worth * keys / 1024.0;
        let priced = self.key_price * keys / 1024.0;
        match options.objective {
            Objective::Latency | Objective::Throughput => [time + priced, keys, hops, switches],
            Objective::Operations => [hops + priced, switches, time, keys],
            Objective::KeySwitches => [switches + priced, hops, time, keys],
            Objective::Upload => [inputs as f64 + priced, time, keys, hops],
        }
    }

    fn path(&self, price: Price, image: Option<Layout>, choices: Vec<LayerChoice>, output: &Layout) -> Path {
        let layout = output.sums();
        let placement = Arc::new(Placement::new(&layout));
        Path { price, image, choices, layout, placement }
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

/// What a kilobyte of keys is worth, in microseconds: a client sends them once, and a server holds them for each client.
pub(crate) const KEY_WORTH: f64 = 0.3;

/// Numbers of giant steps that are aimed at.
const GIANTS: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26, 32, 40, 50, 64, 80, 100];

/// The strides of the layouts: where diagonals repeat.
fn units(from: &Layout, to: &Layout) -> BTreeSet<usize> {
    let strides = [from, to].into_iter().flat_map(|layout| &layout.digits).map(|d| d.stride);
    strides.chain([1]).filter(|u| (1..to.slots).contains(u)).collect()
}

/// Splits into giant steps, for each number of them: the one with the fewest baby steps.
fn useful_splits(
    meetings: &Meetings,
    origin: usize,
    units: &BTreeSet<usize>,
    stamps: &mut Stamps,
) -> Vec<GiantSteps> {
    let (range, terms) = (meetings.range(origin), meetings.terms());
    let spans = |unit: &usize| {
        let (unit, steps) = (*unit, range.div_ceil(*unit));
        let giants = GIANTS.into_iter().filter(move |g| *g <= steps && g * g <= 2 * terms);
        giants.map(move |giants| steps.div_ceil(giants) * unit)
    };
    let spans: BTreeSet<usize> = units.iter().flat_map(spans).filter(|s| *s <= stamps.slots()).collect();
    let mut best: BTreeMap<usize, GiantSteps> = BTreeMap::new();
    for span in spans {
        let steps = meetings.giant_steps(origin, span, stamps);
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
fn ways_to_copy(steps: &GiantSteps, units: &BTreeSet<usize>, stamps: &mut Stamps) -> Vec<Shapes> {
    let multiples =
        |unit: &usize| std::iter::successors(Some(*unit), |s| Some(s * 2)).take_while(|s| *s < steps.span);
    let strides: BTreeSet<usize> = units.iter().flat_map(multiples).collect();
    let mut ways: Vec<Shapes> = strides.into_iter().map(|stride| steps.shapes(stride, stamps)).collect();
    ways.sort_by_key(|shapes| (shapes.copies, shapes.keys));
    let mut least = usize::MAX;
    ways.retain(|shapes| {
        let fewer = shapes.keys < least;
        least = least.min(shapes.keys);
        fewer
    });
    ways
}

/// The meetings with the fewest products, over origins and preferences.
fn fewest(differences: &Differences, path: &Path, goal: &Goal<'_>) -> Option<(Meetings, usize, Preference)> {
    // Rows of a dense layer see all columns, so there is nothing to gain by looking for the best origin.
    let dense = goal.linear.convolution().is_none();
    let preferences = if dense { &[Preference::First][..] } else { &[Preference::First, Preference::Used] };
    let mut origins = if dense { vec![0] } else { vec![0, differences.origin()] };
    origins.dedup();
    let ways = origins.into_iter().flat_map(|origin| preferences.iter().map(move |p| (origin, *p)));
    let meetings = ways.map(|(origin, preference)| {
        let from = path.placement.clone();
        (Meetings::new(differences, from, goal.to.clone(), origin, preference), origin, preference)
    });
    meetings.min_by_key(|(meetings, ..)| meetings.terms()).filter(|(meetings, ..)| meetings.terms() > 0)
}

fn times(counts: Counts, count: usize) -> Counts {
    (0..count).map(|_| counts).sum()
}

fn subtract(a: Price, b: Price) -> Price {
    std::array::from_fn(|i| a[i] - b[i])
}

fn add(a: Price, b: Price) -> Price {
    std::array::from_fn(|i| a[i] + b[i])
}

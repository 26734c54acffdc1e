//! The search behind the planner: the cheapest path through layouts.
//!
//! A*, and lazily: what a step costs at least is known at once, what its diagonals are takes milliseconds to decide, and how these are best split
//! into rotations takes longer still. So a step is looked at more closely only when no other can be cheaper (Cohen, Phillips and Likhachev,
//! "Planning single-arm manipulations with n-arm robots", 2014, on lazy weighted A*). Costs add up, and bounds are never too high, so the first path that
//! arrives is the best.

use crate::forms;
use crate::kernels::{Differences, bearer};
use crate::layer_graph::Layer;
use crate::layout::{Blocks, Layout};
use crate::objective::Price;
use crate::options::Family;
use crate::steps::{Decided, Prices, Search, Step, Tensor};
use crate::{Choice, Error, LayerChoice, ReplyLayout};
use blindsight_ckks::Level;
use blindsight_ring::parallel;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// All layouts of all tensors.
pub(crate) struct Map<'a> {
    pub search: &'a Search<'a>,
    prices: Prices<'a>,
    /// The layers; the last one with what a periodic reply adds.
    layers: Vec<Layer>,
    /// For the image, the output of each layer and the scores, if these can repeat over the slots.
    tensors: Vec<Vec<Place>>,
    /// For each tensor those that are still read once it is there, itself among them.
    live: Vec<Vec<usize>>,
    /// What each layer costs at least, from each layout of its main input to each of its output.
    least: Vec<Vec<Vec<Price>>>,
    /// For each layer the first that takes the same diagonals: networks repeat themselves.
    patterns: Vec<usize>,
    differences: Known<DifferenceKey, Arc<Differences>>,
    decided: Known<StepKey, Option<Arc<Decided>>>,
    /// The cheapest way to take the diagonals of a step, at each level.
    diagonals: Known<(StepKey, Level), Option<(Price, LayerChoice)>>,
}

/// All that differences depend on: the layer's pattern, the term, whether its input brings the one, and the layouts but for their blocks.
type DifferenceKey = (usize, usize, bool, Layout, Layout);
/// All that diagonals depend on: the layer's pattern, the layouts of its inputs, and that of its output.
type StepKey = (usize, Vec<Layout>, Layout);

/// What was found out so far.
struct Known<K, V>(Mutex<HashMap<K, V>>);

impl<K: std::hash::Hash + Eq, V: Clone> Known<K, V> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// What is known, or else found out now. Threads may find the same at the same time; it is equal.
    fn get(&self, key: K, find: impl FnOnce() -> V) -> V {
        let known = || self.0.lock().expect("nothing panics while it is locked");
        if let Some(value) = known().get(&key) {
            return value.clone();
        }
        let value = find();
        known().insert(key, value.clone());
        value
    }
}

/// How a path may come to a tensor in a layout.
enum Origin {
    /// The client writes the image so, at this price.
    Image(Price),
    /// The client writes out the windows of the first layer, at this price together with that layer.
    Windows(Price, LayerChoice),
    /// By a step from earlier tensors.
    Step,
}

/// A tensor in a layout, and what is known about going on from it.
struct Place {
    tensor: Tensor,
    origin: Origin,
    /// What acts on it element by element.
    pointwise: Price,
    /// What all that follows costs at least.
    rest: Price,
}

impl Place {
    fn new(layout: Layout, origin: Origin, pointwise: Price) -> Self {
        Self { tensor: Tensor::new(layout), origin, pointwise, rest: Price::default() }
    }

    /// The family of plans that begin here; `None` where none does.
    fn family(&self) -> Option<Family> {
        match &self.origin {
            Origin::Image(_) => Some(Family::Image),
            Origin::Windows(..) => Some(Family::Taps(self.tensor.output.blocks.classes)),
            Origin::Step => None,
        }
    }
}

/// A way to a tensor in a layout: what it costs, and the choices on it.
struct Path {
    price: Price,
    image: Option<Layout>,
    choices: Vec<LayerChoice>,
    /// The last tensor.
    at: usize,
    /// The place of each tensor that is still read, in order; the last tensor's is the last.
    live: Vec<(usize, usize)>,
}

impl Path {
    /// Where a tensor lies that is still read.
    fn place(&self, tensor: usize) -> usize {
        let found = self.live.iter().find(|(live, _)| *live == tensor);
        found.expect("a tensor lives as long as it is read").1
    }

    /// The places of the tensors that live once the next one is there, in `to`.
    fn next_live(&self, live: &[usize], to: usize) -> Vec<(usize, usize)> {
        let kept = self.live.iter().filter(|(tensor, _)| live.contains(tensor)).copied();
        kept.chain([(self.at + 1, to)]).collect()
    }

    /// This path, one step further.
    fn further(&self, price: Price, choice: LayerChoice, live: Vec<(usize, usize)>) -> Self {
        let choices = [&self.choices[..], &[choice]].concat();
        Self { price: self.price + price, image: self.image.clone(), choices, at: self.at + 1, live }
    }
}

/// What may be looked at next.
enum Task {
    /// A path, all of it known.
    Arrive(Path),
    /// A step from a path to a layout of the next tensor.
    Decide(Rc<Path>, usize),
    /// The same, its diagonals decided.
    Split(Rc<Path>, usize),
    /// A path to the scores.
    Finish(Path),
}

/// Tasks by what a whole path costs at least; of equals, the one that was found first.
#[derive(Default)]
struct Queue {
    order: BinaryHeap<Reverse<(Price, usize)>>,
    tasks: Vec<Option<Task>>,
}

impl Queue {
    fn push(&mut self, least: Price, task: Task) {
        if least < Price::NEVER {
            self.order.push(Reverse((least, self.tasks.len())));
            self.tasks.push(Some(task));
        }
    }

    fn pop(&mut self) -> Option<(Price, Task)> {
        let Reverse((least, index)) = self.order.pop()?;
        Some((least, self.tasks[index].take()?))
    }
}

/// The last tensors that paths arrived at, with all others that live then.
type Arrived = HashSet<(usize, Vec<(usize, usize)>)>;

impl<'a> Map<'a> {
    pub fn new(search: &'a Search<'a>) -> Self {
        let layers = search.graph.layers.clone();
        let live = (0..=layers.len()).map(|tensor| search.graph.live(tensor)).collect();
        let mut map = Self {
            search,
            prices: Prices::new(search),
            layers,
            tensors: vec![],
            live,
            least: vec![],
            patterns: patterns(&search.graph.layers),
            differences: Known::new(),
            decided: Known::new(),
            diagonals: Known::new(),
        };
        map.tensors.push(map.images());
        let last = map.layers.len() - 1;
        for index in 0..last {
            let mut places = map.outputs(index);
            if index == 0 && search.graph.begins_with_windows() {
                places.extend(map.windows());
            }
            map.tensors.push(places);
        }
        let scores = map.periodic();
        map.tensors.push(scores);
        for index in (0..=last).rev() {
            map.look_ahead(index);
        }
        map.least.reverse();
        map
    }

    fn slots(&self) -> usize {
        self.search.parameters.slots()
    }

    fn offers(&self, family: Family) -> bool {
        let asked = self.search.options.family;
        asked == Family::Auto || asked == family
    }

    /// Ways to write the image itself. A network of one layer has no other plans.
    fn images(&self) -> Vec<Place> {
        if !self.offers(Family::Image) && self.layers.len() > 1 {
            return vec![];
        }
        let layouts = forms::images(self.search.graph, self.slots());
        let place = |layout: Layout| {
            let price = self.prices.inputs(layout.ciphertexts);
            Place::new(layout, Origin::Image(price), Price::default())
        };
        layouts.into_iter().map(place).collect()
    }

    /// Ways to write out the windows of the first layer.
    fn windows(&self) -> Vec<Place> {
        let layouts = forms::outputs(self.search.graph, 0, true, self.slots());
        let offered = layouts.into_iter().filter(|layout| self.offers(Family::Taps(layout.blocks.classes)));
        let place = |output: Layout| {
            let (price, choice) = self.prices.windows(&self.layers[0], &output)?;
            let pointwise = self.pointwise(0, &output);
            Some(Place::new(output, Origin::Windows(price, choice), pointwise))
        };
        offered.filter_map(place).collect()
    }

    /// Layouts for the output of a layer.
    fn outputs(&self, index: usize) -> Vec<Place> {
        let mut layouts = forms::outputs(self.search.graph, index, false, self.slots());
        // A product needs its factors in one layout.
        for tensor in self.layers[index].alike(index + 1) {
            let others = self.tensors[tensor].iter().map(|place| place.tensor.layout.clone());
            layouts.extend(others.filter(|layout| !layouts.contains(layout)).collect::<Vec<_>>());
        }
        let place = |output: Layout| {
            let pointwise = self.pointwise(index, &output);
            Place::new(output, Origin::Step, pointwise)
        };
        layouts.into_iter().map(place).collect()
    }

    fn pointwise(&self, index: usize, output: &Layout) -> Price {
        self.prices.pointwise(&self.layers[index], output)
    }

    /// The scores as values that repeat over the slots, if they can.
    fn periodic(&mut self) -> Vec<Place> {
        let (slots, modulus) = (self.slots(), self.search.parameters.modulus(Level(0)));
        let last = self.layers.last_mut().expect("there is a layer");
        let Ok(reply) = ReplyLayout::periodic(last.rows(), self.search.bound, modulus, slots) else {
            return vec![];
        };
        *last = reply.extended(last);
        let copies = slots / last.rows();
        let output = Layout::packed(last.output, slots).with_blocks(Blocks::cyclic(copies, slots, copies));
        vec![Place::new(output, Origin::Step, Price::default())]
    }

    /// What it costs at least to go on from each layout of a layer's main input, when that is known of its output; inside a rayon pool threads look
    /// at different layouts. Tensors that lie between, for other branches, go on by the best of these.
    fn look_ahead(&mut self, index: usize) {
        let main = self.layers[index].main().operand.tensor;
        let least = parallel::map(self.tensors[main].iter(), |place| {
            let to = self.tensors[index + 1].iter();
            to.map(|to| self.least(index, place, to)).collect::<Vec<_>>()
        });
        let onward = least.iter().zip(&self.tensors[main]).map(|(steps, from)| {
            let ways =
                steps.iter().zip(&self.tensors[index + 1]).map(|(step, to)| *step + to.pointwise + to.rest);
            ways.chain(self.coefficients(index, &from.tensor)).min().unwrap_or(Price::NEVER)
        });
        let onward: Vec<Price> = onward.collect();
        if main == index {
            self.tensors[index].iter_mut().zip(onward).for_each(|(place, rest)| place.rest = rest);
        } else {
            let rest = onward.into_iter().min().unwrap_or(Price::NEVER);
            self.tensors[index].iter_mut().for_each(|place| place.rest = rest);
        }
        self.least.push(least);
    }

    /// What a layer costs at least from a layout of its main input; what the client writes no step leads to.
    fn least(&self, index: usize, from: &Place, to: &Place) -> Price {
        let Origin::Step = to.origin else { return Price::NEVER };
        let layer = &self.layers[index];
        let main = layer.terms.iter().position(|term| std::ptr::eq(term, layer.main()));
        // Without those of the one, where another term may bring it.
        let bears = layer.terms.len() == 1 && from.tensor.placement.carries_one();
        let term = main.expect("the main term is one of the terms");
        let differences = self.differences((index, term, bears), &from.tensor, &to.tensor);
        self.prices.least(layer, [&from.tensor, &to.tensor], &differences)
    }

    /// The scores as coefficients of one product, where `index` is the last layer and they can be.
    fn coefficients(&self, index: usize, from: &Tensor) -> Option<Price> {
        let last = self.search.graph.layers.get(index).filter(|_| index + 1 == self.layers.len())?;
        self.prices.coefficients(last, from)
    }

    fn differences(
        &self,
        (index, term, bears): (usize, usize, bool),
        from: &Tensor,
        to: &Tensor,
    ) -> Arc<Differences> {
        let bare = |layout: &Layout| layout.clone().with_blocks(Blocks::ONE);
        let key = (self.patterns[index], term, bears, bare(&from.layout), bare(&to.output));
        self.differences.get(key, || {
            let layer = &self.layers[index];
            let (bias, linear) = (bears.then_some(&*layer.bias), &layer.terms[term].linear);
            Arc::new(Differences::new(linear, bias, &from.placement, &to.to))
        })
    }

    /// The best choice of other families than these, and its price: the cheapest path from the client to the scores. `None` where any costs so
    /// much that it is not worth it.
    ///
    /// # Errors
    /// Where no layout of some tensor fits.
    pub fn cheapest(
        &self,
        without: &[Family],
        is_worth_it: impl Fn(Price) -> bool,
    ) -> Result<Option<(Price, Choice)>, Error> {
        let mut queue = self.written(without);
        let mut arrived = Arrived::new();
        while let Some((least, task)) = queue.pop() {
            match task {
                _ if !is_worth_it(least) => return Ok(None),
                Task::Finish(path) => {
                    let choice = Choice { image: path.image, layers: path.choices };
                    return Ok(Some((path.price, choice)));
                }
                Task::Arrive(path) => {
                    if arrived.insert((path.at, path.live.clone())) {
                        self.leave(path, &mut queue);
                    }
                }
                Task::Decide(path, to) if !self.is_known(&arrived, &path, to) => {
                    self.decide(path, to, &mut queue);
                }
                Task::Split(path, to) if !self.is_known(&arrived, &path, to) => {
                    self.split(&path, to, &mut queue);
                }
                Task::Decide(..) | Task::Split(..) => {}
            }
        }
        // Of a tensor that no path leads to, the layer before it is to blame.
        let reached = (0..self.layers.len()).filter(|at| arrived.iter().any(|(tensor, _)| tensor == at));
        Err(self.nothing_fits(reached.max().unwrap_or(0)))
    }

    /// Whether a path has arrived where this step leads to.
    fn is_known(&self, arrived: &Arrived, path: &Path, to: usize) -> bool {
        arrived.contains(&(path.at + 1, path.next_live(&self.live[path.at + 1], to)))
    }

    /// All that begins with what the client writes, but for these families.
    fn written(&self, without: &[Family]) -> Queue {
        let mut queue = Queue::default();
        for (tensor, places) in self.tensors.iter().enumerate() {
            for (index, place) in places.iter().enumerate() {
                if place.family().is_some_and(|family| without.contains(&family)) {
                    continue;
                }
                let (price, image, choices) = match &place.origin {
                    Origin::Image(price) => (*price, Some(place.tensor.layout.clone()), vec![]),
                    Origin::Windows(price, choice) => (*price, None, vec![choice.clone()]),
                    Origin::Step => continue,
                };
                let price = price + place.pointwise;
                let path = Path { price, image, choices, at: tensor, live: vec![(tensor, index)] };
                queue.push(price + place.rest, Task::Arrive(path));
            }
        }
        queue
    }

    /// All steps on from the end of a path.
    fn leave(&self, path: Path, queue: &mut Queue) {
        let (index, layer) = (path.at, &self.layers[path.at]);
        let main = layer.main().operand.tensor;
        let from = path.place(main);
        if let Some(price) = self.coefficients(index, &self.tensors[main][from].tensor) {
            queue.push(path.price + price, Task::Finish(path.further(price, LayerChoice::Scores, vec![])));
        }
        let path = Rc::new(path);
        for (to, least) in self.least[index][from].iter().enumerate() {
            if self.is_alike(&path, to) {
                queue.push(path.price + *least + self.beyond(&path, to), Task::Decide(path.clone(), to));
            }
        }
    }

    /// Whether a layout of the next tensor is that of all tensors that products combine with it.
    fn is_alike(&self, path: &Path, to: usize) -> bool {
        let layout = &self.tensors[path.at + 1][to].tensor.layout;
        let mut others = self.layers[path.at].alike(path.at + 1);
        others.all(|tensor| self.tensors[tensor][path.place(tensor)].tensor.layout == *layout)
    }

    /// What all costs at least that comes after a step to this layout.
    fn beyond(&self, path: &Path, to: usize) -> Price {
        let place = &self.tensors[path.at + 1][to];
        place.pointwise + place.rest
    }

    /// The step of a path to this layout of the next tensor.
    fn next<'s>(&'s self, path: &Path, to: usize) -> Step<'s> {
        let layer = &self.layers[path.at];
        let tensors = layer.terms.iter().map(|term| term.operand.tensor);
        let from = tensors.map(|tensor| &self.tensors[tensor][path.place(tensor)].tensor).collect();
        Step { layer, from, to: &self.tensors[path.at + 1][to].tensor }
    }

    fn key(&self, index: usize, step: &Step<'_>) -> StepKey {
        let from = step.from.iter().map(|tensor| tensor.layout.clone()).collect();
        (self.patterns[index], from, step.to.output.clone())
    }

    fn decided(&self, index: usize, step: &Step<'_>) -> Option<Arc<Decided>> {
        self.decided.get(self.key(index, step), || {
            let bearer = bearer(step.from.iter().map(|tensor| &*tensor.placement));
            let differences = step
                .from
                .iter()
                .enumerate()
                .map(|(term, from)| self.differences((index, term, bearer == Some(term)), from, step.to));
            Decided::fewest(step, &differences.collect::<Vec<_>>()).map(Arc::new)
        })
    }

    fn decide(&self, path: Rc<Path>, to: usize, queue: &mut Queue) {
        let step = self.next(&path, to);
        let Some(decided) = self.decided(path.at, &step) else { return };
        let least = path.price + self.prices.least_decided(&step, &decided) + self.beyond(&path, to);
        queue.push(least, Task::Split(path, to));
    }

    fn split(&self, path: &Path, to: usize, queue: &mut Queue) {
        let step = self.next(path, to);
        let diagonals = self.diagonals.get((self.key(path.at, &step), step.layer.level), || {
            self.decided(path.at, &step).and_then(|decided| self.prices.diagonals(&step, &decided))
        });
        let Some((price, choice)) = diagonals else { return };
        let place = &self.tensors[path.at + 1][to];
        let live = path.next_live(&self.live[path.at + 1], to);
        let path = path.further(price + place.pointwise, choice, live);
        match path.at == self.layers.len() {
            true => queue.push(path.price, Task::Finish(path)),
            false => queue.push(path.price + place.rest, Task::Arrive(path)),
        }
    }

    fn nothing_fits(&self, index: usize) -> Error {
        let layer = &self.layers[index];
        let (family, slots) = (self.search.options.family, self.slots());
        Error::does_not_fit(
            format!("output of {}", layer.name),
            format!("{} ({} elements)", layer.output, layer.output.elements()),
            format!("a tensor that the {family} representation can lay out in ciphertexts of {slots} slots"),
        )
    }
}

/// For each layer the first that has its pattern. The last one is like no other: it may have the reply's rows.
fn patterns(layers: &[Layer]) -> Vec<usize> {
    let inner = layers.len() - 1;
    let first = |index: usize| {
        let mut before = 0..index.min(inner);
        before.find(|other| index < inner && layers[*other].has_pattern_of(&layers[index])).unwrap_or(index)
    };
    (0..layers.len()).map(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::tests::{check_search, figures, options};
    use proptest::prelude::*;

    /// At most, but for the rounding of times that are added up in another order.
    fn at_most(bound: Price, price: Price) -> bool {
        bound.0[0] <= price.0[0] * (1.0 + 1e-9)
    }

    /// Checks every step from one tensor to the next, at most so many.
    fn check_bounds(map: &Map<'_>, index: usize, most: usize) -> Result<usize, TestCaseError> {
        let (from, to) = (&map.tensors[index], &map.tensors[index + 1]);
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (from, to)));
        let steps = pairs.filter(|(_, to)| matches!(to.origin, Origin::Step));
        let mut checked = 0;
        for (from, to) in steps.take(most) {
            let least = map.least(index, from, to);
            let step = Step { layer: &map.layers[index], from: vec![&from.tensor], to: &to.tensor };
            let bears = from.tensor.placement.carries_one();
            let differences = map.differences((index, 0, bears), &from.tensor, &to.tensor);
            let Some(decided) = Decided::fewest(&step, &[differences]) else { continue };
            let least_decided = map.prices.least_decided(&step, &decided);
            prop_assert!(at_most(least, least_decided), "{least:?}, decided {least_decided:?}");
            let Some((price, choice)) = map.prices.diagonals(&step, &decided) else { continue };
            prop_assert!(at_most(least_decided, price), "{least_decided:?} for {price:?} of {choice:?}");
            checked += 1;
        }
        Ok(checked)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Were a bound too high, the first path to arrive might not be the best.
        #[test]
        fn no_step_costs_less_than_its_bounds(f in figures(), log_degree in 9u32..=10, options in options()) {
            check_search(&f, log_degree, &Options { family: Family::Auto, ..options }, |search| {
                let map = Map::new(search);
                let layers = 0..map.layers.len();
                let checked = layers.map(|index| check_bounds(&map, index, 200)).sum::<Result<usize, _>>()?;
                prop_assert!(checked > 0);
                Ok(())
            })?;
        }
    }
}

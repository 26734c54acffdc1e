//! The search behind the planner: the cheapest path through layouts.
//!
//! A*, and lazily: what a step costs at least is known at once, what its diagonals are takes milliseconds to decide, and how these are best split
//! into rotations takes longer still. So a step is looked at more closely only when no other can be cheaper (Cohen, Phillips and Likhachev,
//! "Planning single-arm manipulations with n-arm robots", 2014, on lazy weighted A*). Costs add up, and bounds are never too high, so the first path that
//! arrives is the best.

use crate::chain::Chain;
use crate::forms;
use crate::kernels::Differences;
use crate::layout::{Blocks, Layout};
use crate::linear::Linear;
use crate::planner::{Family, Options};
use crate::steps::{Decided, Price, Prices, Step, Tensor};
use crate::{Choice, Error, LayerChoice, ReplyLayout};
use blindsight_ckks::{Level, Parameters};
use blindsight_ring::parallel;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// What is searched.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub chain: &'a Chain,
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
    pub fn new(chain: &'a Chain, parameters: &'a Parameters, options: &'a Options, bound: f64) -> Self {
        Self { chain, parameters, options, bound, key_worth: KEY_WORTH, key_price: 0.0 }
    }
}

/// What a kilobyte of keys is worth, in microseconds: a client sends them once, and a server holds them for each client.
pub(crate) const KEY_WORTH: f64 = 0.3;

/// All layouts of all tensors.
pub(crate) struct Map<'a> {
    pub search: &'a Search<'a>,
    prices: Prices<'a>,
    /// The layers; the last one with what a periodic reply adds.
    linears: Vec<Arc<Linear>>,
    /// The levels of their inputs.
    levels: Vec<Level>,
    /// For the image, the output of each layer and the scores, if these can repeat over the slots.
    tensors: Vec<Vec<Place>>,
    /// Differences between layouts, by all of them that differences depend on.
    differences: Mutex<HashMap<(usize, Layout, Layout), Arc<Differences>>>,
}

/// How a path may come to a tensor in a layout.
enum Origin {
    /// The client writes the image so, at this price.
    Image(Price),
    /// The client writes out the windows of the first layer, at this price together with that layer.
    Windows(Price, LayerChoice),
    /// By a step from the tensor before.
    Step,
}

/// A tensor in a layout, and what is known about going on from it.
struct Place {
    tensor: Tensor,
    origin: Origin,
    /// The squares that follow.
    squares: Price,
    /// What each step to a layout of the next tensor costs at least.
    steps: Vec<Price>,
    /// What all that follows costs at least.
    rest: Price,
}

impl Place {
    fn new(layout: Layout, origin: Origin, squares: Price) -> Self {
        Self { tensor: Tensor::new(layout), origin, squares, steps: vec![], rest: Price::default() }
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
    /// Which tensor, in which layout.
    at: (usize, usize),
}

impl Path {
    /// This path, one step further.
    fn further(&self, price: Price, choice: LayerChoice, to: usize) -> Self {
        let choices = [&self.choices[..], &[choice]].concat();
        Self { price: self.price + price, image: self.image.clone(), choices, at: (self.at.0 + 1, to) }
    }
}

/// What may be looked at next.
enum Task {
    /// A path, all of it known.
    Arrive(Path),
    /// A step from a path to a layout of the next tensor.
    Decide(Rc<Path>, usize),
    /// The same, its diagonals decided.
    Split(Rc<Path>, usize, Decided),
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

impl<'a> Map<'a> {
    pub fn new(search: &'a Search<'a>) -> Self {
        let prices = Prices::new(search);
        let linears = search.chain.links.iter().map(|link| link.linear.clone()).collect();
        let levels = search.chain.levels().into_iter().map(Level).collect();
        let mut map =
            Self { search, prices, linears, levels, tensors: vec![], differences: Mutex::default() };
        map.tensors.push(map.images());
        let last = map.linears.len() - 1;
        for index in 0..last {
            let mut places = map.outputs(index);
            if index == 0 {
                places.extend(map.windows());
            }
            map.tensors.push(places);
        }
        let scores = map.periodic();
        map.tensors.push(scores);
        for index in (0..=last).rev() {
            map.look_ahead(index);
        }
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
        if !self.offers(Family::Image) && self.linears.len() > 1 {
            return vec![];
        }
        let layouts = forms::images(self.search.chain, self.slots());
        let place = |layout: Layout| {
            let price = self.prices.inputs(layout.ciphertexts);
            Place::new(layout, Origin::Image(price), Price::default())
        };
        layouts.into_iter().map(place).collect()
    }

    /// Ways to write out the windows of the first layer.
    fn windows(&self) -> Vec<Place> {
        let layouts = forms::outputs(self.search.chain, 0, true, self.slots());
        let offered = layouts.into_iter().filter(|layout| self.offers(Family::Taps(layout.blocks.classes)));
        let place = |output: Layout| {
            let (price, choice) = self.prices.windows(&self.linears[0], self.levels[0], &output)?;
            let squares = self.squares(0, &output);
            Some(Place::new(output, Origin::Windows(price, choice), squares))
        };
        offered.filter_map(place).collect()
    }

    /// Layouts for the output of a layer.
    fn outputs(&self, index: usize) -> Vec<Place> {
        let layouts = forms::outputs(self.search.chain, index, false, self.slots());
        let place = |output: Layout| {
            let squares = self.squares(index, &output);
            Place::new(output, Origin::Step, squares)
        };
        layouts.into_iter().map(place).collect()
    }

    fn squares(&self, index: usize, output: &Layout) -> Price {
        let squares = self.search.chain.links[index].squares.len();
        self.prices.squares(squares, self.levels[index], output.ciphertexts)
    }

    /// The scores as values that repeat over the slots, if they can.
    fn periodic(&mut self) -> Vec<Place> {
        let (slots, modulus) = (self.slots(), self.search.parameters.modulus(Level(0)));
        let last = self.linears.last_mut().expect("there is a layer");
        let Ok(reply) = ReplyLayout::periodic(last.rows(), self.search.bound, modulus, slots) else {
            return vec![];
        };
        *last = Arc::new(reply.extended(last));
        let copies = slots / last.rows();
        let output = Layout::packed(last.output, slots).with_blocks(Blocks::cyclic(copies, slots, copies));
        vec![Place::new(output, Origin::Step, Price::default())]
    }

    /// What it costs at least to go on from each layout of a tensor, when that is known of the next one; inside a rayon pool threads look at
    /// different layouts.
    fn look_ahead(&mut self, index: usize) {
        let steps = parallel::map(self.tensors[index].iter(), |place| {
            let to = self.tensors[index + 1].iter();
            to.map(|to| self.least(index, place, to)).collect::<Vec<_>>()
        });
        let (before, after) = self.tensors.split_at_mut(index + 1);
        for (place, steps) in before[index].iter_mut().zip(steps) {
            let ways = steps.iter().zip(&after[0]).map(|(step, to)| *step + to.squares + to.rest);
            place.rest = ways.min().unwrap_or(Price::NEVER);
            place.steps = steps;
        }
        if index + 1 == self.linears.len() {
            for place in 0..self.tensors[index].len() {
                let scores = self.coefficients(&self.tensors[index][place].tensor).unwrap_or(Price::NEVER);
                let place = &mut self.tensors[index][place];
                place.rest = place.rest.min(scores);
            }
        }
    }

    /// What a step costs at least; what the client writes no step leads to.
    fn least(&self, index: usize, from: &Place, to: &Place) -> Price {
        let Origin::Step = to.origin else { return Price::NEVER };
        let step = self.step(index, &from.tensor, &to.tensor);
        self.prices.least(step, &self.differences(index, step))
    }

    fn step<'s>(&'s self, index: usize, from: &'s Tensor, to: &'s Tensor) -> Step<'s> {
        Step { linear: &self.linears[index], level: self.levels[index], from, to }
    }

    fn coefficients(&self, from: &Tensor) -> Option<Price> {
        let last = self.linears.len() - 1;
        self.prices.coefficients(&self.search.chain.links[last].linear, self.levels[last], from)
    }

    fn differences(&self, index: usize, step: Step<'_>) -> Arc<Differences> {
        let bare = |layout: &Layout| layout.clone().with_blocks(Blocks::ONE);
        let key = (index, bare(&step.from.layout), bare(&step.to.output));
        let known = || self.differences.lock().expect("nothing panics while it is locked");
        if let Some(differences) = known().get(&key) {
            return differences.clone();
        }
        // Threads may find the same ones at the same time; they are equal.
        let differences = Arc::new(Differences::new(step.linear, &step.from.placement, &step.to.to));
        known().insert(key, differences.clone());
        differences
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
        let mut arrived: Vec<Vec<bool>> =
            self.tensors.iter().map(|places| vec![false; places.len()]).collect();
        while let Some((least, task)) = queue.pop() {
            match task {
                _ if !is_worth_it(least) => return Ok(None),
                Task::Finish(path) => {
                    let choice = Choice { image: path.image, layers: path.choices };
                    return Ok(Some((path.price, choice)));
                }
                Task::Arrive(path) => {
                    let (tensor, place) = path.at;
                    if !std::mem::replace(&mut arrived[tensor][place], true) {
                        self.leave(path, &mut queue);
                    }
                }
                Task::Decide(path, to) if !arrived[path.at.0 + 1][to] => self.decide(path, to, &mut queue),
                Task::Split(path, to, decided) if !arrived[path.at.0 + 1][to] => {
                    self.split(&path, to, &decided, &mut queue);
                }
                Task::Decide(..) | Task::Split(..) => {}
            }
        }
        // Of a tensor that no path leads to, the layer before it is to blame.
        let reached = arrived.iter().take_while(|places| places.contains(&true)).count();
        Err(self.nothing_fits(reached.saturating_sub(1)))
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
                let price = price + place.squares;
                let path = Path { price, image, choices, at: (tensor, index) };
                queue.push(price + place.rest, Task::Arrive(path));
            }
        }
        queue
    }

    /// All steps on from the end of a path.
    fn leave(&self, path: Path, queue: &mut Queue) {
        let (tensor, place) = path.at;
        let place = &self.tensors[tensor][place];
        if tensor + 1 == self.linears.len()
            && let Some(price) = self.coefficients(&place.tensor)
        {
            queue.push(path.price + price, Task::Finish(path.further(price, LayerChoice::Scores, 0)));
        }
        let path = Rc::new(path);
        for (to, step) in place.steps.iter().enumerate() {
            queue.push(path.price + *step + self.beyond(&path, to), Task::Decide(path.clone(), to));
        }
    }

    /// What all costs at least that comes after a step to this layout.
    fn beyond(&self, path: &Path, to: usize) -> Price {
        let place = &self.tensors[path.at.0 + 1][to];
        place.squares + place.rest
    }

    /// The step of a path to this layout of the next tensor.
    fn next<'s>(&'s self, path: &Path, to: usize) -> Step<'s> {
        let (index, place) = path.at;
        self.step(index, &self.tensors[index][place].tensor, &self.tensors[index + 1][to].tensor)
    }

    fn decide(&self, path: Rc<Path>, to: usize, queue: &mut Queue) {
        let step = self.next(&path, to);
        let Some(decided) = Decided::fewest(step, &self.differences(path.at.0, step)) else { return };
        let least = path.price + self.prices.least_decided(step, &decided) + self.beyond(&path, to);
        queue.push(least, Task::Split(path, to, decided));
    }

    fn split(&self, path: &Path, to: usize, decided: &Decided, queue: &mut Queue) {
        let Some((price, choice)) = self.prices.diagonals(self.next(path, to), decided) else { return };
        let place = &self.tensors[path.at.0 + 1][to];
        let path = path.further(price + place.squares, choice, to);
        match path.at.0 == self.linears.len() {
            true => queue.push(path.price, Task::Finish(path)),
            false => queue.push(path.price + place.rest, Task::Arrive(path)),
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;
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
            let step = map.step(index, &from.tensor, &to.tensor);
            let differences = map.differences(index, step);
            let least = map.prices.least(step, &differences);
            let Some(decided) = Decided::fewest(step, &differences) else { continue };
            let least_decided = map.prices.least_decided(step, &decided);
            prop_assert!(at_most(least, least_decided), "{least:?}, decided {least_decided:?}");
            let Some((price, choice)) = map.prices.diagonals(step, &decided) else { continue };
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
                let layers = 0..map.linears.len();
                let checked = layers.map(|index| check_bounds(&map, index, 200)).sum::<Result<usize, _>>()?;
                prop_assert!(checked > 0);
                Ok(())
            })?;
        }
    }
}

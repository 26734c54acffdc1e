//! The search behind the planner: the cheapest path through layouts.
//!
//! A*, and lazily: what a step costs at least is known at once, what its diagonals are takes milliseconds to
//! decide, and how these are best split into rotations takes longer still. So a step is looked at more
//! closely only when no other can be cheaper (Cohen, Phillips and Likhachev, "Planning single-arm
//! manipulations with n-arm robots", 2014, on lazy weighted A*). Costs add up, and bounds are never too high,
//! so the first path that arrives is the best.
//!
//! What a tensor may be, how a layer gets there and what that costs, the layer kernels say.

use crate::Error;
use crate::costs::Costs;
use crate::options::{Options, Packing};
use blindsight_ckks::Parameters;
use blindsight_layers::{
    Arrangement, Choice, Cost, CostFunction, Form, KERNELS, LayerChoice, LayerGraph, Linear, Network,
    Resources, Step, StepCosts, candidates, pointwise_counts,
};
use blindsight_layout::Layout;
use blindsight_ring::parallel;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::rc::Rc;

/// What is searched: a network in a ring, at these costs.
pub(crate) struct Search<'a> {
    pub network: Network<'a>,
    pub costs: Costs<'a>,
    pub options: &'a Options,
}

impl<'a> Search<'a> {
    /// For everything that is offered, where keys are not limited. `bound` is what no score should exceed.
    pub fn new(graph: &'a LayerGraph, parameters: &'a Parameters, options: &'a Options, bound: f64) -> Self {
        let costs = Costs::new(parameters, options);
        Self { network: Network::new(graph, parameters, bound), costs, options }
    }

    /// The same search at other costs.
    pub fn at(&self, costs: Costs<'a>) -> Self {
        let Network { graph, parameters, bound, .. } = self.network;
        Self { network: Network::new(graph, parameters, bound), costs, options: self.options }
    }
}

/// All forms of all tensors.
pub(crate) struct Map<'a> {
    pub search: &'a Search<'a>,
    /// What each kernel's steps cost.
    costs: Vec<Box<dyn StepCosts + 'a>>,
    /// For the image and the output of each layer.
    places: Vec<Vec<Place>>,
    /// For each tensor those that are still read once it is there, itself among them.
    live: Vec<Vec<usize>>,
    /// What each layer costs at least, from each form of its main input to each of its output.
    least: Vec<Vec<Vec<Cost>>>,
}

/// A tensor in a form, and what is known about going on from it.
struct Place {
    form: Form,
    maker: Maker,
    /// What acts on it element by element.
    pointwise: Cost,
    /// What all that follows costs at least.
    rest: Cost,
}

/// Who brings a tensor into a form.
#[derive(Clone, Copy)]
enum Maker {
    /// The client writes it, at this cost.
    Client(Cost),
    /// The layer kernel of this number.
    Kernel(usize),
}

impl Place {
    fn new(form: Form, maker: Maker, pointwise: Cost) -> Self {
        Self { form, maker, pointwise, rest: Cost::default() }
    }

    fn layout(&self) -> Option<&Layout> {
        self.form.slots().map(|arrangement| &arrangement.layout)
    }
}

/// A way to a tensor in a layout: what it costs, and the choices on it.
struct Path {
    cost: Cost,
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
    fn further(&self, cost: Cost, choice: LayerChoice, live: Vec<(usize, usize)>) -> Self {
        let choices = [&self.choices[..], &[choice]].concat();
        Self { cost: self.cost + cost, image: self.image.clone(), choices, at: self.at + 1, live }
    }
}

/// What may be looked at next.
enum Task {
    /// A path, all of it known.
    Arrive(Path),
    /// A step from a path to a form of the next tensor.
    Bound(Rc<Path>, usize),
    /// The same, looked at more closely.
    Tally(Rc<Path>, usize),
    /// A path to the scores.
    Finish(Path),
}

/// Tasks by what a whole path costs at least; of equals, the one that was found first.
#[derive(Default)]
struct Queue {
    order: BinaryHeap<Reverse<(Cost, usize)>>,
    tasks: Vec<Option<Task>>,
}

impl Queue {
    fn push(&mut self, least: Cost, task: Task) {
        if least < Cost::NEVER {
            self.order.push(Reverse((least, self.tasks.len())));
            self.tasks.push(Some(task));
        }
    }

    fn pop(&mut self) -> Option<(Cost, Task)> {
        let Reverse((least, index)) = self.order.pop()?;
        Some((least, self.tasks[index].take()?))
    }
}

/// The last tensors that paths arrived at, with all others that live then.
type Arrived = HashSet<(usize, Vec<(usize, usize)>)>;

impl<'a> Map<'a> {
    pub fn new(search: &'a Search<'a>) -> Self {
        let (network, layers) = (&search.network, search.network.graph.layers.len());
        let mut map = Self {
            search,
            costs: KERNELS.iter().map(|kernel| kernel.costs(network, &search.costs)).collect(),
            places: vec![],
            live: (0..=layers).map(|tensor| network.graph.live(tensor)).collect(),
            least: vec![],
        };
        map.places.push(map.images());
        for index in 0..layers {
            let outputs = map.outputs(index);
            map.places.push(outputs);
        }
        for index in (0..layers).rev() {
            map.look_ahead(index);
        }
        map.least.reverse();
        map
    }

    fn graph(&self) -> &'a LayerGraph {
        self.search.network.graph
    }

    fn offers(&self, packing: Packing) -> bool {
        let asked = self.search.options.packing;
        asked == Packing::Auto || asked == packing
    }

    /// What the client may write. A network of one layer has no other plans than those of the image itself.
    fn images(&self) -> Vec<Place> {
        let (graph, mut places) = (self.graph(), vec![]);
        let named_image = self.search.options.packing == Packing::Image;
        if self.offers(Packing::Image) || graph.layers.len() == 1 {
            let layouts = candidates::images(graph, self.search.network.parameters.slots());
            places.extend(layouts.into_iter().map(|layout| {
                let resources = Resources { input_ciphertexts: layout.ciphertexts, ..Resources::default() };
                let maker = Maker::Client(self.search.costs.cost(&resources));
                Place::new(Form::Slots(Arrangement::new(layout)), maker, Cost::default())
            }));
        }
        if graph.begins_with_im2col() && !named_image {
            // The layer that reads it knows how much is sent.
            places.push(Place::new(Form::Im2col, Maker::Client(Cost::default()), Cost::default()));
        }
        places
    }

    /// The forms of a layer's output that kernels can bring it into.
    fn outputs(&self, index: usize) -> Vec<Place> {
        let network = &self.search.network;
        let alike: Vec<Layout> = self.graph().layers[index]
            .alike(index + 1)
            .flat_map(|tensor| self.places[tensor].iter().filter_map(|place| place.layout().cloned()))
            .collect();
        let mut places = vec![];
        for (kernel, maker) in KERNELS.iter().zip((0..).map(Maker::Kernel)) {
            let forms = kernel.candidates(network, index, &alike).into_iter();
            let place = |form: Form| {
                let pointwise = self.pointwise(index, &form);
                Place::new(form, maker, pointwise)
            };
            places.extend(forms.map(place));
        }
        places
    }

    /// The packing of plans whose first layer reads what the client wrote in this form and leaves its output
    /// in that one.
    fn packing(from: &Form, to: &Form) -> Packing {
        match (from, to.slots()) {
            (Form::Im2col, Some(output)) => Packing::Im2col(output.partial.blocks.parts),
            _ => Packing::Image,
        }
    }

    /// What acts element by element on a layer's output; more than anything where it cannot act there.
    fn pointwise(&self, index: usize, form: &Form) -> Cost {
        let layer = &self.graph().layers[index];
        let Some(arrangement) = form.slots() else { return Cost::default() };
        pointwise_counts(layer, self.search.network.parameters, &arrangement.partial)
            .map_or(Cost::NEVER, |counts| self.search.costs.cost(&Resources::of(counts)))
    }

    /// What it costs at least to go on from each form of a layer's main input, when that is known of its
    /// output; inside a rayon pool threads look at different forms. Tensors that lie between, for other
    /// branches, go on by the best of these.
    fn look_ahead(&mut self, index: usize) {
        let main = self.graph().layers[index].main().operand.tensor;
        let least = parallel::map(self.places[main].iter(), |place| {
            let to = self.places[index + 1].iter();
            to.map(|to| self.lower_bound(index, place, to)).collect::<Vec<_>>()
        });
        let onward = least.iter().map(|steps| {
            let ways =
                steps.iter().zip(&self.places[index + 1]).map(|(step, to)| *step + to.pointwise + to.rest);
            ways.min().unwrap_or(Cost::NEVER)
        });
        let onward: Vec<Cost> = onward.collect();
        if main == index {
            self.places[index].iter_mut().zip(onward).for_each(|(place, rest)| place.rest = rest);
        } else {
            let rest = onward.into_iter().min().unwrap_or(Cost::NEVER);
            self.places[index].iter_mut().for_each(|place| place.rest = rest);
        }
        self.least.push(least);
    }

    /// What a layer costs at least between two forms; what the client writes no step leads to.
    fn lower_bound(&self, index: usize, from: &Place, to: &Place) -> Cost {
        match to.maker {
            Maker::Client(_) => Cost::NEVER,
            Maker::Kernel(kernel) => self.costs[kernel].lower_bound(index, &from.form, &to.form),
        }
    }

    /// The best choice of other packings than these, and its cost: the cheapest path from the client to the
    /// scores. `None` where any costs so much that it is not worth it.
    ///
    /// # Errors
    /// Where no form of some tensor fits.
    pub fn cheapest(
        &self,
        without: &[Packing],
        is_wanted: impl Fn(Cost) -> bool,
    ) -> Result<Option<(Cost, Choice)>, Error> {
        let mut queue = self.written();
        let mut arrived = Arrived::new();
        while let Some((least, task)) = queue.pop() {
            match task {
                _ if !is_wanted(least) => return Ok(None),
                Task::Finish(path) => {
                    let choice = Choice { image: path.image, layers: path.choices };
                    return Ok(Some((path.cost, choice)));
                }
                Task::Arrive(path) => {
                    if arrived.insert((path.at, path.live.clone())) {
                        self.leave(path, without, &mut queue);
                    }
                }
                Task::Bound(path, to) if !self.is_known(&arrived, &path, to) => {
                    self.bound(path, to, &mut queue);
                }
                Task::Tally(path, to) if !self.is_known(&arrived, &path, to) => {
                    self.cost(&path, to, &mut queue);
                }
                Task::Bound(..) | Task::Tally(..) => {}
            }
        }
        // Of a tensor that no path leads to, the layer before it is to blame.
        let last = self.graph().layers.len() - 1;
        let reached = (0..=last).filter(|at| arrived.iter().any(|(tensor, _)| tensor == at));
        Err(self.nothing_fits(reached.max().unwrap_or(0)))
    }

    /// Whether a path has arrived where this step leads to.
    fn is_known(&self, arrived: &Arrived, path: &Path, to: usize) -> bool {
        arrived.contains(&(path.at + 1, path.next_live(&self.live[path.at + 1], to)))
    }

    /// All that begins with what the client writes.
    fn written(&self) -> Queue {
        let mut queue = Queue::default();
        for (index, place) in self.places[0].iter().enumerate() {
            let Maker::Client(cost) = place.maker else { continue };
            let (image, choices) = (place.layout().cloned(), vec![]);
            let path = Path { cost, image, choices, at: 0, live: vec![(0, index)] };
            queue.push(cost + place.rest, Task::Arrive(path));
        }
        queue
    }

    /// All steps on from the end of a path, but for these packings.
    fn leave(&self, path: Path, without: &[Packing], queue: &mut Queue) {
        let main = self.graph().layers[path.at].main().operand.tensor;
        let (index, from) = (path.at, path.place(main));
        let path = Rc::new(path);
        for (to, least) in self.least[index][from].iter().enumerate() {
            let place = &self.places[index + 1][to];
            let packing = || Self::packing(&self.places[main][from].form, &place.form);
            let is_offered = || index > 0 || (self.offers(packing()) && !without.contains(&packing()));
            if is_offered() && self.is_alike(&path, place) {
                let least = path.cost + *least + place.pointwise + place.rest;
                queue.push(least, Task::Bound(path.clone(), to));
            }
        }
    }

    /// Whether a layout of the next tensor is that of all tensors that products combine with it.
    fn is_alike(&self, path: &Path, to: &Place) -> bool {
        let mut others = self.graph().layers[path.at].alike(path.at + 1);
        others.all(|tensor| self.places[tensor][path.place(tensor)].layout() == to.layout())
    }

    /// The step of a path to this form of the next tensor, with the costs of who makes it.
    fn next<'s>(&'s self, path: &Path, to: usize) -> Option<(Step<'s>, &'s dyn StepCosts)> {
        let tensors = self.graph().layers[path.at].terms.iter().map(|term| term.operand.tensor);
        let from = tensors.map(|tensor| &self.places[tensor][path.place(tensor)].form).collect();
        let place = &self.places[path.at + 1][to];
        let Maker::Kernel(kernel) = place.maker else { return None };
        Some((Step { index: path.at, from, to: &place.form }, &*self.costs[kernel]))
    }

    fn bound(&self, path: Rc<Path>, to: usize, queue: &mut Queue) {
        let Some((step, costs)) = self.next(&path, to) else { return };
        let place = &self.places[path.at + 1][to];
        let least = path.cost + costs.closer_bound(&step) + place.pointwise + place.rest;
        queue.push(least, Task::Tally(path, to));
    }

    fn cost(&self, path: &Path, to: usize, queue: &mut Queue) {
        let found = self.next(path, to).and_then(|(step, costs)| costs.cost(&step));
        let Some((cost, choice)) = found else { return };
        let place = &self.places[path.at + 1][to];
        let live = path.next_live(&self.live[path.at + 1], to);
        let path = path.further(cost + place.pointwise, choice, live);
        match path.at == self.graph().layers.len() {
            true => queue.push(path.cost, Task::Finish(path)),
            false => queue.push(path.cost + place.rest, Task::Arrive(path)),
        }
    }

    fn nothing_fits(&self, index: usize) -> Error {
        let layer = &self.graph().layers[index];
        let is_zero = |linear: &Linear| {
            let mut zero = true;
            (0..linear.rows()).for_each(|row| linear.for_each_weight(row, |_, w| zero &= w == 0.0));
            zero
        };
        if layer.terms.iter().all(|term| is_zero(&term.linear)) {
            return Error::Constant { layer: layer.name.clone() };
        }
        let (packing, slots) = (self.search.options.packing, self.search.network.parameters.slots());
        Error::does_not_fit(
            format!("output of {}", layer.name),
            format!("{} ({} elements)", layer.output, layer.output.elements()),
            format!("a tensor that the {packing} representation can lay out in ciphertexts of {slots} slots"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{check_search, figures, options};
    use proptest::prelude::*;

    /// At most, but for the rounding of times that are added up in another order.
    fn at_most(bound: Cost, cost: Cost) -> bool {
        bound.0[0] <= cost.0[0] * (1.0 + 1e-9)
    }

    /// Checks every step from one tensor to the next, at most so many.
    fn check_bounds(map: &Map<'_>, index: usize, most: usize) -> Result<usize, TestCaseError> {
        let (from, to) = (&map.places[index], &map.places[index + 1]);
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (from, to)));
        let mut checked = 0;
        for (from, to) in pairs.take(most) {
            let Maker::Kernel(kernel) = to.maker else { continue };
            let costs = &map.costs[kernel];
            let least = map.lower_bound(index, from, to);
            let step = Step { index, from: vec![&from.form], to: &to.form };
            let closer = costs.closer_bound(&step);
            prop_assert!(at_most(least, closer), "{least:?}, closer {closer:?}");
            let Some((cost, choice)) = costs.cost(&step).filter(|_| closer < Cost::NEVER) else { continue };
            prop_assert!(at_most(closer, cost), "{closer:?} for {cost:?} of {choice:?}");
            checked += 1;
        }
        Ok(checked)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Were a bound too high, the first path to arrive might not be the best.
        #[test]
        fn no_step_costs_less_than_its_bounds(f in figures(), log_degree in 9u32..=10, options in options()) {
            check_search(&f, log_degree, &Options { packing: Packing::Auto, ..options }, |search| {
                let map = Map::new(search);
                let layers = 0..search.network.graph.layers.len();
                let checked = layers.map(|index| check_bounds(&map, index, 200)).sum::<Result<usize, _>>()?;
                prop_assert!(checked > 0);
                Ok(())
            })?;
        }
    }
}

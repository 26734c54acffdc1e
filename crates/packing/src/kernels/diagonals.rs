use super::{FoldChoice, add_bias, folded};
use crate::Layout;
use crate::layer_graph::Layer;
use crate::linear::Linear;
use crate::placement::Placement;
use crate::slot_set::SlotSet;
use blindsight_circuit::{Babies, Builder, Factors, Giant, Hoisting, Numbers, Term, TransformShape, Value};
use blindsight_ckks::{GiantOrder, Scale, most_repeats};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Any linear layer by hybrid diagonals: from layouts with copies to a layout of partial sums. All its terms share baby and giant steps.
pub(crate) struct DiagonalKernel {
    parts: Vec<Part>,
    bias: Arc<[f64]>,
    split: Split,
    /// How a row's partial sums are folded.
    fold: FoldChoice,
    spacing: usize,
    sums: Arc<Placement>,
    /// The scale of the result.
    scale: Scale,
}

/// One term of a layer, its diagonals decided.
#[derive(Clone)]
pub(crate) struct Part {
    linear: Arc<Linear>,
    meetings: Arc<Meetings>,
    /// The layer's bias, where this term's input brings the one.
    bias: Option<Arc<[f64]>>,
}

/// Which of these inputs brings the one that makes biases weights: the first that carries one.
pub(crate) fn bearer<'a>(inputs: impl IntoIterator<Item = &'a Placement>) -> Option<usize> {
    inputs.into_iter().position(Placement::carries_one)
}

/// Which diagonal is taken where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Preference {
    /// The first from the origin on.
    First,
    /// One that is used already; else the first that the first copy offers.
    Used,
}

/// How diagonals are split into baby and giant steps.
///
/// Every rotation needs a key, and babies are many. Where keys are dear, babies are made in two steps: the input is rotated by `stride` again and
/// again, with one key, and babies are rotations of these *copies* by less than the stride, all with the same few keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Split {
    /// Where diagonals are counted from: so many before 0.
    pub origin: usize,
    /// How many neighbouring diagonals share a giant step.
    pub span: usize,
    /// How many neighbouring diagonals of a giant step share a copy: all of them where it is the span.
    pub stride: usize,
    /// How giant steps are made: as a chain they take fewer keys.
    pub order: GiantOrder,
    /// How much of the babies' key-switches is shared.
    pub hoisting: Hoisting,
}

/// The rotations that make a diagonal, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    pub copy: usize,
    pub baby: usize,
    pub giant: usize,
}

impl Split {
    /// The steps to a diagonal.
    pub(crate) fn of(&self, diagonal: usize, slots: usize) -> Steps {
        let rank = (diagonal + self.origin) % slots;
        let within = rank % self.span;
        let baby = (within % self.stride + slots - self.origin) % slots;
        Steps { copy: within / self.stride * self.stride, baby, giant: rank - within }
    }
}

/// Which block of a row meets which copy of an element, and on which diagonal.
///
/// Slot `s` of the output meets slot `s + d` of the input on diagonal `d`. So block `h` of row `r` meets copy `c` of element `e` on diagonal
/// `d = base(e) - base(r) + shift(c) - shift(h)`: what is free depends on the *difference* `base(e) - base(r)` alone. The product of row and element must
/// be added in exactly one class of blocks, but in each block of that class.
pub(crate) struct Meetings {
    from: Arc<Placement>,
    to: Arc<Placement>,
    /// For each ciphertext of output and input, and for each difference: the blocks that meet, and on which diagonal.
    pairs: Vec<Vec<Pair>>,
    diagonals: Diagonals,
}

/// For each ciphertext of output and input its diagonals, in order: all that counts of a layer depend on.
#[derive(Clone)]
pub(crate) struct Diagonals {
    slots: usize,
    pairs: Vec<Vec<Vec<usize>>>,
    /// How often the weights of all of these repeat.
    repeats: Vec<Vec<usize>>,
}

struct Pair {
    /// For each difference where its choice begins and ends.
    ranges: Vec<(u32, u32)>,
    /// Blocks and diagonals.
    chosen: Vec<(u32, u32)>,
    /// The diagonals.
    used: SlotSet,
    /// How often the weights of each diagonal repeat.
    repeats: usize,
}

/// When each step was last seen: cheaper than sets, for a planner that counts many.
pub(crate) struct Stamps {
    giants: Vec<u32>,
    within: Vec<u32>,
    last: u32,
}

impl Stamps {
    pub fn new(slots: usize) -> Self {
        Self { giants: vec![0; slots], within: vec![0; slots], last: 0 }
    }

    fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }
}

/// Whether `stamps` sees a place for the first time since `now`.
fn first(stamps: &mut [u32], place: usize, now: u32) -> bool {
    std::mem::replace(&mut stamps[place], now) != now
}

/// All diagonals of a layer, split into giant steps; how each of these is made is open.
#[derive(Clone)]
pub(crate) struct GiantSteps {
    slots: usize,
    origin: usize,
    pub span: usize,
    order: GiantOrder,
    rows: Vec<GiantRow>,
    /// Keys of giant steps.
    keys: usize,
}

/// Those of one ciphertext of the output.
#[derive(Clone)]
struct GiantRow {
    giants: usize,
    turned: usize,
    factors: Factors,
    /// For each input its diagonals, counted from their giant steps, in order.
    within: Vec<Vec<usize>>,
}

/// What a split costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shapes {
    pub split: Split,
    /// For each ciphertext of the output.
    pub transforms: Vec<TransformShape>,
    /// How many rotations make the copies.
    pub copies: usize,
    /// How many keys are needed.
    pub keys: usize,
}

impl GiantSteps {
    /// How many slots a ciphertext has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Whether every ciphertext of the output has a product.
    pub fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.factors.count > 0)
    }

    /// How many giant steps rotate.
    pub fn turned(&self) -> usize {
        self.rows.iter().map(|row| row.turned).sum()
    }

    /// How many babies there are.
    pub fn babies(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.within).map(Vec::len).sum()
    }

    /// The same, giant steps made in this order.
    pub fn ordered(&self, order: GiantOrder) -> Self {
        Self { order, ..self.clone() }
    }

    /// What it costs with copies so many diagonals apart.
    pub fn shapes(&self, stride: usize, stamps: &mut Stamps) -> Shapes {
        let (order, hoisting) = (self.order, Hoisting::default());
        let split = Split { origin: self.origin, span: self.span, stride, order, hoisting };
        let keys = stamps.next();
        let transform = |row: &GiantRow| TransformShape {
            babies: vec![],
            giants: row.giants,
            turned: row.turned,
            factors: row.factors,
            order,
            hoisting,
        };
        let transforms = self.rows.iter().map(transform).collect();
        let mut shapes = Shapes { split, transforms, copies: 0, keys: self.keys };
        for input in 0..self.rows[0].within.len() {
            let copies = stamps.next();
            for (row, transform) in self.rows.iter().zip(&mut shapes.transforms) {
                // Diagonals ascend, so those of a copy follow one another.
                for of_copy in row.within[input].chunk_by(|a, b| a / stride == b / stride) {
                    let rest = of_copy.iter().map(|within| within % stride);
                    let unrotated = rest.clone().any(|rest| rest == self.origin);
                    let new =
                        rest.filter(|r| *r != self.origin && first(&mut stamps.within, *r, keys)).count();
                    let copy = of_copy[0] / stride;
                    shapes.keys += new;
                    shapes.copies += usize::from(copy != 0 && first(&mut stamps.giants, copy, copies));
                    transform
                        .babies
                        .push(Babies { rotated: of_copy.len() - usize::from(unrotated), unrotated });
                }
            }
        }
        shapes.keys += usize::from(shapes.copies > 0);
        shapes
    }
}

impl Shapes {
    /// The same, hoisted so.
    pub fn hoisted(mut self, hoisting: Hoisting) -> Self {
        self.split.hoisting = hoisting;
        self.transforms.iter_mut().for_each(|shape| shape.hoisting = hoisting);
        self
    }
}

impl Meetings {
    /// Decides all meetings of a layer with these differences.
    pub fn new(
        differences: &Differences,
        from: Arc<Placement>,
        to: Arc<Placement>,
        origin: usize,
        preference: Preference,
    ) -> Self {
        let choose = |present: &SlotSet| Pair::new(present, &from, &to, origin, preference);
        let pairs: Vec<Vec<Pair>> =
            differences.0.iter().map(|row| row.iter().map(choose).collect()).collect();
        let diagonals = |row: &Vec<Pair>| row.iter().map(|pair| pair.used.iter().collect()).collect();
        let repeats = pairs.iter().map(|row| row.iter().map(|pair| pair.repeats).collect()).collect();
        let diagonals = Diagonals { slots: to.slots, pairs: pairs.iter().map(diagonals).collect(), repeats };
        Self { from, to, pairs, diagonals }
    }

    /// The diagonals between a ciphertext of the output and one of the input.
    fn diagonals(&self, to: usize, from: usize) -> &[usize] {
        &self.diagonals.pairs[to][from]
    }

    /// The diagonals alone.
    pub fn into_diagonals(self) -> Diagonals {
        self.diagonals
    }

    /// The row and column whose weight belongs to `slot` on `diagonal`; those of the ones follow the others.
    fn visit(&self, to: usize, from: usize, slot: usize, diagonal: usize) -> Option<(usize, usize)> {
        let slots = self.to.slots;
        let (block, row) = self.to.at(to * slots + slot)?;
        let (_, column) = self.from.at(from * slots + ((slot + diagonal) & (slots - 1)))?;
        let difference = self.from.base[column].wrapping_sub(self.to.base[row]) & (slots - 1);
        let chosen = self.pairs[to][from].chosen(difference);
        chosen.contains(&(block as u32, diagonal as u32)).then_some((row, column))
    }
}

impl Diagonals {
    /// Those of several inputs, one after another.
    pub fn joined(parts: Vec<Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut joined = parts.next().expect("a layer has a term");
        for part in parts {
            joined.pairs.iter_mut().zip(part.pairs).for_each(|(row, more)| row.extend(more));
            joined.repeats.iter_mut().zip(part.repeats).for_each(|(row, more)| row.extend(more));
        }
        joined
    }

    /// How many slots a ciphertext has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The rotations that a split makes, each once: for each a key is needed.
    pub fn rotations(&self, split: &Split) -> Vec<usize> {
        let mut rotations = vec![];
        let steps = |diagonals: &[usize]| -> Vec<Steps> {
            diagonals.iter().map(|diagonal| split.of(*diagonal, self.slots)).collect()
        };
        let sorted = |mut all: Vec<usize>| {
            all.sort_unstable();
            all.dedup();
            all
        };
        let rows = self.pairs.iter().map(|row| row.iter().map(|pair| steps(pair)).collect());
        let rows: Vec<Vec<Vec<Steps>>> = rows.collect();
        for row in &rows {
            rotations.extend(row.iter().flatten().map(|steps| steps.baby));
            let giants = sorted(row.iter().flatten().map(|steps| steps.giant).collect());
            rotations.extend(split.order.rotations(&giants));
        }
        for input in 0..rows[0].len() {
            let copies = rows.iter().flat_map(|row| &row[input]).map(|steps| steps.copy);
            let copies = sorted(copies.collect());
            rotations.extend(GiantOrder::Chained.rotations(&copies));
        }
        rotations.retain(|rotation| *rotation != 0);
        sorted(rotations)
    }

    /// The factors of the products for each ciphertext of output and input.
    pub fn factors(&self) -> Vec<Vec<Factors>> {
        let rows = self.pairs.iter().zip(&self.repeats);
        rows.map(|(row, repeats)| Self::row_factors(row, repeats).collect()).collect()
    }

    fn row_factors(row: &[Vec<usize>], repeats: &[usize]) -> impl Iterator<Item = Factors> {
        row.iter().zip(repeats).map(|(diagonals, repeats)| Factors::repeating(diagonals.len(), *repeats))
    }

    /// How many products there are.
    pub fn products(&self) -> usize {
        self.pairs.iter().flatten().map(Vec::len).sum()
    }

    /// How many products there are, and then how much of their factors.
    pub fn size(&self) -> (u64, u64) {
        let factors: Factors = self.factors().into_iter().flatten().sum();
        (factors.count, factors.parts)
    }

    /// One after the last diagonal, counted from the origin.
    pub fn range(&self, origin: usize) -> usize {
        let diagonals = self.pairs.iter().flatten().flatten();
        diagonals.map(|d| (d + origin) % self.slots + 1).max().unwrap_or(0)
    }

    /// All diagonals in giant steps of this span; they are chained where that takes fewer keys.
    pub fn giant_steps(&self, origin: usize, span: usize, stamps: &mut Stamps) -> GiantSteps {
        let (mut rows, mut giants) = (vec![], vec![]);
        for (row, repeats) in self.pairs.iter().zip(&self.repeats) {
            let factors = Self::row_factors(row, repeats).sum();
            let (row, of_row) = Self::giant_row(row, factors, [origin, span], stamps);
            rows.push(row);
            giants.push(of_row);
        }
        let mut keys = |order: GiantOrder| {
            let now = stamps.next();
            let rotations = giants.iter().flat_map(|giants| order.rotations(giants));
            rotations.filter(|rotation| first(&mut stamps.giants, *rotation, now)).count()
        };
        let [apart, chained] = [GiantOrder::Apart, GiantOrder::Chained].map(|order| (keys(order), order));
        let (keys, order) = if chained.0 < apart.0 { chained } else { apart };
        GiantSteps { slots: self.slots, origin, span, order, rows, keys }
    }

    /// Those of a ciphertext of the output, and the rotations of its giant steps.
    fn giant_row(
        row: &[Vec<usize>],
        factors: Factors,
        [origin, span]: [usize; 2],
        stamps: &mut Stamps,
    ) -> (GiantRow, Vec<usize>) {
        let slots = stamps.giants.len();
        let (now, mut giants) = (stamps.next(), vec![]);
        let mut found = GiantRow { giants: 0, turned: 0, factors, within: vec![] };
        for diagonals in row {
            let (seen, mut within) = (stamps.next(), vec![]);
            for diagonal in diagonals {
                let rank = (diagonal + origin) & (slots - 1);
                let rest = rank % span;
                if first(&mut stamps.giants, rank - rest, now) {
                    giants.push(rank - rest);
                }
                if first(&mut stamps.within, rest, seen) {
                    within.push(rest);
                }
            }
            within.sort_unstable();
            found.within.push(within);
        }
        giants.sort_unstable();
        found.giants = giants.len();
        found.turned = giants.iter().filter(|giant| **giant != 0).count();
        (found, giants)
    }
}

/// For each ciphertext of output and input, which differences of base positions have weights. A weight that is zero has none.
pub(crate) struct Differences(Vec<Vec<SlotSet>>);

impl Differences {
    /// Those of a term between two placements, whose blocks do not matter; with those of the bias where its input brings the one.
    pub fn new(linear: &Linear, bias: Option<&[f64]>, from: &Placement, to: &Placement) -> Self {
        let mut present = vec![vec![SlotSet::new(to.slots); from.ciphertexts]; to.ciphertexts];
        for support in linear.supports() {
            let mut columns = vec![SlotSet::new(to.slots); from.ciphertexts];
            for column in &support.columns {
                let (ciphertext, slot) = from.place(*column);
                columns[ciphertext].insert(slot);
            }
            for row in &support.rows {
                let (ciphertext, base) = to.place(*row);
                present[ciphertext].iter_mut().zip(&columns).for_each(|(p, c)| p.extend_shifted(c, base));
            }
        }
        if let Some(bias) = bias {
            let (one, slot) = from.place(from.elements);
            for row in (0..to.base.len()).filter(|row| *row == to.elements || bias[*row] != 0.0) {
                let (ciphertext, base) = to.place(row);
                present[ciphertext][one].insert((slot + to.slots - base) % to.slots);
            }
        }
        Self(present)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.iter().flatten().map(SlotSet::len).sum()
    }

    /// The fewest and smallest factors between placements, for each ciphertext of output and input: each of a diagonal's
    /// places may serve another difference.
    pub fn least_factors(&self, from: &Placement, to: &Placement) -> Vec<Vec<Factors>> {
        let (copies, repeats) = (from.shifts.len(), repeats(from, to));
        let least = |set: &SlotSet| Factors::repeating(set.len().div_ceil(copies * to.classes), repeats);
        self.0.iter().map(|row| row.iter().map(least).collect()).collect()
    }

    /// How many slots before its own the first element lies that a row sees, of all terms of a layer: where diagonals are best counted from. They
    /// are cyclic, so they begin after their widest gap.
    pub fn origin<'a>(terms: impl IntoIterator<Item = &'a Self> + Clone) -> usize {
        let sets = || terms.clone().into_iter().flat_map(|differences| differences.0.iter().flatten());
        let slots = sets().next().map_or(1, SlotSet::slots);
        let mut any = SlotSet::new(slots);
        sets().for_each(|set| any.extend_shifted(set, 0));
        let present: Vec<usize> = any.iter().collect();
        let gap = |i: usize| {
            let (before, at) = (present[(i + present.len() - 1) % present.len()], present[i]);
            ((at + slots - before - 1) % slots, at)
        };
        let (_, first) = (0..present.len()).map(gap).max().unwrap_or((0, 0));
        (slots - first) % slots
    }
}

/// How often weights can repeat between placements, as far as that makes factors smaller.
fn repeats(from: &Placement, to: &Placement) -> usize {
    (to.slots / from.period.max(to.period)).min(most_repeats(to.slots))
}

impl Pair {
    fn new(
        present: &SlotSet,
        from: &Placement,
        to: &Placement,
        origin: usize,
        preference: Preference,
    ) -> Self {
        let slots = to.slots;
        let (ranges, used) = (vec![(0, 0); slots], SlotSet::new(slots));
        let mut pair = Self { ranges, chosen: vec![], used, repeats: 1 };
        for rank in 0..slots {
            // Later copies lie further on, so they offer an early difference the diagonals of later ones: those are chosen first.
            let rank = if preference == Preference::Used { slots - 1 - rank } else { rank };
            let difference = (rank + slots - origin) % slots;
            if present.contains(difference) {
                let chosen = pair.choose(difference, from, to, origin, preference);
                chosen.iter().for_each(|(_, diagonal)| pair.used.insert(*diagonal as usize));
                let start = pair.chosen.len() as u32;
                pair.chosen.extend(chosen);
                pair.ranges[difference] = (start, pair.chosen.len() as u32);
            }
        }
        pair.repeats = pair.repeats(from, to);
        debug_assert!(preference == Preference::Used || pair.repeats == repeats(from, to));
        pair
    }

    /// How often weights repeat: after each part of the slots the same elements meet in both placements, and the blocks
    /// there must meet on the same diagonals.
    ///
    /// A block so far on is offered the same diagonals, as the copies are the same. So the first of them is the same, but of
    /// those that are used another one may be found.
    fn repeats(&self, from: &Placement, to: &Placement) -> usize {
        let blocks = to.shifts.len() / to.classes;
        let repeat = |parts: usize| {
            let of_part = blocks / parts;
            let same =
                |chosen: &[(u32, u32)]| (of_part..chosen.len()).all(|i| chosen[i].1 == chosen[i - of_part].1);
            self.ranges.iter().all(|(start, end)| same(&self.chosen[*start as usize..*end as usize]))
        };
        let halves = std::iter::successors(Some(repeats(from, to)), |parts| Some(parts / 2));
        halves.take_while(|parts| *parts > 1).find(|parts| repeat(*parts)).unwrap_or(1)
    }

    /// The blocks that meet at a difference, and on which diagonal.
    fn chosen(&self, difference: usize) -> &[(u32, u32)] {
        let (start, end) = self.ranges[difference];
        &self.chosen[start as usize..end as usize]
    }

    fn choose(
        &self,
        difference: usize,
        from: &Placement,
        to: &Placement,
        origin: usize,
        preference: Preference,
    ) -> Vec<(u32, u32)> {
        let slots = to.slots;
        let rank = |diagonal: usize| (diagonal + origin) & (slots - 1);
        let diagonal =
            |block: usize, copy: &usize| (difference + copy + slots - to.shifts[block]) & (slots - 1);
        let blocks = |class: usize| (class..to.shifts.len()).step_by(to.classes);
        if preference == Preference::Used {
            let used = |block: usize| {
                let diagonals = from.shifts.iter().map(|c| diagonal(block, c));
                diagonals.into_iter().find(|d| self.used.contains(*d)).map(|d| (block as u32, d as u32))
            };
            let all = |class: usize| blocks(class).map(used).collect::<Option<Vec<_>>>();
            if let Some(chosen) = (0..to.classes).find_map(all) {
                return chosen;
            }
        }
        let copies = if preference == Preference::Used { &from.shifts[..1] } else { &from.shifts[..] };
        if to.classes == to.shifts.len() && to.shifts.len() > 1 && to.shifts[1] * to.classes == slots {
            // Each class has one block, and they are evenly spaced: the first diagonal is found at once.
            let spacing = to.shifts[1];
            let ranks = copies.iter().map(|c| rank(difference + c));
            let best = ranks.min_by_key(|r| r % spacing).expect("there is a copy");
            let diagonal = (best % spacing + slots - origin) & (slots - 1);
            return vec![((best / spacing) as u32, diagonal as u32)];
        }
        let first = |block: usize| {
            let best = match preference {
                Preference::Used => diagonal(block, &from.shifts[0]),
                Preference::First => {
                    let least = from.least_shifted(difference + slots - to.shifts[block] + origin);
                    (least + slots - origin) & (slots - 1)
                }
            };
            (block as u32, best as u32)
        };
        let last = |class: &usize| blocks(*class).map(|h| rank(first(h).1 as usize)).max();
        let class = (0..to.classes).min_by_key(last).expect("there is a class");
        blocks(class).map(first).collect()
    }
}

/// The value of each input and copy.
type Copies = BTreeMap<(usize, usize), Value>;

/// The terms of a layer, each with its diagonals between these layouts.
pub(crate) fn parts(
    layer: &Layer,
    from: &[&Layout],
    to: &Layout,
    origin: usize,
    preference: Preference,
) -> Vec<Part> {
    let to = Arc::new(Placement::new(to));
    let from: Vec<Arc<Placement>> = from.iter().map(|layout| Arc::new(Placement::new(layout))).collect();
    let bearer = bearer(from.iter().map(|from| &**from));
    let part = |(index, (term, from)): (usize, (&crate::layer_graph::Term, Arc<Placement>))| {
        let bias = (bearer == Some(index)).then(|| layer.bias.clone());
        Part::new(term.linear.clone(), bias, [from, to.clone()], origin, preference)
    };
    layer.terms.iter().zip(from).enumerate().map(part).collect()
}

impl Part {
    fn new(
        linear: Arc<Linear>,
        bias: Option<Arc<[f64]>>,
        [from, to]: [Arc<Placement>; 2],
        origin: usize,
        preference: Preference,
    ) -> Self {
        let differences = Differences::new(&linear, bias.as_deref(), &from, &to);
        let meetings = Arc::new(Meetings::new(&differences, from, to, origin, preference));
        Self { linear, meetings, bias }
    }

    /// Its diagonals.
    pub fn diagonals(&self) -> Diagonals {
        self.meetings.diagonals.clone()
    }

    /// The weights of a diagonal, rotated back by the giant step that will come.
    fn weights(&self, slots: usize, [to, from]: [usize; 2], diagonal: usize, giant: usize) -> Numbers {
        let Self { linear, meetings, bias } = self.clone();
        let repeats = meetings.diagonals.repeats[to][from];
        let weight = move |slot: usize| {
            let visit = meetings.visit(to, from, (slot + slots - giant) & (slots - 1), diagonal);
            visit.map_or(0.0, |(row, column)| extended_weight(&linear, bias.as_deref(), row, column))
        };
        Numbers::periodic(slots, repeats, weight)
    }
}

impl DiagonalKernel {
    pub fn new(
        parts: Vec<Part>,
        bias: Arc<[f64]>,
        split: Split,
        fold: FoldChoice,
        to: &Layout,
        scale: Scale,
    ) -> Self {
        let sums = Arc::new(Placement::new(&to.sums()));
        Self { parts, bias, split, fold, spacing: to.blocks.spacing, sums, scale }
    }

    /// Whether the layer's bias needs an addition: unless an input carries a one along, or there is none and no one to be made.
    pub fn adds_bias(bias: &[f64], bearer: Option<usize>, to: &Placement) -> bool {
        bearer.is_none() && (to.carries_one() || bias.iter().any(|b| *b != 0.0))
    }

    /// The layer's output in the layout of partial sums, summed: for each ciphertext of the output the diagonals in baby and giant steps, a
    /// fold over the classes of blocks, and the bias. The values are the ciphertexts of all inputs, term by term, at one level. One level.
    /// Where blocks are not cyclic those without whole sums hold anything.
    pub fn build(&self, b: &mut Builder, values: &[Value]) -> Result<Vec<Value>, blindsight_circuit::Error> {
        let copies = self.copies(b, values)?;
        (0..self.sums.ciphertexts).map(|to| self.ciphertext(b, &copies, to)).collect()
    }

    /// All inputs: the term, and the ciphertext of its tensor.
    fn inputs(&self) -> impl Iterator<Item = (&Part, usize)> {
        self.parts.iter().flat_map(|part| (0..part.meetings.from.ciphertexts).map(move |from| (part, from)))
    }

    /// The inputs and their copies, each a rotation of the one before.
    fn copies(&self, b: &mut Builder, values: &[Value]) -> Result<Copies, blindsight_circuit::Error> {
        let (slots, mut copies) = (b.slots(), Copies::new());
        for (input, ((part, from), value)) in self.inputs().zip(values).enumerate() {
            let diagonals = (0..self.sums.ciphertexts).flat_map(|to| part.meetings.diagonals(to, from));
            let used: BTreeSet<usize> = diagonals.map(|d| self.split.of(*d, slots).copy).collect();
            let (mut at, mut last) = (0, *value);
            for copy in used {
                if copy != at {
                    (at, last) = (copy, b.rotate(last, copy - at)?);
                }
                copies.insert((input, copy), last);
            }
        }
        Ok(copies)
    }

    fn ciphertext(
        &self,
        b: &mut Builder,
        copies: &Copies,
        to: usize,
    ) -> Result<Value, blindsight_circuit::Error> {
        let transform = |b: &mut Builder, rescale| {
            let (values, giants) = self.giants(b, copies, to)?;
            b.transform(values, giants, self.split.order, rescale)
        };
        let sum = folded(b, transform, self.spacing, &self.fold)?;
        let bearer = self.parts.iter().position(|part| part.bias.is_some());
        if !Self::adds_bias(&self.bias, bearer, &self.sums) {
            return Ok(sum);
        }
        let (bias, sums) = (self.bias.clone(), self.sums.clone());
        let first = to * sums.slots;
        add_bias(b, sum, move |slot| {
            sums.at(first + slot).map_or(0.0, |(_, e)| bias.get(e).copied().unwrap_or(1.0))
        })
    }

    /// The giant steps to a ciphertext of the output, and the copies that they read.
    fn giants(
        &self,
        b: &mut Builder,
        copies: &Copies,
        to: usize,
    ) -> Result<(Vec<Value>, Vec<Giant>), blindsight_circuit::Error> {
        let mut giants: BTreeMap<usize, Vec<Term>> = BTreeMap::new();
        let mut values = vec![];
        let mut read: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (index, (part, from)) in self.inputs().enumerate() {
            for diagonal in part.meetings.diagonals(to, from) {
                let Steps { copy, baby, giant } = self.split.of(*diagonal, b.slots());
                let value = copies[&(index, copy)];
                let input = *read.entry((index, copy)).or_insert_with(|| {
                    values.push(value);
                    values.len() - 1
                });
                let weights = part.weights(b.slots(), [to, from], *diagonal, giant);
                let (level, scale) = (b.level(value)?, b.scale_towards(value, self.scale)?);
                let plain = b.plain(self.split.hoisting.role(), level, scale, weights)?;
                giants.entry(giant).or_default().push(Term { input, baby, plain });
            }
        }
        Ok((values, giants.into_iter().map(|(rotation, terms)| Giant { rotation, terms }).collect()))
    }
}

/// The weights with the bias, where there is one to be read, as a column more, and a row more that hands the one on.
fn extended_weight(linear: &Linear, bias: Option<&[f64]>, row: usize, column: usize) -> f64 {
    match (row == linear.rows(), column == linear.columns()) {
        (false, false) => linear.weight(row, column),
        (false, true) => bias.map_or(0.0, |bias| bias[row]),
        (true, false) => 0.0,
        (true, true) => f64::from(u8::from(bias.is_some())),
    }
}

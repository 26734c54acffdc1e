use super::{FoldChoice, add_bias, folded};
use crate::Layout;
use crate::linear::Linear;
use crate::placement::Placement;
use circuit::{Babies, Builder, Giant, Numbers, Plain, Role, Term, TransformShape, Value};
use ckks::Scale;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Any linear layer by hybrid diagonals: from a layout with copies to a layout of partial sums.
pub(crate) struct DiagonalKernel {
    linear: Arc<Linear>,
    meetings: Arc<Meetings>,
    split: Split,
    /// How a row's partial sums are folded.
    fold: FoldChoice,
    spacing: usize,
    sums: Arc<Placement>,
    /// The scale of the result.
    scale: Scale,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Split {
    /// Where diagonals are counted from: so many before 0.
    pub origin: usize,
    /// How many neighbouring diagonals share a giant step.
    pub span: usize,
}

impl Split {
    /// The rotation of a diagonal's giant step, and of its baby step.
    pub fn of(&self, diagonal: usize, slots: usize) -> (usize, usize) {
        let rank = (diagonal + self.origin) % slots;
        let baby = (rank % self.span + slots - self.origin) % slots;
        (rank / self.span * self.span, baby)
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
}

struct Pair {
    /// For each difference where its choice begins and ends.
    ranges: Vec<(u32, u32)>,
    /// Blocks and diagonals.
    chosen: Vec<(u32, u32)>,
    /// All diagonals, and for each whether it is one.
    diagonals: Vec<usize>,
    used: Vec<bool>,
}

/// When each step was last seen: cheaper than sets, for a planner that counts many.
pub(crate) struct Stamps {
    giants: Vec<u32>,
    babies: Vec<u32>,
    last: u32,
}

impl Stamps {
    pub fn new(slots: usize) -> Self {
        Self { giants: vec![0; slots], babies: vec![0; slots], last: 0 }
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
        let choose = |present: &Vec<bool>| Pair::new(present, &from, &to, origin, preference);
        let pairs = differences.0.iter().map(|row| row.iter().map(choose).collect()).collect();
        Self { from, to, pairs }
    }

    /// The diagonals between a ciphertext of the output and one of the input.
    fn diagonals(&self, to: usize, from: usize) -> &[usize] {
        &self.pairs[to][from].diagonals
    }

    /// How many products there are.
    pub fn terms(&self) -> usize {
        self.pairs.iter().flatten().map(|pair| pair.diagonals.len()).sum()
    }

    /// One after the last diagonal, counted from the origin.
    pub fn range(&self, origin: usize) -> usize {
        let diagonals = self.pairs.iter().flatten().flat_map(|pair| &pair.diagonals);
        diagonals.map(|d| (d + origin) % self.to.slots + 1).max().unwrap_or(0)
    }

    /// What a split costs, for each ciphertext of the output.
    pub fn shapes(&self, split: Split, stamps: &mut Stamps) -> Vec<TransformShape> {
        self.pairs.iter().map(|row| Self::shape(row, split, stamps)).collect()
    }

    fn shape(row: &[Pair], split: Split, stamps: &mut Stamps) -> TransformShape {
        let slots = stamps.giants.len();
        let mut shape = TransformShape { babies: vec![], giants: 0, turned: 0, terms: 0 };
        stamps.last += 1;
        let row_stamp = stamps.last;
        for pair in row.iter().filter(|pair| !pair.diagonals.is_empty()) {
            stamps.last += 1;
            let mut babies = Babies::default();
            for diagonal in &pair.diagonals {
                let (giant, baby) = split.of(*diagonal, slots);
                if std::mem::replace(&mut stamps.giants[giant], row_stamp) != row_stamp {
                    shape.giants += 1;
                    shape.turned += usize::from(giant != 0);
                }
                let new = std::mem::replace(&mut stamps.babies[baby], stamps.last) != stamps.last;
                babies.rotated += usize::from(new && baby != 0);
                babies.unrotated |= baby == 0;
            }
            shape.babies.push(babies);
            shape.terms += pair.diagonals.len();
        }
        shape
    }

    /// The row and column whose weight belongs to `slot` on `diagonal`; those of the ones follow the others.
    fn visit(&self, to: usize, from: usize, slot: usize, diagonal: usize) -> Option<(usize, usize)> {
        let slots = self.to.slots;
        let (block, row) = self.to.at(to * slots + slot)?;
        let (_, column) = self.from.at(from * slots + (slot + diagonal) % slots)?;
        let difference = (self.from.base[column] + slots - self.to.base[row] % slots) % slots;
        let chosen = self.pairs[to][from].chosen(difference);
        chosen.contains(&(block as u32, diagonal as u32)).then_some((row, column))
    }
}

/// For each ciphertext of output and input, which differences of base positions have weights. A weight that is zero has none.
pub(crate) struct Differences(Vec<Vec<Vec<bool>>>);

impl Differences {
    /// Those of a layer between two placements, whose blocks do not matter.
    pub fn new(linear: &Linear, from: &Placement, to: &Placement) -> Self {
        let slots = to.slots;
        let mut present = vec![vec![vec![false; slots]; from.ciphertexts]; to.ciphertexts];
        let places: Vec<(usize, usize)> = (0..from.base.len()).map(|e| from.place(e)).collect();
        for row in 0..to.base.len() {
            let (ciphertext, base) = to.place(row);
            let present = &mut present[ciphertext];
            let mut mark = |column: usize| {
                let (ciphertext, slot) = places[column];
                present[ciphertext][(slot + slots - base) & (slots - 1)] = true;
            };
            if row < to.elements {
                linear.for_each_weight(row, |column, _| mark(column));
            }
            let bias = row == to.elements || linear.bias()[row] != 0.0;
            if from.carries_one() && bias {
                mark(from.elements);
            }
        }
        Self(present)
    }

    /// The fewest products between layouts of so many copies and classes: each of a diagonal's places may serve another difference.
    pub fn least_terms(&self, copies: usize, classes: usize) -> usize {
        let present = |present: &Vec<bool>| present.iter().filter(|p| **p).count().div_ceil(copies * classes);
        self.0.iter().flatten().map(present).sum()
    }

    /// How many slots before its own the first element lies that a row sees: where diagonals are best counted from. They are cyclic, so they
    /// begin after their widest gap.
    pub fn origin(&self) -> usize {
        let slots = self.0[0][0].len();
        let mut any = vec![false; slots];
        for present in self.0.iter().flatten() {
            any.iter_mut().zip(present).for_each(|(a, p)| *a |= p);
        }
        let present: Vec<usize> = (0..slots).filter(|d| any[*d]).collect();
        let gap = |i: usize| {
            let (before, at) = (present[(i + present.len() - 1) % present.len()], present[i]);
            ((at + slots - before - 1) % slots, at)
        };
        let (_, first) = (0..present.len()).map(gap).max().unwrap_or((0, 0));
        (slots - first) % slots
    }
}

impl Pair {
    fn new(
        present: &[bool],
        from: &Placement,
        to: &Placement,
        origin: usize,
        preference: Preference,
    ) -> Self {
        let slots = to.slots;
        let (ranges, used) = (vec![(0, 0); slots], vec![false; slots]);
        let mut pair = Self { ranges, chosen: vec![], diagonals: vec![], used };
        for rank in 0..slots {
            // Later copies lie further on, so they offer an early difference the diagonals of later ones: those are chosen first.
            let rank = if preference == Preference::Used { slots - 1 - rank } else { rank };
            let difference = (rank + slots - origin) % slots;
            if present[difference] {
                let chosen = pair.choose(difference, from, to, origin, preference);
                for diagonal in chosen.iter().map(|(_, d)| *d as usize) {
                    if !std::mem::replace(&mut pair.used[diagonal], true) {
                        pair.diagonals.push(diagonal);
                    }
                }
                let start = pair.chosen.len() as u32;
                pair.chosen.extend(chosen);
                pair.ranges[difference] = (start, pair.chosen.len() as u32);
            }
        }
        pair.diagonals.sort_unstable();
        pair
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
                diagonals.into_iter().find(|d| self.used[*d]).map(|d| (block as u32, d as u32))
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
            let diagonals = copies.iter().map(|c| diagonal(block, c));
            let best = diagonals.min_by_key(|d| rank(*d)).expect("there is a copy");
            (block as u32, best as u32)
        };
        let last = |class: &usize| blocks(*class).map(|h| rank(first(h).1 as usize)).max();
        let class = (0..to.classes).min_by_key(last).expect("there is a class");
        blocks(class).map(first).collect()
    }
}

impl DiagonalKernel {
    pub fn new(
        linear: Arc<Linear>,
        meetings: Arc<Meetings>,
        split: Split,
        fold: FoldChoice,
        to: &Layout,
        scale: Scale,
    ) -> Self {
        let sums = Arc::new(Placement::new(&to.sums()));
        Self { linear, meetings, split, fold, spacing: to.blocks.spacing, sums, scale }
    }

    /// Whether the layer's bias needs an addition: unless a one is carried along, or there is none and no one to be made.
    pub fn adds_bias(linear: &Linear, from: &Placement, to: &Placement) -> bool {
        !from.carries_one() && (to.carries_one() || !linear.is_unbiased())
    }

    /// The layer's output in the layout of partial sums, summed: for each ciphertext of the output the diagonals in baby and giant steps, a
    /// fold over the classes of blocks, and the bias. One level. Where blocks are not cyclic those without whole sums hold anything.
    pub fn build(&self, b: &mut Builder, values: &[Value]) -> Result<Vec<Value>, circuit::Error> {
        (0..self.sums.ciphertexts).map(|to| self.ciphertext(b, values, to)).collect()
    }

    fn ciphertext(&self, b: &mut Builder, values: &[Value], to: usize) -> Result<Value, circuit::Error> {
        let transform = |b: &mut Builder, rescale| {
            let giants = self.giants(b, values, to)?;
            b.transform(values.to_vec(), giants, rescale)
        };
        let sum = folded(b, transform, self.spacing, &self.fold)?;
        if !Self::adds_bias(&self.linear, &self.meetings.from, &self.sums) {
            return Ok(sum);
        }
        let (linear, sums) = (self.linear.clone(), self.sums.clone());
        let first = to * sums.slots;
        add_bias(b, sum, move |slot| {
            sums.at(first + slot).map_or(0.0, |(_, e)| linear.bias().get(e).copied().unwrap_or(1.0))
        })
    }

    fn giants(&self, b: &mut Builder, values: &[Value], to: usize) -> Result<Vec<Giant>, circuit::Error> {
        let mut giants: BTreeMap<usize, Vec<Term>> = BTreeMap::new();
        for (input, value) in values.iter().enumerate() {
            for diagonal in self.meetings.diagonals(to, input) {
                let (giant, baby) = self.split.of(*diagonal, b.slots());
                let plain = self.weights(b, *value, (to, input), *diagonal, giant)?;
                giants.entry(giant).or_default().push(Term { input, baby, plain });
            }
        }
        Ok(giants.into_iter().map(|(rotation, terms)| Giant { rotation, terms }).collect())
    }

    /// The weights of a diagonal, rotated back by the giant step that will come.
    fn weights(
        &self,
        b: &mut Builder,
        value: Value,
        (to, from): (usize, usize),
        diagonal: usize,
        giant: usize,
    ) -> Result<Plain, circuit::Error> {
        let (linear, meetings, slots) = (self.linear.clone(), self.meetings.clone(), b.slots());
        let weight = move |slot: usize| {
            let visit = meetings.visit(to, from, (slot + slots - giant) % slots, diagonal);
            visit.map_or(0.0, |(row, column)| extended_weight(&linear, row, column))
        };
        let (level, scale) = (b.level(value)?, b.scale_towards(value, self.scale)?);
        b.plain(Role::ExtendedFactor, level, scale, Numbers::per_slot(slots, weight))
    }
}

/// The weights with the bias as a column more, and a row more that hands the one on.
fn extended_weight(linear: &Linear, row: usize, column: usize) -> f64 {
    match (row == linear.rows(), column == linear.columns()) {
        (false, false) => linear.weight(row, column),
        (false, true) => linear.bias()[row],
        (true, false) => 0.0,
        (true, true) => 1.0,
    }
}

//! The diagonals of a layer.

use super::giant_steps::{GiantRow, GiantSteps, VisitMarks, first};
use super::split::{Split, Steps};
use blindsight_circuit::Factors;
use blindsight_ckks::GiantOrder;

/// For each ciphertext of output and input its diagonals, in order: all that counts of a layer depend on.
#[derive(Clone)]
pub struct DiagonalSet {
    pub(super) slots: usize,
    pub(super) pairs: Vec<Vec<Vec<usize>>>,
    /// How often the weights of all of these repeat.
    pub(super) repeats: Vec<Vec<usize>>,
}

impl DiagonalSet {
    /// Those of several inputs, one after another.
    pub fn joined(terms: Vec<Self>) -> Self {
        let mut terms = terms.into_iter();
        let mut joined = terms.next().expect("a layer has a term");
        for term in terms {
            joined.pairs.iter_mut().zip(term.pairs).for_each(|(row, more)| row.extend(more));
            joined.repeats.iter_mut().zip(term.repeats).for_each(|(row, more)| row.extend(more));
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
            rotations.extend(row.iter().flatten().map(|steps| steps.baby_step));
            let giant_steps = sorted(row.iter().flatten().map(|steps| steps.giant_step).collect());
            rotations.extend(split.order.rotations(&giant_steps));
        }
        for input in 0..rows[0].len() {
            let pre_rotated = rows.iter().flat_map(|row| &row[input]).map(|steps| steps.pre_rotation);
            let pre_rotated = sorted(pre_rotated.collect());
            rotations.extend(GiantOrder::Chained.rotations(&pre_rotated));
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
    pub fn giant_steps(&self, origin: usize, span: usize, marks: &mut VisitMarks) -> GiantSteps {
        let (mut rows, mut giant_steps) = (vec![], vec![]);
        for (row, repeats) in self.pairs.iter().zip(&self.repeats) {
            let factors = Self::row_factors(row, repeats).sum();
            let (row, of_row) = Self::giant_row(row, factors, [origin, span], marks);
            rows.push(row);
            giant_steps.push(of_row);
        }
        let mut keys = |order: GiantOrder| {
            let now = marks.next();
            let rotations = giant_steps.iter().flat_map(|giant_steps| order.rotations(giant_steps));
            rotations.filter(|rotation| first(&mut marks.giant_steps, *rotation, now)).count()
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
        marks: &mut VisitMarks,
    ) -> (GiantRow, Vec<usize>) {
        let slots = marks.giant_steps.len();
        let (now, mut giant_steps) = (marks.next(), vec![]);
        let mut found = GiantRow { giant_steps: 0, rotated: 0, factors, within: vec![] };
        for diagonals in row {
            let (seen, mut within) = (marks.next(), vec![]);
            for diagonal in diagonals {
                let rank = (diagonal + origin) & (slots - 1);
                let rest = rank % span;
                if first(&mut marks.giant_steps, rank - rest, now) {
                    giant_steps.push(rank - rest);
                }
                if first(&mut marks.within, rest, seen) {
                    within.push(rest);
                }
            }
            within.sort_unstable();
            found.within.push(within);
        }
        giant_steps.sort_unstable();
        found.giant_steps = giant_steps.len();
        found.rotated = giant_steps.iter().filter(|giant_step| **giant_step != 0).count();
        (found, giant_steps)
    }
}

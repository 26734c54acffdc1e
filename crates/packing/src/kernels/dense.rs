use super::{FoldChoice, NOMINAL_SCALE, add_bias, folded};
use crate::representation::{Copies, Periodic};
use crate::stack::Stack;
use circuit::{Builder, Giant, Numbers, Plain, Role, Term, Value};
use std::sync::Arc;

/// A dense layer by hybrid diagonals over copies.
pub(crate) struct Dense {
    pub stack: Arc<Stack>,
    pub visits: Arc<Visits>,
    /// How many diagonals a giant step takes.
    pub babies: usize,
    /// How a row's partial sums are folded.
    pub fold: FoldChoice,
}

/// Which copy of an element each row takes, and on which diagonal.
///
/// Slot `s` belongs to row `s mod period`. On diagonal `d` it meets slot `s + d`. So row `r` meets copy `h` of element `e` on diagonal
/// `d = e - r + h spacing mod period`: the copies are shifts of each other modulo the period, and the more different the shifts are, the
/// fewer diagonals it takes until every row has met every element.
#[derive(Debug)]
pub(crate) struct Visits {
    pub copies: Copies,
    pub rows: Periodic,
    /// For each `e - r mod period` the copy that is met on the first diagonal, and that diagonal.
    first: Vec<(usize, usize)>,
}

impl Visits {
    pub fn new(copies: Copies, rows: Periodic) -> Self {
        let meet = |difference| {
            let diagonal = |h| (difference + h * copies.spacing) % rows.period;
            (0..copies.copies).map(|h| (diagonal(h), h)).min().map(|(d, h)| (h, d)).expect("a copy at least")
        };
        Self { copies, rows, first: (0..rows.period).map(meet).collect() }
    }

    /// How many diagonals it takes.
    pub fn diagonals(&self) -> usize {
        self.first.iter().map(|(_, d)| d + 1).max().expect("a row at least")
    }

    /// The row and column whose weight belongs to `slot` on `diagonal`; those of the ones follow the others.
    fn weight(&self, slot: usize, diagonal: usize, slots: usize) -> Option<(usize, usize)> {
        let row = self.rows.at(slot)?;
        let (copy, element) = self.copies.at((slot + diagonal) % slots)?;
        let difference = (element + self.rows.period - row) % self.rows.period;
        (self.first[difference] == (copy, diagonal)).then_some((row, element))
    }
}

/// Copies to a periodic vector: the diagonals in baby and giant steps, a fold by `period, 2 period, ...` over all slots, and the bias,
/// unless a one is carried along. One level. The fold is cyclic over all slots, so every slot ends with the whole sum of its row.
pub(crate) fn dense(b: &mut Builder, dense: &Dense, value: Value) -> Result<Value, circuit::Error> {
    let (rows, diagonals) = (dense.visits.rows, dense.visits.diagonals());
    let transform = |b: &mut Builder, rescale| {
        let mut giants = vec![];
        for rotation in (0..diagonals).step_by(dense.babies) {
            let babies = 0..dense.babies.min(diagonals - rotation);
            let terms = babies.map(|baby| {
                let plain = diagonal(b, dense, value, rotation, baby)?;
                Ok(Term { input: 0, baby, plain })
            });
            giants.push(Giant { rotation, terms: terms.collect::<Result<_, circuit::Error>>()? });
        }
        b.transform(vec![value], giants, rescale)
    };
    let sum = folded(b, transform, rows.period, &dense.fold)?;
    if dense.visits.copies.carries_one {
        return Ok(sum);
    }
    let stack = dense.stack.clone();
    add_bias(b, sum, move |slot| rows.at(slot).map_or(0.0, |r| stack.hidden.bias[r]))
}

/// Diagonal `giant + baby`, rotated back by the giant step that will come.
fn diagonal(
    b: &mut Builder,
    dense: &Dense,
    value: Value,
    giant: usize,
    baby: usize,
) -> Result<Plain, circuit::Error> {
    let (stack, visits, slots) = (dense.stack.clone(), dense.visits.clone(), b.slots());
    let weight = move |slot: usize| {
        let visit = visits.weight((slot + slots - giant) % slots, giant + baby, slots);
        visit.map_or(0.0, |(row, column)| extended_weight(&stack.hidden, row, column))
    };
    let (level, scale) = (b.level(value)?, b.scale_towards(value, NOMINAL_SCALE)?);
    b.plain(Role::ExtendedFactor, level, scale, Numbers::per_slot(slots, weight))
}

/// The weights with the bias as a column more, and a row more that hands the one on.
fn extended_weight(layer: &network::Dense, row: usize, column: usize) -> f64 {
    match (row == layer.rows, column == layer.columns) {
        (false, false) => layer.row(row)[column],
        (false, true) => layer.bias[row],
        (true, false) => 0.0,
        (true, true) => 1.0,
    }
}

//! The choices that make a plan: what the planner searches, and what a plan pins.

use crate::kernels::FoldChoice;
use crate::representation::Periodic;
use crate::stack::Stack;
use crate::{Error, TapLayout};
use serde::{Deserialize, Serialize};

/// One plan of the family *taps, copies, periodic, coefficients*. With the model and the parameters it determines the circuit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// Taps of the first layer's window in one input ciphertext.
    pub taps_per_input: usize,
    /// Whether a one is carried along, so that biases become weights. It takes a slot in each copy.
    pub carries_one: bool,
    /// Slots from one copy of the first layer's output to the next.
    pub spacing: usize,
    /// How the taps of one ciphertext are summed.
    pub tap_sum: FoldChoice,
    /// How many diagonals of the hidden layer share a giant step.
    pub baby_steps: usize,
    /// How the partial sums of the hidden layer's rows are summed.
    pub row_sum: FoldChoice,
}

/// The largest radix of a fold: its rotations need a key each.
const LARGEST_RADIX: usize = 8;

impl Choice {
    /// Checks that folds sum what there is to sum.
    pub(crate) fn validate(&self, stack: &Stack, slots: usize) -> Result<(), Error> {
        let period = Periodic::new(stack.hidden.rows, false).period;
        if period > slots {
            let expected = format!("at most the {slots} slots of a ciphertext");
            return Err(Error::does_not_fit("number of hidden rows", stack.hidden.rows, expected));
        }
        let sums = [("taps", &self.tap_sum, self.taps_per_input), ("rows", &self.row_sum, slots / period)];
        for (what, fold, copies) in sums {
            let radices = fold.radices.iter().all(|r| (2..=LARGEST_RADIX).contains(&usize::from(*r)));
            if !radices || fold.copies() != Some(copies) {
                let what = format!("fold over {what}");
                return Err(Error::does_not_fit(
                    what,
                    format!("{:?}", fold.radices),
                    format!("radices with product {copies}"),
                ));
            }
        }
        if !(1..=period).contains(&self.baby_steps) {
            return Err(Error::does_not_fit(
                "number of baby steps",
                self.baby_steps,
                format!("1 to {period}"),
            ));
        }
        Ok(())
    }

    /// What errors depend on: plans that agree in this have nearly the same.
    pub(crate) fn error_class(&self) -> (usize, bool, bool) {
        (self.taps_per_input, self.tap_sum.rescale_first, self.row_sum.rescale_first)
    }

    /// Every choice for this network: any number of taps in a ciphertext for which there is room, or only `taps`.
    pub(crate) fn enumerate(stack: &Stack, slots: usize, taps: Option<usize>) -> Result<Vec<Self>, Error> {
        let bare = TapLayout::new(&stack.first, stack.input, 1, false, slots)?;
        let rows = Periodic::new(stack.hidden.rows, false);
        if rows.period > slots {
            let expected = format!("at most the {slots} slots of a ciphertext");
            return Err(Error::does_not_fit("number of hidden rows", stack.hidden.rows, expected));
        }
        let most = bare.blocks().min(bare.taps());
        let asked = taps.unwrap_or(1);
        if asked > most {
            return Err(Error::does_not_fit("taps in one ciphertext", asked, format!("1 to {most}")));
        }
        if folds(asked).is_empty() {
            let expected = format!(
                "1 to {most}, with no prime factor above {LARGEST_RADIX}, the largest radix of a fold"
            );
            return Err(Error::does_not_fit("taps in one ciphertext", asked, expected));
        }
        let row_sums = folds(slots / rows.period);
        let mut choices = vec![];
        for taps_per_input in taps.map_or(1..=most, |t| t..=t) {
            for carries_one in [true, false] {
                let elements = bare.output().elements() + usize::from(carries_one);
                let Some((spacing, diagonals)) = best_spacing(elements, slots, taps_per_input, rows) else {
                    continue;
                };
                for (tap_sum, baby_steps) in product(&folds(taps_per_input), useful_baby_steps(diagonals)) {
                    let choice = |row_sum: &FoldChoice| {
                        let (tap_sum, row_sum) = (tap_sum.clone(), row_sum.clone());
                        Self { taps_per_input, carries_one, spacing, tap_sum, baby_steps, row_sum }
                    };
                    choices.extend(row_sums.iter().map(choice));
                }
            }
        }
        Ok(choices)
    }
}

/// Every pair.
fn product<A: Clone, B: Copy>(left: &[A], right: impl Iterator<Item = B>) -> Vec<(A, B)> {
    right.flat_map(|b| left.iter().map(move |a| (a.clone(), b))).collect()
}

/// All ways to fold so many copies; one without stages where there is nothing to fold, none where a prime factor is too large.
fn folds(copies: usize) -> Vec<FoldChoice> {
    let fold = |radices: Vec<u8>| {
        let orders: &[bool] = if radices.is_empty() { &[false] } else { &[false, true] };
        let with = move |&rescale_first| FoldChoice { radices: radices.clone(), rescale_first };
        orders.iter().map(with).collect::<Vec<_>>()
    };
    factorisations(copies, 2).into_iter().flat_map(fold).collect()
}

/// All factorisations into radices from `least` up, in rising order: another order costs the same.
fn factorisations(copies: usize, least: usize) -> Vec<Vec<u8>> {
    if copies == 1 {
        return vec![vec![]];
    }
    let first = (least..=LARGEST_RADIX.min(copies)).filter(|r| copies.is_multiple_of(*r));
    let with_rest = |radix: usize| {
        let prepend = move |rest: Vec<u8>| std::iter::once(radix as u8).chain(rest).collect();
        factorisations(copies / radix, radix).into_iter().map(prepend)
    };
    first.flat_map(with_rest).collect()
}

/// Baby steps, one for each number of giant steps: the least that has so many.
fn useful_baby_steps(diagonals: usize) -> impl Iterator<Item = usize> {
    (1..=diagonals).filter(move |b| *b == 1 || diagonals.div_ceil(*b) < diagonals.div_ceil(b - 1))
}

/// The spacing with the fewest diagonals, the closest of those, and the number of diagonals. Only the spacing modulo the period matters for
/// how shifts fall, so no wider ones are looked at. `None` where there is no room for so many taps.
fn best_spacing(elements: usize, slots: usize, taps: usize, rows: Periodic) -> Option<(usize, usize)> {
    let spacings = elements..=(elements + rows.period - 1).min(slots / taps);
    let diagonals = |spacing: usize| widest_gap(spacing, slots / spacing + 1 - taps, rows.period);
    spacings.map(|s| (diagonals(s), s)).min().map(|(d, s)| (s, d))
}

/// The widest gap between neighbouring shifts of the copies modulo the period: as many diagonals are needed to fill it.
fn widest_gap(spacing: usize, copies: usize, period: usize) -> usize {
    let mut shifts: Vec<usize> = (0..copies.min(period)).map(|h| h * spacing % period).collect();
    shifts.sort_unstable();
    let around = shifts[0] + period - shifts[shifts.len() - 1];
    shifts.windows(2).map(|w| w[1] - w[0]).fold(around, usize::max)
}

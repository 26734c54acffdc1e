//! Rotation offsets: how far the elements that a row sees lie from it.

use crate::linear::Linear;
use crate::slot_set::SlotSet;
use blindsight_circuit::Factors;
use blindsight_ckks::most_repeats;
use blindsight_layout::Placement;

/// Which of these inputs brings the one that makes biases weights: the first that carries one.
pub fn bearer<'a>(inputs: impl IntoIterator<Item = &'a Placement>) -> Option<usize> {
    inputs.into_iter().position(Placement::has_bias_slot)
}

/// For each ciphertext of output and input, which offsets of base positions have weights. A weight that is
/// zero has none.
pub struct RotationOffsets(pub(super) Vec<Vec<SlotSet>>);

impl RotationOffsets {
    /// Those of a term between two placements, whose blocks do not matter; with those of the bias where its
    /// input brings the one.
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

    /// The fewest and smallest factors between placements, for each ciphertext of output and input: each of a
    /// diagonal's places may serve another offset.
    pub fn least_factors(&self, from: &Placement, to: &Placement) -> Vec<Vec<Factors>> {
        let (replicas, repeats) = (from.shifts.len(), repeats(from, to));
        let least = |set: &SlotSet| Factors::repeating(set.len().div_ceil(replicas * to.parts), repeats);
        self.0.iter().map(|row| row.iter().map(least).collect()).collect()
    }

    /// How many slots before its own the first element lies that a row sees, of all terms of a layer: where
    /// diagonals are best counted from. They are cyclic, so they begin after their widest gap.
    pub fn origin<'a>(terms: impl IntoIterator<Item = &'a Self> + Clone) -> usize {
        let sets = || terms.clone().into_iter().flat_map(|offsets| offsets.0.iter().flatten());
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
pub(super) fn repeats(from: &Placement, to: &Placement) -> usize {
    (to.slots / from.period.max(to.period)).min(most_repeats(to.slots))
}

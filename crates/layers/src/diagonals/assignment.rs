//! Which replica meets which diagonal.

use super::offsets::{RotationOffsets, repeats};
use super::set::DiagonalSet;
use super::split::Preference;
use crate::slot_set::SlotSet;
use blindsight_layout::Placement;
use std::sync::Arc;

/// Which block of a row meets which replica of an element, and on which diagonal.
///
/// Slot `s` of the output meets slot `s + d` of the input on diagonal `d`. So block `h` of row `r` meets replica `c` of element `e` on diagonal
/// `d = base(e) - base(r) + shift(c) - shift(h)`: what is free depends on the *offset* `base(e) - base(r)` alone. The product of row and element must
/// be added in exactly one part of blocks, but in each block of that part.
pub struct DiagonalAssignment {
    pub(super) from: Arc<Placement>,
    to: Arc<Placement>,
    /// For each ciphertext of output and input, and for each offset: the blocks that meet, and on which diagonal.
    pairs: Vec<Vec<Pair>>,
    pub(super) diagonals: DiagonalSet,
}

struct Pair {
    /// For each offset where its choice begins and ends.
    ranges: Vec<(u32, u32)>,
    /// Blocks and diagonals.
    chosen: Vec<(u32, u32)>,
    /// The diagonals.
    used: SlotSet,
    /// How often the weights of each diagonal repeat.
    repeats: usize,
}

impl DiagonalAssignment {
    /// Decides all assignment of a layer with these offsets.
    pub fn new(
        offsets: &RotationOffsets,
        from: Arc<Placement>,
        to: Arc<Placement>,
        origin: usize,
        preference: Preference,
    ) -> Self {
        let choose = |present: &SlotSet| Pair::new(present, &from, &to, origin, preference);
        let pairs: Vec<Vec<Pair>> = offsets.0.iter().map(|row| row.iter().map(choose).collect()).collect();
        let diagonals = |row: &Vec<Pair>| row.iter().map(|pair| pair.used.iter().collect()).collect();
        let repeats = pairs.iter().map(|row| row.iter().map(|pair| pair.repeats).collect()).collect();
        let diagonals =
            DiagonalSet { slots: to.slots, pairs: pairs.iter().map(diagonals).collect(), repeats };
        Self { from, to, pairs, diagonals }
    }

    /// The diagonals between a ciphertext of the output and one of the input.
    pub(super) fn diagonals(&self, to: usize, from: usize) -> &[usize] {
        &self.diagonals.pairs[to][from]
    }

    /// The diagonals alone.
    pub fn into_diagonals(self) -> DiagonalSet {
        self.diagonals
    }

    /// The row and column whose weight belongs to `slot` on `diagonal`; those of the ones follow the others.
    pub(super) fn visit(
        &self,
        to: usize,
        from: usize,
        slot: usize,
        diagonal: usize,
    ) -> Option<(usize, usize)> {
        let slots = self.to.slots;
        let (block, row) = self.to.at(to * slots + slot)?;
        let (_, column) = self.from.at(from * slots + ((slot + diagonal) & (slots - 1)))?;
        let offset = self.from.base[column].wrapping_sub(self.to.base[row]) & (slots - 1);
        let chosen = self.pairs[to][from].chosen(offset);
        chosen.contains(&(block as u32, diagonal as u32)).then_some((row, column))
    }
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
            // Later replicas lie further on, so they offer an early offset the diagonals of later ones: those are chosen first.
            let rank = if preference == Preference::Used { slots - 1 - rank } else { rank };
            let offset = (rank + slots - origin) % slots;
            if present.contains(offset) {
                let chosen = pair.choose(offset, from, to, origin, preference);
                chosen.iter().for_each(|(_, diagonal)| pair.used.insert(*diagonal as usize));
                let start = pair.chosen.len() as u32;
                pair.chosen.extend(chosen);
                pair.ranges[offset] = (start, pair.chosen.len() as u32);
            }
        }
        pair.repeats = pair.repeats(from, to);
        debug_assert!(preference == Preference::Used || pair.repeats == repeats(from, to));
        pair
    }

    /// How often weights repeat: after each part of the slots the same elements meet in both placements, and the blocks
    /// there must meet on the same diagonals.
    ///
    /// A block so far on is offered the same diagonals, as the replicas are the same. So the first of them is the same, but of
    /// those that are used another one may be found.
    fn repeats(&self, from: &Placement, to: &Placement) -> usize {
        let blocks = to.shifts.len() / to.parts;
        let repeat = |times: usize| {
            let of_part = blocks / times;
            let same =
                |chosen: &[(u32, u32)]| (of_part..chosen.len()).all(|i| chosen[i].1 == chosen[i - of_part].1);
            self.ranges.iter().all(|(start, end)| same(&self.chosen[*start as usize..*end as usize]))
        };
        let halves = std::iter::successors(Some(repeats(from, to)), |times| Some(times / 2));
        halves.take_while(|times| *times > 1).find(|times| repeat(*times)).unwrap_or(1)
    }

    /// The blocks that meet at a offset, and on which diagonal.
    fn chosen(&self, offset: usize) -> &[(u32, u32)] {
        let (start, end) = self.ranges[offset];
        &self.chosen[start as usize..end as usize]
    }

    fn choose(
        &self,
        offset: usize,
        from: &Placement,
        to: &Placement,
        origin: usize,
        preference: Preference,
    ) -> Vec<(u32, u32)> {
        let slots = to.slots;
        let rank = |diagonal: usize| (diagonal + origin) & (slots - 1);
        let diagonal =
            |block: usize, replica: &usize| (offset + replica + slots - to.shifts[block]) & (slots - 1);
        let blocks = |part: usize| (part..to.shifts.len()).step_by(to.parts);
        if preference == Preference::Used {
            let used = |block: usize| {
                let diagonals = from.shifts.iter().map(|c| diagonal(block, c));
                diagonals.into_iter().find(|d| self.used.contains(*d)).map(|d| (block as u32, d as u32))
            };
            let all = |part: usize| blocks(part).map(used).collect::<Option<Vec<_>>>();
            if let Some(chosen) = (0..to.parts).find_map(all) {
                return chosen;
            }
        }
        let replicas = if preference == Preference::Used { &from.shifts[..1] } else { &from.shifts[..] };
        if to.parts == to.shifts.len() && to.shifts.len() > 1 && to.shifts[1] * to.parts == slots {
            // Each part has one block, and they are evenly spaced: the first diagonal is found at once.
            let spacing = to.shifts[1];
            let ranks = replicas.iter().map(|c| rank(offset + c));
            let best = ranks.min_by_key(|r| r % spacing).expect("there is a replica");
            let diagonal = (best % spacing + slots - origin) & (slots - 1);
            return vec![((best / spacing) as u32, diagonal as u32)];
        }
        let first = |block: usize| {
            let best = match preference {
                Preference::Used => diagonal(block, &from.shifts[0]),
                Preference::First => {
                    let least = from.least_shifted(offset + slots - to.shifts[block] + origin);
                    (least + slots - origin) & (slots - 1)
                }
            };
            (block as u32, best as u32)
        };
        let last = |part: &usize| blocks(*part).map(|h| rank(first(h).1 as usize)).max();
        let part = (0..to.parts).min_by_key(last).expect("there is a part");
        blocks(part).map(first).collect()
    }
}

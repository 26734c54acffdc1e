//! Which replica meets which diagonal.

use super::offsets::{RotationOffsets, repeats};
use super::set::DiagonalSet;
use super::split::Preference;
use crate::slot_set::SlotSet;
use blindsight_layout::Placement;
use std::sync::Arc;

/// Which block of a row meets which replica of an element, and on which diagonal.
///
/// Slot `s` of the output meets slot `s + d` of the input on diagonal `d`. So block `h` of row `r` meets
/// replica `c` of element `e` on diagonal `d = base(e) - base(r) + shift(c) - shift(h)`: what is free depends
/// on the *offset* `base(e) - base(r)` alone. The product of row and element must be added in exactly one
/// part of blocks, but in each block of that part.
pub struct DiagonalAssignment {
    pub(super) from: Arc<Placement>,
    to: Arc<Placement>,
    /// For each ciphertext of output and input, and for each offset: the blocks that meet, and on which
    /// diagonal.
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
    /// The offset is that of the block and the replica that lie there: next to each other mostly the same
    /// two, so that what is looked up stays in the cache.
    pub(super) fn visit(
        &self,
        to: usize,
        from: usize,
        slot: usize,
        diagonal: usize,
    ) -> Option<(usize, usize)> {
        let slots = self.to.slots;
        let (block, row) = self.to.at(to * slots + slot)?;
        let (replica, column) = self.from.at(from * slots + ((slot + diagonal) & (slots - 1)))?;
        let offset = (diagonal + self.to.shifts[block]).wrapping_sub(self.from.shifts[replica]) & (slots - 1);
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
        let blocks = OutputBlocks::new(from, to, origin, preference);
        let mut offsets: Vec<usize> = present.iter().collect();
        let first = offsets.partition_point(|offset| offset + origin < slots);
        offsets.rotate_left(first);
        // Later replicas lie further on, so they offer an early offset the diagonals of later ones: those are
        // chosen first.
        if preference == Preference::Used {
            offsets.reverse();
        }
        let mut known: Vec<Option<(u32, u32)>> = vec![None; blocks.period()];
        for offset in offsets {
            let known = &mut known[(offset + origin) % blocks.period()];
            pair.ranges[offset] = *known.get_or_insert_with(|| {
                let start = pair.chosen.len();
                blocks.choose(offset, &pair.used, &mut pair.chosen);
                pair.chosen[start..].iter().for_each(|(_, diagonal)| pair.used.insert(*diagonal as usize));
                (start as u32, pair.chosen.len() as u32)
            });
        }
        pair.repeats = pair.repeats(from, to);
        debug_assert!(preference == Preference::Used || pair.repeats == repeats(from, to));
        pair
    }

    /// How often weights repeat: after each part of the slots the same elements meet in both placements, and
    /// the blocks there must meet on the same diagonals.
    ///
    /// A block so far on is offered the same diagonals, as the replicas are the same. So the first of them is
    /// the same, but of those that are used another one may be found.
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
}

/// The blocks of the output, and what they may meet.
struct OutputBlocks<'a> {
    from: &'a Placement,
    to: &'a Placement,
    origin: usize,
    preference: Preference,
    /// How many blocks of a part there are before what they are offered repeats.
    distinct: usize,
    /// Where each part has one block and these are evenly spaced: their spacing, and of the replicas that are
    /// offered the first for each place between two blocks.
    even: Option<(usize, Vec<usize>)>,
}

impl<'a> OutputBlocks<'a> {
    fn new(from: &'a Placement, to: &'a Placement, origin: usize, preference: Preference) -> Self {
        let distinct = to.shifts.len() / to.parts / (to.slots / from.period.max(to.period));
        let (count, slots) = (to.shifts.len(), to.slots);
        let is_even = to.parts == count && count > 1 && to.shifts[1] * count == slots;
        let even = is_even.then(|| {
            let replicas = if preference == Preference::Used { &from.shifts[..1] } else { &from.shifts[..] };
            let mut first: Vec<usize> = vec![];
            for replica in replicas {
                if first.iter().all(|other| (other + slots - replica) % to.shifts[1] != 0) {
                    first.push(*replica);
                }
            }
            (to.shifts[1], first)
        });
        Self { from, to, origin, preference, distinct: distinct.max(1), even }
    }

    /// After how many offsets the same blocks meet on the same diagonals: those of the first replicas do, as
    /// the replicas are the same; what is used changes from offset to offset.
    fn period(&self) -> usize {
        let is_first = self.preference == Preference::First && self.even.is_none();
        if is_first { self.from.period } else { self.to.slots }
    }

    /// Adds the blocks that meet at an offset, and on which diagonal; these are used already.
    fn choose(&self, offset: usize, used: &SlotSet, chosen: &mut Vec<(u32, u32)>) {
        let mut by_used = || (0..self.to.parts).any(|part| self.choose_used(part, offset, used, chosen));
        if self.preference == Preference::Used && by_used() {
            return;
        }
        if let Some((spacing, replicas)) = &self.even {
            return chosen.push(self.first_of_even(offset, *spacing, replicas));
        }
        let part = (0..self.to.parts).min_by_key(|part| self.last(*part, offset)).expect("there is a part");
        let diagonal = |rank: usize| (rank + self.to.slots - self.origin) & (self.to.slots - 1);
        chosen.extend(
            self.of_part(part).map(|block| (block as u32, diagonal(self.first(block, offset)) as u32)),
        );
    }

    /// How far from the origin the last diagonal lies on which the blocks of a part meet what comes first.
    fn last(&self, part: usize, offset: usize) -> usize {
        (0..self.distinct).fold(0, |last, block| last.max(self.first(part + block * self.to.parts, offset)))
    }

    fn of_part(&self, part: usize) -> impl Iterator<Item = usize> + use<> {
        (part..self.to.shifts.len()).step_by(self.to.parts)
    }

    /// How far a diagonal lies from the origin.
    fn rank(&self, diagonal: usize) -> usize {
        (diagonal + self.origin) & (self.to.slots - 1)
    }

    /// The diagonal on which a block meets this replica.
    fn diagonal(&self, block: usize, replica: usize, offset: usize) -> usize {
        let slots = self.to.slots;
        (offset + replica + slots - self.to.shifts[block]) & (slots - 1)
    }

    /// Adds all blocks of a part, if each meets a replica on a diagonal that is used; none otherwise.
    fn choose_used(&self, part: usize, offset: usize, used: &SlotSet, chosen: &mut Vec<(u32, u32)>) -> bool {
        let start = chosen.len();
        for block in self.of_part(part) {
            let mut diagonals = self.from.shifts.iter().map(|replica| self.diagonal(block, *replica, offset));
            let Some(diagonal) = diagonals.find(|diagonal| used.contains(*diagonal)) else {
                chosen.truncate(start);
                return false;
            };
            chosen.push((block as u32, diagonal as u32));
        }
        true
    }

    /// The block and the diagonal that come first where each part has one block and these are evenly spaced.
    fn first_of_even(&self, offset: usize, spacing: usize, replicas: &[usize]) -> (u32, u32) {
        let ranks = replicas.iter().map(|replica| self.rank(offset + replica));
        let best = ranks.min_by_key(|rank| rank % spacing).expect("there is a replica");
        let slots = self.to.slots;
        let diagonal = (best % spacing + slots - self.origin) & (slots - 1);
        ((best / spacing) as u32, diagonal as u32)
    }

    /// How far from the origin the diagonal lies on which a block meets the first replica, or that which
    /// comes first.
    fn first(&self, block: usize, offset: usize) -> usize {
        let from_origin = offset + self.to.slots - self.to.shifts[block] + self.origin;
        match self.preference {
            Preference::Used => (from_origin + self.from.shifts[0]) & (self.to.slots - 1),
            Preference::First => self.from.least_shifted(from_origin),
        }
    }
}

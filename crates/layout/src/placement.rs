//! Layouts written out, for kernels to look things up in.

use crate::layout::{Layout, shifted};

/// A layout written out: for each element its base position, and for each position who lies there.
#[derive(Debug)]
pub struct Placement {
    /// Slots of a ciphertext.
    pub slots: usize,
    /// How many ciphertexts there are.
    pub ciphertexts: usize,
    /// How many elements there are; the one, where it is carried, is the element after the last.
    pub elements: usize,
    /// For each element, and the one, its position in block 0.
    pub base: Vec<usize>,
    /// The shift of each block.
    pub shifts: Vec<usize>,
    /// The same in order.
    ascending: Vec<usize>,
    /// How many kinds of blocks there are.
    pub parts: usize,
    /// After how many slots the same elements lie in blocks of the same parts: all, where blocks are not cyclic.
    pub period: usize,
    owners: Vec<u64>,
}

const NOBODY: u64 = u64::MAX;

impl Placement {
    /// Writes a [valid](Layout::validate) layout out.
    pub fn new(layout: &Layout) -> Self {
        let (slots, blocks) = (layout.slots, layout.blocks);
        let base: Vec<usize> =
            (0..layout.shape.elements()).map(|e| layout.base(e)).chain(layout.bias_slot).collect();
        let shifts: Vec<usize> = (0..blocks.count).map(|h| h * blocks.spacing % slots).collect();
        let mut owners = vec![NOBODY; slots * layout.ciphertexts];
        for (element, position) in base.iter().enumerate() {
            for (block, shift) in shifts.iter().enumerate() {
                owners[shifted(*position, *shift, slots)] = (block as u64) << 32 | element as u64;
            }
        }
        let (elements, ciphertexts) = (layout.shape.elements(), layout.ciphertexts);
        let mut ascending = shifts.clone();
        ascending.sort_unstable();
        let (parts, period) = (blocks.parts, layout.period());
        Self { slots, ciphertexts, elements, base, shifts, ascending, parts, period, owners }
    }

    /// Whether a constant one is carried along.
    pub fn has_bias_slot(&self) -> bool {
        self.base.len() > self.elements
    }

    /// The least of all shifts plus `from`, cyclically.
    pub fn least_shifted(&self, from: usize) -> usize {
        let from = from % self.slots;
        // One that comes round is less than any that does not.
        let round = self.ascending.partition_point(|shift| shift + from < self.slots);
        self.ascending.get(round).map_or_else(|| self.ascending[0] + from, |shift| shift + from - self.slots)
    }

    /// The block and the element that a position belongs to.
    pub fn at(&self, position: usize) -> Option<(usize, usize)> {
        let owner = self.owners[position];
        (owner != NOBODY).then_some(((owner >> 32) as usize, owner as u32 as usize))
    }

    /// The ciphertext and slot of an element's first block.
    pub fn place(&self, element: usize) -> (usize, usize) {
        (self.base[element] / self.slots, self.base[element] % self.slots)
    }

    /// The slots of an element in the blocks of a part.
    pub fn slots_of(&self, element: usize, part: usize) -> impl Iterator<Item = usize> + '_ {
        let slot = self.base[element] % self.slots;
        let shifts = self.shifts.iter().skip(part).step_by(self.parts);
        shifts.map(move |shift| (slot + shift) % self.slots)
    }
}

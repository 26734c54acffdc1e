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
    /// For each slot the least of all shifts from it on.
    least: Vec<u32>,
    /// How many kinds of blocks there are.
    pub parts: usize,
    /// After how many slots the same elements lie in blocks of the same parts: all, where blocks are not
    /// cyclic.
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
        let least = least_shifted(&shifts, slots);
        let (parts, period) = (blocks.parts, layout.period());
        Self { slots, ciphertexts, elements, base, shifts, least, parts, period, owners }
    }

    /// Whether a constant one is carried along.
    pub fn has_bias_slot(&self) -> bool {
        self.base.len() > self.elements
    }

    /// The least of all shifts plus `from`, cyclically.
    pub fn least_shifted(&self, from: usize) -> usize {
        self.least[from & (self.slots - 1)] as usize
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

/// For each slot the least of these shifts from it on, cyclically.
fn least_shifted(shifts: &[usize], slots: usize) -> Vec<u32> {
    let mut ascending = shifts.to_vec();
    ascending.sort_unstable();
    // What comes round is less than what does not: from a slot on, the least shift that comes round is the
    // best.
    let mut least: Vec<u32> = (ascending[0] as u32..).take(slots).collect();
    for (round, shift) in ascending.iter().enumerate() {
        let until = if round == 0 { slots } else { slots - ascending[round - 1] };
        (slots - shift..until).zip(0..).for_each(|(from, shifted)| least[from] = shifted);
    }
    least
}

//! Sets of slots, as bits.

/// Bits of a word.
const WORD: usize = u64::BITS as usize;

/// Some of the slots of a ciphertext, a power of two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSet {
    words: Vec<u64>,
    slots: usize,
}

impl SlotSet {
    /// None of so many slots.
    pub fn new(slots: usize) -> Self {
        Self { words: vec![0; slots.div_ceil(WORD)], slots }
    }

    /// How many slots there are to choose from.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// How many are in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn insert(&mut self, slot: usize) {
        self.words[slot / WORD] |= 1 << (slot % WORD);
    }

    pub fn contains(&self, slot: usize) -> bool {
        self.words[slot / WORD] >> (slot % WORD) & 1 == 1
    }

    /// The slots of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().zip((0..).step_by(WORD)).flat_map(|(word, start)| {
            let some = |left: u64| (left != 0).then_some(left);
            let rest = std::iter::successors(some(*word), move |left| some(left & (left - 1)));
            rest.map(move |left| start + left.trailing_zeros() as usize)
        })
    }

    /// Adds every slot of `other`, moved down by `shift` cyclically.
    pub fn extend_shifted(&mut self, other: &Self, shift: usize) {
        if self.slots < WORD {
            let word = other.words[0];
            let round = word.checked_shl((self.slots - shift) as u32).unwrap_or(0);
            self.words[0] |= (word >> shift | round) & ((1 << self.slots) - 1);
            return;
        }
        let (whole, down) = (shift / WORD, shift % WORD);
        let (words, round) = self.words.split_at_mut(other.words.len() - whole);
        let (end, words) = words.split_last_mut().expect("a shift is less than the slots");
        merge(words, &other.words[whole..], down);
        merge(std::slice::from_mut(end), &[other.words[other.words.len() - 1], other.words[0]], down);
        merge(round, &other.words[..=whole], down);
    }
}

/// Adds words, each with what the next one holds, moved down by so many bits; there is one word more than are
/// added to.
fn merge(to: &mut [u64], from: &[u64], down: usize) {
    for (to, pair) in to.iter_mut().zip(from.windows(2)) {
        *to |= pair[0] >> down | pair[1] << 1 << (WORD - 1 - down);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// It does what a set of numbers does.
        #[test]
        fn a_set_is_a_set((log, shift, chosen) in (0_u32..10).prop_flat_map(|log| {
            (Just(log), 0..1_usize << log, prop::collection::vec(0..1_usize << log, 0..40))
        })) {
            let slots = 1 << log;
            let (mut set, mut moved) = (SlotSet::new(slots), SlotSet::new(slots));
            chosen.iter().for_each(|slot| set.insert(*slot));
            moved.insert(slots - 1);
            moved.extend_shifted(&set, shift);
            let expected: BTreeSet<usize> = chosen.iter().copied().collect();
            prop_assert_eq!(set.len(), expected.len());
            prop_assert!(set.iter().eq(expected.iter().copied()));
            let down = expected.iter().map(|slot| (slot + slots - shift) % slots);
            let expected: BTreeSet<usize> = down.chain([slots - 1]).collect();
            prop_assert!(moved.iter().eq(expected));
            prop_assert!((0..slots).all(|slot| moved.contains(slot) == moved.iter().any(|s| s == slot)));
        }
    }
}

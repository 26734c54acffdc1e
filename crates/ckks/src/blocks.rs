//! Pointwise work on polynomials, block by block of each limb: what belongs together meets in the caches, and
//! threads share it evenly.

use blindsight_ring::{Form, Poly, Values, parallel};
use std::ops::Range;

/// Both halves of something: of a ciphertext, or of a key product in the extended basis.
pub(crate) type Halves = [Poly<Values>; 2];

/// Words of a block: of 4 KiB, so that a block each of more than a hundred polynomials fits the second cache.
const WORDS: usize = 1024;

/// A block of words of one limb.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub limb: usize,
    pub words: Range<usize>,
}

impl Block {
    /// Its words of a polynomial.
    pub fn of<'p, F: Form>(&self, poly: &'p Poly<F>) -> &'p [u32] {
        &poly.limb(self.limb)[self.words.clone()]
    }

    /// Other words of the same limb.
    pub fn at(&self, words: Range<usize>) -> Self {
        Self { words, ..*self }
    }
}

/// Calls `body` for each block, with that block of both halves.
pub(crate) fn each_block(halves: &mut Halves, body: impl Fn(&Block, [&mut [u32]; 2]) + Sync + Send) {
    each_block_of(std::slice::from_mut(halves), WORDS, |block, mut all| {
        body(block, all.pop().expect("one pair of halves gives one pair of blocks"));
    });
}

/// Calls `body` for each block of so many words, with that block of both halves of all of them, which have
/// the same limbs.
pub(crate) fn each_block_of<'a>(
    all: &'a mut [Halves],
    words: usize,
    body: impl Fn(&Block, Vec<[&'a mut [u32]; 2]>) + Sync + Send,
) {
    let Some([first, _]) = all.first() else { return };
    let (degree, limbs) = (first.degree(), first.limbs());
    let words = words.min(degree);
    let chunks =
        |halves: &'a mut Halves| halves.each_mut().map(|half| half.words_mut().chunks_exact_mut(words));
    let mut chunks: Vec<_> = all.iter_mut().map(chunks).collect();
    let next = move |start: usize| {
        let block = Block { limb: start / degree, words: start % degree..start % degree + words };
        let of_both =
            chunks.iter_mut().map(|halves| halves.each_mut().map(|c| c.next().expect("a block more")));
        (block, of_both.collect())
    };
    parallel::for_each((0..degree * limbs).step_by(words).map(next), |(block, all)| body(&block, all));
}

/// Blocks of both halves of several polynomials, a cache line further apart than they are long: blocks of
/// 4 KiB side by side would meet in the same few sets of the first cache, word by word.
pub(crate) struct Staggered {
    halves: Poly<Values>,
    words: usize,
}

impl Staggered {
    /// So many pairs of blocks as long as `block`, each written in full by `write`.
    pub fn filled(pairs: usize, block: &Block, write: impl Fn(usize, [&mut [u32]; 2])) -> Self {
        const LINE: usize = 16;
        let words = block.words.len();
        let mut halves = Poly::scratch(words + LINE, 2 * pairs);
        let mut blocks = halves.iter_mut().map(|half| &mut half[..words]);
        for pair in 0..pairs {
            write(pair, [(); 2].map(|()| blocks.next().expect("two halves for each pair")));
        }
        Self { halves, words }
    }

    /// One after the other.
    pub fn pairs(&self) -> impl Iterator<Item = [&[u32]; 2]> {
        (0..self.halves.limbs() / 2)
            .map(|pair| [0, 1].map(|half| &self.halves.limb(2 * pair + half)[..self.words]))
    }
}

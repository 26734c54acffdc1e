//! A polynomial over a basis of primes, in the form that its type tells.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard};
use zeroize::Zeroize;

/// A cache line of words; polynomials are aligned to it, so that vector loads do not straddle lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// How the words of a polynomial are to be read.
pub trait Form: Copy + Send + Sync + std::fmt::Debug + PartialEq + 'static {}

/// Coefficients in the basis `{1, X^i + X^-i}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coefficients;
/// Values at the roots of unity, in leaf order (see [`crate::ntt`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values;
/// Values times `2^32`: the constant side of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor;

impl Form for Coefficients {}
impl Form for Values {}
impl Form for Factor {}

/// A polynomial modulo each prime of a basis: one limb of `degree` words for each, in the basis's order.
///
/// A dropped polynomial leaves its memory to the next one, on any thread. Whoever holds a secret one wraps it
/// in `Zeroizing`, which wipes it first.
pub struct Poly<F: Form> {
    /// Its words, and behind them what its memory holds besides: nothing is written to shrink or to reuse it.
    lines: Vec<Line>,
    limbs: usize,
    degree: usize,
    form: PhantomData<F>,
}

impl<F: Form> Poly<F> {
    /// The zero polynomial with `limbs` limbs; `degree` is a multiple of 16.
    pub fn zero(degree: usize, limbs: usize) -> Self {
        let mut poly = Self::scratch(degree, limbs);
        poly.words_mut().fill(0);
        poly
    }

    /// A polynomial whose words are whatever the memory held: for results that are written in full.
    pub fn scratch(degree: usize, limbs: usize) -> Self {
        assert!(degree.is_multiple_of(16) && degree > 0, "degree {degree}: expected a multiple of 16");
        Self { lines: recycled(limbs * degree / 16), limbs, degree, form: PhantomData }
    }

    /// Words in a limb.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// How many limbs there are.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// The words of limb `index`.
    pub fn limb(&self, index: usize) -> &[u32] {
        &self.words()[index * self.degree..][..self.degree]
    }

    /// The words of limb `index`, to be written.
    pub fn limb_mut(&mut self, index: usize) -> &mut [u32] {
        let degree = self.degree;
        &mut self.words_mut()[index * degree..][..degree]
    }

    /// All words, limb after limb.
    pub fn words(&self) -> &[u32] {
        bytemuck::cast_slice(&self.lines[..self.used()])
    }

    /// All words, to be written.
    pub fn words_mut(&mut self) -> &mut [u32] {
        let used = self.used();
        bytemuck::cast_slice_mut(&mut self.lines[..used])
    }

    /// How many lines its words are.
    fn used(&self) -> usize {
        self.limbs * self.degree / 16
    }

    /// The limbs one after the other.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u32> {
        self.words().chunks_exact(self.degree)
    }

    /// The limbs one after the other, to be written.
    pub fn iter_mut(&mut self) -> std::slice::ChunksExactMut<'_, u32> {
        let degree = self.degree;
        self.words_mut().chunks_exact_mut(degree)
    }

    /// Drops the limbs from `limbs` on.
    pub fn truncate(&mut self, limbs: usize) {
        self.limbs = limbs.min(self.limbs);
    }

    /// Moves it to memory of just its size, where it has more: of limbs that were dropped, or of the
    /// polynomial that had the memory before. For one of thousands that are kept for long.
    pub fn settle(&mut self) {
        if self.lines.capacity() > self.used() {
            let lines = self.lines[..self.used()].to_vec();
            recycle(std::mem::replace(&mut self.lines, lines));
        }
    }

    /// The same words read in another form: only where the arithmetic around it makes that true.
    pub fn assume<G: Form>(mut self) -> Poly<G> {
        let Self { limbs, degree, .. } = self;
        Poly { lines: std::mem::take(&mut self.lines), limbs, degree, form: PhantomData }
    }
}

impl<F: Form> std::fmt::Debug for Poly<F> {
    /// Its words; not what its memory holds besides, which was another's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<F: Form> Clone for Poly<F> {
    fn clone(&self) -> Self {
        let mut clone = Self::scratch(self.degree, self.limbs);
        clone.words_mut().copy_from_slice(self.words());
        clone
    }
}

impl<F: Form> PartialEq for Poly<F> {
    fn eq(&self, other: &Self) -> bool {
        self.degree == other.degree && self.words() == other.words()
    }
}

impl<F: Form> Eq for Poly<F> {}

impl<F: Form> Drop for Poly<F> {
    fn drop(&mut self) {
        recycle(std::mem::take(&mut self.lines));
    }
}

/// Buffers of dropped polynomials, most recent last. Fresh pages cost a fault and a zeroing each, about as
/// much as the arithmetic on them.
struct Recycler {
    buffers: Vec<Vec<Line>>,
    /// How much memory they have, and how much they may have.
    lines: usize,
    most: usize,
}

/// From where on a buffer is any thread's: it takes longer to fill one than to ask the others.
const SHARED_LINES: usize = (1 << 18) / size_of::<Line>();

thread_local! {
    /// Small buffers: what the blocks of an operation need.
    static OWN: RefCell<Recycler> = const { RefCell::new(Recycler::of_mebibytes(8)) };
}

/// Large ones: a good part of what the sums of a large transform take, and as much again would be missed
/// elsewhere, for it stays with the process.
static SHARED: Mutex<Recycler> = Mutex::new(Recycler::of_mebibytes(160));

impl Recycler {
    /// An empty one for so much memory at most.
    const fn of_mebibytes(most: usize) -> Self {
        Self { buffers: Vec::new(), lines: 0, most: (most << 20) / size_of::<Line>() }
    }

    /// The one that fits best, of these the most recent one.
    fn take(&mut self, lines: usize) -> Option<Vec<Line>> {
        let capacities = self.buffers.iter().map(Vec::capacity).enumerate().rev();
        let fitting = capacities.filter(|(_, capacity)| (lines..=2 * lines).contains(capacity));
        let (index, _) = fitting.min_by_key(|(_, capacity)| *capacity)?;
        let buffer = self.buffers.swap_remove(index);
        self.lines -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps a buffer, or gives it back where there is no room.
    fn keep(&mut self, buffer: Vec<Line>) -> Option<Vec<Line>> {
        if self.lines + buffer.capacity() > self.most {
            return Some(buffer);
        }
        self.lines += buffer.capacity();
        self.buffers.push(buffer);
        None
    }
}

/// A buffer of so many lines or more, of any content.
fn recycled(lines: usize) -> Vec<Line> {
    let found =
        if lines < SHARED_LINES { OWN.with_borrow_mut(|own| own.take(lines)) } else { shared().take(lines) };
    // Zeros of the system's own: memory that has not been written yet is not.
    let mut buffer = found.unwrap_or_else(|| bytemuck::zeroed_vec(lines));
    // Writes only what is missing: nothing where a user before had as many lines.
    if buffer.len() < lines {
        buffer.resize(lines, Line([0; 16]));
    }
    buffer
}

fn recycle(buffer: Vec<Line>) {
    // What is given back goes to the system when no lock is held.
    let _rest = match buffer.capacity() {
        0 => None,
        small if small < SHARED_LINES => {
            // The thread may be ending: then its memory goes back, too.
            OWN.try_with(|own| own.borrow_mut().keep(buffer)).unwrap_or(None)
        }
        _ => shared().keep(buffer),
    };
}

fn shared() -> MutexGuard<'static, Recycler> {
    SHARED.lock().expect("nothing panics while it is locked")
}

impl<F: Form> Zeroize for Poly<F> {
    fn zeroize(&mut self) {
        bytemuck::cast_slice_mut::<_, u32>(&mut self.lines).zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A polynomial of one limb in memory that held two: what lies behind its words is not compared, printed,
    /// copied or kept, but it is wiped.
    #[test]
    fn what_lies_behind_the_words_is_not_of_the_polynomial() {
        let poly = |second: u32| {
            let mut poly = Poly::<Values>::zero(16, 2);
            poly.limb_mut(0).fill(7);
            poly.limb_mut(1).fill(second);
            poly.truncate(1);
            poly
        };
        let (mut a, b) = (poly(1), poly(2));
        assert_eq!((a.limbs(), a.words(), a.iter().count()), (1, &[7; 16][..], 1));
        assert_eq!(a, b);
        assert_eq!(format!("{a:?}"), format!("{:?}", [[7; 16]]));
        assert_eq!(a.clone().lines[0], Line([7; 16]));
        assert_ne!(a, poly_of_two());
        a.zeroize();
        assert!(a.lines.iter().all(|line| *line == Line([0; 16])), "{:?}", a.lines);
        let mut b = b.assume::<Factor>();
        b.settle();
        assert_eq!((b.lines.len(), b.words()), (1, &[7; 16][..]));
    }

    fn poly_of_two() -> Poly<Values> {
        let mut poly = Poly::zero(16, 2);
        poly.words_mut().fill(7);
        poly
    }
}

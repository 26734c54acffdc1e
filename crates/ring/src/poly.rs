//! A polynomial over a basis of primes, in the form that its type tells.

use std::cell::RefCell;
use std::marker::PhantomData;
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
/// A dropped polynomial leaves its memory to the next one on its thread. Whoever holds a secret one wraps it
/// in `Zeroizing`, which wipes it first.
#[derive(Debug, PartialEq, Eq)]
pub struct Poly<F: Form> {
    lines: Vec<Line>,
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
        Self { lines: recycled(limbs * degree / 16), degree, form: PhantomData }
    }

    /// Words in a limb.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// How many limbs there are.
    pub fn limbs(&self) -> usize {
        self.lines.len() * 16 / self.degree
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
        bytemuck::cast_slice(&self.lines)
    }

    /// All words, to be written.
    pub fn words_mut(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.lines)
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
        self.lines.truncate(limbs * self.degree / 16);
    }

    /// Moves it to memory of just its size, where it has more: of limbs that were dropped, or of the
    /// polynomial that had the memory before. For one of thousands that are kept for long.
    pub fn settle(&mut self) {
        if self.lines.capacity() > self.lines.len() {
            let mut lines = Vec::with_capacity(self.lines.len());
            lines.extend_from_slice(&self.lines);
            recycle(std::mem::replace(&mut self.lines, lines));
        }
    }

    /// The same words read in another form: only where the arithmetic around it makes that true.
    pub fn assume<G: Form>(mut self) -> Poly<G> {
        Poly { lines: std::mem::take(&mut self.lines), degree: self.degree, form: PhantomData }
    }
}

impl<F: Form> Clone for Poly<F> {
    fn clone(&self) -> Self {
        let mut lines = recycled(self.lines.len());
        lines.copy_from_slice(&self.lines);
        Self { lines, ..*self }
    }
}

impl<F: Form> Drop for Poly<F> {
    fn drop(&mut self) {
        recycle(std::mem::take(&mut self.lines));
    }
}

/// Buffers of dropped polynomials, most recent last. Fresh pages cost a fault and a zeroing each, about as
/// much as the arithmetic on them.
struct Recycler {
    buffers: Vec<Vec<Line>>,
    lines: usize,
}

/// How much memory a thread keeps: what a key-switch at a large degree needs at once.
const RECYCLED_LINES: usize = (64 << 20) / size_of::<Line>();

thread_local! {
    static RECYCLER: RefCell<Recycler> = const { RefCell::new(Recycler { buffers: Vec::new(), lines: 0 }) };
}

/// A buffer of so many lines, of any content.
fn recycled(lines: usize) -> Vec<Line> {
    let found = RECYCLER.with_borrow_mut(|recycler| {
        let fits = |buffer: &Vec<Line>| (lines..=2 * lines).contains(&buffer.capacity());
        let index = recycler.buffers.iter().rposition(fits)?;
        let buffer = recycler.buffers.swap_remove(index);
        recycler.lines -= buffer.capacity();
        Some(buffer)
    });
    let mut buffer = found.unwrap_or_else(|| Vec::with_capacity(lines));
    // Writes only what is missing: nothing where the last user had as many lines.
    buffer.resize(lines, Line([0; 16]));
    buffer
}

fn recycle(buffer: Vec<Line>) {
    // The thread may be ending: then its memory goes back to the system.
    let _ = RECYCLER.try_with(|recycler| {
        let mut recycler = recycler.borrow_mut();
        if buffer.capacity() > 0 && recycler.lines + buffer.capacity() <= RECYCLED_LINES {
            recycler.lines += buffer.capacity();
            recycler.buffers.push(buffer);
        }
    });
}

impl<F: Form> Zeroize for Poly<F> {
    fn zeroize(&mut self) {
        self.words_mut().zeroize();
    }
}

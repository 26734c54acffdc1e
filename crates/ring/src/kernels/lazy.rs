//! Lazily bounded arithmetic for transforms.
//!
//! Inside a transform a word is a signed integer that stands for its residue. A product with a twiddle factor
//! `w` (`|w| < q/2`, quotient `w' = floor(w 2^32 / q)`, both signed) is `y w - floor(y w' / 2^32) q`. The
//! estimate of the quotient errs by less than 1 downward for the floor, and by at most `|y| / 2^32` either
//! way for `w'`, so for every word `y` the product lies in `(-q b, q (1 + b))` with
//! `b = max(|y|) / 2^32 <= 1/2`; its magnitude is below `1.5 q`. (Harvey, "Faster arithmetic for
//! number-theoretic transforms", 2014, has the unsigned case.)
//!
//! A *correction* subtracts from a word the multiple of `q` that a table holds for its top bits: the one
//! nearest to the middle of the cell of words with these bits. What remains is at most
//! `c = q/2 + half a cell` (a cell is `2^28` wide with 16 lanes, `2^29` with 8). That costs a shift, a
//! permutation and a subtraction.
//!
//! NEON takes the multiple from a product with `2^31 / q`, rounded to `2^31 / q + e`, `|e| <= 1/2`, whose
//! high word is rounded again: what remains is at most `q/2 + q |e x| / 2^31`. For `q` up to `2^29` that is
//! at most `q/2 + 2^28`, the `c` of 8 lanes; larger primes are corrected in each layer, and [`super::ntt`]
//! has their bounds.

use super::simd::Simd;
use crate::ntt::{LastTwiddles, Twiddles};
use crate::{Modulus, NttTable, Scalar};

/// Lazily bounded arithmetic modulo one prime; `PASS` and `LAYER` say where it corrects.
#[derive(Clone, Copy)]
pub(super) struct Lazy<'a, S: Simd, const PASS: bool, const LAYER: bool> {
    pub(super) simd: S,
    q: S::Vector,
    /// `1/q` as a float.
    reciprocal: S::Vector,
    /// What corrections need besides `q`.
    correction: S::Vector,
    pub(super) twiddles: &'a Twiddles,
}

/// A factor in each lane; the quotients of the odd lanes lie in even ones, too.
#[derive(Clone, Copy)]
pub(super) struct Factors<S: Simd> {
    value: S::Vector,
    quotient_even: S::Vector,
    quotient_odd: S::Vector,
}

impl<'a, S: Simd, const PASS: bool, const LAYER: bool> Lazy<'a, S, PASS, LAYER> {
    #[inline(always)]
    pub(super) fn new(simd: S, table: &'a NttTable, twiddles: &'a Twiddles) -> Self {
        let q = table.modulus().value();
        Self {
            simd,
            q: simd.splat(q),
            reciprocal: simd.splat_float(1.0 / q as f32),
            correction: simd.correction(table.lazy(), table.modulus()),
            twiddles,
        }
    }

    /// The same factor in every lane.
    #[inline(always)]
    pub(super) fn constant(self, m: Modulus, w: Scalar) -> Factors<S> {
        self.splat(m.signed_value(w), w.quotient)
    }

    #[inline(always)]
    pub(super) fn splat(self, value: u32, quotient: u32) -> Factors<S> {
        let quotient = self.simd.splat(quotient);
        Factors { value: self.simd.splat(value), quotient_even: quotient, quotient_odd: quotient }
    }

    /// The twiddle factor of node `index` in every lane.
    #[inline(always)]
    pub(super) fn node(self, index: usize) -> Factors<S> {
        let (value, quotient) = self.twiddles.signed(index);
        self.splat(value, quotient)
    }

    /// The twiddle factors of layer `count` of the last ones for pair `pair` of vectors, one for each node,
    /// over and over.
    #[inline(always)]
    pub(super) fn last(self, last: &LastTwiddles, count: usize, pair: usize) -> Factors<S> {
        // A group is 32 words: one pair of vectors of 16 lanes, or two of 8.
        let share = count * S::LANES / 16;
        let first = count - 2 + pair * share;
        Factors {
            value: self.simd.load_cyclic(&last.values[first..], share),
            quotient_even: self.simd.load_cyclic(&last.quotients[first..], share),
            quotient_odd: self.simd.load_cyclic(&last.quotients[first + 1..], share),
        }
    }

    /// `y w`, of magnitude below `1.5 q`.
    #[inline(always)]
    pub(super) fn mul(self, y: S::Vector, w: Factors<S>) -> S::Vector {
        self.simd.lazy_product(y, w.value, [w.quotient_even, w.quotient_odd], self.q)
    }

    /// Any word to at most `c`, as above.
    #[inline(always)]
    fn correct(self, x: S::Vector) -> S::Vector {
        self.simd.correct(x, self.correction, self.q)
    }

    #[inline(always)]
    fn correct_if(self, condition: bool, x: S::Vector) -> S::Vector {
        if condition { self.correct(x) } else { x }
    }

    /// `(-q, 2q)` to `[0, q)`: below zero, `x` is more than `x + q` as an unsigned word; below `q`, `x - q`
    /// is more than `x`.
    #[inline(always)]
    pub(super) fn finish(self, x: S::Vector) -> S::Vector {
        let s = self.simd;
        let x = s.min(x, s.add(x, self.q));
        s.min(x, s.sub(x, self.q))
    }

    /// `(x + w y, x - w y)`; `first` where the layer is the first of a pass.
    #[inline(always)]
    pub(super) fn split(
        self,
        x: S::Vector,
        y: S::Vector,
        w: Factors<S>,
        first: bool,
    ) -> (S::Vector, S::Vector) {
        let x = self.correct_if(LAYER || PASS && first, x);
        let product = self.mul(self.correct_if(LAYER, y), w);
        (self.simd.add(x, product), self.simd.sub(x, product))
    }

    /// [`Self::split`], with residues as results.
    #[inline(always)]
    pub(super) fn split_finally(self, x: S::Vector, y: S::Vector, w: Factors<S>) -> (S::Vector, S::Vector) {
        let s = self.simd;
        let quotient = s.round(s.mul_float(s.to_float(x), self.reciprocal));
        let x = s.sub(x, s.mul_low(quotient, self.q));
        let product = self.mul(self.correct_if(LAYER, y), w);
        (self.finish(s.add(x, product)), self.finish(s.sub(s.add(x, self.q), product)))
    }

    /// `(x + y, (x - y) w)`, the sum corrected on demand.
    #[inline(always)]
    pub(super) fn join(
        self,
        x: S::Vector,
        y: S::Vector,
        w: Factors<S>,
        correct: bool,
    ) -> (S::Vector, S::Vector) {
        let product = self.mul(self.simd.sub(x, y), w);
        (self.correct_if(LAYER || correct, self.simd.add(x, y)), self.correct_if(LAYER, product))
    }
}

//! Arithmetic modulo one prime on vectors.

use super::simd::Simd;
use crate::{Modulus, Scalar};

/// A prime, spread over the lanes.
#[derive(Clone, Copy)]
pub(super) struct Field<S: Simd> {
    pub(super) simd: S,
    pub(super) q: S::Vector,
    q_inverse: S::Vector,
    one_quotient: S::Vector,
}

impl<S: Simd> Field<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, m: Modulus) -> Self {
        Self {
            simd,
            q: simd.splat(m.value()),
            q_inverse: simd.splat(m.q_inverse()),
            one_quotient: simd.splat(m.one_quotient()),
        }
    }

    /// `[0, 2q)` to `[0, q)`: below `q` the difference wraps around to more than `x`.
    #[inline(always)]
    pub(super) fn reduce_once(self, x: S::Vector) -> S::Vector {
        self.simd.min(x, self.simd.sub(x, self.q))
    }

    /// `[-q, q)` to `[0, q)`: a negative `x` is, as an unsigned word, more than `x + q`.
    #[inline(always)]
    pub(super) fn raise_once(self, x: S::Vector) -> S::Vector {
        self.simd.min(x, self.simd.add(x, self.q))
    }

    /// `a + b` of residues.
    #[inline(always)]
    pub(super) fn add(self, a: S::Vector, b: S::Vector) -> S::Vector {
        self.reduce_once(self.simd.add(a, b))
    }

    /// `a - b` of residues.
    #[inline(always)]
    pub(super) fn sub(self, a: S::Vector, b: S::Vector) -> S::Vector {
        self.raise_once(self.simd.sub(a, b))
    }

    /// `x w` in `[0, 2q)` for any words `x`: [`Modulus::mul_scalar_lazy`].
    #[inline(always)]
    pub(super) fn mul_lazy(self, x: S::Vector, w: ScalarVector<S>) -> S::Vector {
        let quotient = self.mul_high(x, w.quotient);
        self.simd.sub(self.simd.mul_low(x, w.value), self.simd.mul_low(quotient, self.q))
    }

    /// Any word modulo `q`: [`Modulus::reduce_word`].
    #[inline(always)]
    pub(super) fn reduce_word(self, x: S::Vector) -> S::Vector {
        let quotient = self.mul_high(x, self.one_quotient);
        self.reduce_once(self.simd.sub(x, self.simd.mul_low(quotient, self.q)))
    }

    /// The high words of `x w`, for `w` the same in all lanes.
    #[inline(always)]
    fn mul_high(self, x: S::Vector, w: S::Vector) -> S::Vector {
        let s = self.simd;
        s.high_words(s.mul_wide(x, w), s.mul_wide(s.odd_lanes(x), w))
    }

    /// `x / 2^32` for wide `x` below `2^32 q`: [`Modulus::montgomery_reduce`], where the high word is below
    /// `q` already.
    #[inline(always)]
    pub(super) fn montgomery_reduce_small(self, x: Wide<S>) -> S::Vector {
        self.sub(self.simd.high_words(x.even, x.odd), self.montgomery_correction(x))
    }

    /// `x / 2^32` for wide `x` below `3 * 2^32 q`, which is below `2^64`: the high word is below `3q`, and
    /// two conditional subtractions reduce it. (Below `2q` the first difference wraps around to more than
    /// `x`: `x - 2q + 2^32 > x`.)
    #[inline(always)]
    pub(super) fn montgomery_reduce_triple(self, x: Wide<S>) -> S::Vector {
        let s = self.simd;
        let high = s.high_words(x.even, x.odd);
        let high = s.min(high, s.sub(high, s.add(self.q, self.q)));
        self.sub(self.reduce_once(high), self.montgomery_correction(x))
    }

    /// `x / 2^32` for any wide `x`: [`Modulus::montgomery_reduce`].
    #[inline(always)]
    pub(super) fn montgomery_reduce(self, x: Wide<S>) -> S::Vector {
        self.sub(self.reduce_word(self.simd.high_words(x.even, x.odd)), self.montgomery_correction(x))
    }

    /// `x / 2^32` for a sum of products within a bound.
    #[inline(always)]
    pub(super) fn montgomery_reduce_within(self, x: Wide<S>, bound: Bound) -> S::Vector {
        match bound {
            Bound::Single => self.montgomery_reduce_small(x),
            Bound::Triple => self.montgomery_reduce_triple(x),
            Bound::Any => self.montgomery_reduce(x),
        }
    }

    /// The high words of `m q`, `m = x / q mod 2^32`.
    #[inline(always)]
    fn montgomery_correction(self, x: Wide<S>) -> S::Vector {
        self.simd.montgomery_correction(x.even, x.odd, self.q_inverse, self.q)
    }
}

/// What sums of products of residues are below: the less, the sooner they are reduced.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    /// `2^32 q`.
    Single,
    /// `3 * 2^32 q`.
    Triple,
    /// Nothing but `2^64`.
    Any,
}

impl Bound {
    /// That of so many products, each below `q^2`.
    #[inline(always)]
    pub(super) fn of(m: Modulus, products: usize) -> Self {
        match products as u64 * u64::from(m.value()) {
            below if below <= 1 << 32 => Self::Single,
            below if below <= 3 << 32 => Self::Triple,
            _ => Self::Any,
        }
    }
}

/// A constant and its Shoup quotient in every lane.
#[derive(Clone, Copy)]
pub(super) struct ScalarVector<S: Simd> {
    value: S::Vector,
    quotient: S::Vector,
}

impl<S: Simd> ScalarVector<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, w: Scalar) -> Self {
        Self { value: simd.splat(w.value), quotient: simd.splat(w.quotient) }
    }
}

/// A vector whose odd lanes lie ready as even ones, too, for wide products.
#[derive(Clone, Copy)]
pub(super) struct Halves<S: Simd> {
    pub(super) even: S::Vector,
    pub(super) odd: S::Vector,
}

impl<S: Simd> Halves<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, v: S::Vector) -> Self {
        Self { even: v, odd: simd.odd_lanes(v) }
    }

    /// The first words of a slice.
    #[inline(always)]
    pub(super) fn load(simd: S, words: &[u32]) -> Self {
        Self::new(simd, simd.load(words))
    }

    /// The first words of a slice, each `repeats` times, a power of two.
    #[inline(always)]
    pub(super) fn load_repeated(simd: S, words: &[u32], repeats: usize) -> Self {
        if repeats == 1 {
            return Self::load(simd, words);
        }
        let v = simd.load_repeated(words, repeats);
        Self { even: v, odd: simd.odd_of_repeated(v) }
    }

    /// The same word in every lane.
    #[inline(always)]
    pub(super) fn splat(simd: S, word: u32) -> Self {
        let v = simd.splat(word);
        Self { even: v, odd: v }
    }
}

/// 64-bit results, one for each lane of a vector.
#[derive(Clone, Copy)]
pub(super) struct Wide<S: Simd> {
    pub(super) even: S::Vector,
    pub(super) odd: S::Vector,
}

impl<S: Simd> Wide<S> {
    #[inline(always)]
    pub(super) fn zero(simd: S) -> Self {
        Self { even: simd.splat(0), odd: simd.splat(0) }
    }

    #[inline(always)]
    pub(super) fn product(simd: S, a: Halves<S>, b: Halves<S>) -> Self {
        Self { even: simd.mul_wide(a.even, b.even), odd: simd.mul_wide(a.odd, b.odd) }
    }

    #[inline(always)]
    pub(super) fn plus_product(self, simd: S, a: Halves<S>, b: Halves<S>) -> Self {
        Self {
            even: simd.add_mul_wide(self.even, a.even, b.even),
            odd: simd.add_mul_wide(self.odd, a.odd, b.odd),
        }
    }
}

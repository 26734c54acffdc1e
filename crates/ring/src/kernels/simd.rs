//! What the vector kernels need of an instruction set, so that each is written, and its bounds proved, once.

use crate::Modulus;
use crate::ntt::LazyConstants;

/// The instructions of one set, as methods on a token.
///
/// The token is the proof that the processor has the instructions: it can only be made by an unsafe
/// constructor. Its methods are therefore safe; they are all inlined into entry points that are compiled for
/// the instruction set.
///
/// A vector is an array of 8 or 16 words of 32 bits; the "wide" operations read it as half as many words of
/// 64 bits, each of which covers a word (its low one) and the word after it.
///
/// Multiplications with wide results take one half of the lanes at a time. The halves are called the even and
/// the odd lanes, which they are on x86. A set may split its lanes otherwise, as long as all its methods do
/// so alike: the kernels only bring results for both halves back together ([`Simd::high_words`]).
///
/// The last methods have bodies that fit most sets. A set that has better instructions for them writes its
/// own.
pub(super) trait Simd: Copy {
    /// A register, or a pair of them.
    type Vector: Copy;
    /// log2 of the number of lanes: 3 or 4.
    const LOG_LANES: u32;
    /// The number of lanes.
    const LANES: usize = 1 << Self::LOG_LANES;

    /// The first words of a slice.
    fn load(self, words: &[u32]) -> Self::Vector;
    /// The first `count` words of a slice, over and over: `count` is 2, 4, 8 or 16, and at most the number of
    /// lanes.
    fn load_cyclic(self, words: &[u32], count: usize) -> Self::Vector;
    /// The first words of a slice, each `repeats` times: a power of two from 2 on. Reads a word where that is
    /// more than the number of lanes.
    fn load_repeated(self, words: &[u32], repeats: usize) -> Self::Vector;
    /// Writes the first words of a slice.
    fn store(self, words: &mut [u32], v: Self::Vector);
    /// The words of a block of 16 that the first words of a pattern point at.
    fn load_permuted(self, block: &[u32; 16], pattern: &[u32]) -> Self::Vector;
    /// Asks for the cache line of a word, which may lie beyond the slice.
    fn prefetch(self, words: &[u32], index: usize);

    /// One word in every lane.
    fn splat(self, word: u32) -> Self::Vector;
    /// One float in every lane.
    fn splat_float(self, x: f32) -> Self::Vector;
    /// One 64-bit word in every wide lane.
    fn splat_wide(self, word: u64) -> Self::Vector;

    /// `a + b` modulo `2^32`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b` modulo `2^32`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a` or else `b`.
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// A rotation by `LEFT = 32 - RIGHT` bits.
    fn rotate_left<const LEFT: i32, const RIGHT: i32>(self, v: Self::Vector) -> Self::Vector;
    /// The lesser of two unsigned words.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a b` modulo `2^32`.
    fn mul_low(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a + b` in wide lanes.
    fn add_wide(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Wide lanes of `count`, less one where `a < b` as signed wide words.
    fn decrement_if_less(self, count: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The wide products of the even lanes as signed words.
    fn mul_wide_signed(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The wide products of the even lanes as unsigned words.
    fn mul_wide(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The low halves of words: the first one's, and above it the second one's.
    fn low_halves(self, first: Self::Vector, second: Self::Vector) -> Self::Vector;
    /// The same of the high halves.
    fn high_halves(self, first: Self::Vector, second: Self::Vector) -> Self::Vector;
    /// The products of the words' low halves and of their high halves, all signed, added up in each word.
    fn mul_add_halves(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The odd lanes moved to where the even ones are.
    fn odd_lanes(self, v: Self::Vector) -> Self::Vector;
    /// The high words of wide results for the even and the odd lanes, put back in order.
    fn high_words(self, even: Self::Vector, odd: Self::Vector) -> Self::Vector;

    /// [`Simd::odd_lanes`] of a vector whose words come in pairs of equal ones ([`Simd::load_repeated`]):
    /// those in odd lanes are in the even ones before them, too.
    #[inline(always)]
    fn odd_of_repeated(self, v: Self::Vector) -> Self::Vector {
        v
    }

    /// What [`Simd::correct`] takes besides `q`: a multiple of `q` for each value of the top bits of a word,
    /// or `1/q`.
    fn correction(self, lazy: &LazyConstants, m: Modulus) -> Self::Vector;
    /// Signed words less multiples of `q` near them, within the bounds that [`super::lazy`] states.
    fn correct(self, x: Self::Vector, correction: Self::Vector, q: Self::Vector) -> Self::Vector;
    /// Signed words to floats, rounded to nearest, ties to even.
    fn to_float(self, v: Self::Vector) -> Self::Vector;
    /// Floats to signed words, rounded to nearest, ties to even.
    fn round(self, v: Self::Vector) -> Self::Vector;
    /// `a + b` of floats.
    fn add_float(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a b` of floats.
    fn mul_float(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The lanes in reverse order.
    fn reverse(self, v: Self::Vector) -> Self::Vector;
    /// `a_0 b_0 a_1 b_1 ...`, in two registers.
    fn interleave(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);
    /// The inverse of [`Simd::interleave`].
    fn deinterleave(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);

    /// `y w` less a multiple of `q`, as signed words, within the bounds that [`super::lazy`] states. The
    /// quotients of `w` are given as they are, and with those of the odd lanes in the even ones.
    #[inline(always)]
    fn lazy_product(
        self,
        y: Self::Vector,
        w: Self::Vector,
        quotients: [Self::Vector; 2],
        q: Self::Vector,
    ) -> Self::Vector {
        let even = self.mul_wide_signed(y, quotients[0]);
        let odd = self.mul_wide_signed(self.odd_lanes(y), quotients[1]);
        self.sub(self.mul_low(y, w), self.mul_low(self.high_words(even, odd), q))
    }

    /// A signed word where multiplications look for it: in the even lanes, and nothing but its sign in the
    /// odd ones.
    #[inline(always)]
    fn splat_weight(self, weight: i64) -> Self::Vector {
        self.splat_wide(weight as u64)
    }

    /// [`Simd::mul_wide`], added to wide lanes.
    #[inline(always)]
    fn add_mul_wide(self, sum: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        self.add_wide(sum, self.mul_wide(a, b))
    }

    /// The high words of `m q`, where `m` is the low word of `x / q`, for the wide words `x` of both halves.
    #[inline(always)]
    fn montgomery_correction(
        self,
        even: Self::Vector,
        odd: Self::Vector,
        q_inverse: Self::Vector,
        q: Self::Vector,
    ) -> Self::Vector {
        let even = self.mul_wide(self.mul_wide(even, q_inverse), q);
        let odd = self.mul_wide(self.mul_wide(odd, q_inverse), q);
        self.high_words(even, odd)
    }
}

/// Multiplications of 52 bits that add what they give.
pub(super) trait Fused: Simd {
    /// The even lanes, zeros in the odd ones.
    fn even_lanes(self, v: Self::Vector) -> Self::Vector;
    /// Wide lanes of `sum` plus the low 52 bits of the products of the low 52 bits of `a` and `b`.
    fn add_low_product(self, sum: Self::Vector, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The low 52 bits of wide lanes as signed numbers.
    fn extend_low(self, v: Self::Vector) -> Self::Vector;
}

/// Defines the entry points of one instruction set: the generic kernels, compiled for it.
///
/// Each is unsafe to call for one reason: the processor must have the features.
macro_rules! entry_points {
    ($token:ident, $features:literal) => {
        entry_points! { $token, $features;
            chacha::keystream as keystream(key: &Seed, stream: u64, first: u64, out: &mut [u32]) -> ();
            chacha::accept as accept(m: Modulus, words: &[u32], end: u32, out: &mut [u32]) -> usize;
            gaussian::gaussian as gaussian(thresholds: &[u64], words: &[u64], out: &mut [i32]) -> ();
            ntt::forward as ntt_forward(table: &NttTable, a: &mut [u32]) -> ();
            ntt::inverse as ntt_inverse(table: &NttTable, a: &mut [u32]) -> ();
            words::add as add(m: Modulus, a: &mut [u32], b: &[u32]) -> ();
            words::sub as sub(m: Modulus, a: &mut [u32], b: &[u32]) -> ();
            words::negate as negate(m: Modulus, a: &mut [u32]) -> ();
            words::mul as mul(m: Modulus, a: &mut [u32], b: &[u32]) -> ();
            words::mul_scalar as mul_scalar(m: Modulus, a: &mut [u32], w: Scalar) -> ();
            words::add_mul_scalar as add_mul_scalar(m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) -> ();
            words::sub_mul_scalar as sub_mul_scalar(m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) -> ();
            products::dot_pair as dot_pair(m: Modulus, terms: &[Pair<'_>], out: [&mut [u32]; 2]) -> ();
            products::dot_woven as dot_woven(
                m: Modulus, left: &[[&[u32]; 2]], sums: &mut [WovenSum<'_>], add: bool
            ) -> ();
            products::tensor as tensor(m: Modulus, a: [&[u32]; 2], b: [&[u32]; 2], out: [&mut [u32]; 3]) -> ();
            rows::sum_rows as sum_rows(
                m: Modulus, rows: &IntegerRows, constants: (&[u32], usize), x: &[u32], out: &mut [u32], width: usize
            ) -> ();
            words::permute as permute(blocks: &[u32], lanes: &[[u32; 16]], a: &[u32], out: &mut [u32]) -> ();
            words::permute_add as permute_add(
                m: Modulus, blocks: &[u32], lanes: &[[u32; 16]], a: &[u32], out: &mut [u32]
            ) -> ();
            words::overflow as overflow(digits: &[&[u32]], inverses: &[f32], out: &mut [u32]) -> ();
            words::convert as convert(
                m: Modulus, digits: &[&[u32]], overflow: &[u32], factors: &[u32], out: &mut [u32]
            ) -> ();
        }
    };
    ($token:ident, $features:literal; $($module:ident :: $generic:ident as $name:ident (
        $($argument:ident : $type:ty),*
    ) -> $result:ty;)*) => {
        $(
            #[target_feature(enable = $features)]
            pub(super) fn $name($($argument: $type),*) -> $result {
                // SAFETY: this function is compiled for, and may only be called with, the features that the
                // token stands for.
                let simd = unsafe { $token::new() };
                super::$module::$generic(simd, $($argument),*)
            }
        )*
    };
}
pub(super) use entry_points;

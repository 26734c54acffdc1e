//! AVX2: 8 lanes of 32 bits.

use super::simd::{Simd, entry_points};
use super::{Pair, WovenSum};
use crate::ntt::LazyConstants;
use crate::seed::Seed;
use crate::{IntegerRows, Modulus, NttTable, Scalar};
use std::arch::x86_64::*;

/// Proof that the processor has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor must have AVX2.
    #[inline(always)]
    unsafe fn new() -> Self {
        debug_assert!(is_available());
        Self(())
    }
}

/// Whether this processor can run these kernels.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

entry_points!(Avx2, "avx2");

/// Methods that are one or a few instructions on registers.
macro_rules! instructions {
    ($($name:ident($($argument:ident),*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($argument: __m256i),*) -> __m256i {
            // SAFETY: the token proves that the processor has the instructions; they touch no memory.
            unsafe { $body }
        }
    )*};
}

/// The odd lanes, for a merge of even and odd results, or the high halves of words.
const ODD: i32 = 0b1010_1010;

impl Simd for Avx2 {
    type Vector = __m256i;
    const LOG_LANES: u32 = 3;

    #[inline(always)]
    fn load(self, words: &[u32]) -> __m256i {
        let words = &words[..8];
        // SAFETY: the slice has 8 words; the load needs no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_cyclic(self, words: &[u32], count: usize) -> __m256i {
        let words = &words[..count];
        // SAFETY: each arm loads `count` words, and the slice has that many; the loads need no alignment.
        unsafe {
            match count {
                2 => _mm256_broadcastq_epi64(_mm_loadl_epi64(words.as_ptr().cast())),
                4 => _mm256_broadcastsi128_si256(_mm_loadu_si128(words.as_ptr().cast())),
                8 => _mm256_loadu_si256(words.as_ptr().cast()),
                _ => unreachable!("{count} words do not fill a vector evenly"),
            }
        }
    }

    #[inline(always)]
    fn load_repeated(self, words: &[u32], repeats: usize) -> __m256i {
        let words = &words[..(8 / repeats).max(1)];
        // SAFETY: each arm loads as many words as the slice has; the loads need no alignment.
        unsafe {
            match words.len() {
                4 => {
                    let words = _mm256_castsi128_si256(_mm_loadu_si128(words.as_ptr().cast()));
                    _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3))
                }
                2 => {
                    let words = _mm256_castsi128_si256(_mm_loadl_epi64(words.as_ptr().cast()));
                    _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1))
                }
                1 => _mm256_set1_epi32(words[0] as i32),
                count => unreachable!("{count} words do not fill a vector evenly"),
            }
        }
    }

    #[inline(always)]
    fn store(self, words: &mut [u32], v: __m256i) {
        let words = &mut words[..8];
        // SAFETY: the slice has 8 words; the store needs no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), v) }
    }

    #[inline(always)]
    fn load_permuted(self, block: &[u32; 16], pattern: &[u32]) -> __m256i {
        let (low, high, pattern) = (self.load(block), self.load(&block[8..]), self.load(pattern));
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe {
            let low = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(low, pattern));
            let high = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(high, pattern));
            // Bit 3 of the pattern, moved to the sign, chooses the half.
            let choice = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(pattern));
            _mm256_castps_si256(_mm256_blendv_ps(low, high, choice))
        }
    }

    #[inline(always)]
    fn prefetch(self, words: &[u32], index: usize) {
        // SAFETY: a prefetch is a hint and may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(words.as_ptr().wrapping_add(index).cast()) }
    }

    #[inline(always)]
    fn splat(self, word: u32) -> __m256i {
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm256_set1_epi32(word as i32) }
    }

    #[inline(always)]
    fn splat_float(self, x: f32) -> __m256i {
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm256_castps_si256(_mm256_set1_ps(x)) }
    }

    #[inline(always)]
    fn splat_wide(self, word: u64) -> __m256i {
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm256_set1_epi64x(word as i64) }
    }

    instructions! {
        add(a, b) = _mm256_add_epi32(a, b);
        sub(a, b) = _mm256_sub_epi32(a, b);
        min(a, b) = _mm256_min_epu32(a, b);
        xor(a, b) = _mm256_xor_si256(a, b);
        mul_low(a, b) = _mm256_mullo_epi32(a, b);
        add_wide(a, b) = _mm256_add_epi64(a, b);
        decrement_if_less(count, a, b) = _mm256_add_epi64(count, _mm256_cmpgt_epi64(b, a));
        mul_wide_signed(a, b) = _mm256_mul_epi32(a, b);
        mul_wide(a, b) = _mm256_mul_epu32(a, b);
        low_halves(a, b) = _mm256_blend_epi16::<ODD>(a, _mm256_slli_epi32::<16>(b));
        high_halves(a, b) = _mm256_blend_epi16::<ODD>(_mm256_srli_epi32::<16>(a), b);
        mul_add_halves(a, b) = _mm256_madd_epi16(a, b);
        odd_lanes(v) = _mm256_srli_epi64::<32>(v);
        high_words(even, odd) = _mm256_blend_epi32::<ODD>(_mm256_srli_epi64::<32>(even), odd);
        correct(x, multiples, _q) =
            _mm256_sub_epi32(x, _mm256_permutevar8x32_epi32(multiples, _mm256_srli_epi32::<29>(x)));
        to_float(v) = _mm256_castps_si256(_mm256_cvtepi32_ps(v));
        round(v) = _mm256_cvtps_epi32(_mm256_castsi256_ps(v));
        add_float(a, b) = _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        mul_float(a, b) = _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
        reverse(v) = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0));
    }

    #[inline(always)]
    fn correction(self, lazy: &LazyConstants, _: Modulus) -> __m256i {
        self.load(&lazy.multiples_8)
    }

    #[inline(always)]
    fn rotate_left<const LEFT: i32, const RIGHT: i32>(self, v: __m256i) -> __m256i {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe { _mm256_or_si256(_mm256_slli_epi32::<LEFT>(v), _mm256_srli_epi32::<RIGHT>(v)) }
    }

    #[inline(always)]
    fn interleave(self, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe {
            let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            (_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high))
        }
    }

    #[inline(always)]
    fn deinterleave(self, a: __m256i, b: __m256i) -> (__m256i, __m256i) {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe {
            let (a, b) = (_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
            let even = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
            let odd = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
            (_mm256_permute4x64_epi64::<0b11_01_10_00>(even), _mm256_permute4x64_epi64::<0b11_01_10_00>(odd))
        }
    }
}

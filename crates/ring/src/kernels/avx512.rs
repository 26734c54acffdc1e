//! AVX-512: 16 lanes of 32 bits.

use super::simd::{Fused, Simd, entry_points};
use super::{Pair, WovenSum};
use crate::ntt::LazyConstants;
use crate::seed::Seed;
use crate::{IntegerRows, Modulus, NttTable, Scalar};
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, BW, DQ and VL, and IFMA where it says so.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const IFMA: bool>(());

type Plain = Avx512<false>;
type Ifma = Avx512<true>;

impl<const IFMA: bool> Avx512<IFMA> {
    /// # Safety
    /// The processor must have AVX-512 F, BW, DQ and VL, and IFMA where the type says so.
    #[inline(always)]
    unsafe fn new() -> Self {
        debug_assert!(is_available() && (!IFMA || is_fused()));
        Self(())
    }
}

/// Whether this processor can run these kernels.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Whether this processor can run [`sum_rows_fused`], too.
pub(super) fn is_fused() -> bool {
    is_available() && is_x86_feature_detected!("avx512ifma")
}

entry_points!(Plain, "avx512f,avx512bw,avx512dq,avx512vl");
entry_points! { Ifma, "avx512f,avx512bw,avx512dq,avx512vl,avx512ifma";
    rows::sum_rows_fused as sum_rows_fused(
        m: Modulus, rows: &IntegerRows, constants: (&[u32], usize), x: &[u32], out: &mut [u32], width: usize
    ) -> ();
}

/// Methods that are one instruction on registers.
macro_rules! instructions {
    ($($name:ident($($argument:ident),*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($argument: __m512i),*) -> __m512i {
            // SAFETY: the token proves that the processor has the instruction; it touches no memory.
            unsafe { $body }
        }
    )*};
}

/// The even lanes, for a merge of even and odd results.
const EVEN: __mmask16 = 0x5555;
/// The high halves of words.
const HIGH_HALVES: __mmask32 = 0xaaaa_aaaa;

impl<const IFMA: bool> Simd for Avx512<IFMA> {
    type Vector = __m512i;
    const LOG_LANES: u32 = 4;

    #[inline(always)]
    fn load(self, words: &[u32]) -> __m512i {
        let words = &words[..16];
        // SAFETY: the slice has 16 words; the load needs no alignment.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_cyclic(self, words: &[u32], count: usize) -> __m512i {
        let words = &words[..count];
        // SAFETY: each arm loads `count` words, and the slice has that many; the loads need no alignment.
        unsafe {
            match count {
                2 => _mm512_broadcastq_epi64(_mm_loadl_epi64(words.as_ptr().cast())),
                4 => _mm512_broadcast_i32x4(_mm_loadu_si128(words.as_ptr().cast())),
                8 => _mm512_broadcast_i64x4(_mm256_loadu_si256(words.as_ptr().cast())),
                16 => _mm512_loadu_si512(words.as_ptr().cast()),
                _ => unreachable!("{count} words do not fill a vector evenly"),
            }
        }
    }

    #[inline(always)]
    fn load_repeated(self, words: &[u32], repeats: usize) -> __m512i {
        let words = &words[..(16 / repeats).max(1)];
        // SAFETY: each arm loads as many words as the slice has; the loads need no alignment.
        unsafe {
            match words.len() {
                8 => {
                    let words = _mm512_castsi256_si512(_mm256_loadu_si256(words.as_ptr().cast()));
                    let pattern = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
                    _mm512_permutexvar_epi32(pattern, words)
                }
                4 => {
                    let words = _mm512_castsi128_si512(_mm_loadu_si128(words.as_ptr().cast()));
                    let pattern = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
                    _mm512_permutexvar_epi32(pattern, words)
                }
                2 => {
                    let words = _mm512_broadcastq_epi64(_mm_loadl_epi64(words.as_ptr().cast()));
                    let pattern = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
                    _mm512_permutexvar_epi32(pattern, words)
                }
                1 => _mm512_set1_epi32(words[0] as i32),
                count => unreachable!("{count} words do not fill a vector evenly"),
            }
        }
    }

    #[inline(always)]
    fn store(self, words: &mut [u32], v: __m512i) {
        let words = &mut words[..16];
        // SAFETY: the slice has 16 words; the store needs no alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), v) }
    }

    #[inline(always)]
    fn load_permuted(self, block: &[u32; 16], pattern: &[u32]) -> __m512i {
        let (block, pattern) = (self.load(block), self.load(pattern));
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm512_permutexvar_epi32(pattern, block) }
    }

    #[inline(always)]
    fn prefetch(self, words: &[u32], index: usize) {
        // SAFETY: a prefetch is a hint and may be given any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(words.as_ptr().wrapping_add(index).cast()) }
    }

    #[inline(always)]
    fn splat(self, word: u32) -> __m512i {
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm512_set1_epi32(word as i32) }
    }

    #[inline(always)]
    fn splat_float(self, x: f32) -> __m512i {
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm512_castps_si512(_mm512_set1_ps(x)) }
    }

    #[inline(always)]
    fn splat_wide(self, word: u64) -> __m512i {
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm512_set1_epi64(word as i64) }
    }

    instructions! {
        add(a, b) = _mm512_add_epi32(a, b);
        sub(a, b) = _mm512_sub_epi32(a, b);
        min(a, b) = _mm512_min_epu32(a, b);
        xor(a, b) = _mm512_xor_si512(a, b);
        mul_low(a, b) = _mm512_mullo_epi32(a, b);
        add_wide(a, b) = _mm512_add_epi64(a, b);
        decrement_if_less(count, a, b) =
            _mm512_mask_add_epi64(count, _mm512_cmplt_epi64_mask(a, b), count, _mm512_set1_epi64(-1));
        mul_wide_signed(a, b) = _mm512_mul_epi32(a, b);
        mul_wide(a, b) = _mm512_mul_epu32(a, b);
        low_halves(a, b) = _mm512_mask_blend_epi16(HIGH_HALVES, a, _mm512_slli_epi32::<16>(b));
        high_halves(a, b) = _mm512_mask_blend_epi16(HIGH_HALVES, _mm512_srli_epi32::<16>(a), b);
        mul_add_halves(a, b) = _mm512_madd_epi16(a, b);
        odd_lanes(v) = _mm512_srli_epi64::<32>(v);
        high_words(even, odd) = _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, EVEN, even);
        correct(x, multiples, _q) =
            _mm512_sub_epi32(x, _mm512_permutexvar_epi32(_mm512_srli_epi32::<28>(x), multiples));
        to_float(v) = _mm512_castps_si512(_mm512_cvtepi32_ps(v));
        round(v) = _mm512_cvtps_epi32(_mm512_castsi512_ps(v));
        add_float(a, b) = _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        mul_float(a, b) = _mm512_castps_si512(_mm512_mul_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
        reverse(v) = _mm512_permutexvar_epi32(
            _mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), v
        );
    }

    #[inline(always)]
    fn correction(self, lazy: &LazyConstants, _: Modulus) -> __m512i {
        self.load(&lazy.multiples_16)
    }

    #[inline(always)]
    fn rotate_left<const LEFT: i32, const RIGHT: i32>(self, v: __m512i) -> __m512i {
        // SAFETY: the token proves that the processor has the instruction; it touches no memory.
        unsafe { _mm512_rol_epi32::<LEFT>(v) }
    }

    #[inline(always)]
    fn interleave(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (_mm512_permutex2var_epi32(a, low, b), _mm512_permutex2var_epi32(a, high, b))
        }
    }

    #[inline(always)]
    fn deinterleave(self, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b))
        }
    }
}

impl Fused for Ifma {
    instructions! {
        even_lanes(v) = _mm512_maskz_mov_epi32(EVEN, v);
        add_low_product(sum, a, b) = _mm512_madd52lo_epu64(sum, a, b);
        extend_low(v) = _mm512_srai_epi64::<12>(_mm512_slli_epi64::<12>(v));
    }
}

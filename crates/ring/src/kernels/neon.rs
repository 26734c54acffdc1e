//! NEON, the vector instructions of every 64-bit Arm processor: 8 lanes of 32 bits in two registers.
//!
//! Two registers make a vector, because then nothing is left of what costs instructions elsewhere: the
//! lower and the upper register are the two halves that wide products take, so that no lane is moved for one,
//! and a permutation of 16 words is two look-ups. There are 32 registers, so 16 such vectors, as many as
//! AVX2 has.

use super::simd::{Simd, entry_points};
use super::{Pair, WovenSum};
use crate::ntt::LazyConstants;
use crate::seed::Seed;
use crate::{IntegerRows, Modulus, NttTable, Scalar};
use std::arch::aarch64::*;
use std::arch::asm;

/// Proof that the processor has NEON.
#[derive(Clone, Copy)]
pub(super) struct Neon(());

impl Neon {
    /// # Safety
    /// The processor must have NEON.
    #[inline(always)]
    unsafe fn new() -> Self {
        debug_assert!(is_available());
        Self(())
    }
}

/// Whether this processor can run these kernels: known to the compiler wherever the target says so, as all do
/// that have a system.
pub(super) fn is_available() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

entry_points!(Neon, "neon");

/// The lower and the upper four lanes.
type Vector = [uint32x4_t; 2];

/// What `f` makes for the lower and for the upper register. (`map` of arrays is not inlined.)
#[inline(always)]
fn both(f: impl Fn(usize) -> uint32x4_t) -> Vector {
    [f(0), f(1)]
}

/// Methods that are one or a few instructions on each of the two registers.
macro_rules! instructions {
    ($($name:ident($($argument:ident),*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($argument: Vector),*) -> Vector {
            // SAFETY: the token proves that the processor has the instructions; they touch no memory.
            unsafe { both(#[inline(always)] |i| { $(let $argument = $argument[i];)* $body }) }
        }
    )*};
}

/// Methods that are one or a few instructions on vectors as wholes.
macro_rules! instructions_on_pairs {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($argument: $type),*) -> $result {
            // SAFETY: the token proves that the processor has the instructions; they touch no memory.
            unsafe { $body }
        }
    )*};
}

/// Words as floats.
#[inline(always)]
fn floats(v: uint32x4_t) -> float32x4_t {
    // SAFETY: the register's bits stay what they are.
    unsafe { vreinterpretq_f32_u32(v) }
}

/// Floats as words.
#[inline(always)]
fn words(v: float32x4_t) -> uint32x4_t {
    // SAFETY: the register's bits stay what they are.
    unsafe { vreinterpretq_u32_f32(v) }
}

/// Words as signed ones.
#[inline(always)]
fn signed(v: uint32x4_t) -> int32x4_t {
    // SAFETY: the register's bits stay what they are.
    unsafe { vreinterpretq_s32_u32(v) }
}

/// Signed words as unsigned ones.
#[inline(always)]
fn unsigned(v: int32x4_t) -> uint32x4_t {
    // SAFETY: the register's bits stay what they are.
    unsafe { vreinterpretq_u32_s32(v) }
}

/// Wide words as words.
#[inline(always)]
fn narrow(v: uint64x2_t) -> uint32x4_t {
    // SAFETY: the register's bits stay what they are.
    unsafe { vreinterpretq_u32_u64(v) }
}

/// Words as wide ones.
#[inline(always)]
fn wide(v: uint32x4_t) -> uint64x2_t {
    // SAFETY: the register's bits stay what they are.
    unsafe { vreinterpretq_u64_u32(v) }
}

/// For each lane the positions of the four bytes of word `index`, for a look-up of bytes: `4 index` to
/// `4 index + 3`. An index below 16 does not reach beyond its byte.
#[inline(always)]
fn bytes_of_words(index: uint32x4_t) -> uint8x16_t {
    // SAFETY: only tokens' methods call this, and tokens prove that the processor has the instructions; they
    // touch no memory.
    unsafe {
        let (four, bytes) = (vdupq_n_u32(0x0404_0404), vdupq_n_u32(0x0302_0100));
        vreinterpretq_u8_u32(vmlaq_u32(bytes, index, four))
    }
}

impl Neon {
    /// Four words from the front of a slice.
    #[inline(always)]
    fn load_four(self, words: &[u32]) -> uint32x4_t {
        let words = &words[..4];
        // SAFETY: the slice has 4 words; the load needs no more alignment than words have.
        unsafe { vld1q_u32(words.as_ptr()) }
    }
}

impl Simd for Neon {
    type Vector = Vector;
    const LOG_LANES: u32 = 3;

    #[inline(always)]
    fn load(self, words: &[u32]) -> Vector {
        let words = &words[..8];
        [self.load_four(words), self.load_four(&words[4..])]
    }

    #[inline(always)]
    fn load_cyclic(self, words: &[u32], count: usize) -> Vector {
        let words = &words[..count];
        match count {
            2 => self.splat_wide(u64::from(words[0]) | u64::from(words[1]) << 32),
            4 => [self.load_four(words); 2],
            8 => self.load(words),
            _ => unreachable!("{count} words do not fill a vector evenly"),
        }
    }

    #[inline(always)]
    fn load_repeated(self, words: &[u32], repeats: usize) -> Vector {
        let words = &words[..(8 / repeats).max(1)];
        match words.len() {
            4 => {
                let v = self.load_four(words);
                // SAFETY: the token proves that the processor has the instructions; they touch no memory.
                unsafe { [vzip1q_u32(v, v), vzip2q_u32(v, v)] }
            }
            2 => [self.splat(words[0])[0], self.splat(words[1])[0]],
            1 => self.splat(words[0]),
            count => unreachable!("{count} words do not fill a vector evenly"),
        }
    }

    #[inline(always)]
    fn store(self, words: &mut [u32], v: Vector) {
        let words = &mut words[..8];
        // SAFETY: the slice has 8 words; the stores need no more alignment than words have.
        unsafe {
            vst1q_u32(words.as_mut_ptr(), v[0]);
            vst1q_u32(words.as_mut_ptr().add(4), v[1]);
        }
    }

    #[inline(always)]
    fn load_permuted(self, block: &[u32; 16], pattern: &[u32]) -> Vector {
        let [low, high] = [self.load(block), self.load(&block[8..])];
        let pattern = self.load(pattern);
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe {
            let table = uint8x16x4_t(
                vreinterpretq_u8_u32(low[0]),
                vreinterpretq_u8_u32(low[1]),
                vreinterpretq_u8_u32(high[0]),
                vreinterpretq_u8_u32(high[1]),
            );
            both(
                #[inline(always)]
                |i| vreinterpretq_u32_u8(vqtbl4q_u8(table, bytes_of_words(pattern[i]))),
            )
        }
    }

    /// Nothing: stable Rust has no such instruction for Arm, and none of these kernels has been timed on a
    /// processor that would say whether it pays.
    #[inline(always)]
    fn prefetch(self, _: &[u32], _: usize) {}

    instructions_on_pairs! {
        splat(word: u32) -> Vector = [vdupq_n_u32(word); 2];
        splat_float(x: f32) -> Vector = [words(vdupq_n_f32(x)); 2];
        splat_wide(word: u64) -> Vector = [narrow(vdupq_n_u64(word)); 2];
    }

    instructions! {
        add(a, b) = vaddq_u32(a, b);
        sub(a, b) = vsubq_u32(a, b);
        min(a, b) = vminq_u32(a, b);
        xor(a, b) = veorq_u32(a, b);
        low_halves(a, b) = vsliq_n_u32::<16>(a, b);
        high_halves(a, b) = vsriq_n_u32::<16>(b, a);
        mul_add_halves(a, b) = {
            let (a, b) = (vreinterpretq_s16_u32(a), vreinterpretq_s16_u32(b));
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            unsigned(vpaddq_s32(low, vmull_high_s16(a, b)))
        };
        mul_low(a, b) = vmulq_u32(a, b);
        add_wide(a, b) = narrow(vaddq_u64(wide(a), wide(b)));
        decrement_if_less(count, a, b) = {
            let less = vcltq_s64(vreinterpretq_s64_u32(a), vreinterpretq_s64_u32(b));
            narrow(vaddq_u64(wide(count), less))
        };
        // The product with 1, its quotient rounded to nearest. A look-up as on x86 would be four
        // instructions.
        correct(x, correction, q) =
            vmlsq_u32(x, unsigned(vqrdmulhq_s32(signed(x), signed(correction))), q);
        to_float(v) = words(vcvtq_f32_s32(signed(v)));
        round(v) = unsigned(vcvtnq_s32_f32(floats(v)));
        add_float(a, b) = words(vaddq_f32(floats(a), floats(b)));
        mul_float(a, b) = words(vmulq_f32(floats(a), floats(b)));
    }

    instructions_on_pairs! {
        mul_wide(a: Vector, b: Vector) -> Vector = {
            let low = vmull_u32(vget_low_u32(a[0]), vget_low_u32(b[0]));
            [narrow(low), narrow(vmull_high_u32(a[0], b[0]))]
        };
        mul_wide_signed(a: Vector, b: Vector) -> Vector = {
            let (a, b) = (signed(a[0]), signed(b[0]));
            let low = vmull_s32(vget_low_s32(a), vget_low_s32(b));
            [vreinterpretq_u32_s64(low), vreinterpretq_u32_s64(vmull_high_s32(a, b))]
        };
        high_words(even: Vector, odd: Vector) -> Vector =
            [vuzp2q_u32(even[0], even[1]), vuzp2q_u32(odd[0], odd[1])];
        reverse(v: Vector) -> Vector = both(#[inline(always)] |i| {
            let swapped = vrev64q_u32(v[1 - i]);
            vextq_u32::<2>(swapped, swapped)
        });
        interleave(a: Vector, b: Vector) -> (Vector, Vector) = (
            [vzip1q_u32(a[0], b[0]), vzip2q_u32(a[0], b[0])],
            [vzip1q_u32(a[1], b[1]), vzip2q_u32(a[1], b[1])],
        );
        deinterleave(a: Vector, b: Vector) -> (Vector, Vector) = (
            [vuzp1q_u32(a[0], a[1]), vuzp1q_u32(b[0], b[1])],
            [vuzp2q_u32(a[0], a[1]), vuzp2q_u32(b[0], b[1])],
        );
    }

    /// The upper register; what the other one holds does not matter.
    #[inline(always)]
    fn odd_lanes(self, v: Vector) -> Vector {
        [v[1]; 2]
    }

    #[inline(always)]
    fn odd_of_repeated(self, v: Vector) -> Vector {
        self.odd_lanes(v)
    }

    #[inline(always)]
    fn rotate_left<const LEFT: i32, const RIGHT: i32>(self, v: Vector) -> Vector {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        unsafe {
            both(
                #[inline(always)]
                |i| vsriq_n_u32::<RIGHT>(vshlq_n_u32::<LEFT>(v[i]), v[i]),
            )
        }
    }

    /// By the doubled high words of signed products, which are one instruction.
    ///
    /// With the quotient `w' = floor(w 2^32 / q)` halved and rounded, so with `w 2^31 / q + e`, `|e| <= 1/2`,
    /// the estimate `floor(2 y (w 2^31 / q + e) / 2^32)` is `floor(y w / q + y e / 2^31)`: off by less than 1
    /// downward for the floor, and by at most `|y| / 2^32` either way. These are the bounds that
    /// [`super::lazy`] states. Nothing saturates, as halved quotients are at most `2^30`.
    #[inline(always)]
    fn lazy_product(self, y: Vector, w: Vector, [quotient, _]: [Vector; 2], q: Vector) -> Vector {
        both(
            #[inline(always)]
            |i| {
                // SAFETY: the token proves that the processor has the instructions; they touch no memory.
                unsafe {
                    let halved = vrshrq_n_s32::<1>(signed(quotient[i]));
                    let multiple = unsigned(vqdmulhq_s32(signed(y[i]), halved));
                    vmlsq_u32(vmulq_u32(y[i], w[i]), multiple, q[i])
                }
            },
        )
    }

    /// `2^31 / q`, rounded to nearest.
    #[inline(always)]
    fn correction(self, _: &LazyConstants, m: Modulus) -> Vector {
        self.splat(m.one_quotient().div_ceil(2))
    }

    #[inline(always)]
    fn splat_weight(self, weight: i64) -> Vector {
        debug_assert!(i32::try_from(weight).is_ok());
        self.splat(weight as u32)
    }

    /// The two instructions by name: from products that a loop adds up, the compiler makes scalar ones.
    #[inline(always)]
    fn add_mul_wide(self, [mut low, mut high]: Vector, [a, _]: Vector, [b, _]: Vector) -> Vector {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory, no stack
        // and no flags.
        unsafe {
            asm!(
                "umlal {low:v}.2d, {a:v}.2s, {b:v}.2s",
                "umlal2 {high:v}.2d, {a:v}.4s, {b:v}.4s",
                low = inout(vreg) low,
                high = inout(vreg) high,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        [low, high]
    }

    /// Low words times `1 / q` need no wide product.
    #[inline(always)]
    fn montgomery_correction(self, even: Vector, odd: Vector, q_inverse: Vector, q: Vector) -> Vector {
        // SAFETY: the token proves that the processor has the instructions; they touch no memory.
        let low = unsafe { [vuzp1q_u32(even[0], even[1]), vuzp1q_u32(odd[0], odd[1])] };
        let m = self.mul_low(low, q_inverse);
        self.high_words(self.mul_wide(m, q), self.mul_wide(self.odd_lanes(m), q))
    }
}

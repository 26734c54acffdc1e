//! The loops over words, in one version for each instruction set, chosen at run time.
//!
//! Every function takes and returns words below the modulus and gives the same bits on every path. Slices
//! have the same length, a multiple of 16; the dispatcher checks that, so vector kernels may rely on it.
//!
//! `scalar` is the reference. The vector kernels (`ntt` on `lazy`, `words`, `products` and `rows` on `field`,
//! `chacha`, `gaussian`) are written once, in safe code that is generic over the `Simd` token of an
//! instruction set; `avx512`, `avx2` and `neon` implement the token, and hold all of the crate's unsafe code
//! but the calls from the dispatcher. A set is a new implementation of `Simd`, no more.

#![cfg_attr(
    not(target_arch = "x86_64"),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "other targets use less of the generic kernels, or none"
    )
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod chacha;
mod field;
mod gaussian;
mod lazy;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod ntt;
mod products;
mod rows;
mod scalar;
mod simd;
mod words;

use crate::seed::Seed;
use crate::{Error, IntegerRows, Modulus, NttTable, Scalar};
use std::sync::OnceLock;

/// An instruction set that kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Plain Rust.
    Scalar,
    /// 8 lanes of 32 bits.
    Avx2,
    /// 16 lanes of 32 bits (needs the F, BW, DQ and VL parts).
    Avx512,
    /// Twice 4 lanes of 32 bits (64-bit Arm, little endian).
    Neon,
}

/// The environment variable that forces a kernel: `scalar`, `avx2`, `avx512` or `neon`.
pub const KERNEL_VARIABLE: &str = "BLINDSIGHT_KERNEL";

impl Kernel {
    /// The fastest kernel of this machine.
    pub fn detect() -> Self {
        *Self::available().last().expect("scalar is always there")
    }

    /// What [`KERNEL_VARIABLE`] asks for, or else the fastest.
    ///
    /// # Errors
    /// [`Error::Kernel`] where the variable names a kernel that does not exist or that this machine lacks.
    pub fn from_environment() -> Result<Self, Error> {
        static CHOICE: OnceLock<Result<Kernel, Error>> = OnceLock::new();
        CHOICE
            .get_or_init(|| match std::env::var(KERNEL_VARIABLE) {
                Ok(name) => Self::by_name(&name).ok_or(Error::Kernel(name)),
                Err(_) => Ok(Self::detect()),
            })
            .clone()
    }

    /// The kernels that this machine can run, slowest first.
    pub fn available() -> Vec<Self> {
        [Self::Scalar, Self::Avx2, Self::Avx512, Self::Neon]
            .into_iter()
            .filter(|k| k.is_available())
            .collect()
    }

    /// Whether this machine can run the kernel.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => neon::is_available(),
            #[cfg(not(all(target_arch = "aarch64", target_endian = "little")))]
            Self::Neon => false,
        }
    }

    /// The kernel's name, as [`KERNEL_VARIABLE`] takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|k| k.name() == name)
    }
}

/// One term of [`dot_pair`]: two words that are multiplied by the same third.
///
/// The third may be given compactly: `1 / 2^k` as many words, each of which stands for `2^k` neighbours.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The two halves: of a ciphertext, or of a key.
    pub left: [&'a [u32]; 2],
    /// What both are multiplied by: a plaintext, or a digit.
    pub shared: &'a [u32],
}

impl Pair<'_> {
    /// log2 of how many words one of the shared ones stands for: lengths differ by a power of two.
    #[inline(always)]
    fn log_repeats(&self) -> u32 {
        self.left[0].len().trailing_zeros() - self.shared.len().trailing_zeros()
    }
}

/// Words of a cache line.
pub const LINE: usize = 16;

/// One of the sums of [`dot_woven`].
///
/// What is its own of all terms is woven: line by line the words that each term has there, so that they are
/// read as they lie. A term whose words stand for several each has less of them in a line, one at least.
#[derive(Debug)]
pub struct WovenSum<'a> {
    /// For each term which of the left sides it multiplies.
    pub left: &'a [u32],
    /// How the words of terms repeat, in the same order.
    pub runs: &'a [Run],
    /// The words, from its first one of the first line on.
    pub shared: &'a [u32],
    /// How far apart its lines begin.
    pub stride: usize,
    /// Where the sums of both halves go.
    pub out: [&'a mut [u32]; 2],
}

/// So many terms in a row whose shared words stand for so many words each: a power of two up to [`LINE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many terms.
    pub terms: usize,
    /// How many words one of theirs stands for.
    pub repeats: usize,
}

impl Run {
    /// The words of one of its terms in a line.
    pub const fn words(self) -> usize {
        LINE >> self.repeats.trailing_zeros()
    }
}

impl<'a> WovenSum<'a> {
    /// Its words from line `index` on; none after the last.
    fn line(&self, index: usize) -> &'a [u32] {
        self.shared.get(index * self.stride..).unwrap_or(&[])
    }

    /// The words of a line.
    fn line_words(&self) -> usize {
        self.runs.iter().map(|run| run.terms * run.words()).sum()
    }
}

/// The source block of an entry of a permutation's block table, modulo a number of blocks that is a power of
/// two.
#[inline(always)]
pub(crate) const fn source_block(entry: u32, blocks: usize) -> usize {
    (entry >> 4) as usize & (blocks - 1)
}

/// The lane pattern of an entry of a permutation's block table.
#[inline(always)]
pub(crate) const fn lane_pattern(entry: u32) -> usize {
    (entry & 15) as usize
}

fn check_lengths(degree: usize, lengths: &[usize]) {
    assert!(degree.is_multiple_of(16), "kernels work on blocks of 16 words, not on {degree}");
    assert!(lengths.iter().all(|&l| l == degree), "slices of {lengths:?} words where {degree} were expected");
}

macro_rules! dispatch {
    ($kernel:expr, $function:ident($($argument:expr),*)) => {{
        let kernel: Kernel = $kernel;
        assert!(kernel.is_available(), "this machine does not have the kernel {}", kernel.name());
        match kernel {
            // SAFETY: the processor has the features: that has just been asserted.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => unsafe { avx2::$function($($argument),*) },
            // SAFETY: the processor has the features: that has just been asserted.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => unsafe { avx512::$function($($argument),*) },
            // SAFETY: the processor has the features: that has just been asserted.
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Kernel::Neon => unsafe { neon::$function($($argument),*) },
            _ => scalar::$function($($argument),*),
        }
    }};
}

#[cfg(feature = "testing")]
thread_local! {
    static TRANSFORMS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How many one-limb transforms this thread has computed. (Feature `testing`.)
#[cfg(feature = "testing")]
pub fn transforms() -> u64 {
    TRANSFORMS.get()
}

/// Coefficients to values, in place.
pub fn ntt_forward(kernel: Kernel, table: &NttTable, a: &mut [u32]) {
    #[cfg(feature = "testing")]
    TRANSFORMS.set(TRANSFORMS.get() + 1);
    check_lengths(table.degree(), &[a.len()]);
    dispatch!(kernel, ntt_forward(table, a));
}

/// Values to coefficients, in place.
pub fn ntt_inverse(kernel: Kernel, table: &NttTable, a: &mut [u32]) {
    #[cfg(feature = "testing")]
    TRANSFORMS.set(TRANSFORMS.get() + 1);
    check_lengths(table.degree(), &[a.len()]);
    dispatch!(kernel, ntt_inverse(table, a));
}

/// `a += b`.
pub fn add(kernel: Kernel, m: Modulus, a: &mut [u32], b: &[u32]) {
    check_lengths(a.len(), &[b.len()]);
    dispatch!(kernel, add(m, a, b));
}

/// `a -= b`.
pub fn sub(kernel: Kernel, m: Modulus, a: &mut [u32], b: &[u32]) {
    check_lengths(a.len(), &[b.len()]);
    dispatch!(kernel, sub(m, a, b));
}

/// `a = -a`.
pub fn negate(kernel: Kernel, m: Modulus, a: &mut [u32]) {
    check_lengths(a.len(), &[]);
    dispatch!(kernel, negate(m, a));
}

/// `a *= b / 2^32`: the plain product where `b` is a factor (in Montgomery form).
pub fn mul(kernel: Kernel, m: Modulus, a: &mut [u32], b: &[u32]) {
    check_lengths(a.len(), &[b.len()]);
    dispatch!(kernel, mul(m, a, b));
}

/// `a *= w`.
pub fn mul_scalar(kernel: Kernel, m: Modulus, a: &mut [u32], w: Scalar) {
    check_lengths(a.len(), &[]);
    dispatch!(kernel, mul_scalar(m, a, w));
}

/// `a += b w`: lifts a ciphertext into a key product.
pub fn add_mul_scalar(kernel: Kernel, m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) {
    check_lengths(a.len(), &[b.len()]);
    dispatch!(kernel, add_mul_scalar(m, a, b, w));
}

/// `a = (a - b) w`: the last step of a division by primes.
pub fn sub_mul_scalar(kernel: Kernel, m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) {
    check_lengths(a.len(), &[b.len()]);
    dispatch!(kernel, sub_mul_scalar(m, a, b, w));
}

/// `out_k = sum over terms of left_k * shared / 2^32`, for both `k`.
///
/// Sums are kept unreduced in 64 bits for as many terms as [`Modulus::max_unreduced_products`] allows.
pub fn dot_pair(kernel: Kernel, m: Modulus, terms: &[Pair<'_>], out: [&mut [u32]; 2]) {
    check_pairs(terms, &out);
    dispatch!(kernel, dot_pair(m, terms, out));
}

/// For each of several sums `out_k = sum over terms of left_k * shared / 2^32`, or (`add`) that added to
/// `out_k`, for both `k`, as [`dot_pair`]; a sum of no terms is zero.
pub fn dot_woven(kernel: Kernel, m: Modulus, left: &[[&[u32]; 2]], sums: &mut [WovenSum<'_>], add: bool) {
    let Some(words) = sums.first().map(|sum| sum.out[0].len()).filter(|words| *words > 0) else { return };
    left.iter().for_each(|halves| check_lengths(words, &halves.map(<[u32]>::len)));
    for sum in &*sums {
        check_lengths(words, &[sum.out[0].len(), sum.out[1].len()]);
        let repeats = |run: &Run| run.repeats.is_power_of_two() && run.repeats <= LINE;
        assert!(sum.runs.iter().all(repeats), "{:?}: expected repeats in a line", sum.runs);
        assert_eq!(sum.runs.iter().map(|run| run.terms).sum::<usize>(), sum.left.len(), "terms of runs");
        let needed = (words / LINE - 1) * sum.stride + sum.line_words();
        assert!(sum.shared.len() >= needed, "{} shared words: expected {needed}", sum.shared.len());
    }
    dispatch!(kernel, dot_woven(m, left, sums, add));
}

fn check_pairs(terms: &[Pair<'_>], out: &[&mut [u32]; 2]) {
    let degree = out[0].len();
    check_lengths(degree, &[out[1].len()]);
    for term in terms {
        check_lengths(degree, &[term.left[0].len(), term.left[1].len()]);
        let shared = term.shared.len();
        let repeats = degree.checked_div(shared).unwrap_or(0);
        assert!(
            repeats.is_power_of_two() && repeats * shared == degree,
            "{shared} shared words where {degree}, or a half, a quarter and so on of them were expected"
        );
    }
}

/// The tensor product of two pairs: `out = (a_0 b_0, a_0 b_1 + a_1 b_0, a_1 b_1)`, plain products of plain
/// residues.
pub fn tensor(kernel: Kernel, m: Modulus, a: [&[u32]; 2], b: [&[u32]; 2], out: [&mut [u32]; 3]) {
    let degree = out[0].len();
    check_lengths(degree, &[a[0].len(), a[1].len(), b[0].len(), b[1].len(), out[1].len(), out[2].len()]);
    dispatch!(kernel, tensor(m, a, b, out));
}

/// `out_r = (constant_r + sum over inputs of weight_ri x_i) / 2^32`, for the rows of one block.
///
/// `x` holds `width` words for each input, `out` as many for each row of the matrix; those of the block's
/// rows are written. Constants (one for each row of the block, residues) are added to the first
/// `constant_words` words only, a multiple of 32. Sums are kept unreduced in 64 bits for as many terms as
/// weights and modulus allow.
#[allow(clippy::too_many_arguments)]
pub fn sum_rows(
    kernel: Kernel,
    m: Modulus,
    rows: &IntegerRows,
    constants: (&[u32], usize),
    x: &[u32],
    out: &mut [u32],
    width: usize,
) {
    assert!(
        width.is_multiple_of(32) && constants.1.is_multiple_of(32),
        "sums work on blocks of 32 words, not on {width}"
    );
    assert_eq!(constants.0.len(), rows.rows().len(), "a constant for each row of the block");
    /// Fewer terms in a sum, and reducing costs more than fused multiplications save.
    #[cfg(target_arch = "x86_64")]
    const LEAST_FUSED: usize = 32;
    #[cfg(target_arch = "x86_64")]
    if kernel == Kernel::Avx512 && rows.unreduced(m, 52) >= LEAST_FUSED && avx512::is_fused() {
        // SAFETY: the processor has the features: that has just been asked.
        return unsafe { avx512::sum_rows_fused(m, rows, constants, x, out, width) };
    }
    dispatch!(kernel, sum_rows(m, rows, constants, x, out, width));
}

/// `out[16 b + l] = a[16 source + pattern[l]]`, with source block and lane pattern of block `b` from its
/// entry; source blocks count modulo the blocks of `a`, which are a power of two.
pub fn permute(kernel: Kernel, blocks: &[u32], lanes: &[[u32; 16]], a: &[u32], out: &mut [u32]) {
    check_permutation(blocks, lanes, a, out);
    dispatch!(kernel, permute(blocks, lanes, a, out));
}

/// `out += permuted a`, as [`permute`].
pub fn permute_add(
    kernel: Kernel,
    m: Modulus,
    blocks: &[u32],
    lanes: &[[u32; 16]],
    a: &[u32],
    out: &mut [u32],
) {
    check_permutation(blocks, lanes, a, out);
    dispatch!(kernel, permute_add(m, blocks, lanes, a, out));
}

fn check_permutation(blocks: &[u32], lanes: &[[u32; 16]], a: &[u32], out: &[u32]) {
    check_lengths(out.len(), &[a.len(), blocks.len() * 16]);
    assert!(a.len().is_power_of_two(), "a permutation of {} words: expected a power of two", a.len());
    debug_assert!(blocks.iter().all(|&b| lane_pattern(b) < lanes.len()));
    debug_assert!(lanes.iter().flatten().all(|&lane| lane < 16));
}

/// `round(sum of digits_i * inverses_i)`, in single precision: the multiple of the source modulus in a lift.
pub fn overflow(kernel: Kernel, digits: &[&[u32]], inverses: &[f32], out: &mut [u32]) {
    assert_eq!(digits.len(), inverses.len());
    digits.iter().for_each(|d| check_lengths(out.len(), &[d.len()]));
    dispatch!(kernel, overflow(digits, inverses, out));
}

/// `out = (sum of digits_i * factors_i + overflow * last factor) / 2^32`.
///
/// The most source primes of a conversion: eight special primes, and the one of a rescale that is done with
/// them.
pub const MOST_SOURCES: usize = 9;

/// At most [`MOST_SOURCES`] digits, each below a prime, and an overflow of
/// at most their number.
pub fn convert(
    kernel: Kernel,
    m: Modulus,
    digits: &[&[u32]],
    overflow: &[u32],
    factors: &[u32],
    out: &mut [u32],
) {
    let count = digits.len();
    assert!((1..=MOST_SOURCES).contains(&count) && factors.len() == count + 1);
    check_lengths(out.len(), &[overflow.len()]);
    debug_assert!(overflow.iter().all(|&multiple| multiple as usize <= count));
    debug_assert!(digits.iter().all(|digit| digit.iter().all(|&word| word < 1 << 30)));
    debug_assert!(factors.iter().all(|&factor| factor < m.value()));
    digits.iter().for_each(|d| check_lengths(out.len(), &[d.len()]));
    dispatch!(kernel, convert(m, digits, overflow, factors, out));
}

/// The ChaCha20 key stream of `key` and `stream` from block `first` on, as little-endian words; the length is
/// a multiple of 256.
pub fn keystream(kernel: Kernel, key: &Seed, stream: u64, first: u64, out: &mut [u32]) {
    assert!(out.len().is_multiple_of(256), "{} words of key stream: expected a multiple of 256", out.len());
    dispatch!(kernel, keystream(key, stream, first, out));
}

/// Fills `out` from the front with the residues of those of `words` that are below `end`, a multiple of `q`,
/// until either ends; how many words were written. The running time depends on the words.
pub fn accept(kernel: Kernel, m: Modulus, words: &[u32], end: u32, out: &mut [u32]) -> usize {
    assert!(words.len().is_multiple_of(16), "kernels work on blocks of 16 words, not on {}", words.len());
    debug_assert!(end.is_multiple_of(m.value()));
    dispatch!(kernel, accept(m, words, end, out))
}

/// `out = +-(number of thresholds up to word / 2)`, negative where the word is odd; the running time does not
/// depend on the words.
pub fn gaussian(kernel: Kernel, thresholds: &[u64], words: &[u64], out: &mut [i32]) {
    assert_eq!(words.len(), out.len());
    dispatch!(kernel, gaussian(thresholds, words, out));
}

//! The reference kernels: plain Rust, used on every target, and what the vector kernels are tested against.

use super::{LINE, Pair, WovenSum};
use crate::rows::positive;
use crate::seed::{Generator, Seed};
use crate::{IntegerRows, Modulus, NttTable, Scalar};
use chacha20::rand_core::{Rng, SeedableRng};

/// Coefficients to values, in place.
///
/// Bounds: the fold leaves `[0, 2q)`; each layer takes `[0, 4q)`, brings the left input to `[0, 2q)`, gets
/// the product with the twiddle factor in `[0, 2q)` and leaves sums and differences in `[0, 4q)`.
/// `4q < 2^32`.
pub fn ntt_forward(table: &NttTable, a: &mut [u32]) {
    let m = table.modulus();
    fold(table, a);
    let mut half = a.len() / 2;
    let mut nodes = 1;
    while half > 0 {
        for (i, block) in a.chunks_exact_mut(2 * half).enumerate() {
            let w = table.forward().get(nodes + i);
            let (left, right) = block.split_at_mut(half);
            for (x, y) in left.iter_mut().zip(right) {
                (*x, *y) = butterfly(m, *x, *y, w);
            }
        }
        half /= 2;
        nodes *= 2;
    }
    for x in a {
        *x = reduce_four(m, *x);
    }
}

/// `b_0 = a_0`, `b_j = a_j - I a_(N-j)`: from `[0, q)` to `[0, 4q)`.
fn fold(table: &NttTable, a: &mut [u32]) {
    let (m, i) = (table.modulus(), table.fold());
    let n = a.len();
    for j in 1..=n / 2 {
        let (low, high) = (a[j], a[n - j]);
        a[j] = low + 2 * m.value() - m.mul_scalar_lazy(high, i);
        a[n - j] = high + 2 * m.value() - m.mul_scalar_lazy(low, i);
    }
}

#[inline(always)]
fn butterfly(m: Modulus, x: u32, y: u32, w: Scalar) -> (u32, u32) {
    let double = 2 * m.value();
    debug_assert!(u64::from(x) < 4 * u64::from(m.value()));
    let x = if x >= double { x - double } else { x };
    let product = m.mul_scalar_lazy(y, w);
    (x + product, x + double - product)
}

#[inline(always)]
fn reduce_four(m: Modulus, x: u32) -> u32 {
    let double = 2 * m.value();
    m.reduce_once(if x >= double { x - double } else { x })
}

/// Values to coefficients, in place.
///
/// Bounds: each layer takes and leaves `[0, 2q)`: the sum is reduced once from `[0, 4q)`, the difference is a
/// lazy product.
pub fn ntt_inverse(table: &NttTable, a: &mut [u32]) {
    let m = table.modulus();
    let double = 2 * m.value();
    let mut half = 1;
    let mut nodes = a.len() / 2;
    while nodes > 0 {
        for (i, block) in a.chunks_exact_mut(2 * half).enumerate() {
            let w = table.inverse().get(nodes + i);
            let (left, right) = block.split_at_mut(half);
            for (x, y) in left.iter_mut().zip(right) {
                let (sum, difference) = (*x + *y, *x + double - *y);
                *x = if sum >= double { sum - double } else { sum };
                *y = m.mul_scalar_lazy(difference, w);
            }
        }
        half *= 2;
        nodes /= 2;
    }
    unfold(table, a);
}

/// `a_0 = b_0 / N`, `a_j = (b_j + I b_(N-j)) / 2N`: from `[0, 2q)` to `[0, q)`.
fn unfold(table: &NttTable, a: &mut [u32]) {
    let m = table.modulus();
    let (first, double, fold) = table.unfold();
    let n = a.len();
    a[0] = m.mul_scalar(a[0], first);
    for j in 1..=n / 2 {
        let (low, high) = (a[j], a[n - j]);
        a[j] = m.add(m.mul_scalar(low, double), m.mul_scalar(high, fold));
        a[n - j] = m.add(m.mul_scalar(high, double), m.mul_scalar(low, fold));
    }
}

/// `a += b`.
pub fn add(m: Modulus, a: &mut [u32], b: &[u32]) {
    for (x, &y) in a.iter_mut().zip(b) {
        *x = m.add(*x, y);
    }
}

/// `a -= b`.
pub fn sub(m: Modulus, a: &mut [u32], b: &[u32]) {
    for (x, &y) in a.iter_mut().zip(b) {
        *x = m.sub(*x, y);
    }
}

/// `a = -a`.
pub fn negate(m: Modulus, a: &mut [u32]) {
    for x in a {
        *x = m.neg(*x);
    }
}

/// `a *= b / 2^32`.
pub fn mul(m: Modulus, a: &mut [u32], b: &[u32]) {
    for (x, &y) in a.iter_mut().zip(b) {
        *x = m.montgomery_reduce(u64::from(*x) * u64::from(y));
    }
}

/// `a *= w`.
pub fn mul_scalar(m: Modulus, a: &mut [u32], w: Scalar) {
    for x in a {
        *x = m.mul_scalar(*x, w);
    }
}

/// `a += b w`.
pub fn add_mul_scalar(m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) {
    for (x, &y) in a.iter_mut().zip(b) {
        *x = m.add(*x, m.mul_scalar(y, w));
    }
}

/// `a = (a - b) w`.
pub fn sub_mul_scalar(m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) {
    for (x, &y) in a.iter_mut().zip(b) {
        *x = m.mul_scalar(*x + m.value() - y, w);
    }
}

/// `out_k = sum of left_k * shared / 2^32`, for both `k`, the sums unreduced in 64 bits.
pub fn dot_pair(m: Modulus, terms: &[Pair<'_>], [out_0, out_1]: [&mut [u32]; 2]) {
    let batch = m.max_unreduced_products();
    for (j, (o_0, o_1)) in out_0.iter_mut().zip(out_1).enumerate() {
        let (mut total_0, mut total_1) = (0, 0);
        for terms in terms.chunks(batch) {
            let (mut sum_0, mut sum_1) = (0u64, 0u64);
            for term in terms {
                let shared = u64::from(term.shared[j >> term.log_repeats()]);
                sum_0 += u64::from(term.left[0][j]) * shared;
                sum_1 += u64::from(term.left[1][j]) * shared;
            }
            total_0 = m.add(total_0, m.montgomery_reduce(sum_0));
            total_1 = m.add(total_1, m.montgomery_reduce(sum_1));
        }
        (*o_0, *o_1) = (total_0, total_1);
    }
}

/// As [`dot_pair`], for sums that share their left sides; or (`add`) that added to what is there.
pub fn dot_woven(m: Modulus, left: &[[&[u32]; 2]], sums: &mut [WovenSum<'_>], add: bool) {
    for sum in sums {
        for at in (0..sum.out[0].len()).step_by(LINE) {
            let totals = woven_line(m, left, sum, at);
            for (out, totals) in sum.out.iter_mut().zip(totals) {
                for (out, total) in out[at..].iter_mut().zip(totals) {
                    *out = if add { m.add(*out, total) } else { total };
                }
            }
        }
    }
}

/// The line of both halves of a sum that begins at word `at`.
fn woven_line(m: Modulus, left: &[[&[u32]; 2]], sum: &WovenSum<'_>, at: usize) -> [[u32; LINE]; 2] {
    let logs = sum.runs.iter().flat_map(|run| std::iter::repeat_n(run.repeats.trailing_zeros(), run.terms));
    let terms: Vec<(u32, u32)> = sum.left.iter().copied().zip(logs).collect();
    let (mut shared, mut totals) = (sum.line(at / LINE), [[0; LINE]; 2]);
    for batch in terms.chunks(m.max_unreduced_products()) {
        let mut sums = [[0u64; LINE]; 2];
        for (term, log) in batch {
            for (sums, half) in sums.iter_mut().zip(left[*term as usize]) {
                for (j, (sum, word)) in sums.iter_mut().zip(&half[at..]).enumerate() {
                    *sum += u64::from(*word) * u64::from(shared[j >> log]);
                }
            }
            shared = &shared[LINE >> log..];
        }
        for (totals, sums) in totals.iter_mut().zip(sums) {
            totals
                .iter_mut()
                .zip(sums)
                .for_each(|(total, sum)| *total = m.add(*total, m.montgomery_reduce(sum)));
        }
    }
    totals
}

/// `out[r] = (constant[r] + sum of weight[r][i] * x[i]) / 2^32`, the sums unreduced in 64 bits.
pub fn sum_rows(
    m: Modulus,
    rows: &IntegerRows,
    (constants, constant_words): (&[u32], usize),
    x: &[u32],
    out: &mut [u32],
    width: usize,
) {
    let (offset, batch) = (positive(m), rows.unreduced(m, 64));
    let terms: Vec<(usize, &[i64])> = rows.terms().collect();
    for (r, &row) in rows.rows().iter().enumerate() {
        for (j, out) in out[row as usize * width..][..width].iter_mut().enumerate() {
            let constant = if j < constant_words { constants[r] } else { 0 };
            let mut total = m.montgomery_reduce(constant.into());
            for terms in terms.chunks(batch) {
                let product = |(i, weights): &(usize, &[i64])| weights[r] * i64::from(x[i * width + j]);
                let sum: i64 = terms.iter().map(product).sum();
                total = m.add(total, m.montgomery_reduce(offset.wrapping_add_signed(sum)));
            }
            *out = total;
        }
    }
}

/// `(a_0 b_0, a_0 b_1 + a_1 b_0, a_1 b_1)`.
///
/// Bounds: `b` times `2^32` is taken lazily, in `[0, 2q)`, so the middle sum is below `4 q^2 < 2^62`.
pub fn tensor(m: Modulus, a: [&[u32]; 2], b: [&[u32]; 2], out: [&mut [u32]; 3]) {
    let [low, middle, high] = out;
    let radix = m.scalar(m.to_montgomery(1));
    for (j, ((low, middle), high)) in low.iter_mut().zip(middle).zip(high).enumerate() {
        let a = a.map(|a| u64::from(a[j]));
        let b = b.map(|b| u64::from(m.mul_scalar_lazy(b[j], radix)));
        *low = m.montgomery_reduce(a[0] * b[0]);
        *middle = m.montgomery_reduce(a[0] * b[1] + a[1] * b[0]);
        *high = m.montgomery_reduce(a[1] * b[1]);
    }
}

/// `out[t] = a[source(t)]`, where `source` maps blocks of 16 leaves to blocks of 16: see
/// [`crate::Automorphism`].
pub fn permute(blocks: &[u32], lanes: &[[u32; 16]], a: &[u32], out: &mut [u32]) {
    for (target, &block) in out.chunks_exact_mut(16).zip(blocks) {
        let source = &a[super::source_block(block, a.len() / 16) * 16..][..16];
        let lanes = &lanes[super::lane_pattern(block)];
        for (x, &lane) in target.iter_mut().zip(lanes) {
            *x = source[lane as usize];
        }
    }
}

/// `out += permuted a`.
pub fn permute_add(m: Modulus, blocks: &[u32], lanes: &[[u32; 16]], a: &[u32], out: &mut [u32]) {
    for (target, &block) in out.chunks_exact_mut(16).zip(blocks) {
        let source = &a[super::source_block(block, a.len() / 16) * 16..][..16];
        let lanes = &lanes[super::lane_pattern(block)];
        for (x, &lane) in target.iter_mut().zip(lanes) {
            *x = m.add(*x, source[lane as usize]);
        }
    }
}

/// `round(sum of digits_i * inverses_i)`: how many times the product of the source primes is to be taken off
/// a centred lift.
///
/// Single precision, summed from the first digit on, products rounded, no fused multiply-add, ties to even:
/// the same bits on every path. Each of up to nine terms is below 1 and off by `3 * 2^-24` at most; the sums,
/// below 9, are rounded by `29 * 2^-24` in all. An error of less than `2^-18` moves only values that near a
/// half, which then lift to just beyond it.
pub fn overflow(digits: &[&[u32]], inverses: &[f32], out: &mut [u32]) {
    for (j, o) in out.iter_mut().enumerate() {
        let mut sum = 0f32;
        for (digit, &inverse) in digits.iter().zip(inverses) {
            sum += digit[j] as f32 * inverse;
        }
        *o = sum.round_ties_even() as u32;
    }
}

/// `out = (sum of digits_i * factors_i + overflow * last factor) / 2^32`: the second half of a base
/// conversion.
///
/// Bounds: at most nine digits below primes, so below `2^30 - 16`, and an overflow of at most 9, each times a
/// residue: below `9 * 2^30 q < 2^64`.
pub fn convert(m: Modulus, digits: &[&[u32]], overflow: &[u32], factors: &[u32], out: &mut [u32]) {
    debug_assert!(digits.len() <= super::MOST_SOURCES && factors.len() == digits.len() + 1);
    let last = u64::from(factors[digits.len()]);
    for (j, o) in out.iter_mut().enumerate() {
        let mut sum = u64::from(overflow[j]) * last;
        for (digit, &factor) in digits.iter().zip(factors) {
            sum += u64::from(digit[j]) * u64::from(factor);
        }
        *o = m.montgomery_reduce(sum);
    }
}

/// The ChaCha20 key stream from block `first` on.
pub fn keystream(key: &Seed, stream: u64, first: u64, out: &mut [u32]) {
    let mut generator = Generator::from_seed(*key);
    generator.set_stream(stream);
    generator.set_block_pos(first);
    for word in out {
        *word = generator.next_u32();
    }
}

/// The residues of the words below `end`: fills `out` from the front; the number of words written.
pub fn accept(m: Modulus, words: &[u32], end: u32, out: &mut [u32]) -> usize {
    let accepted = words.iter().filter(|&&word| word < end);
    let mut filled = 0;
    for (x, &word) in out.iter_mut().zip(accepted) {
        *x = m.reduce_word(word);
        filled += 1;
    }
    filled
}

/// Inversion of a symmetric distribution: bit 0 is the sign, the others a position among the thresholds.
///
/// Every word is compared with every threshold, without a branch.
pub fn gaussian(thresholds: &[u64], words: &[u64], out: &mut [i32]) {
    for (x, &word) in out.iter_mut().zip(words) {
        let (sign, position) = ((word & 1) as i32, word >> 1);
        let magnitude: i32 = thresholds.iter().map(|&t| i32::from(position >= t)).sum();
        *x = (magnitude ^ -sign) + sign;
    }
}

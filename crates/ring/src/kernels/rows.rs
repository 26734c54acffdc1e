//! Generic vector kernel for sums of integer multiples.

use super::field::{Field, Wide};
use super::simd::{Fused, Simd};
use crate::rows::{Pairs, positive};
use crate::{IntegerRows, Modulus};

/// No vector has more lanes.
const MOST_LANES: usize = 16;

/// How sums of signed products are kept in wide lanes until they are reduced.
trait Sum<S: Simd> {
    /// The even lanes of words as multiplication takes them; what lies in the odd ones may matter to it.
    fn even(simd: S, words: S::Vector) -> S::Vector;
    /// The sum with the product of words and a weight.
    fn plus(simd: S, sum: S::Vector, words: S::Vector, weight: S::Vector) -> S::Vector;
    /// The sum as a signed 64-bit number.
    fn signed(simd: S, sum: S::Vector) -> S::Vector;
}

/// Sums of 64 bits.
struct Whole;

impl<S: Simd> Sum<S> for Whole {
    #[inline(always)]
    fn even(_: S, words: S::Vector) -> S::Vector {
        words
    }
    #[inline(always)]
    fn plus(simd: S, sum: S::Vector, words: S::Vector, weight: S::Vector) -> S::Vector {
        simd.add_wide(sum, simd.mul_wide_signed(words, weight))
    }
    #[inline(always)]
    fn signed(_: S, sum: S::Vector) -> S::Vector {
        sum
    }
}

/// Sums in the low 52 bits of 64; what lies above is of no meaning.
struct Low52;

impl<S: Fused> Sum<S> for Low52 {
    #[inline(always)]
    fn even(simd: S, words: S::Vector) -> S::Vector {
        simd.even_lanes(words)
    }
    #[inline(always)]
    fn plus(simd: S, sum: S::Vector, words: S::Vector, weight: S::Vector) -> S::Vector {
        simd.add_low_product(sum, words, weight)
    }
    #[inline(always)]
    fn signed(simd: S, sum: S::Vector) -> S::Vector {
        simd.extend_low(sum)
    }
}

/// `out[r] = (constant[r] + sum of weight[r][i] * x[i]) / 2^32`: see [`super::sum_rows`].
#[inline(always)]
pub(super) fn sum_rows<S: Simd>(
    simd: S,
    m: Modulus,
    rows: &IntegerRows,
    constants: (&[u32], usize),
    x: &[u32],
    out: &mut [u32],
    width: usize,
) {
    let task = Task { m, rows, batch: rows.unreduced(m, 64), constants, x, width };
    match rows.pairs() {
        Some(pairs) => task.run_paired(simd, pairs, out),
        None => task.run::<S, Whole>(simd, out),
    }
}

/// The same by fused multiplications: for weights so small that sums of many products fit 52 bits.
#[inline(always)]
pub(super) fn sum_rows_fused<S: Fused>(
    simd: S,
    m: Modulus,
    rows: &IntegerRows,
    constants: (&[u32], usize),
    x: &[u32],
    out: &mut [u32],
    width: usize,
) {
    Task { m, rows, batch: rows.unreduced(m, 52), constants, x, width }.run::<S, Low52>(simd, out);
}

#[derive(Clone, Copy)]
struct Task<'a> {
    m: Modulus,
    rows: &'a IntegerRows,
    /// How many terms are summed unreduced.
    batch: usize,
    constants: (&'a [u32], usize),
    x: &'a [u32],
    width: usize,
}

impl Task<'_> {
    /// Two vectors at a time where there are registers for the sums of so many rows.
    #[inline(always)]
    fn run<S: Simd, A: Sum<S>>(self, simd: S, out: &mut [u32]) {
        match (self.rows.rows().len(), S::LANES == 16) {
            (1, true) => self.sums::<S, A, 1, 2>(simd, out),
            (2, true) => self.sums::<S, A, 2, 2>(simd, out),
            (3, true) => self.sums::<S, A, 3, 2>(simd, out),
            (4, true) => self.sums::<S, A, 4, 2>(simd, out),
            (5, true) => self.sums::<S, A, 5, 2>(simd, out),
            (6, true) => self.sums::<S, A, 6, 2>(simd, out),
            (1, false) => self.sums::<S, A, 1, 1>(simd, out),
            (2, false) => self.sums::<S, A, 2, 1>(simd, out),
            (3, false) => self.sums::<S, A, 3, 1>(simd, out),
            (4, false) => self.sums::<S, A, 4, 1>(simd, out),
            (5, false) => self.sums::<S, A, 5, 1>(simd, out),
            (6, false) => self.sums::<S, A, 6, 1>(simd, out),
            (more, _) => unreachable!("a block has at most {} rows, not {more}", IntegerRows::MOST),
        }
    }

    /// All rows, on `UNROLL` vectors at a time.
    #[inline(always)]
    fn sums<S: Simd, A: Sum<S>, const ROWS: usize, const UNROLL: usize>(self, simd: S, out: &mut [u32]) {
        let field = Field::new(simd, self.m);
        let (inputs, (weights, _)) = (self.rows.inputs(), self.rows.weights().as_chunks::<ROWS>());
        for start in (0..self.width).step_by(UNROLL * S::LANES) {
            // One batch without terms where there are none.
            for batch in 0..inputs.len().div_ceil(self.batch).max(1) {
                let mut sums = [[[simd.splat(0); 2]; UNROLL]; ROWS];
                let end = inputs.len().min((batch + 1).saturating_mul(self.batch));
                let terms = batch * self.batch..end;
                let terms = inputs[terms.clone()].iter().zip(&weights[terms]);
                for (&input, weights) in terms {
                    let words = &self.x[input as usize * self.width + start..][..UNROLL * S::LANES];
                    let mut halves = [[simd.splat(0); 2]; UNROLL];
                    for u in 0..UNROLL {
                        let words = simd.load(&words[u * S::LANES..]);
                        halves[u] = [A::even(simd, words), simd.odd_lanes(words)];
                    }
                    for r in 0..ROWS {
                        let weight = simd.splat_weight(weights[r]);
                        for u in 0..UNROLL {
                            for h in 0..2 {
                                sums[r][u][h] = A::plus(simd, sums[r][u][h], halves[u][h], weight);
                            }
                        }
                    }
                }
                // Written out, so that the loop above finds all sums in registers, whatever becomes of the
                // one below.
                let mut kept = [[[[0; MOST_LANES]; 2]; UNROLL]; ROWS];
                for r in 0..ROWS {
                    for u in 0..UNROLL {
                        for h in 0..2 {
                            simd.store(&mut kept[r][u][h], sums[r][u][h]);
                        }
                    }
                }
                for r in 0..ROWS {
                    let constant = if batch == 0 { self.constant(r, start) } else { 0 };
                    let offset = simd.splat_wide(positive(self.m) + constant);
                    for u in 0..UNROLL {
                        let [even, odd] = [0, 1].map(
                            #[inline(always)]
                            |h: usize| simd.add_wide(A::signed(simd, simd.load(&kept[r][u][h])), offset),
                        );
                        let sum = field.montgomery_reduce(Wide { even, odd });
                        let out =
                            &mut out[self.rows.rows()[r] as usize * self.width + start + u * S::LANES..];
                        simd.store(out, if batch == 0 { sum } else { field.add(simd.load(out), sum) });
                    }
                }
            }
        }
    }

    /// All rows, two inputs at a time.
    #[inline(always)]
    fn run_paired<S: Simd>(self, simd: S, pairs: &Pairs, out: &mut [u32]) {
        match self.rows.rows().len() {
            1 => self.paired::<S, 1>(simd, pairs, out),
            2 => self.paired::<S, 2>(simd, pairs, out),
            3 => self.paired::<S, 3>(simd, pairs, out),
            4 => self.paired::<S, 4>(simd, pairs, out),
            5 => self.paired::<S, 5>(simd, pairs, out),
            6 => self.paired::<S, 6>(simd, pairs, out),
            more => unreachable!("a block has at most {} rows, not {more}", IntegerRows::MOST),
        }
    }

    /// A word is `2^16 high + low + 2^15`, with a signed `low` of 16 bits. What two words' halves come to,
    /// times their weights, one instruction sums in 32 bits; batches of that are widened, and what `2^15`
    /// comes to is the same for all words.
    #[inline(always)]
    fn paired<S: Simd, const ROWS: usize>(self, simd: S, pairs: &Pairs, out: &mut [u32]) {
        let field = Field::new(simd, self.m);
        let (weights, _) = pairs.weights.as_chunks::<ROWS>();
        let sign = simd.splat(0x8000_8000);
        let units = [simd.splat_weight(1), simd.splat_weight(1 << 16)];
        for start in (0..self.width).step_by(S::LANES) {
            let mut wide = [[[0; MOST_LANES]; 2]; ROWS];
            for (inputs, weights) in pairs.inputs.chunks(pairs.batch).zip(weights.chunks(pairs.batch)) {
                let mut sums = [[simd.splat(0); 2]; ROWS];
                for (&[first, second], weights) in inputs.iter().zip(weights) {
                    let first = simd.load(&self.x[first as usize * self.width + start..]);
                    let second = simd.load(&self.x[second as usize * self.width + start..]);
                    let low = simd.xor(simd.low_halves(first, second), sign);
                    let high = simd.high_halves(first, second);
                    for r in 0..ROWS {
                        let weight = simd.splat(weights[r]);
                        sums[r][0] = simd.add(sums[r][0], simd.mul_add_halves(low, weight));
                        sums[r][1] = simd.add(sums[r][1], simd.mul_add_halves(high, weight));
                    }
                }
                for r in 0..ROWS {
                    let [low, high] = sums[r];
                    let odd = [simd.odd_lanes(low), simd.odd_lanes(high)];
                    for (h, [low, high]) in [[low, high], odd].into_iter().enumerate() {
                        let low = simd.mul_wide_signed(low, units[0]);
                        let sum = simd.add_wide(low, simd.mul_wide_signed(high, units[1]));
                        let sum = simd.add_wide(simd.load(&wide[r][h]), sum);
                        simd.store(&mut wide[r][h], sum);
                    }
                }
            }
            for r in 0..ROWS {
                let offset = positive(self.m) + self.constant(r, start);
                let offset = simd.splat_wide(offset.wrapping_add_signed(pairs.totals[r] << 15));
                let even = simd.add_wide(simd.load(&wide[r][0]), offset);
                let odd = simd.add_wide(simd.load(&wide[r][1]), offset);
                let sum = field.montgomery_reduce(Wide { even, odd });
                simd.store(&mut out[self.rows.rows()[r] as usize * self.width + start..], sum);
            }
        }
    }

    #[inline(always)]
    fn constant(&self, row: usize, start: usize) -> u64 {
        if start < self.constants.1 { self.constants.0[row].into() } else { 0 }
    }
}

//! Generic vector kernel for sums of integer multiples.

use super::field::{Field, Halves, Wide};
use super::simd::Simd;
use crate::rows::positive;
use crate::{IntegerRows, Modulus};

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
    // Two vectors at a time where there are registers for the sums of so many rows.
    match (rows.rows().len(), S::LANES == 16 && width.is_multiple_of(2 * S::LANES)) {
        (1, true) => sums::<S, 1, 2>(simd, m, rows, constants, x, out, width),
        (2, true) => sums::<S, 2, 2>(simd, m, rows, constants, x, out, width),
        (3, true) => sums::<S, 3, 2>(simd, m, rows, constants, x, out, width),
        (4, true) => sums::<S, 4, 2>(simd, m, rows, constants, x, out, width),
        (5, true) => sums::<S, 5, 2>(simd, m, rows, constants, x, out, width),
        (6, true) => sums::<S, 6, 2>(simd, m, rows, constants, x, out, width),
        (1, false) => sums::<S, 1, 1>(simd, m, rows, constants, x, out, width),
        (2, false) => sums::<S, 2, 1>(simd, m, rows, constants, x, out, width),
        (3, false) => sums::<S, 3, 1>(simd, m, rows, constants, x, out, width),
        (4, false) => sums::<S, 4, 1>(simd, m, rows, constants, x, out, width),
        (5, false) => sums::<S, 5, 1>(simd, m, rows, constants, x, out, width),
        (6, false) => sums::<S, 6, 1>(simd, m, rows, constants, x, out, width),
        (more, _) => unreachable!("a block has at most {} rows, not {more}", IntegerRows::MOST),
    }
}

/// [`sum_rows`] for so many rows, on `UNROLL` vectors at a time.
#[inline(always)]
fn sums<S: Simd, const ROWS: usize, const UNROLL: usize>(
    simd: S,
    m: Modulus,
    rows: &IntegerRows,
    (constants, constant_words): (&[u32], usize),
    x: &[u32],
    out: &mut [u32],
    width: usize,
) {
    let (field, step) = (Field::new(simd, m), UNROLL * S::LANES);
    let (offset, batch) = (positive(m), rows.unreduced(m));
    let (weights, _) = rows.weights().as_chunks::<ROWS>();
    for start in (0..width).step_by(step) {
        let constant = |r: usize| if start < constant_words { constants[r] } else { 0 };
        let mut starts: [u64; ROWS] = std::array::from_fn(|r| offset + u64::from(constant(r)));
        let mut totals = [[simd.splat(0); UNROLL]; ROWS];
        for (inputs, weights) in batches(rows.inputs(), weights, batch) {
            let mut sums: [[Wide<S>; UNROLL]; ROWS] = starts.map(
                #[inline(always)]
                |start| [Wide::splat(simd, start); UNROLL],
            );
            for (&input, weights) in inputs.iter().zip(weights) {
                let words = &x[input as usize * width + start..][..step];
                let words: [Halves<S>; UNROLL] = std::array::from_fn(
                    #[inline(always)]
                    |u| Halves::load(simd, &words[u * S::LANES..]),
                );
                for r in 0..ROWS {
                    let weight = Halves::splat(simd, weights[r] as u32);
                    for u in 0..UNROLL {
                        sums[r][u] = sums[r][u].plus_signed_product(simd, words[u], weight);
                    }
                }
            }
            for r in 0..ROWS {
                for u in 0..UNROLL {
                    totals[r][u] = field.add(totals[r][u], field.montgomery_reduce(sums[r][u]));
                }
            }
            starts = [offset; ROWS];
        }
        for (&row, totals) in rows.rows().iter().zip(totals) {
            let out = &mut out[row as usize * width + start..][..step];
            for (out, total) in out.chunks_exact_mut(S::LANES).zip(totals) {
                simd.store(out, total);
            }
        }
    }
}

/// The terms in batches of at most so many; one without terms where there are none.
fn batches<'a, W>(
    inputs: &'a [u32],
    weights: &'a [W],
    batch: usize,
) -> impl Iterator<Item = (&'a [u32], &'a [W])> {
    let count = inputs.len().div_ceil(batch).max(1);
    (0..count).map(move |b| {
        let range = b * batch..inputs.len().min((b + 1).saturating_mul(batch));
        (&inputs[range.clone()], &weights[range])
    })
}

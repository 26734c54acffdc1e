//! Generic vector kernels for sums of products.

use super::Pair;
use super::field::{Field, Halves, ScalarVector, Wide};
use super::simd::Simd;
use crate::Modulus;

/// How far ahead of its use a word is asked for: so many streams are more than the hardware follows by
/// itself.
const PREFETCH_WORDS: usize = 64;

/// How many terms are summed in one pass where there are more than twice as many: so few streams the hardware
/// follows, and so few pages it has at hand.
const GROUP: usize = 8;

/// How many steps of the loop a tile has, whose unreduced sums stay in the first cache from one group to the
/// next.
const TILE: usize = 32;

/// `out_k = sum of left_k * shared / 2^32`: batches of terms whose sums fit 64 bits, added up.
#[inline(always)]
pub(super) fn dot_pair<S: Simd>(simd: S, m: Modulus, terms: &[Pair<'_>], out: [&mut [u32]; 2]) {
    if out[0].len().is_multiple_of(2 * S::LANES) {
        dot_batches::<S, 2, false>(simd, m, terms, out);
    } else {
        dot_batches::<S, 1, false>(simd, m, terms, out);
    }
}

/// `out_k += sum of left_k * shared / 2^32`.
#[inline(always)]
pub(super) fn dot_pair_add<S: Simd>(simd: S, m: Modulus, terms: &[Pair<'_>], out: [&mut [u32]; 2]) {
    if out[0].len().is_multiple_of(2 * S::LANES) {
        dot_batches::<S, 2, true>(simd, m, terms, out);
    } else {
        dot_batches::<S, 1, true>(simd, m, terms, out);
    }
}

/// [`dot_pair`] or (`ADD`) [`dot_pair_add`] on `UNROLL` vectors at a time.
#[inline(always)]
fn dot_batches<S: Simd, const UNROLL: usize, const ADD: bool>(
    simd: S,
    m: Modulus,
    terms: &[Pair<'_>],
    out: [&mut [u32]; 2],
) {
    let field = Field::new(simd, m);
    let [out_0, out_1] = out;
    let (first, rest) = terms.split_at(terms.len().min(m.max_unreduced_products()));
    dot_batch::<S, UNROLL, ADD>(field, first, out_0, out_1);
    for batch in rest.chunks(m.max_unreduced_products()) {
        dot_batch::<S, UNROLL, true>(field, batch, out_0, out_1);
    }
}

/// The sums of one batch, written to `out` or (`ADD`) added to it.
#[inline(always)]
fn dot_batch<S: Simd, const UNROLL: usize, const ADD: bool>(
    field: Field<S>,
    terms: &[Pair<'_>],
    out_0: &mut [u32],
    out_1: &mut [u32],
) {
    if terms.len() > 2 * GROUP {
        return dot_groups::<S, UNROLL, ADD>(field, terms, out_0, out_1);
    }
    for start in (0..out_0.len()).step_by(UNROLL * S::LANES) {
        let mut sums = [[Wide::zero(field.simd); 2]; UNROLL];
        add_products(field.simd, terms, start, &mut sums);
        reduce::<S, UNROLL, ADD>(field, sums, [&mut out_0[start..], &mut out_1[start..]]);
    }
}

/// As [`dot_batch`], group after group of terms: a pass over a tile for each.
#[inline(always)]
fn dot_groups<S: Simd, const UNROLL: usize, const ADD: bool>(
    field: Field<S>,
    terms: &[Pair<'_>],
    out_0: &mut [u32],
    out_1: &mut [u32],
) {
    let (before, last) = terms.split_at((terms.len() - 1) / GROUP * GROUP);
    let mut tile = [[[Wide::zero(field.simd); 2]; UNROLL]; TILE];
    for start in (0..out_0.len()).step_by(TILE * UNROLL * S::LANES) {
        let starts = (start..out_0.len()).step_by(UNROLL * S::LANES);
        for (index, group) in before.chunks(GROUP).enumerate() {
            for (sums, start) in tile.iter_mut().zip(starts.clone()) {
                let mut group_sums = if index == 0 { [[Wide::zero(field.simd); 2]; UNROLL] } else { *sums };
                add_products(field.simd, group, start, &mut group_sums);
                *sums = group_sums;
            }
        }
        for (&sums, start) in tile.iter().zip(starts) {
            let mut sums = sums;
            add_products(field.simd, last, start, &mut sums);
            reduce::<S, UNROLL, ADD>(field, sums, [&mut out_0[start..], &mut out_1[start..]]);
        }
    }
}

/// Adds the terms' products at `UNROLL` vectors from `start` on.
#[inline(always)]
fn add_products<S: Simd, const UNROLL: usize>(
    simd: S,
    terms: &[Pair<'_>],
    start: usize,
    sums: &mut [[Wide<S>; 2]; UNROLL],
) {
    for term in terms {
        // The number of repeats is known to each copy, so that its loads have no branches.
        match term.log_repeats() {
            0 => add_product::<S, UNROLL, 1>(simd, term, start, start, sums),
            1 => add_product::<S, UNROLL, 2>(simd, term, start, start >> 1, sums),
            2 => add_product::<S, UNROLL, 4>(simd, term, start, start >> 2, sums),
            3 => add_product::<S, UNROLL, 8>(simd, term, start, start >> 3, sums),
            // Up to 16 lanes are one word's.
            4 => add_product::<S, UNROLL, 16>(simd, term, start, start >> 4, sums),
            log => add_product::<S, UNROLL, 32>(simd, term, start, start >> log, sums),
        }
    }
}

/// Adds a term's products at `UNROLL` vectors from `start` on, where a shared word, from `shared` on, stands
/// for `REPEATS` words: at 32, for as many as are added here, or more.
#[inline(always)]
fn add_product<S: Simd, const UNROLL: usize, const REPEATS: usize>(
    simd: S,
    term: &Pair<'_>,
    start: usize,
    shared: usize,
    sums: &mut [[Wide<S>; 2]; UNROLL],
) {
    let width = UNROLL * S::LANES;
    for line in (0..width).step_by(16) {
        simd.prefetch(term.left[0], start + line + PREFETCH_WORDS);
        simd.prefetch(term.left[1], start + line + PREFETCH_WORDS);
        if line % (16 * REPEATS) == 0 {
            simd.prefetch(term.shared, shared + line / REPEATS + PREFETCH_WORDS);
        }
    }
    let left = [&term.left[0][start..][..width], &term.left[1][start..][..width]];
    let shared = &term.shared[shared..][..(width / REPEATS).max(1)];
    for (unit, sums) in sums.iter_mut().enumerate() {
        let at = unit * S::LANES;
        let shared = Halves::load_repeated(simd, &shared[at / REPEATS..], REPEATS);
        sums[0] = sums[0].plus_product(simd, Halves::load(simd, &left[0][at..]), shared);
        sums[1] = sums[1].plus_product(simd, Halves::load(simd, &left[1][at..]), shared);
    }
}

/// Writes reduced sums to the front of `out` or (`ADD`) adds them to it.
#[inline(always)]
fn reduce<S: Simd, const UNROLL: usize, const ADD: bool>(
    field: Field<S>,
    sums: [[Wide<S>; 2]; UNROLL],
    out: [&mut [u32]; 2],
) {
    let simd = field.simd;
    let [out_0, out_1] = out;
    for (unit, sums) in sums.into_iter().enumerate() {
        for (sum, out) in sums.into_iter().zip([&mut *out_0, &mut *out_1]) {
            let out = &mut out[unit * S::LANES..];
            let reduced = field.montgomery_reduce(sum);
            simd.store(out, if ADD { field.add(simd.load(out), reduced) } else { reduced });
        }
    }
}

/// `(a_0 b_0, a_0 b_1 + a_1 b_0, a_1 b_1)`.
///
/// Bounds: `b` times `2^32` is taken lazily, in `[0, 2q)`, so the middle sum is below `4 q^2 < 2^32 q`.
#[inline(always)]
pub(super) fn tensor<S: Simd>(simd: S, m: Modulus, a: [&[u32]; 2], b: [&[u32]; 2], out: [&mut [u32]; 3]) {
    let field = Field::new(simd, m);
    let radix = ScalarVector::new(simd, m.scalar(m.to_montgomery(1)));
    let [low, middle, high] = out;
    let outs = low
        .chunks_exact_mut(S::LANES)
        .zip(middle.chunks_exact_mut(S::LANES))
        .zip(high.chunks_exact_mut(S::LANES));
    for (j, ((low, middle), high)) in outs.enumerate() {
        let at = j * S::LANES;
        let (a_0, a_1) = (Halves::load(simd, &a[0][at..]), Halves::load(simd, &a[1][at..]));
        let b_0 = Halves::new(simd, field.mul_lazy(simd.load(&b[0][at..]), radix));
        let b_1 = Halves::new(simd, field.mul_lazy(simd.load(&b[1][at..]), radix));
        let cross = Wide::product(simd, a_0, b_1).plus_product(simd, a_1, b_0);
        simd.store(low, field.montgomery_reduce_small(Wide::product(simd, a_0, b_0)));
        simd.store(middle, field.montgomery_reduce_small(cross));
        simd.store(high, field.montgomery_reduce_small(Wide::product(simd, a_1, b_1)));
    }
}

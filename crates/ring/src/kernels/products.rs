//! Generic vector kernels for sums of products.

use super::field::{Bound, Field, Halves, ScalarVector, Wide};
use super::simd::Simd;
use super::{LINE, Pair, WovenSum};
use crate::Modulus;

/// How many lines a tile has, whose unreduced sums stay in the first cache from one group of terms to the
/// next; and one of what is left, or of shorter blocks.
const TILE: usize = 32;
const SMALL_TILE: usize = 8;

/// How many terms are added in one pass over a tile: so few streams the hardware follows, and their sums stay
/// in registers.
const GROUP: usize = 4;

/// How far ahead of their use the words of a key are asked for.
const PREFETCH_WORDS: usize = 64;

/// `out_k = sum of left_k * shared / 2^32`: batches of terms whose sums fit 64 bits, added up.
#[inline(always)]
pub(super) fn dot_pair<S: Simd>(simd: S, m: Modulus, terms: &[Pair<'_>], out: [&mut [u32]; 2]) {
    let (field, [out_0, out_1]) = (Field::new(simd, m), out);
    let (mut rest, mut add) = (terms, false);
    loop {
        let (batch, after) = rest.split_at(rest.len().min(m.max_unreduced_products()));
        dot_batch(field, Bound::of(m, batch.len()), batch, [out_0, out_1], add);
        (rest, add) = (after, true);
        if rest.is_empty() {
            return;
        }
    }
}

/// The sums of one batch, tile by tile.
#[inline(always)]
fn dot_batch<S: Simd>(
    field: Field<S>,
    bound: Bound,
    terms: &[Pair<'_>],
    [out_0, out_1]: [&mut [u32]; 2],
    add: bool,
) {
    let mut start = 0;
    while start < out_0.len() {
        let out = [&mut out_0[start..], &mut out_1[start..]];
        let lines = out[0].len() / LINE;
        let reduced = Reduced { field, bound, out, add };
        // The number of words is known to each copy, so that its loads have no bounds to check.
        start += match (lines, S::LANES) {
            (TILE.., 16) => dot_lines::<S, TILE, 1>(reduced, terms, start),
            (TILE.., _) => dot_lines::<S, TILE, 2>(reduced, terms, start),
            (SMALL_TILE.., 16) => dot_lines::<S, SMALL_TILE, 1>(reduced, terms, start),
            (SMALL_TILE.., _) => dot_lines::<S, SMALL_TILE, 2>(reduced, terms, start),
            (_, 16) => dot_lines::<S, 1, 1>(reduced, terms, start),
            (_, _) => dot_lines::<S, 1, 2>(reduced, terms, start),
        };
    }
}

/// The sums of `LINES` lines of `UNITS` vectors from `start` on. Returns how many words that are.
#[inline(always)]
fn dot_lines<S: Simd, const LINES: usize, const UNITS: usize>(
    mut reduced: Reduced<'_, S>,
    terms: &[Pair<'_>],
    start: usize,
) -> usize {
    if LINES > 1 && dot_few::<S, LINES, UNITS>(&mut reduced, terms, start) {
        return LINES * LINE;
    }
    let simd = reduced.field.simd;
    let mut kept = Kept([[[Wide::zero(simd); 2]; UNITS]; LINES]);
    let mut groups =
        terms.chunk_by(|a, b| a.log_repeats() == b.log_repeats()).flat_map(|alike| alike.chunks(GROUP));
    let mut group = groups.next();
    while let Some(terms) = group {
        group = groups.next();
        let ahead = group.map_or((terms, start + LINES * LINE), |next| (next, start));
        add_group::<S, LINES, UNITS>(simd, terms, start, ahead, &mut kept);
    }
    for line in 0..LINES {
        for unit in 0..UNITS {
            reduced.put(line, unit, kept.0[line][unit]);
        }
    }
    LINES * LINE
}

/// What key-switches are made of: so few terms that nothing has to be kept. Returns whether it was that.
#[inline(always)]
fn dot_few<S: Simd, const LINES: usize, const UNITS: usize>(
    reduced: &mut Reduced<'_, S>,
    terms: &[Pair<'_>],
    start: usize,
) -> bool {
    let simd = reduced.field.simd;
    if !all_whole(terms) {
        return false;
    }
    match *terms {
        [a] => add_products::<S, _, LINES, UNITS, 1, 1>(simd, [a], start, None, reduced),
        [a, b] => add_products::<S, _, LINES, UNITS, 1, 2>(simd, [a, b], start, None, reduced),
        [a, b, c] => add_products::<S, _, LINES, UNITS, 1, 3>(simd, [a, b, c], start, None, reduced),
        [a, b, c, d] => add_products::<S, _, LINES, UNITS, 1, 4>(simd, [a, b, c, d], start, None, reduced),
        _ => return false,
    }
    true
}

/// Whether no shared word stands for several.
#[inline(always)]
fn all_whole(terms: &[Pair<'_>]) -> bool {
    let mut log = 0;
    for term in terms {
        log |= term.log_repeats();
    }
    log == 0
}

/// Where the unreduced sums of both halves for the words of a vector come from and go to.
trait Sums<S: Simd> {
    /// Those of vector `unit` of line `line` so far.
    fn get(&self, simd: S, line: usize, unit: usize) -> [Wide<S>; 2];
    fn put(&mut self, line: usize, unit: usize, sums: [Wide<S>; 2]);
}

/// Kept as they are, for the next group of terms.
struct Kept<S: Simd, const LINES: usize, const UNITS: usize>([[[Wide<S>; 2]; UNITS]; LINES]);

impl<S: Simd, const LINES: usize, const UNITS: usize> Sums<S> for Kept<S, LINES, UNITS> {
    #[inline(always)]
    fn get(&self, _: S, line: usize, unit: usize) -> [Wide<S>; 2] {
        self.0[line][unit]
    }

    #[inline(always)]
    fn put(&mut self, line: usize, unit: usize, sums: [Wide<S>; 2]) {
        self.0[line][unit] = sums;
    }
}

/// Begun with nothing; reduced, and written to `out` or (`add`) added to it.
struct Reduced<'a, S: Simd> {
    field: Field<S>,
    bound: Bound,
    out: [&'a mut [u32]; 2],
    add: bool,
}

impl<S: Simd> Sums<S> for Reduced<'_, S> {
    #[inline(always)]
    fn get(&self, simd: S, _: usize, _: usize) -> [Wide<S>; 2] {
        [Wide::zero(simd); 2]
    }

    #[inline(always)]
    fn put(&mut self, line: usize, unit: usize, sums: [Wide<S>; 2]) {
        let (field, simd) = (self.field, self.field.simd);
        for (sum, out) in sums.into_iter().zip(&mut self.out) {
            let out = &mut out[line * LINE + unit * S::LANES..];
            let reduced = field.montgomery_reduce_within(sum, self.bound);
            simd.store(out, if self.add { field.add(simd.load(out), reduced) } else { reduced });
        }
    }
}

/// Terms, and the word from which on their shared words come next.
type Ahead<'t, 'a> = (&'t [Pair<'a>], usize);

/// Adds the products of up to [`GROUP`] terms whose shared words repeat alike.
#[inline(always)]
fn add_group<S: Simd, const LINES: usize, const UNITS: usize>(
    simd: S,
    terms: &[Pair<'_>],
    start: usize,
    ahead: Ahead<'_, '_>,
    sums: &mut Kept<S, LINES, UNITS>,
) {
    // The number of repeats is known to each copy, so that its loads have no branches.
    match terms[0].log_repeats() {
        0 => add_alike::<S, LINES, UNITS, 1>(simd, terms, start, ahead, sums),
        1 => add_alike::<S, LINES, UNITS, 2>(simd, terms, start, ahead, sums),
        2 => add_alike::<S, LINES, UNITS, 4>(simd, terms, start, ahead, sums),
        3 => add_alike::<S, LINES, UNITS, 8>(simd, terms, start, ahead, sums),
        // From 16 on the lanes are one word's.
        _ => add_alike::<S, LINES, UNITS, 16>(simd, terms, start, ahead, sums),
    }
}

/// As [`add_group`], where a shared word stands for `REPEATS` words: at 16, for as many or more.
#[inline(always)]
fn add_alike<S: Simd, const LINES: usize, const UNITS: usize, const REPEATS: usize>(
    simd: S,
    terms: &[Pair<'_>],
    start: usize,
    ahead: Ahead<'_, '_>,
    sums: &mut Kept<S, LINES, UNITS>,
) {
    if let [a, b, c, d] = *terms {
        add_products::<S, _, LINES, UNITS, REPEATS, 4>(simd, [a, b, c, d], start, Some(ahead), sums);
        return;
    }
    for &term in terms {
        add_products::<S, _, LINES, UNITS, REPEATS, 1>(simd, [term], start, Some(ahead), sums);
    }
}

/// Adds the products of so many terms. Meanwhile it asks for the shared words that are `ahead`; where there
/// are none, for the other ones of these terms, which lie in a key.
#[inline(always)]
fn add_products<
    S: Simd,
    K: Sums<S>,
    const LINES: usize,
    const UNITS: usize,
    const REPEATS: usize,
    const TERMS: usize,
>(
    simd: S,
    terms: [Pair<'_>; TERMS],
    start: usize,
    ahead: Option<Ahead<'_, '_>>,
    sums: &mut K,
) {
    let (words, log) = (LINES * LINE, if REPEATS < 16 { REPEATS.ilog2() } else { terms[0].log_repeats() });
    let (mut left, mut shared) = ([[&[0; 0][..]; 2]; TERMS], [&[0; 0][..]; TERMS]);
    for t in 0..TERMS {
        left[t] = [&terms[t].left[0][start..][..words], &terms[t].left[1][start..][..words]];
        shared[t] = &terms[t].shared[start >> log..][..(words >> log).max(1)];
    }
    for line in 0..LINES {
        if let Some((terms, start)) = ahead {
            for term in terms {
                simd.prefetch(term.shared, (start + line * LINE) >> term.log_repeats());
            }
        } else {
            for half in left.as_flattened() {
                simd.prefetch(half, line * LINE + PREFETCH_WORDS);
            }
        }
        for unit in 0..UNITS {
            let at = line * LINE + unit * S::LANES;
            let mut sum = sums.get(simd, line, unit);
            for t in 0..TERMS {
                let factor = Halves::load_repeated(simd, &shared[t][at >> log..], REPEATS);
                for half in 0..2 {
                    let words = Halves::load(simd, &left[t][half][at..]);
                    sum[half] = sum[half].plus_product(simd, words, factor);
                }
            }
            sums.put(line, unit, sum);
        }
    }
}

/// As [`dot_pair`], for sums that share their left sides. A line is computed for all sums before the next
/// one is: its left sides stay in the first cache, and of what each sum alone has, memory gives long runs.
#[inline(always)]
pub(super) fn dot_woven<S: Simd>(
    simd: S,
    m: Modulus,
    left: &[[&[u32]; 2]],
    sums: &mut [WovenSum<'_>],
    add: bool,
) {
    let words = sums.first().map_or(0, |sum| sum.out[0].len());
    let field = Field::new(simd, m);
    let mut lines = Vec::with_capacity(left.len());
    for line in 0..words / LINE {
        lines.clear();
        lines.extend(left.iter().map(|halves| halves.map(|half| &half.as_chunks().0[line])));
        for sum in 0..sums.len() {
            let next = if sum + 1 < sums.len() { (sum + 1, line) } else { (0, line + 1) };
            let ahead = sums[next.0].line(next.1);
            match S::LANES {
                16 => dot_line::<S, 1>(field, m, &lines, (&mut sums[sum], line), ahead, add),
                _ => dot_line::<S, 2>(field, m, &lines, (&mut sums[sum], line), ahead, add),
            }
        }
    }
}

/// A line of both halves.
type Lines<'a> = [&'a [u32; LINE]; 2];

/// One line of one sum, in `UNITS` vectors. Meanwhile it asks for the words that come next.
#[inline(always)]
fn dot_line<S: Simd, const UNITS: usize>(
    field: Field<S>,
    m: Modulus,
    left: &[Lines<'_>],
    (sum, line): (&mut WovenSum<'_>, usize),
    mut ahead: &[u32],
    mut add: bool,
) {
    let (mut shared, mut terms, at) = (sum.line(line), sum.left, line * LINE);
    for run in sum.runs {
        let (of_run, rest) = terms.split_at(run.terms);
        terms = rest;
        for batch in of_run.chunks(m.max_unreduced_products()) {
            let words = batch.len() * run.words();
            let these = (batch, &shared[..words], ahead);
            // The number of repeats is known to each copy, so that its loads have no branches.
            let sums = match run.repeats {
                1 => add_line::<S, UNITS, 1>(field.simd, left, these),
                2 => add_line::<S, UNITS, 2>(field.simd, left, these),
                4 => add_line::<S, UNITS, 4>(field.simd, left, these),
                8 => add_line::<S, UNITS, 8>(field.simd, left, these),
                _ => add_line::<S, UNITS, 16>(field.simd, left, these),
            };
            let [out_0, out_1] = &mut sum.out;
            let out = [&mut out_0[at..], &mut out_1[at..]];
            let mut reduced = Reduced { field, bound: Bound::of(m, batch.len()), out, add };
            for (unit, sums) in sums.into_iter().enumerate() {
                reduced.put(0, unit, sums);
            }
            reduced.out.iter().for_each(|out| field.simd.prefetch(out, LINE));
            (shared, ahead, add) = (&shared[words..], ahead.get(words..).unwrap_or(&[]), true);
        }
    }
    if !add {
        sum.out.iter_mut().for_each(|out| out[at..][..LINE].fill(0));
    }
}

/// The unreduced sums of a line for terms whose shared words each stand for `REPEATS` words.
#[inline(always)]
fn add_line<S: Simd, const UNITS: usize, const REPEATS: usize>(
    simd: S,
    left: &[Lines<'_>],
    (terms, shared, ahead): (&[u32], &[u32], &[u32]),
) -> [[Wide<S>; 2]; UNITS] {
    let mut sums = [[Wide::zero(simd); 2]; UNITS];
    for (index, (&term, shared)) in terms.iter().zip(shared.chunks_exact(LINE / REPEATS)).enumerate() {
        simd.prefetch(ahead, index * (LINE / REPEATS));
        let halves = left[term as usize];
        for (unit, sums) in sums.iter_mut().enumerate() {
            let at = unit * S::LANES;
            let factor = Halves::load_repeated(simd, &shared[at / REPEATS..], REPEATS);
            for (sum, half) in sums.iter_mut().zip(halves) {
                *sum = sum.plus_product(simd, Halves::load(simd, &half[at..]), factor);
            }
        }
    }
    sums
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

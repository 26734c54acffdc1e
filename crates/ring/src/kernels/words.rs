//! Generic vector kernels that go through their operands once, word by word.
//!
//! Slices have a length that is a multiple of 16, so of every number of lanes.

use super::field::{Field, Halves, ScalarVector, Wide};
use super::simd::Simd;
use crate::{Modulus, Scalar};

/// `a = f(a)`.
#[inline(always)]
fn map<S: Simd>(simd: S, a: &mut [u32], f: impl Fn(S::Vector) -> S::Vector) {
    for x in a.chunks_exact_mut(S::LANES) {
        let v = f(simd.load(x));
        simd.store(x, v);
    }
}

/// `a = f(a, b)`.
#[inline(always)]
fn zip<S: Simd>(simd: S, a: &mut [u32], b: &[u32], f: impl Fn(S::Vector, S::Vector) -> S::Vector) {
    for (x, y) in a.chunks_exact_mut(S::LANES).zip(b.chunks_exact(S::LANES)) {
        let v = f(simd.load(x), simd.load(y));
        simd.store(x, v);
    }
}

#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, m: Modulus, a: &mut [u32], b: &[u32]) {
    let field = Field::new(simd, m);
    zip(
        simd,
        a,
        b,
        #[inline(always)]
        |x, y| field.add(x, y),
    );
}

#[inline(always)]
pub(super) fn sub<S: Simd>(simd: S, m: Modulus, a: &mut [u32], b: &[u32]) {
    let field = Field::new(simd, m);
    zip(
        simd,
        a,
        b,
        #[inline(always)]
        |x, y| field.sub(x, y),
    );
}

#[inline(always)]
pub(super) fn negate<S: Simd>(simd: S, m: Modulus, a: &mut [u32]) {
    let (field, zero) = (Field::new(simd, m), simd.splat(0));
    map(
        simd,
        a,
        #[inline(always)]
        |x| field.sub(zero, x),
    );
}

/// The product of two residues is below `q^2 < 2^32 q`.
#[inline(always)]
pub(super) fn mul<S: Simd>(simd: S, m: Modulus, a: &mut [u32], b: &[u32]) {
    let field = Field::new(simd, m);
    zip(
        simd,
        a,
        b,
        #[inline(always)]
        |x, y| field.montgomery_reduce_small(Wide::product(simd, Halves::new(simd, x), Halves::new(simd, y))),
    );
}

#[inline(always)]
pub(super) fn mul_scalar<S: Simd>(simd: S, m: Modulus, a: &mut [u32], w: Scalar) {
    let (field, w) = (Field::new(simd, m), ScalarVector::new(simd, w));
    map(
        simd,
        a,
        #[inline(always)]
        |x| field.reduce_once(field.mul_lazy(x, w)),
    );
}

#[inline(always)]
pub(super) fn add_mul_scalar<S: Simd>(simd: S, m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) {
    let (field, w) = (Field::new(simd, m), ScalarVector::new(simd, w));
    zip(
        simd,
        a,
        b,
        #[inline(always)]
        |x, y| field.add(x, field.reduce_once(field.mul_lazy(y, w))),
    );
}

/// `a - b + q` is positive, and the lazy product takes any word.
#[inline(always)]
pub(super) fn sub_mul_scalar<S: Simd>(simd: S, m: Modulus, a: &mut [u32], b: &[u32], w: Scalar) {
    let (field, w) = (Field::new(simd, m), ScalarVector::new(simd, w));
    zip(
        simd,
        a,
        b,
        #[inline(always)]
        |x, y| {
            let difference = simd.add(simd.sub(x, y), field.q);
            field.reduce_once(field.mul_lazy(difference, w))
        },
    );
}

#[inline(always)]
pub(super) fn permute<S: Simd>(simd: S, blocks: &[u32], lanes: &[[u32; 16]], a: &[u32], out: &mut [u32]) {
    permute_with(
        simd,
        blocks,
        lanes,
        a,
        out,
        #[inline(always)]
        |_, v| v,
    );
}

#[inline(always)]
pub(super) fn permute_add<S: Simd>(
    simd: S,
    m: Modulus,
    blocks: &[u32],
    lanes: &[[u32; 16]],
    a: &[u32],
    out: &mut [u32],
) {
    let field = Field::new(simd, m);
    permute_with(
        simd,
        blocks,
        lanes,
        a,
        out,
        #[inline(always)]
        |x, v| field.add(simd.load(x), v),
    );
}

/// `out = f(out, permuted a)`; a block or pattern out of range panics.
#[inline(always)]
fn permute_with<S: Simd>(
    simd: S,
    blocks: &[u32],
    lanes: &[[u32; 16]],
    a: &[u32],
    out: &mut [u32],
    f: impl Fn(&[u32], S::Vector) -> S::Vector,
) {
    let (sources, _) = a.as_chunks::<16>();
    for (target, &entry) in out.chunks_exact_mut(16).zip(blocks) {
        let source = &sources[super::source_block(entry, sources.len())];
        let pattern = &lanes[super::lane_pattern(entry)];
        for (x, pattern) in target.chunks_exact_mut(S::LANES).zip(pattern.chunks_exact(S::LANES)) {
            let v = f(x, simd.load_permuted(source, pattern));
            simd.store(x, v);
        }
    }
}

/// The operations and their order are those of the scalar kernel: digits are below `2^30`, so signed
/// conversion is the same.
#[inline(always)]
pub(super) fn overflow<S: Simd>(simd: S, digits: &[&[u32]], inverses: &[f32], out: &mut [u32]) {
    for (j, o) in out.chunks_exact_mut(S::LANES).enumerate() {
        let mut sum = simd.splat_float(0.0);
        for (digit, &inverse) in digits.iter().zip(inverses) {
            let digit = simd.to_float(simd.load(&digit[j * S::LANES..]));
            sum = simd.add_float(sum, simd.mul_float(digit, simd.splat_float(inverse)));
        }
        simd.store(o, simd.round(sum));
    }
}

/// Digits are below primes that are 1 modulo 64 and below `2^30`, and the overflow is at most their number
/// `n`, so the sum is below `n (2^30 - 62) q`: below `2^32 q` for four digits, and below `3 * 2^32 q` for up
/// to nine.
#[inline(always)]
pub(super) fn convert<S: Simd>(
    simd: S,
    m: Modulus,
    digits: &[&[u32]],
    overflow: &[u32],
    factors: &[u32],
    out: &mut [u32],
) {
    macro_rules! convert_from {
        ($($count:literal)*) => {
            match digits.len() {
                // The number of digits is known to the loop, so that its constants stay in registers.
                $($count => {
                    let digits: &[&[u32]; $count] = digits.try_into().expect("that many digits");
                    convert_from(simd, m, digits, overflow, factors, out)
                })*
                count => unreachable!("{count} source primes: kernels::convert checks their number"),
            }
        };
    }
    convert_from!(1 2 3 4 5 6 7 8 9);
}

#[inline(always)]
fn convert_from<S: Simd, const DIGITS: usize>(
    simd: S,
    m: Modulus,
    digits: &[&[u32]; DIGITS],
    overflow: &[u32],
    factors: &[u32],
    out: &mut [u32],
) {
    let field = Field::new(simd, m);
    let last = Halves::splat(simd, factors[DIGITS]);
    let factors: [Halves<S>; DIGITS] = std::array::from_fn(
        #[inline(always)]
        |i| Halves::splat(simd, factors[i]),
    );
    for (j, o) in out.chunks_exact_mut(S::LANES).enumerate() {
        let mut sum = Wide::product(simd, Halves::load(simd, &overflow[j * S::LANES..]), last);
        for i in 0..DIGITS {
            let digit = Halves::load(simd, &digits[i][j * S::LANES..]);
            sum = sum.plus_product(simd, digit, factors[i]);
        }
        let reduced = if DIGITS <= 4 {
            field.montgomery_reduce_small(sum)
        } else {
            field.montgomery_reduce_triple(sum)
        };
        simd.store(o, reduced);
    }
}

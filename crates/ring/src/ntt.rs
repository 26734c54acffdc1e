//! The number-theoretic transform of the conjugate-invariant ring, one prime at a time.
//!
//! A conjugate-invariant polynomial `a` of "degree" `2N` satisfies `a_(2N-i) = -a_i`, so modulo `X^N - I`,
//! where `I = zeta^N` is a square root of -1, it becomes `b_0 = a_0`, `b_j = a_j - I a_(N-j)`: the *fold*.
//! The rest is the usual recursion `X^2m - c^2 = (X^m - c)(X^m + c)` from `X^N - zeta^N` down to the leaves
//! `X - zeta^e`, `e = 1 mod 4`. Modulo the other factor `X^N + I` it takes the conjugate values, which are
//! the same.
//!
//! Leaf `t` holds the value at `zeta^e`, `e = 1 + 4 bitrev(t)`: [`leaf_of_exponent`].

#![cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "only the vector kernels use the lazy constants")
)]

use crate::{Error, Modulus, Scalar};

/// The smallest supported ring degree: one AVX-512 vector.
pub const MIN_DEGREE: usize = 16;
/// The largest supported ring degree.
pub const MAX_DEGREE: usize = 1 << 16;

/// The twiddle factors of one prime at one degree.
#[derive(Debug, Clone)]
pub struct NttTable {
    modulus: Modulus,
    degree: usize,
    forward: Twiddles,
    inverse: Twiddles,
    /// `I = zeta^N`, which the fold multiplies by.
    fold: Scalar,
    /// `1 / N`, for the constant coefficient of the unfold.
    inverse_degree: Scalar,
    /// `1 / 2N`, for the others.
    inverse_double: Scalar,
    /// `I / 2N`.
    inverse_fold: Scalar,
    lazy: LazyConstants,
}

/// What the vector kernels need besides the twiddle factors: see their module for the algorithm and the
/// proofs.
#[derive(Debug, Clone)]
pub(crate) struct LazyConstants {
    /// When values that grow through the layers are brought back.
    pub correction: Correction,
    /// For each value of a word's top four bits the multiple of `q` nearest to the middle of such (signed)
    /// words.
    pub multiples_16: [u32; 16],
    /// The same for the top three bits.
    pub multiples_8: [u32; 8],
    /// Constants of the merged fold.
    pub forward: FoldConstants,
    /// Constants of the merged unfold.
    pub inverse: FoldConstants,
}

/// When lazily bounded values are brought back: as seldom as the size of the prime allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Correction {
    /// Growth through all layers stays in range (forward), or sums of four do (inverse).
    Never,
    /// Growth through four layers stays in range.
    EachPass,
    /// For primes up to `2^30`.
    EachLayer,
}

/// The constants of the fold merged with the first layer, or of the unfold merged with the last.
///
/// With `z = zeta^(N/2)`, so `I = z^2`; the constants of the unfold contain the division by the degree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoldConstants {
    /// `I`; of the inverse `1 / (2N I)`.
    pub rotate: Scalar,
    /// `-z^3`; of the inverse `-z^-3`.
    pub turn: Scalar,
    /// `z (1 - I)`; of the inverse `1 / (N z (1 - I))`.
    pub middle: Scalar,
}

/// One twiddle factor for each inner node of the recursion: node `i` of depth `d` at index `2^d + i`.
///
/// Values and quotients in arrays of their own, because vector kernels load runs of each.
#[derive(Debug, Clone)]
pub struct Twiddles {
    modulus: Modulus,
    /// The factors as signed words, in `(-q/2, q/2)`.
    values: Vec<u32>,
    /// Their Shoup quotients as signed words.
    quotients: Vec<u32>,
    /// The factors of the last layers once more.
    last: Vec<LastTwiddles>,
}

/// The twiddle factors of the layers within 32 consecutive words, those of node `i` of `count` at
/// `count - 2 + i`.
///
/// The word after the quotients lets a vector be loaded from any odd lane on.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct LastTwiddles {
    /// The factors as signed words.
    pub values: [u32; 32],
    /// Their Shoup quotients as signed words.
    pub quotients: [u32; 32],
}

impl Twiddles {
    fn new(modulus: Modulus, factors: impl Iterator<Item = u32>) -> Self {
        let scalars = factors.map(|w| modulus.scalar(w));
        let (values, quotients): (Vec<_>, Vec<_>) =
            scalars.map(|w| (modulus.signed_value(w), w.quotient)).unzip();
        let last = (0..values.len() / 32).map(|group| LastTwiddles {
            values: last_layers(&values, group),
            quotients: last_layers(&quotients, group),
        });
        Self { modulus, last: last.collect(), values, quotients }
    }

    /// The signed factor of node `index` and its signed quotient.
    #[inline(always)]
    pub(crate) fn signed(&self, index: usize) -> (u32, u32) {
        (self.values[index], self.quotients[index])
    }

    /// The factors within each group of 32 words.
    #[inline(always)]
    pub(crate) fn last(&self) -> &[LastTwiddles] {
        &self.last
    }

    /// The factor of node `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Scalar {
        let value = self.values[index];
        let value = if value >> 31 == 0 { value } else { value.wrapping_add(self.modulus.value()) };
        Scalar { value, quotient: self.quotients[index] }
    }
}

/// The words of the nodes within group `group` of 32 leaves, layer after layer.
fn last_layers(nodes: &[u32], group: usize) -> [u32; 32] {
    let mut words = [0; 32];
    for count in [2, 4, 8, 16] {
        let first = nodes.len() / 32 * count + group * count;
        words[count - 2..][..count].copy_from_slice(&nodes[first..][..count]);
    }
    words
}

impl LazyConstants {
    /// `z = zeta^(N/2)`.
    fn new(m: Modulus, degree: usize, z: u32) -> Self {
        let imaginary = m.mul(z, z);
        let turn = m.neg(m.mul(imaginary, z));
        let middle = m.mul(z, m.sub(1, imaginary));
        let (first, scale) = (m.inverse(degree as u32), m.inverse(2 * degree as u32));
        let over = |x| m.inverse(x);
        Self {
            correction: Correction::for_prime(m.value(), degree),
            multiples_16: nearest_multiples(m.value()),
            multiples_8: nearest_multiples(m.value()),
            forward: FoldConstants {
                rotate: m.scalar(imaginary),
                turn: m.scalar(turn),
                middle: m.scalar(middle),
            },
            inverse: FoldConstants {
                rotate: m.scalar(m.mul(over(imaginary), scale)),
                turn: m.scalar(over(turn)),
                middle: m.scalar(m.mul(over(middle), first)),
            },
        }
    }
}

impl Correction {
    /// How far lazily bounded values may go: a twentieth short of `2^31`, as the last reduction needs.
    const LIMIT: u64 = (1 << 31) / 20 * 19;
    /// How far from zero the coarser of the corrections leaves a value, besides `q/2`: half a cell of `2^29`.
    const HALF_CELL: u64 = 1 << 28;

    /// The bounds are those that the vector transforms prove.
    fn for_prime(q: u32, degree: usize) -> Self {
        let q = u64::from(q);
        let corrected = q / 2 + Self::HALF_CELL;
        let layer = |bound: u64| bound + q + ((q * bound) >> 32) + 1;
        let layers = degree.trailing_zeros() + 1;
        // Cut off where it is beyond the limit for sure and before it is beyond 64 bits.
        let grown = (0..layers).fold(q, |bound, _| layer(bound).min(1 << 32));
        if grown.max(16 * q).max(4 * corrected) <= Self::LIMIT {
            Self::Never
        } else if (corrected + 6 * q).max(4 * corrected) <= Self::LIMIT {
            Self::EachPass
        } else {
            Self::EachLayer
        }
    }
}

/// The multiples of `q` nearest to the middles of `COUNT` equal cells of the signed words.
fn nearest_multiples<const COUNT: usize>(q: u32) -> [u32; COUNT] {
    let cell = (1i64 << 32) / COUNT as i64;
    std::array::from_fn(|index| {
        let start = i64::from((index as i64 * cell) as u32 as i32);
        let q = i64::from(q);
        ((start + cell / 2 + q / 2).div_euclid(q) * q) as u32
    })
}

impl NttTable {
    /// Checks that the transform exists, without building it.
    ///
    /// # Errors
    /// For a degree that is no power of two in range, or a prime that is not 1 modulo `4N`.
    pub fn check(modulus: Modulus, degree: usize) -> Result<(), Error> {
        if !degree.is_power_of_two() || !(MIN_DEGREE..=MAX_DEGREE).contains(&degree) {
            return Err(Error::Degree(degree));
        }
        if modulus.value() % (4 * degree as u32) != 1 {
            return Err(Error::NoRoot { modulus: modulus.value(), degree });
        }
        Ok(())
    }

    /// Builds the tables; the root of unity is the least that exists, so tables are the same everywhere.
    pub fn new(modulus: Modulus, degree: usize) -> Result<Self, Error> {
        Self::check(modulus, degree)?;
        Ok(Self::with_root(modulus, degree, primitive_root(modulus, degree)))
    }

    /// The transform of polynomials with coefficients at multiples of `repeats` alone, a power of two, as
    /// polynomials of degree `N / repeats`: its leaf `t` holds what leaves
    /// `repeats t ... repeats t + repeats - 1` of this one hold.
    ///
    /// `repeats t + r` in reverse is the reverse of `t` and a multiple of `N / repeats`, by which
    /// `zeta^repeats` does not change: it is the smaller transform's root.
    ///
    /// # Errors
    /// For a degree that is out of range then.
    pub fn subring(&self, repeats: usize) -> Result<Self, Error> {
        let degree = self.degree / repeats;
        Self::check(self.modulus, degree)?;
        // The first node of a depth has half the exponent of what it splits.
        Ok(Self::with_root(self.modulus, degree, self.forward.get(degree / 2).value))
    }

    /// The tables of a degree that exists, for this primitive `4N`-th root of unity.
    fn with_root(modulus: Modulus, degree: usize, zeta: u32) -> Self {
        let exponents = node_exponents(degree);
        let powers: Vec<u32> = powers(modulus, 1, zeta).take(2 * degree).collect();
        // As `zeta^2N = -1`, the inverse of a power is a negative one.
        let inverse = |e: usize| if e == 0 { 1 } else { modulus.neg(powers[2 * degree - e]) };
        let imaginary = modulus.pow(zeta, degree as u64);
        let inverse_degree = modulus.inverse(degree as u32);
        let inverse_double = modulus.inverse(2 * degree as u32);
        Self {
            modulus,
            degree,
            forward: Twiddles::new(modulus, exponents.iter().map(|&e| powers[e])),
            inverse: Twiddles::new(modulus, exponents.iter().map(|&e| inverse(e))),
            fold: modulus.scalar(imaginary),
            inverse_degree: modulus.scalar(inverse_degree),
            inverse_double: modulus.scalar(inverse_double),
            inverse_fold: modulus.scalar(modulus.mul(imaginary, inverse_double)),
            lazy: LazyConstants::new(modulus, degree, modulus.pow(zeta, degree as u64 / 2)),
        }
    }

    /// The prime.
    pub fn modulus(&self) -> Modulus {
        self.modulus
    }

    /// The ring degree `N`.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Twiddle factors of the forward transform.
    pub fn forward(&self) -> &Twiddles {
        &self.forward
    }

    /// Twiddle factors of the inverse transform: the inverses of the forward ones.
    pub fn inverse(&self) -> &Twiddles {
        &self.inverse
    }

    /// Constants of the vector transforms.
    pub(crate) fn lazy(&self) -> &LazyConstants {
        &self.lazy
    }

    /// `I`, the square root of -1 of the fold.
    pub fn fold(&self) -> Scalar {
        self.fold
    }

    /// `1/N`, `1/2N` and `I/2N`: the constants of the unfold.
    pub fn unfold(&self) -> (Scalar, Scalar, Scalar) {
        (self.inverse_degree, self.inverse_double, self.inverse_fold)
    }
}

/// The exponents of the nodes' twiddle factors: `(N / 2^(d+1)) (1 + 4 bitrev_d(i))` for node `i` of depth
/// `d`.
///
/// Node `(d, i)` is `X^(N/2^d) - zeta^e` with `e = (N/2^d)(1 + 4 bitrev_d(i))`; its factor is the root
/// `zeta^(e/2)`. Index 0 is unused.
fn node_exponents(degree: usize) -> Vec<usize> {
    let mut exponents = vec![0; degree];
    for depth in 0..degree.trailing_zeros() {
        let nodes = 1usize << depth;
        for i in 0..nodes {
            exponents[nodes + i] = (degree >> (depth + 1)) * (1 + 4 * reverse_bits(i, depth));
        }
    }
    exponents
}

/// The least primitive `4N`-th root of unity modulo the prime.
fn primitive_root(modulus: Modulus, degree: usize) -> u32 {
    let q = modulus.value();
    let order = 4 * degree as u32;
    let is_primitive = |root| modulus.pow(root, u64::from(order) / 2) == q - 1;
    let any = (2..q)
        .map(|g| modulus.pow(g, u64::from((q - 1) / order)))
        .find(|&root| is_primitive(root))
        .expect("the multiplicative group of a prime field is cyclic");
    powers(modulus, any, modulus.mul(any, any)).take(2 * degree).min().expect("at least one power")
}

/// `first`, and each time `root` times the one before.
fn powers(modulus: Modulus, first: u32, root: u32) -> impl Iterator<Item = u32> {
    // A product with a constant needs no division.
    let root = modulus.scalar(root);
    std::iter::successors(Some(first), move |&power| Some(modulus.mul_scalar(power, root)))
}

/// The lowest `bits` bits of `x`, in reverse.
pub fn reverse_bits(x: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { x.reverse_bits() >> (usize::BITS - bits) }
}

/// Which leaf of the transform holds the value at `zeta^exponent`, for an exponent equal to 1 modulo 4.
pub fn leaf_of_exponent(degree: usize, exponent: usize) -> usize {
    debug_assert_eq!(exponent % 4, 1);
    reverse_bits((exponent % (4 * degree)) / 4, degree.trailing_zeros())
}

/// For each slot `j` the leaf that holds the value at `zeta^(5^j)`: the order in which rotations are cyclic
/// shifts.
pub fn slot_leaves(degree: usize) -> Vec<usize> {
    std::iter::successors(Some(1usize), |&e| Some(e * 5 % (4 * degree)))
        .map(|e| leaf_of_exponent(degree, e))
        .take(degree)
        .collect()
}

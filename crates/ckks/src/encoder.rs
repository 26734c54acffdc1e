//! Real numbers to integer polynomials and back.
//!
//! A polynomial of the conjugate-invariant ring takes `N` real values, at `zeta^(5^j) = exp(2 pi i 5^j / 4N)` for the slots
//! `j = 0 ... N - 1`. The embedding is the complex twin of the number-theoretic transform (`ring::ntt`): fold, then the
//! same recursion.

use crate::{Context, Error, Level, Scale};
use ring::ntt::{reverse_bits, slot_leaves};
use ring::{Basis, Coefficients, Factor, Poly, Values};
use std::f64::consts::PI;

/// What the numbers of a plaintext are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// One for each slot.
    Slots,
    /// Coefficients in the basis `{1, X^i + X^-i}`: products multiply as polynomials.
    Coefficients,
}

/// Which primes a plaintext factor is modulo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// Those of its level.
    Plain,
    /// The special primes, too: for products inside a key-switch.
    Extended,
}

/// An encoded plaintext that ciphertexts are multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainFactor {
    pub(crate) poly: Poly<Factor>,
    pub(crate) level: Level,
    pub(crate) scale: Scale,
    pub(crate) extension: Extension,
}

impl PlainFactor {
    /// The level that it is encoded at.
    pub fn level(&self) -> Level {
        self.level
    }
    /// The scale that it is encoded at.
    pub fn scale(&self) -> Scale {
        self.scale
    }
    /// Whether it has the special primes.
    pub fn extension(&self) -> Extension {
        self.extension
    }
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.poly.words())
    }
}

/// An encoded plaintext that is added to ciphertexts, or encrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainSummand {
    pub(crate) poly: Poly<Values>,
    pub(crate) level: Level,
    pub(crate) scale: Scale,
}

impl PlainSummand {
    /// The level that it is encoded at.
    pub fn level(&self) -> Level {
        self.level
    }
    /// The scale that it is encoded at.
    pub fn scale(&self) -> Scale {
        self.scale
    }
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.poly.words())
    }
}

impl Context {
    /// Encodes real slots (missing ones are zero) as a factor at `level` and `scale`.
    ///
    /// Error: the rounding of coefficients, [`crate::noise::rounding`].
    ///
    /// # Errors
    /// For a level that does not exist, more values than slots, numbers that are not finite, or magnitudes that the level cannot hold.
    pub fn encode_factor(
        &self,
        slots: &[f64],
        level: Level,
        scale: Scale,
        extension: Extension,
    ) -> Result<PlainFactor, Error> {
        let coefficients = self.to_integers(slots, Encoding::Slots, level, scale)?;
        let basis = match extension {
            Extension::Plain => self.basis(level),
            Extension::Extended => self.extended_basis(level),
        };
        let poly = basis.to_factor(basis.forward(residues(basis, &coefficients)));
        Ok(PlainFactor { poly, level, scale, extension })
    }

    /// Encodes real slots or coefficients (missing ones are zero) as a summand at `level` and `scale`.
    ///
    /// Error and errors as for [`encode_factor`](Self::encode_factor).
    pub fn encode_summand(
        &self,
        values: &[f64],
        encoding: Encoding,
        level: Level,
        scale: Scale,
    ) -> Result<PlainSummand, Error> {
        let coefficients = self.to_integers(values, encoding, level, scale)?;
        let basis = self.basis(level);
        Ok(PlainSummand { poly: basis.forward(residues(basis, &coefficients)), level, scale })
    }

    /// The integer coefficients that encode `values` at `scale`.
    pub(crate) fn to_integers(
        &self,
        values: &[f64],
        encoding: Encoding,
        level: Level,
        scale: Scale,
    ) -> Result<Vec<i64>, Error> {
        self.parameters().check_level(level)?;
        let coefficients = match encoding {
            Encoding::Slots => self.slots_to_coefficients(values)?,
            Encoding::Coefficients => self.padded(values)?,
        };
        self.round(&coefficients, level, scale)
    }

    /// As [`to_integers`](Self::to_integers) for two vectors of slots at the cost of one: the transform is linear over the complex
    /// numbers, so one vector travels in the real and one in the imaginary part.
    pub(crate) fn pair_to_integers(
        &self,
        slots: [&[f64]; 2],
        level: Level,
        scale: Scale,
    ) -> Result<[Vec<i64>; 2], Error> {
        self.parameters().check_level(level)?;
        let [first, second] = [self.padded(slots[0])?, self.padded(slots[1])?];
        let [first, second] = self.fft().inverse(&first, &second);
        Ok([self.round(&first, level, scale)?, self.round(&second, level, scale)?])
    }

    fn round(&self, coefficients: &[f64], level: Level, scale: Scale) -> Result<Vec<i64>, Error> {
        let largest = coefficients.iter().fold(0.0, |m: f64, c| m.max(c.abs()));
        // One bit for the sign; beyond 62 bits integers would not fit their type.
        let available = (self.parameters().log_q(level) - 1.0).min(62.0);
        let needed = (largest * scale.0).log2();
        if needed > available {
            return Err(Error::Overflow { magnitude: largest, scale, needed, available, level });
        }
        Ok(coefficients.iter().map(|c| (c * scale.0).round_ties_even() as i64).collect())
    }

    fn padded(&self, values: &[f64]) -> Result<Vec<f64>, Error> {
        let slots = self.parameters().slots();
        if values.len() > slots {
            return Err(Error::TooManyValues { given: values.len(), slots });
        }
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite(index));
        }
        let mut padded = values.to_vec();
        padded.resize(slots, 0.0);
        Ok(padded)
    }

    /// The real coefficients of the polynomial that takes these slots.
    pub fn slots_to_coefficients(&self, slots: &[f64]) -> Result<Vec<f64>, Error> {
        let slots = self.padded(slots)?;
        let [coefficients, _] = self.fft().inverse(&slots, &[]);
        Ok(coefficients)
    }

    /// The slots of a polynomial with these real coefficients.
    pub fn coefficients_to_slots(&self, coefficients: &[f64]) -> Result<Vec<f64>, Error> {
        Ok(self.fft().forward(&self.padded(coefficients)?))
    }
}

/// Integer coefficients modulo each prime; the running time does not depend on them beyond whether all are small.
pub(crate) fn residues(basis: &Basis, coefficients: &[i64]) -> Poly<Coefficients> {
    let smallest = basis.moduli().map(|m| i64::from(m.value())).min().expect("a basis has primes");
    if coefficients.iter().all(|c| c.abs() < smallest) {
        let small: Vec<i32> = coefficients.iter().map(|&c| c as i32).collect();
        return basis.from_signed(&small);
    }
    let mut poly = basis.scratch();
    ring::parallel::for_each(poly.iter_mut().zip(basis.moduli()), |(limb, m)| {
        let to_plain = m.scalar(m.to_montgomery(1));
        // A multiple of q above 2^62 makes every coefficient positive.
        let offset = ((1u64 << 62) / u64::from(m.value()) + 1) * u64::from(m.value());
        for (x, &c) in limb.iter_mut().zip(coefficients) {
            *x = m.mul_scalar(m.montgomery_reduce(offset.wrapping_add(c as u64)), to_plain);
        }
    });
    poly
}

/// The embedding and its inverse on complex vectors, real and imaginary parts apart.
#[derive(Debug)]
pub(crate) struct Fft {
    /// Real and imaginary part of the twiddle factor of each node, as in `ring::ntt`.
    twiddles: Vec<(f64, f64)>,
    slot_leaves: Vec<usize>,
}

impl Fft {
    pub(crate) fn new(degree: usize) -> Self {
        let mut twiddles = vec![(1.0, 0.0); degree];
        for depth in 0..degree.trailing_zeros() {
            let nodes = 1usize << depth;
            for i in 0..nodes {
                // zeta^((N / 2^(d+1)) (1 + 4 bitrev(i))), zeta = exp(2 pi i / 4N): N cancels.
                let turns = (1 + 4 * reverse_bits(i, depth)) as f64 / (8 * nodes) as f64;
                twiddles[nodes + i] = ((2.0 * PI * turns).cos(), (2.0 * PI * turns).sin());
            }
        }
        Self { twiddles, slot_leaves: slot_leaves(degree) }
    }

    /// Coefficients to slots.
    fn forward(&self, a: &[f64]) -> Vec<f64> {
        let n = a.len();
        let (mut re, mut im) = (a.to_vec(), vec![0.0; n]);
        (1..n).for_each(|j| im[j] = -a[n - j]);
        let (mut half, mut nodes) = (n / 2, 1);
        while half > 0 {
            let blocks = re.chunks_exact_mut(2 * half).zip(im.chunks_exact_mut(2 * half));
            for ((re, im), &w) in blocks.zip(&self.twiddles[nodes..]) {
                forward_block(re.split_at_mut(half), im.split_at_mut(half), w);
            }
            half /= 2;
            nodes *= 2;
        }
        self.slot_leaves.iter().map(|&leaf| re[leaf]).collect()
    }

    /// Slots to coefficients, of one vector or (`second` not empty) of two.
    fn inverse(&self, first: &[f64], second: &[f64]) -> [Vec<f64>; 2] {
        let n = first.len();
        let (mut re, mut im) = (vec![0.0; n], vec![0.0; n]);
        self.slot_leaves.iter().zip(first).for_each(|(&leaf, &x)| re[leaf] = x);
        self.slot_leaves.iter().zip(second).for_each(|(&leaf, &x)| im[leaf] = x);
        let (mut half, mut nodes) = (1, n / 2);
        while nodes > 0 {
            let blocks = re.chunks_exact_mut(2 * half).zip(im.chunks_exact_mut(2 * half));
            for ((re, im), &w) in blocks.zip(&self.twiddles[nodes..]) {
                inverse_block(re.split_at_mut(half), im.split_at_mut(half), w);
            }
            half *= 2;
            nodes /= 2;
        }
        // a_j = (b_j + i b_(N-j)) / 2N: its real part belongs to the first vector, its imaginary part to the second.
        let (scale, last) = (0.5 / n as f64, |j: usize| if j == 0 { 0 } else { n - j });
        let unfold = |x: &[f64], y: &[f64], sign: f64| -> Vec<f64> {
            let mut a: Vec<f64> = (0..n).map(|j| (x[j] + sign * y[last(j)]) * scale).collect();
            a[0] = x[0] / n as f64;
            a
        };
        [unfold(&re, &im, -1.0), unfold(&im, &re, 1.0)]
    }
}

type Halves<'a> = (&'a mut [f64], &'a mut [f64]);

fn forward_block((re_x, re_y): Halves<'_>, (im_x, im_y): Halves<'_>, (cos, sin): (f64, f64)) {
    for (((rx, ry), ix), iy) in re_x.iter_mut().zip(re_y).zip(im_x).zip(im_y) {
        let (re, im) = (*ry * cos - *iy * sin, *ry * sin + *iy * cos);
        (*rx, *ry) = (*rx + re, *rx - re);
        (*ix, *iy) = (*ix + im, *ix - im);
    }
}

fn inverse_block((re_x, re_y): Halves<'_>, (im_x, im_y): Halves<'_>, (cos, sin): (f64, f64)) {
    for (((rx, ry), ix), iy) in re_x.iter_mut().zip(re_y).zip(im_x).zip(im_y) {
        let (re, im) = (*rx - *ry, *ix - *iy);
        (*rx, *ix) = (*rx + *ry, *ix + *iy);
        (*ry, *iy) = (re * cos + im * sin, im * cos - re * sin);
    }
}

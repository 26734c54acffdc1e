//! Real numbers to integer polynomials and back.
//!
//! A polynomial of the conjugate-invariant ring takes `N` real values, at `zeta^(5^j) = exp(2 pi i 5^j / 4N)`
//! for the slots `j = 0 ... N - 1`.

use crate::blocks::Block;
use crate::{Context, Error, Level, Scale};
use blindsight_ring::kernels::LINE;
use blindsight_ring::{Basis, Factor, Modulus, Poly, Values};
use rustfft::num_complex::Complex;
use std::borrow::Cow;
use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::ops::Range;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

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

/// As how few equal parts slots are looked at that repeat, and how often a factor's words repeat at most: a
/// word for each cache line.
pub const MOST_REPEATS: usize = LINE;

/// How often a factor's words can repeat at this degree, at most: a limb has so many words at least as a
/// vector.
pub const fn most_repeats(degree: usize) -> usize {
    let most = degree / blindsight_ring::ntt::MIN_DEGREE;
    if most < MOST_REPEATS { most } else { MOST_REPEATS }
}

/// An encoded plaintext that ciphertexts are multiplied by.
///
/// Slots that repeat with period `N / R` are those of a polynomial with coefficients at multiples of `R`,
/// whose values are the same at `R` leaves in a row. Such a factor has one word for each such run.
#[derive(Clone, PartialEq)]
pub struct PlainFactor {
    /// Of degree `N / repeats`.
    pub(crate) poly: Poly<Factor>,
    repeats: usize,
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
    /// How often its slots repeat, as far as that saves words: 1 where they do not.
    pub fn repeats(&self) -> usize {
        self.repeats
    }
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.poly.words())
    }
    /// The degree of the ring.
    pub(crate) fn degree(&self) -> usize {
        self.poly.degree() * self.repeats
    }
    /// How many primes it is modulo.
    pub(crate) fn limbs(&self) -> usize {
        self.poly.limbs()
    }
    /// Writes a line of a limb: one of its words for as many as `out` is shorter than a line, which its slots
    /// repeat, or more often.
    pub(crate) fn write_line(&self, limb: usize, line: usize, out: &mut [u32]) {
        let (words, start, step) = (self.poly.limb(limb), line * LINE, LINE / out.len());
        debug_assert!(self.repeats >= step, "slots that repeat less often than was said");
        if step == self.repeats {
            out.copy_from_slice(&words[start / step..][..out.len()]);
        } else {
            out.iter_mut().enumerate().for_each(|(j, out)| *out = words[(start + j * step) / self.repeats]);
        }
    }
    /// The same with other words.
    #[cfg(feature = "testing")]
    pub(crate) fn with_poly(&self, poly: Poly<Factor>, repeats: usize) -> Self {
        Self { poly, repeats, ..*self }
    }
    /// Its words in a block: one for each [`repeats`](Self::repeats) of the block's.
    pub(crate) fn block(&self, block: &Block) -> &[u32] {
        let Range { start, end } = block.words;
        debug_assert!(start.is_multiple_of(self.repeats) && end.is_multiple_of(self.repeats));
        &self.poly.limb(block.limb)[start / self.repeats..end / self.repeats]
    }
}

/// An encoded plaintext that is added to ciphertexts, or encrypted.
#[derive(Clone, PartialEq)]
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

impl std::fmt::Debug for PlainFactor {
    /// Level, scale and extension: weights are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut printed = f.debug_struct("PlainFactor");
        let printed = printed.field("level", &self.level).field("scale", &self.scale);
        printed.field("extension", &self.extension).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PlainSummand {
    /// Level and scale: a message is not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut printed = f.debug_struct("PlainSummand");
        printed.field("level", &self.level).field("scale", &self.scale).finish_non_exhaustive()
    }
}

impl Context {
    /// Encodes real slots (missing ones are zero) as a factor at `level` and `scale`. Slots that repeat are
    /// found out, and make it smaller, and its encoding faster.
    ///
    /// Error: the rounding of coefficients, [`crate::noise::rounding`].
    ///
    /// # Errors
    /// For a level that does not exist, a scale that is no positive number, more values than slots, numbers
    /// that are not finite, or magnitudes that the level cannot hold.
    pub fn encode_factor(
        &self,
        slots: &[f64],
        level: Level,
        scale: Scale,
        extension: Extension,
    ) -> Result<PlainFactor, Error> {
        self.parameters().check_level(level)?;
        self.check_values(slots)?;
        let mut slots = Cow::Borrowed(slots);
        if slots.len() < self.parameters().slots() {
            slots.to_mut().resize(self.parameters().slots(), 0.0);
        }
        let repeats = repeats(&slots);
        if repeats == 1 {
            let coefficients = self.fft().inverse_of_weights(&slots);
            let largest = self.largest(&coefficients, level, scale)?;
            let poly = factor(self.factor_basis(level, extension), &coefficients, scale, largest);
            return Ok(PlainFactor { poly, repeats, level, scale, extension });
        }
        let subring = self.subring(repeats);
        let coefficients = subring.fft().inverse_of_weights(&slots[..slots.len() / repeats]);
        let basis = subring.basis(self.parameters(), level, extension);
        let largest = self.largest(&coefficients, level, scale)?;
        let poly = factor(&basis, &coefficients, scale, largest);
        Ok(PlainFactor { poly, repeats, level, scale, extension })
    }

    /// The primes of a factor.
    pub(crate) fn factor_basis(&self, level: Level, extension: Extension) -> &Basis {
        match extension {
            Extension::Plain => self.basis(level),
            Extension::Extended => self.extended_basis(level),
        }
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
        Ok(PlainSummand { poly: basis.forward(basis.from_wide(&coefficients)), level, scale })
    }

    /// The integer coefficients that encode `values` at `scale`.
    pub(crate) fn to_integers(
        &self,
        values: &[f64],
        encoding: Encoding,
        level: Level,
        scale: Scale,
    ) -> Result<Zeroizing<Vec<i64>>, Error> {
        self.parameters().check_level(level)?;
        let coefficients = match encoding {
            Encoding::Slots => self.interpolated(values)?,
            Encoding::Coefficients => self.padded(values)?,
        };
        self.round(&coefficients, level, scale)
    }

    /// As [`to_integers`](Self::to_integers) for two vectors of slots at the cost of one: the transform is
    /// linear over the complex numbers, so one vector travels in the real and one in the imaginary part.
    pub(crate) fn pair_to_integers(
        &self,
        slots: [&[f64]; 2],
        level: Level,
        scale: Scale,
    ) -> Result<[Zeroizing<Vec<i64>>; 2], Error> {
        self.parameters().check_level(level)?;
        let [first, second] = [self.padded(slots[0])?, self.padded(slots[1])?];
        let [first, second] = self.fft().inverse(&first, &second);
        Ok([self.round(&first, level, scale)?, self.round(&second, level, scale)?])
    }

    /// The integers next to the coefficients times the scale, wiped from memory.
    fn round(&self, coefficients: &[f64], level: Level, scale: Scale) -> Result<Zeroizing<Vec<i64>>, Error> {
        self.largest(coefficients, level, scale)?;
        Ok(Zeroizing::new(coefficients.iter().map(|c| away_from_zero(c * scale.0) as i64).collect()))
    }

    /// The largest magnitude of the coefficients times the scale; fails where the level cannot hold it.
    fn largest(&self, coefficients: &[f64], level: Level, scale: Scale) -> Result<f64, Error> {
        scale.check()?;
        let largest = coefficients.iter().fold(0.0, |m: f64, c| m.max(c.abs()));
        // One bit for the sign; beyond 62 bits integers would not fit their type.
        let available = (self.parameters().log_q(level) - 1.0).min(62.0);
        let needed = (largest * scale.0).log2();
        if needed > available {
            return Err(Error::Overflow { magnitude: largest, scale, needed, available, level });
        }
        Ok(largest * scale.0)
    }

    fn check_values(&self, values: &[f64]) -> Result<(), Error> {
        let slots = self.parameters().slots();
        if values.len() > slots {
            return Err(Error::TooManyValues { given: values.len(), slots });
        }
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite(index));
        }
        Ok(())
    }

    fn padded(&self, values: &[f64]) -> Result<Zeroizing<Vec<f64>>, Error> {
        self.check_values(values)?;
        // At its full length from the start: a vector that grew would leave a copy behind.
        let mut padded = Zeroizing::new(vec![0.0; self.parameters().slots()]);
        padded[..values.len()].copy_from_slice(values);
        Ok(padded)
    }

    /// The real coefficients of the polynomial that takes these slots.
    pub fn slots_to_coefficients(&self, slots: &[f64]) -> Result<Vec<f64>, Error> {
        Ok(std::mem::take(&mut *self.interpolated(slots)?))
    }

    fn interpolated(&self, slots: &[f64]) -> Result<Zeroizing<Vec<f64>>, Error> {
        let [coefficients, _] = self.fft().inverse(&self.padded(slots)?, &[]);
        Ok(coefficients)
    }

    /// The slots of a polynomial with these real coefficients.
    pub fn coefficients_to_slots(&self, coefficients: &[f64]) -> Result<Vec<f64>, Error> {
        Ok(self.fft().forward(&self.padded(coefficients)?))
    }
}

/// How often the slots repeat, in halves, quarters and so on, as far as factors' words may.
fn repeats(slots: &[f64]) -> usize {
    let repeat = |parts: usize| {
        let period = slots.len() / parts;
        slots[period..] == slots[..slots.len() - period]
    };
    let powers = std::iter::successors(Some(2), |parts| Some(2 * parts));
    let most = most_repeats(slots.len());
    powers.take_while(|parts| *parts <= most && repeat(*parts)).last().unwrap_or(1)
}

/// Coefficients times a scale, rounded, as a factor; none is larger than `largest`. They are weights, which
/// are encoded by who knows them before anybody asks: where all are small, half as many bits do.
fn factor(basis: &Basis, coefficients: &[f64], scale: Scale, largest: f64) -> Poly<Factor> {
    let scaled = coefficients.iter().map(|c| away_from_zero(c * scale.0));
    let smallest_prime = basis.moduli().map(Modulus::value).min().expect("a basis has primes");
    if largest + 1.0 < f64::from(smallest_prime) {
        return basis.factor_from_signed(&scaled.map(|c| c as i32).collect::<Vec<_>>());
    }
    basis.to_factor(basis.forward(basis.from_wide(&scaled.map(|c| c as i64).collect::<Vec<_>>())))
}

/// Truncated, this is the nearest integer, half away from zero (below 2^52; beyond it may be the one after):
/// one instruction on every target, where other roundings are library calls.
fn away_from_zero(x: f64) -> f64 {
    x + 0.5f64.copysign(x)
}

/// The embedding and its inverse.
///
/// With `b_j = a_j - i a_(N-j)` (the fold, see `blindsight_ring::ntt`) the value at `zeta^(1 + 4k)` is
/// `sum b_j zeta^j exp(2 pi i j k / N)`: a twist by `zeta^j`, then an ordinary transform of length `N`.
pub(crate) struct Fft {
    forward: Arc<dyn rustfft::Fft<f64>>,
    inverse: Arc<dyn rustfft::Fft<f64>>,
    /// Of half the length: for one real vector.
    half: Arc<dyn rustfft::Fft<f64>>,
    /// `zeta^j`.
    twist: Vec<Complex<f64>>,
    /// For `k < N / 2` what the transforms of the even and of the odd entries are multiplied with in the
    /// coefficients `k` and `N - k`: `zeta^-k / N` and `zeta^-5k / N`.
    of_halves: Vec<[Complex<f64>; 2]>,
    /// For each slot `j` the `k` with `5^j = 1 + 4k mod 4N`.
    positions: Vec<usize>,
}

impl std::fmt::Debug for Fft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fft({})", self.twist.len())
    }
}

impl Fft {
    pub(crate) fn new(degree: usize) -> Self {
        let mut planner = rustfft::FftPlanner::new();
        let quarter_turns = |j: usize| Complex::from_polar(1.0, PI * j as f64 / (2 * degree) as f64);
        let turned_back = |j: usize| quarter_turns(j).conj() / degree as f64;
        let powers = std::iter::successors(Some(1), |&e| Some(e * 5 % (4 * degree)));
        Self {
            forward: planner.plan_fft_forward(degree),
            inverse: planner.plan_fft_inverse(degree),
            half: planner.plan_fft_forward(degree / 2),
            twist: (0..degree).map(quarter_turns).collect(),
            of_halves: (0..degree / 2).map(|k| [turned_back(k), turned_back(5 * k)]).collect(),
            positions: powers.take(degree).map(|e: usize| e / 4).collect(),
        }
    }

    /// Coefficients to slots.
    fn forward(&self, a: &[f64]) -> Vec<f64> {
        let n = a.len();
        let folded = |j: usize| Complex::new(a[j], if j == 0 { 0.0 } else { -a[n - j] });
        let mut b = Wiped((0..n).map(|j| folded(j) * self.twist[j]).collect());
        // The library's inverse transform is the one with the positive exponent.
        b.transform(&*self.inverse);
        let b = &b.0;
        self.positions.iter().map(|&k| b[k].re).collect()
    }

    /// Slots to coefficients, of one vector or (`second` not empty) of two.
    fn inverse(&self, first: &[f64], second: &[f64]) -> [Zeroizing<Vec<f64>>; 2] {
        let mut buffer = Wiped(self.gathered(first, second));
        buffer.transform(&*self.forward);
        let n = first.len();
        let [mut real, mut imaginary] = [(); 2].map(|()| Zeroizing::new(Vec::with_capacity(n)));
        for a in self.unfolded(&mut buffer.0) {
            real.push(a.re);
            imaginary.push(a.im);
        }
        [real, imaginary]
    }

    /// Slots to coefficients, of one vector that is no secret, and is not wiped.
    ///
    /// A real vector is transformed as a complex one of half its length (Press et al., Numerical Recipes,
    /// section 12.3): even entries in the real part, odd ones in the imaginary part. With `e_k` and `o_k`
    /// their transforms, which conjugate symmetry tells apart, `c_k = (zeta^-k e_k + zeta^-5k o_k) / N` has
    /// the coefficient `k` as its real part, and coefficient `N - k` as its imaginary part, negated.
    fn inverse_of_weights(&self, slots: &[f64]) -> Vec<f64> {
        let n = slots.len();
        let mut halves = vec![Complex::default(); n / 2];
        for (&k, &x) in self.positions.iter().zip(slots) {
            let pair = &mut halves[k / 2];
            *(if k % 2 == 0 { &mut pair.re } else { &mut pair.im }) = x;
        }
        self.half.process(&mut halves);
        let mut coefficients = vec![0.0; n];
        let (low, high) = coefficients.split_at_mut(n / 2);
        low[0] = (halves[0].re + halves[0].im) / n as f64;
        high[0] = (halves[0].re - halves[0].im) / n as f64 * FRAC_1_SQRT_2;
        for k in 1..n / 2 {
            let (ahead, behind) = (halves[k], halves[n / 2 - k].conj());
            let (even, odd) = ((ahead + behind) * 0.5, (ahead - behind) * Complex::new(0.0, -0.5));
            let [of_even, of_odd] = self.of_halves[k];
            let c = even * of_even + odd * of_odd;
            (low[k], high[n / 2 - k]) = (c.re, -c.im);
        }
        coefficients
    }

    /// Slots where the transform takes them.
    fn gathered(&self, first: &[f64], second: &[f64]) -> Vec<Complex<f64>> {
        let mut b = vec![Complex::default(); first.len()];
        self.positions.iter().zip(first).for_each(|(&k, &x)| b[k].re = x);
        self.positions.iter().zip(second).for_each(|(&k, &x)| b[k].im = x);
        b
    }

    /// The coefficients of what was transformed: `a_j = (b_j + i b_(N-j)) / 2N`; its real part belongs to the
    /// first vector, its imaginary part to the second.
    fn unfolded<'b>(&self, b: &'b mut [Complex<f64>]) -> impl Iterator<Item = Complex<f64>> + 'b {
        b.iter_mut().zip(&self.twist).for_each(|(b, twist)| *b *= twist.conj());
        let (b, n) = (&*b, b.len());
        let scale = 0.5 / n as f64;
        let unfolded = move |j: usize| (b[j] + Complex::<f64>::i() * b[n - j]) * scale;
        std::iter::once(b[0] / n as f64).chain((1..n).map(unfolded))
    }
}

/// A transform's buffer, wiped when it is dropped: it holds what is encrypted or decrypted.
struct Wiped(Vec<Complex<f64>>);

impl Wiped {
    /// Transforms in place, with working memory that is wiped, too.
    fn transform(&mut self, fft: &dyn rustfft::Fft<f64>) {
        let mut scratch = Self(vec![Complex::default(); fft.get_inplace_scratch_len()]);
        fft.process_with_scratch(&mut self.0, &mut scratch.0);
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for number in &mut self.0 {
            number.re.zeroize();
            number.im.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindsight_ring::Kernel;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const DEGREE: usize = 256;

    fn basis() -> Basis {
        Basis::new(DEGREE, &[268369921, 67043329, 66813953], Kernel::detect()).expect("primes")
    }

    proptest! {
        /// Small ones, for which the shorter loop of weights has to give the same, and large ones.
        #[test]
        fn residues_are_those_of_division(
            coefficients in prop_oneof![
                vec(-1000i64..1000, DEGREE),
                vec(-(1i64 << 30)..1 << 30, DEGREE),
                vec(-(1i64 << 62)..=1 << 62, DEGREE),
            ],
        ) {
            let basis = basis();
            let poly = basis.from_wide(&coefficients);
            for (index, m) in basis.moduli().enumerate() {
                let expected = coefficients.iter().map(|&c| m.reduce_signed(c));
                prop_assert!(poly.limb(index).iter().copied().eq(expected));
            }
        }

        /// In both loops, and at a scale, as far as floats have halves.
        #[test]
        fn factors_are_of_rounded_coefficients(
            coefficients in prop_oneof![vec(-1e6..1e6f64, DEGREE), vec(-1e14..1e14f64, DEGREE)],
            scale in 0.5..8.0f64,
        ) {
            let basis = basis();
            let largest = coefficients.iter().fold(0.0, |m: f64, c| m.max((c * scale).abs()));
            let rounded: Vec<i64> = coefficients.iter().map(|c| (c * scale).round() as i64).collect();
            let expected = basis.to_factor(basis.forward(basis.from_wide(&rounded)));
            prop_assert!(factor(&basis, &coefficients, Scale(scale), largest) == expected);
        }

        /// A transform of half the length gives what one of the whole length does, at every length.
        #[test]
        fn weights_are_interpolated_as_messages_are(log_degree in 4u32..12, seed in any::<u64>()) {
            let degree = 1 << log_degree;
            let slots: Vec<f64> = (0..degree).map(|j| ((j as u64 ^ seed) as f64).sin()).collect();
            let fft = Fft::new(degree);
            let [expected, _] = fft.inverse(&slots, &[]);
            for (c, e) in fft.inverse_of_weights(&slots).iter().zip(&*expected) {
                prop_assert!((c - e).abs() < 1e-13, "{c} is not {e}");
            }
        }
    }
}

//! Slots and coefficients of real polynomials: the canonical embedding of the conjugate-invariant ring, for
//! few coefficients.
//!
//! Slot `s` is the value at `exp(i theta_s)`, `theta_s = 2 pi 5^s / 4N`, so a polynomial in the basis
//! `{1, X^i + X^-i}` has slots `z_s = a_0 + sum over i of a_i 2 cos(i theta_s)`. The cosines are orthogonal
//! over all slots: `a_i = 1/N sum over s of z_s cos(i theta_s)`.

use std::f64::consts::TAU;

/// The cosines that the embedding of one degree needs.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// `cos(2 pi k / 4N)`.
    cosines: Vec<f64>,
    /// `5^s mod 4N`.
    exponents: Vec<usize>,
}

impl Embedding {
    /// The embedding at `degree`, a power of two.
    pub fn new(degree: usize) -> Self {
        let order = 4 * degree;
        let cosines = (0..order).map(|k| (TAU * k as f64 / order as f64).cos()).collect();
        let exponents = std::iter::successors(Some(1), |e| Some(e * 5 % order)).take(degree).collect();
        Self { cosines, exponents }
    }

    /// `cos(index * theta_slot)`.
    pub fn cosine(&self, index: usize, slot: usize) -> f64 {
        self.cosines[index * self.exponents[slot] % self.cosines.len()]
    }

    /// Coefficient `index` of the polynomial with these slots.
    pub fn coefficient(&self, slots: &[f64], index: usize) -> f64 {
        let sum: f64 = slots.iter().enumerate().map(|(s, z)| z * self.cosine(index, s)).sum();
        sum / slots.len() as f64
    }

    /// Adds the polynomial with these coefficients to the slots. The time is slots times nonzero
    /// coefficients.
    pub fn add_coefficients(&self, coefficients: &[f64], slots: &mut [f64]) {
        for (index, a) in coefficients.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            let factor = if index == 0 { *a } else { 2.0 * a };
            slots.iter_mut().enumerate().for_each(|(s, z)| *z += factor * self.cosine(index, s));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_come_back_from_slots() {
        let embedding = Embedding::new(64);
        let coefficients: Vec<f64> = (0..64).map(|i| ((i * 37 + 11) % 17) as f64 - 8.0).collect();
        let mut slots = vec![0.0; 64];
        embedding.add_coefficients(&coefficients, &mut slots);
        for (index, expected) in coefficients.iter().enumerate() {
            assert!((embedding.coefficient(&slots, index) - expected).abs() < 1e-12);
        }
    }
}

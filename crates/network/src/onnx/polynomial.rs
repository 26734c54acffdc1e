//! Element-wise arithmetic on one tensor is a polynomial in it, whichever way a file spells it.

use crate::layer::Affine;
use crate::{Operator, Polynomial as Coefficients};

/// A polynomial in the elements of a tensor, with coefficients for each channel or, where they are all equal,
/// one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Polynomial {
    /// The coefficients of x^0, x^1, ...; each one value, or one for each channel.
    terms: Vec<Vec<f64>>,
}

impl Polynomial {
    /// The largest degree that a node can have.
    pub(super) const MAX_DEGREE: usize = Coefficients::MAX_DEGREE;

    /// x.
    pub(super) fn identity() -> Self {
        Self { terms: vec![vec![0.0], vec![1.0]] }
    }

    /// A constant: one value, or one for each channel.
    pub(super) fn constant(values: Vec<f64>) -> Self {
        Self { terms: vec![values] }
    }

    pub(super) fn is_identity(&self) -> bool {
        *self == Self::identity()
    }

    /// Whether it is the same for all channels.
    pub(super) fn is_uniform(&self) -> bool {
        self.terms.iter().all(|term| term.len() == 1)
    }

    pub(super) fn degree(&self) -> usize {
        self.terms.len() - 1
    }

    /// Numbers held.
    pub(super) fn coefficients(&self) -> usize {
        self.terms.iter().map(Vec::len).sum()
    }

    /// All coefficients, for checks.
    pub(super) fn values(&self) -> impl Iterator<Item = &[f64]> {
        self.terms.iter().map(Vec::as_slice)
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let zero = vec![0.0];
        let term = |p: &Self, i: usize| p.terms.get(i).unwrap_or(&zero).clone();
        let terms = 0..self.terms.len().max(other.terms.len());
        Self { terms: terms.map(|i| zip(&term(self, i), &term(other, i), |a, b| a + b)).collect() }.trimmed()
    }

    pub(super) fn multiply(&self, other: &Self) -> Self {
        let mut terms = vec![vec![0.0]; self.terms.len() + other.terms.len() - 1];
        for (i, p) in self.terms.iter().enumerate() {
            for (j, q) in other.terms.iter().enumerate() {
                let product = zip(p, q, |a, b| a * b);
                terms[i + j] = zip(&terms[i + j], &product, |a, b| a + b);
            }
        }
        Self { terms }.trimmed()
    }

    /// The same polynomial with one value for each of `channels`.
    fn term(&self, i: usize, channels: usize) -> Vec<f64> {
        match self.terms.get(i).map(Vec::as_slice) {
            None => vec![0.0; channels],
            Some(&[value]) => vec![value; channels],
            Some(values) => values.to_vec(),
        }
    }

    /// The operator that computes this polynomial on `channels`; needs a degree of at most
    /// [`Self::MAX_DEGREE`].
    pub(super) fn operator(&self, channels: usize) -> Operator {
        if self.degree() < 2 {
            return Operator::Affine(Affine { scale: self.term(1, channels), shift: self.term(0, channels) });
        }
        let coefficients = (0..self.terms.len()).map(|i| self.term(i, channels)).collect();
        Operator::Polynomial(Coefficients { coefficients })
    }

    /// The polynomial times itself so often; `None` where the degree is too high.
    pub(super) fn power(&self, exponent: usize) -> Option<Self> {
        let fits = exponent.checked_mul(self.degree().max(1)).is_some_and(|d| d <= Self::MAX_DEGREE);
        fits.then(|| (0..exponent).fold(Self::constant(vec![1.0]), |power, _| power.multiply(self)))
    }

    pub(super) fn negated(&self) -> Self {
        self.multiply(&Self::constant(vec![-1.0]))
    }

    /// Without leading terms that are zero.
    fn trimmed(mut self) -> Self {
        while self.terms.len() > 1 && self.terms.last().is_some_and(|t| t.iter().all(|&v| v == 0.0)) {
            self.terms.pop();
        }
        self
    }
}

/// Combines coefficients; the lengths are equal, or one of them is 1.
fn zip(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    match (a, b) {
        (&[a], _) => b.iter().map(|&b| f(a, b)).collect(),
        (_, &[b]) => a.iter().map(|&a| f(a, b)).collect(),
        _ => a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect(),
    }
}

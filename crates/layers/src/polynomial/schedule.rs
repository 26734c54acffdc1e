//! In which order a polynomial's powers and sums are computed: the same for every channel and every
//! ciphertext.

use std::collections::BTreeSet;

/// Which function the polynomial is written in, and what doubles its degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// `P_1 = x` and `P_2s = P_s^2`, so that `P_s = x^s`.
    Powers,
    /// `P_1 = 2x` and `P_2s = P_s^2 - 2`, so that `P_s = 2 T_s(x)` for the Chebyshev polynomial `T_s`.
    Chebyshev,
}

impl Basis {
    /// The basis for a degree. For inputs in [-1, 1] a Chebyshev coefficient is never more than the sum of
    /// the coefficients of the powers, often far less, and errors grow with coefficients; at low degrees that
    /// is not worth its additions.
    pub fn for_degree(degree: usize) -> Self {
        if degree <= 3 { Self::Powers } else { Self::Chebyshev }
    }

    /// Coefficients of powers of `x` become those of `P_k`, the product of `P_s` over the binary digits `s`
    /// of `k`.
    ///
    /// `P_(s + j) = P_s P_j` for a power of two `s > j`: division by `P_s` splits coefficients into those
    /// from `s` on and those below.
    pub fn convert(self, coefficients: &mut [f64]) {
        if self == Self::Chebyshev {
            coefficients.iter_mut().zip(0..).for_each(|(c, power)| *c *= 0.5f64.powi(power));
            divide(coefficients);
        }
    }
}

/// Divides by `P_s` in `y = 2x` for the largest power of two within the degree, and quotient and remainder in
/// turn.
fn divide(coefficients: &mut [f64]) {
    let degree = coefficients.len() - 1;
    if degree < 2 {
        return;
    }
    let split = top(degree);
    let divisor = doubled(split);
    for i in (split..=degree).rev() {
        let quotient = coefficients[i];
        let below = coefficients[i - split..i].iter_mut().zip(&divisor);
        below.for_each(|(c, d)| *c -= quotient * d);
    }
    let (remainder, quotient) = coefficients.split_at_mut(split);
    divide(remainder);
    divide(quotient);
}

/// The coefficients of `P_s` in `y = 2x`, `s` a power of two.
fn doubled(power: usize) -> Vec<f64> {
    if power == 1 {
        return vec![0.0, 1.0];
    }
    let half = doubled(power / 2);
    let mut square = vec![0.0; power + 1];
    for (i, a) in half.iter().enumerate() {
        half.iter().enumerate().for_each(|(j, b)| square[i + j] += a * b);
    }
    square[0] -= 2.0;
    square
}

/// The largest power of two that is not above `power`.
fn top(power: usize) -> usize {
    1 << power.ilog2()
}

/// The two factors of `P_k`, `k` at least two: two halves, or the leading digit and the others.
pub(super) fn factors(power: usize) -> [usize; 2] {
    let top = top(power);
    if power == top { [power / 2; 2] } else { [top, power - top] }
}

/// How many levels `P_k` lies below the input.
pub(super) fn depth(power: usize) -> usize {
    power.next_power_of_two().ilog2() as usize
}

/// What is computed: powers first, then sums of their multiples and products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The powers from 2 on that are needed, rising.
    pub powers: Vec<usize>,
    /// The polynomial.
    pub root: Sum,
}

/// `constant + sum of coefficients[first + k] P_k over the terms + sum of quotient * P_s over the products`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many levels it lies below the input.
    pub depth: usize,
    /// Which coefficient is its constant.
    pub first: usize,
    /// Whether there is one.
    pub constant: bool,
    /// The powers that coefficients multiply, falling.
    pub terms: Vec<usize>,
    /// The powers that quotients multiply.
    pub products: Vec<(usize, Self)>,
}

impl Schedule {
    /// The schedule of the fewest products for a polynomial with these coefficients, which ends `depth`
    /// levels below the input.
    ///
    /// Sums take powers up to a power of two by their coefficients, and above it quotients times powers of
    /// two (Paterson and Stockmeyer); all such bounds are tried. Of quotients that have too few levels for
    /// it, only smaller powers are summed.
    pub fn new(present: &[bool], depth: usize) -> Self {
        let bounds = (1..=depth).map(|bound| Self::with_bound(present, depth, 1 << bound));
        bounds.min_by_key(Self::products).expect("a polynomial takes a level at least")
    }

    fn with_bound(present: &[bool], depth: usize, bound: usize) -> Self {
        let root = Sum::new(present, 0, depth, bound);
        let mut powers = BTreeSet::new();
        root.reads().into_iter().for_each(|power| need(power, &mut powers));
        Self { powers: powers.into_iter().collect(), root }
    }

    /// How many products of ciphertexts there are.
    pub fn products(&self) -> usize {
        self.powers.len() + self.root.products()
    }
}

/// The power, and what it is computed from.
fn need(power: usize, powers: &mut BTreeSet<usize>) {
    if power > 1 && powers.insert(power) {
        factors(power).into_iter().for_each(|factor| need(factor, powers));
    }
}

impl Sum {
    /// The sum over `present`, the coefficients from `first` on. Its degree is below `2^levels`, so that
    /// everything has the levels it takes.
    fn new(present: &[bool], first: usize, levels: usize, bound: usize) -> Self {
        let constant = present[0];
        let mut sum = Self { depth: levels, first, constant, terms: vec![], products: vec![] };
        let mut rest = present;
        while let Some(degree) = rest.iter().rposition(|p| *p).filter(|degree| *degree > 0) {
            let below: Vec<usize> = (1..=degree).rev().filter(|power| rest[*power]).collect();
            if degree < bound && below.iter().all(|power| depth(*power) < levels) {
                sum.terms.extend(below);
                break;
            }
            let split = top(degree);
            if degree == split {
                sum.terms.push(split);
            } else {
                let quotient = Self::new(&rest[split..=degree], first + split, levels - 1, bound);
                sum.products.push((split, quotient));
            }
            rest = &rest[..split];
        }
        sum
    }

    /// How many summands there are that are no constants; more than one are rescaled together.
    pub fn parts(&self) -> usize {
        self.products.len() + usize::from(!self.terms.is_empty())
    }

    /// How many products of ciphertexts there are, those of quotients too.
    pub fn products(&self) -> usize {
        self.products.iter().map(|(_, quotient)| 1 + quotient.products()).sum()
    }

    /// How many products with plaintexts there are, those of quotients too.
    pub fn plain_products(&self) -> usize {
        let quotients = self.products.iter().map(|(_, quotient)| quotient.plain_products());
        self.terms.len() + quotients.sum::<usize>()
    }

    /// The powers that are read.
    fn reads(&self) -> Vec<usize> {
        let of_products = self.products.iter().flat_map(|(power, quotient)| {
            let mut reads = quotient.reads();
            reads.push(*power);
            reads
        });
        self.terms.iter().copied().chain(of_products).collect()
    }
}

//! Exact centred base conversion from up to nine primes to others.
//!
//! `x = sum y_i (Q / q_i) - v Q` with `y_i = x_i (Q / q_i)^-1 mod q_i` and `v = round(sum y_i / q_i)` is the
//! representative in `[-Q/2, Q/2]` (Halevi, Polyakov, Shoup, [ia.cr/2018/117](https://ia.cr/2018/117),
//! section 2.2). Centring matters: the error that key-switching adds is proportional to the size of the
//! lifted digits.

use crate::kernels::{self, Kernel, MOST_SOURCES};
use crate::{Coefficients, Modulus, Poly, Scalar};

/// The constants of one conversion.
#[derive(Debug, Clone)]
pub struct Conversion {
    sources: Vec<(Modulus, Scalar)>,
    inverses: Vec<f32>,
    targets: Vec<(Modulus, Vec<u32>)>,
    kernel: Kernel,
}

/// A residue polynomial taken apart, ready to be lifted to any target prime.
#[derive(Debug)]
pub struct Lift<'a> {
    conversion: &'a Conversion,
    digits: Poly<Coefficients>,
    /// By how many multiples of the source modulus each coefficient is to be lowered.
    overflow: Poly<Coefficients>,
}

impl Conversion {
    /// The conversion from the primes `sources` (one to [`MOST_SOURCES`]) to each of `targets`.
    pub fn new(sources: &[Modulus], targets: &[Modulus], kernel: Kernel) -> Self {
        let count = sources.len();
        assert!((1..=MOST_SOURCES).contains(&count), "{count} source primes: expected 1 to {MOST_SOURCES}");
        let source =
            |i: usize| (sources[i], sources[i].scalar(sources[i].inverse(cofactor(sources, i, sources[i]))));
        let target = |&m: &Modulus| (m, target_factors(sources, m));
        Self {
            sources: (0..sources.len()).map(source).collect(),
            inverses: sources.iter().map(|m| 1.0 / m.value() as f32).collect(),
            targets: targets.iter().map(target).collect(),
            kernel,
        }
    }

    /// Takes apart a polynomial given by its limbs of coefficients, one for each source prime.
    pub fn lift<'a>(&'a self, limbs: &[&[u32]]) -> Lift<'a> {
        assert_eq!(limbs.len(), self.sources.len(), "one limb for each source prime");
        let degree = limbs[0].len();
        let mut digits = Poly::scratch(degree, limbs.len());
        for ((digit, limb), &(m, inverse)) in digits.iter_mut().zip(limbs).zip(&self.sources) {
            digit.copy_from_slice(limb);
            if self.sources.len() > 1 {
                kernels::mul_scalar(self.kernel, m, digit, inverse);
            }
        }
        let mut overflow = Poly::scratch(degree, 1);
        let parts: Vec<&[u32]> = digits.iter().collect();
        kernels::overflow(self.kernel, &parts, &self.inverses, overflow.words_mut());
        Lift { conversion: self, digits, overflow }
    }
}

impl Lift<'_> {
    /// Writes the centred lift modulo target prime `index`.
    pub fn write(&self, index: usize, out: &mut [u32]) {
        let (m, factors) = &self.conversion.targets[index];
        let digits: Vec<&[u32]> = self.digits.iter().collect();
        kernels::convert(self.conversion.kernel, *m, &digits, self.overflow.words(), factors, out);
    }
}

/// `Q / q_index` modulo `m`.
fn cofactor(sources: &[Modulus], index: usize, m: Modulus) -> u32 {
    let others = sources.iter().enumerate().filter(|&(i, _)| i != index);
    others.fold(1, |product, (_, q)| m.mul(product, m.reduce(q.value().into())))
}

/// `Q / q_i` for each source and `-Q`, modulo the target and in Montgomery form.
fn target_factors(sources: &[Modulus], m: Modulus) -> Vec<u32> {
    let cofactors = (0..sources.len()).map(|i| cofactor(sources, i, m));
    let minus_q = m.neg(cofactor(sources, sources.len(), m));
    cofactors.chain([minus_q]).map(|c| m.to_montgomery(c)).collect()
}

//! The tables that parameters imply, made once and shared.

use crate::encoder::{Fft, MOST_REPEATS};
use crate::{Error, Extension, Level, Parameters};
use blindsight_ring::sampler::{ErrorDistribution, SIGMA};
use blindsight_ring::{Basis, Conversion, Kernel, Modulus, Poly, Scalar, Values, kernels, parallel};
use std::sync::{Arc, OnceLock};

/// Everything precomputed from [`Parameters`]: bases, base conversions, the encoder's transform.
///
/// Holds no secret; shared by encoder, client and server. Polynomials at level `l` have the limbs
/// `q_0 ... q_l`; *extended* ones, in key-switches, have those and then the special primes.
#[derive(Debug)]
pub struct Context {
    parameters: Parameters,
    levels: Vec<LevelTables>,
    fft: Fft,
    errors: ErrorDistribution,
    /// All primes.
    full: Basis,
    /// For each power of two from 2 on the subring of what repeats so often, once it is asked for.
    subrings: [OnceLock<Subring>; MOST_REPEATS.ilog2() as usize],
}

/// The ring of polynomials with coefficients at multiples of a power of two, which repeat so often in slots.
#[derive(Debug)]
pub(crate) struct Subring {
    /// All primes.
    full: Basis,
    fft: Fft,
}

#[derive(Debug)]
struct LevelTables {
    plain: Basis,
    extended: Basis,
    digits: Vec<Conversion>,
    /// None without special primes.
    mod_down: Option<Division>,
    rescale: Option<Division>,
    /// Both at once.
    mod_down_rescale: Option<Division>,
    /// `P mod q_i`.
    special_product: Vec<Scalar>,
}

/// Division of a polynomial by the product of its last primes, rounded to the nearest integer.
#[derive(Debug)]
pub(crate) struct Division {
    basis: Basis,
    kept: usize,
    conversion: Conversion,
    inverses: Vec<Scalar>,
}

impl Context {
    /// Builds all tables, for computation on `kernel`.
    ///
    /// # Errors
    /// None for parameters that were validated; the arithmetic's own errors are passed on.
    pub fn new(parameters: Parameters, kernel: Kernel) -> Result<Arc<Self>, Error> {
        let primes: Vec<u32> =
            parameters.moduli().iter().chain(parameters.special()).map(|m| m.value()).collect();
        let full = Basis::new(parameters.degree(), &primes, kernel)?;
        let levels = (0..=parameters.max_level().0).map(|l| LevelTables::new(&parameters, &full, Level(l)));
        Ok(Arc::new(Self {
            levels: levels.collect(),
            fft: Fft::new(parameters.degree()),
            errors: ErrorDistribution::new(SIGMA),
            subrings: Default::default(),
            full,
            parameters,
        }))
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The primes of the levels up to this one: usually `q_0 ... q_level`.
    pub fn basis(&self, level: Level) -> &Basis {
        &self.levels[level.0].plain
    }

    /// The primes `q_0 ... q_level` and the special ones.
    pub fn extended_basis(&self, level: Level) -> &Basis {
        &self.levels[level.0].extended
    }

    pub(crate) fn digit_conversion(&self, level: Level, digit: usize) -> &Conversion {
        &self.levels[level.0].digits[digit]
    }

    pub(crate) fn mod_down(&self, level: Level) -> Result<&Division, Error> {
        self.levels[level.0].mod_down.as_ref().ok_or(Error::NoSpecialPrimes)
    }

    pub(crate) fn rescale(&self, level: Level) -> Result<&Division, Error> {
        self.levels[level.0].rescale.as_ref().ok_or(Error::NoLevelLeft)
    }

    /// The division by the last primes that leads from a level to one below it.
    pub(crate) fn division(&self, from: Level, to: Level) -> Division {
        let [from, to] = [from, to].map(|level| self.basis(level));
        Division::new(from, from.len() - to.len())
    }

    pub(crate) fn mod_down_rescale(&self, level: Level) -> Result<&Division, Error> {
        self.levels[level.0].mod_down_rescale.as_ref().ok_or(Error::NoLevelLeft)
    }

    pub(crate) fn special_product(&self, level: Level) -> &[Scalar] {
        &self.levels[level.0].special_product
    }

    pub(crate) fn fft(&self) -> &Fft {
        &self.fft
    }

    /// The subring of what repeats so often: a power of two from 2 on, and at most what
    /// [`most_repeats`](crate::most_repeats) allows.
    pub(crate) fn subring(&self, repeats: usize) -> &Subring {
        self.subrings[repeats.ilog2() as usize - 1].get_or_init(|| {
            let full =
                self.full.subring(repeats).expect("primes with roots of a degree have those of smaller ones");
            Subring { fft: Fft::new(full.degree()), full }
        })
    }

    pub(crate) fn errors(&self) -> &ErrorDistribution {
        &self.errors
    }
}

impl Subring {
    pub(crate) fn fft(&self) -> &Fft {
        &self.fft
    }

    /// The primes of a level, and the special ones where it is extended.
    pub(crate) fn basis(&self, parameters: &Parameters, level: Level, extension: Extension) -> Basis {
        let special = match extension {
            Extension::Plain => 0,
            Extension::Extended => parameters.special().len(),
        };
        let first = parameters.moduli().len();
        self.full.select((0..parameters.limbs(level)).chain(first..first + special))
    }
}

impl LevelTables {
    fn new(parameters: &Parameters, full: &Basis, level: Level) -> Self {
        let (limbs, special) = (parameters.limbs(level), parameters.special().len());
        let (dropped, is_left) = (parameters.level_limbs(), level.below().is_some());
        let first_special = parameters.moduli().len();
        let plain = full.select(0..limbs);
        let extended = full.select((0..limbs).chain(first_special..first_special + special));
        let digit = |j| {
            let own = parameters.digit(level, j);
            let sources: Vec<Modulus> = own.clone().map(|i| extended.modulus(i)).collect();
            let others = (0..extended.len()).filter(|i| !own.contains(i));
            let targets: Vec<Modulus> = others.map(|i| extended.modulus(i)).collect();
            Conversion::new(&sources, &targets, full.kernel())
        };
        let special_product = plain.moduli().map(|m| m.scalar(product(parameters.special(), m)));
        Self {
            digits: (0..parameters.digits(level)).map(digit).collect(),
            mod_down: (special > 0).then(|| Division::new(&extended, special)),
            rescale: is_left.then(|| Division::new(&plain, dropped)),
            mod_down_rescale: is_left.then(|| Division::new(&extended, special + dropped)),
            special_product: special_product.collect(),
            plain,
            extended,
        }
    }
}

impl Division {
    fn new(basis: &Basis, last: usize) -> Self {
        let kept = basis.len() - last;
        let moduli: Vec<Modulus> = basis.moduli().collect();
        let (targets, sources) = moduli.split_at(kept);
        let inverse = |m: &Modulus| m.scalar(m.inverse(product(sources, *m)));
        Self {
            basis: basis.clone(),
            kept,
            conversion: Conversion::new(sources, targets, basis.kernel()),
            inverses: targets.iter().map(inverse).collect(),
        }
    }

    /// `poly = round(poly / product of the last primes)`, over the primes before them.
    pub(crate) fn apply(&self, poly: &mut Poly<Values>) {
        assert_eq!(poly.limbs(), self.basis.len(), "polynomial of another basis");
        let (kernel, degree) = (self.basis.kernel(), poly.degree());
        let (kept, last) = poly.words_mut().split_at_mut(self.kept * degree);
        parallel::for_each(last.chunks_exact_mut(degree).enumerate(), |(i, limb)| {
            kernels::ntt_inverse(kernel, self.basis.table(self.kept + i), limb);
        });
        let last: Vec<&[u32]> = last.chunks_exact(degree).collect();
        let lift = self.conversion.lift(&last);
        parallel::for_each(kept.chunks_exact_mut(degree).enumerate(), |(i, limb)| {
            let table = self.basis.table(i);
            let mut remainder = Poly::<Values>::scratch(degree, 1);
            lift.write(i, remainder.words_mut());
            kernels::ntt_forward(kernel, table, remainder.words_mut());
            kernels::sub_mul_scalar(kernel, table.modulus(), limb, remainder.words(), self.inverses[i]);
        });
        poly.truncate(self.kept);
    }
}

fn product(factors: &[Modulus], m: Modulus) -> u32 {
    factors.iter().fold(1, |product, q| m.mul(product, m.reduce(q.value().into())))
}

//! Secret, public and evaluation keys.

use crate::{Context, Error, Level, Parameters, Randomness};
use blindsight_ring::automorphism::rotation_exponent;
use blindsight_ring::sampler::{self, Seed};
use blindsight_ring::{Automorphism, Basis, Factor, Poly, Values, parallel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The secret key: a uniform ternary polynomial. Wiped when dropped, never printed, never cloned.
///
/// It cannot be wiped before that: a key of zeros would encrypt without hiding anything.
#[derive(ZeroizeOnDrop)]
pub struct SecretKey {
    coefficients: Vec<i32>,
    /// The same modulo every prime, ready to multiply by.
    factor: Poly<Factor>,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// Draws a secret key.
    pub fn generate(context: &Context, randomness: &mut Randomness) -> Self {
        let mut coefficients = vec![0; context.parameters().degree()];
        sampler::ternary(randomness.generator(), &mut coefficients);
        Self::from_ternary(context, coefficients)
    }

    /// The secret key with these coefficients, each -1, 0 or 1; `None` for any other, or for a wrong number
    /// of them.
    pub fn from_coefficients(context: &Context, coefficients: &[i8]) -> Option<Self> {
        if coefficients.len() != context.parameters().degree()
            || coefficients.iter().any(|c| !(-1..=1).contains(c))
        {
            return None;
        }
        Some(Self::from_ternary(context, coefficients.iter().map(|&c| c.into()).collect()))
    }

    fn from_ternary(context: &Context, coefficients: Vec<i32>) -> Self {
        let full = context.extended_basis(context.parameters().max_level());
        let factor = full.to_factor(full.forward(full.from_signed(&coefficients)));
        Self { coefficients, factor }
    }

    /// The coefficients, to be stored in a safe place.
    pub fn coefficients(&self) -> Zeroizing<Vec<i8>> {
        Zeroizing::new(self.coefficients.iter().map(|&c| c as i8).collect())
    }

    /// The secret modulo `q_0 ... q_level`.
    pub(crate) fn at(&self, context: &Context, level: Level) -> Zeroizing<Poly<Factor>> {
        let mut poly = context.basis(level).scratch();
        poly.iter_mut().zip(self.factor.iter()).for_each(|(x, s)| x.copy_from_slice(s));
        Zeroizing::new(poly)
    }

    /// The secret modulo the extended basis of `level`.
    fn extended(&self, context: &Context, level: Level) -> Zeroizing<Poly<Values>> {
        let basis = context.extended_basis(level);
        Zeroizing::new(basis.forward(basis.from_signed(&self.coefficients)))
    }
}

/// A public encryption key `(b, a)`, `b = -a s + e`: at the highest level, or at the one that it was asked
/// for.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicKey {
    pub(crate) b: Poly<Factor>,
    pub(crate) a: Poly<Factor>,
}

impl PublicKey {
    /// Derives a public key from the secret key.
    pub fn generate(context: &Context, secret: &SecretKey, randomness: &mut Randomness) -> Self {
        let level = context.parameters().max_level();
        let basis = context.basis(level);
        let a = sampler::uniform(basis, &randomness.seed());
        let b = masked_error(context, basis, &a, &secret.at(context, level), randomness);
        Self { b: basis.to_factor(b), a: basis.to_factor(a) }
    }
}

/// A public key whose uniform half is still its seed: `b = e - a s`, both halves in factor form.
#[derive(Debug, Clone, PartialEq)]
pub struct SeededPublicKey {
    pub(crate) level: Level,
    pub(crate) b: Poly<Factor>,
    pub(crate) seed: Seed,
}

impl SeededPublicKey {
    /// For a level, which exists.
    fn generate(context: &Context, secret: &SecretKey, level: Level, randomness: &mut Randomness) -> Self {
        let (basis, seed) = (context.basis(level), randomness.seed());
        // The uniform half is drawn in factor form, so the error's mask is (secret as values) times (a as
        // factor).
        let a = sampler::uniform(basis, &seed).assume::<Factor>();
        let secret = Zeroizing::new(basis.forward(basis.from_signed(&secret.coefficients)));
        let b = masked_error(context, basis, &secret, &a, randomness);
        Self { level, b: basis.to_factor(b), seed }
    }

    fn expand(self, context: &Context) -> PublicKey {
        let a = sampler::uniform(context.basis(self.level), &self.seed).assume::<Factor>();
        PublicKey { b: self.b, a }
    }
}

/// `e - a s` for a fresh error.
pub(crate) fn masked_error(
    context: &Context,
    basis: &Basis,
    a: &Poly<Values>,
    secret: &Poly<Factor>,
    randomness: &mut Randomness,
) -> Poly<Values> {
    let mut error = Zeroizing::new(vec![0; basis.degree()]);
    context.errors().fill(randomness.generator(), &mut error);
    let mut b = basis.forward(basis.from_signed(&error));
    // Whoever has the public `a` and this product has the secret.
    let mut product = Zeroizing::new(a.clone());
    basis.mul(&mut product, secret);
    basis.sub(&mut b, &product);
    b
}

/// Which evaluation keys a circuit needs, each at the highest level it is used at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequirements {
    /// For products of two ciphertexts.
    pub relinearisation: Option<Level>,
    /// For rotations to the left by so many slots.
    pub rotations: BTreeMap<usize, Level>,
    /// The public key, for encryptions of zero that mask replies.
    pub public: Option<Level>,
}

impl KeyRequirements {
    /// Asks for the relinearisation key at `level` or above.
    pub fn relinearise_at(&mut self, level: Level) {
        self.relinearisation = self.relinearisation.max(Some(level));
    }

    /// Asks for the key of a rotation at `level` or above; a rotation by zero needs none.
    pub fn rotate_at(&mut self, steps: usize, level: Level) {
        if steps != 0 {
            let entry = self.rotations.entry(steps).or_insert(level);
            *entry = level.max(*entry);
        }
    }

    /// Checks that the parameters have these levels and rotations: before anything is done with requirements
    /// from outside.
    ///
    /// # Errors
    /// For a level that does not exist, for a rotation by zero or by as many slots as there are or more, and
    /// for switching keys where the parameters have no special primes.
    pub fn check(&self, parameters: &Parameters) -> Result<(), Error> {
        let slots = parameters.slots();
        self.public.map_or(Ok(()), |level| parameters.check_level(level))?;
        if parameters.special().is_empty() && self.iter().next().is_some() {
            return Err(Error::NoSpecialPrimes);
        }
        for (purpose, level) in self.iter() {
            parameters.check_level(level)?;
            if let KeyPurpose::Rotation(steps) = purpose
                && !(1..slots).contains(&steps)
            {
                return Err(Error::NoSuchRotation { steps, slots });
            }
        }
        Ok(())
    }

    /// Each switching key's purpose and level, in the order in which key files list them.
    pub fn iter(&self) -> impl Iterator<Item = (KeyPurpose, Level)> + '_ {
        let relinearisation = self.relinearisation.map(|level| (KeyPurpose::Relinearisation, level));
        let rotations = self.rotations.iter().map(|(&steps, &level)| (KeyPurpose::Rotation(steps), level));
        relinearisation.into_iter().chain(rotations)
    }
}

/// What a switching key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPurpose {
    /// From `s^2` to `s`.
    Relinearisation,
    /// Rotation to the left by so many slots.
    Rotation(usize),
}

impl std::fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Relinearisation => write!(f, "relinearisation"),
            Self::Rotation(steps) => write!(f, "rotation by {steps}"),
        }
    }
}

/// A switching key whose uniform halves are still seeds. One pair `(b_j, a_j)` for each digit `j`, modulo the
/// extended basis of its level: `b_j + a_j t = P g_j f + e_j`, where `f` is the secret switched from, `t` the
/// one switched to, and `g_j` is one modulo the digit's primes and zero modulo the others (Han and Ki,
/// ia.cr/2019/688, section 3).
///
/// Both halves are in factor form. A key for `level` serves every level below: its leading digits and limbs
/// are the lower key.
#[derive(Debug, Clone, PartialEq)]
pub struct SeededSwitchingKey {
    pub(crate) level: Level,
    pub(crate) digits: Vec<(Poly<Factor>, Seed)>,
}

/// A switching key ready for use.
#[derive(Debug, Clone, PartialEq)]
pub struct SwitchingKey {
    pub(crate) level: Level,
    /// `(b_j, a_j)`.
    pub(crate) digits: Vec<[Poly<Factor>; 2]>,
}

/// The key of a rotation, and the rotation.
pub(crate) type RotationKey = (SwitchingKey, Automorphism);

/// Evaluation keys as they are sent: seed-compressed, in the order of [`KeyRequirements::iter`].
#[derive(Debug, Clone, PartialEq)]
pub struct SeededEvaluationKeys {
    pub(crate) requirements: KeyRequirements,
    pub(crate) keys: Vec<SeededSwitchingKey>,
    pub(crate) public: Option<SeededPublicKey>,
}

/// Evaluation keys ready for use. Public: they hold no secret. By default there are none, enough for sums and
/// products with plaintexts.
#[derive(Debug, Default)]
pub struct EvaluationKeys {
    relinearisation: Option<SwitchingKey>,
    rotations: BTreeMap<usize, RotationKey>,
    public: Option<PublicKey>,
}

impl SeededEvaluationKeys {
    /// Generates the keys that `requirements` list, as many at a time as the rayon pool that it is called in
    /// has threads; `progress` is told, on this thread, how many are done.
    ///
    /// # Errors
    /// Those of [`KeyRequirements::check`].
    pub fn generate(
        context: &Context,
        secret: &SecretKey,
        requirements: &KeyRequirements,
        randomness: &mut Randomness,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, Error> {
        requirements.check(context.parameters())?;
        let purposes: Vec<_> = requirements.iter().collect();
        let mut keys = Vec::with_capacity(purposes.len());
        for purposes in purposes.chunks(parallel::threads()) {
            // Each has its own generator, drawn in order: how many threads there are changes no key.
            let with_randomness: Vec<_> =
                purposes.iter().map(|purpose| (*purpose, randomness.fork())).collect();
            keys.extend(parallel::map(with_randomness.into_iter(), |((purpose, level), mut randomness)| {
                generate_for(context, secret, purpose, level, &mut randomness)
            }));
            progress(keys.len());
        }
        let public =
            requirements.public.map(|level| SeededPublicKey::generate(context, secret, level, randomness));
        Ok(Self { requirements: requirements.clone(), keys, public })
    }

    /// What the keys are for.
    pub fn requirements(&self) -> &KeyRequirements {
        &self.requirements
    }

    /// Expands the uniform halves and the permutations of the rotations.
    pub fn expand(self, context: &Context) -> EvaluationKeys {
        let degree = context.parameters().degree();
        let purposes: Vec<_> = self.requirements.iter().map(|(purpose, _)| purpose).collect();
        let keys = parallel::map(purposes.into_iter().zip(self.keys), |(purpose, key)| {
            let rotation = match purpose {
                KeyPurpose::Relinearisation => None,
                KeyPurpose::Rotation(steps) => Some((steps, Automorphism::rotation(degree, steps))),
            };
            (key.expand(context), rotation)
        });
        let public = self.public.map(|key| key.expand(context));
        let mut expanded = EvaluationKeys { public, ..EvaluationKeys::default() };
        for (key, rotation) in keys {
            match rotation {
                None => expanded.relinearisation = Some(key),
                Some((steps, rotation)) => drop(expanded.rotations.insert(steps, (key, rotation))),
            }
        }
        expanded
    }
}

fn generate_for(
    context: &Context,
    secret: &SecretKey,
    purpose: KeyPurpose,
    level: Level,
    randomness: &mut Randomness,
) -> SeededSwitchingKey {
    let basis = context.extended_basis(level);
    let plain = secret.extended(context, level);
    match purpose {
        KeyPurpose::Relinearisation => {
            let factor = Zeroizing::new(basis.to_factor(Poly::clone(&plain)));
            let mut square = plain.clone();
            basis.mul(&mut square, &factor);
            generate_switching_key(context, &square, plain, level, randomness)
        }
        KeyPurpose::Rotation(steps) => {
            // The rotation is applied after the switch, so the switch goes to the secret rotated backwards.
            let target = Zeroizing::new(rotated(basis, &plain, context.parameters().degree() - steps));
            generate_switching_key(context, &plain, target, level, randomness)
        }
    }
}

fn rotated(basis: &Basis, poly: &Poly<Values>, steps: usize) -> Poly<Values> {
    let automorphism = Automorphism::new(basis.degree(), rotation_exponent(basis.degree(), steps));
    let mut out = basis.scratch();
    out.iter_mut().zip(poly.iter()).for_each(|(o, p)| automorphism.apply(basis.kernel(), p, o));
    out
}

fn generate_switching_key(
    context: &Context,
    from: &Poly<Values>,
    to: Zeroizing<Poly<Values>>,
    level: Level,
    randomness: &mut Randomness,
) -> SeededSwitchingKey {
    let basis = context.extended_basis(level);
    let digits = (0..context.parameters().digits(level)).map(|j| {
        let seed = randomness.seed();
        // The uniform half is drawn in factor form, so the error's mask is (to as values) times (a as
        // factor).
        let a = sampler::uniform(basis, &seed).assume::<Factor>();
        let mut b = masked_error(context, basis, &to, &a, randomness);
        add_digit(context, &mut b, from, level, j);
        (basis.to_factor(b), seed)
    });
    SeededSwitchingKey { level, digits: digits.collect() }
}

/// `b += P g_j from`.
fn add_digit(context: &Context, b: &mut Poly<Values>, from: &Poly<Values>, level: Level, digit: usize) {
    let basis = context.extended_basis(level);
    for i in context.parameters().digit(level, digit) {
        let (m, product) = (basis.modulus(i), context.special_product(level)[i]);
        blindsight_ring::kernels::add_mul_scalar(basis.kernel(), m, b.limb_mut(i), from.limb(i), product);
    }
}

impl SeededSwitchingKey {
    fn expand(self, context: &Context) -> SwitchingKey {
        let basis = context.extended_basis(self.level);
        let digit = |(b, seed): (_, Seed)| [b, sampler::uniform(basis, &seed).assume::<Factor>()];
        SwitchingKey { level: self.level, digits: self.digits.into_iter().map(digit).collect() }
    }
}

impl EvaluationKeys {
    pub(crate) fn relinearisation(&self, level: Level) -> Result<&SwitchingKey, Error> {
        let key = self.relinearisation.as_ref().filter(|key| key.level >= level);
        key.ok_or_else(|| missing(KeyPurpose::Relinearisation, level))
    }

    pub(crate) fn rotation(&self, steps: usize, level: Level) -> Result<&RotationKey, Error> {
        let key = self.rotations.get(&steps).filter(|(key, _)| key.level >= level);
        key.ok_or_else(|| missing(KeyPurpose::Rotation(steps), level))
    }

    pub(crate) fn public(&self) -> Result<&PublicKey, Error> {
        let operation = "masking of a reply".to_string();
        self.public.as_ref().ok_or(Error::MissingKey { operation, level: Level(0) })
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let keys = self.relinearisation.iter().chain(self.rotations.values().map(|(key, _)| key));
        let public = self.public.iter().flat_map(|key| [&key.b, &key.a]);
        let all = keys.flat_map(|key| key.digits.iter().flatten()).chain(public);
        all.map(|poly| size_of_val(poly.words())).sum()
    }
}

fn missing(purpose: KeyPurpose, level: Level) -> Error {
    Error::MissingKey { operation: purpose.to_string(), level }
}

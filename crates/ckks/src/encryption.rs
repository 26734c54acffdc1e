//! Encryption and decryption: what only the owner of a key can do.

use crate::ciphertext::{Ciphertext, Reply, SeededCiphertext};
use crate::keys::masked_error;
use crate::{Context, Encoding, Error, Level, PlainSummand, PublicKey, Randomness, Scale, SecretKey};
use blindsight_ring::sampler::{self, Seed};
use blindsight_ring::{Basis, Modulus, Poly, Scalar, Values, parallel};
use zeroize::{Zeroize, Zeroizing};

impl SecretKey {
    /// Encrypts real slots at `level` and `scale`, seeded.
    ///
    /// Error: [`crate::noise::fresh`]. Errors: those of the encoder.
    pub fn encrypt(
        &self,
        context: &Context,
        slots: &[f64],
        level: Level,
        scale: Scale,
        randomness: &mut Randomness,
    ) -> Result<SeededCiphertext, Error> {
        let message = context.to_integers(slots, Encoding::Slots, level, scale)?;
        let secret = self.at(context, level);
        // Its own generator, as each of many has: these may then be encrypted side by side.
        Ok(encrypt_integers(context, &secret, message, level, scale, &mut randomness.fork()))
    }

    /// As [`encrypt`](Self::encrypt), for many ciphertexts: two at a time share one transform of the encoder.
    /// Inside a rayon pool threads encrypt different ones.
    pub fn encrypt_all(
        &self,
        context: &Context,
        slots: &[Vec<f64>],
        level: Level,
        scale: Scale,
        randomness: &mut Randomness,
    ) -> Result<Vec<SeededCiphertext>, Error> {
        let secret = self.at(context, level);
        let mut forks: Vec<_> = slots.iter().map(|_| randomness.fork()).collect();
        let encrypted = parallel::map(slots.chunks(2).zip(forks.chunks_mut(2)), |(pair, forks)| {
            let second: &[f64] = pair.get(1).map_or(&[], Vec::as_slice);
            let messages = context.pair_to_integers([&pair[0], second], level, scale)?;
            let encrypt =
                |(message, randomness)| encrypt_integers(context, &secret, message, level, scale, randomness);
            Ok(messages.into_iter().zip(forks).map(encrypt).collect())
        });
        let encrypted = encrypted.into_iter().collect::<Result<Vec<Vec<_>>, Error>>()?;
        Ok(encrypted.into_iter().flatten().collect())
    }

    /// Decrypts to real slots.
    ///
    /// The message must stay below half the modulus, and below half of the first three primes; beyond that it
    /// wraps around. Whoever publishes decrypted slots publishes their errors, which depend on the secret key
    /// (Li and Micciancio, ia.cr/2020/1533).
    pub fn decrypt(&self, context: &Context, ciphertext: &Ciphertext) -> Vec<f64> {
        let coefficients = Zeroizing::new(self.decrypt_coefficients(context, ciphertext));
        context.coefficients_to_slots(&coefficients).expect("as many coefficients as slots, all finite")
    }

    /// Decrypts to real coefficients; limits as for [`decrypt`](Self::decrypt).
    pub fn decrypt_coefficients(&self, context: &Context, ciphertext: &Ciphertext) -> Vec<f64> {
        let parameters = context.parameters();
        let level = ciphertext.level.min(Level(3 / parameters.level_limbs() - 1));
        let limbs = parameters.limbs(level);
        let (mut message, mut c0) = (ciphertext.c1.clone(), ciphertext.c0.clone());
        message.truncate(limbs);
        c0.truncate(limbs);
        let basis = context.basis(level);
        basis.mul(&mut message, &self.at(context, level));
        basis.add(&mut message, &c0);
        let mut message = basis.inverse(message);
        let centred = centred(basis, message.degree(), |limb, j| message.limb(limb)[j]);
        let coefficients = centred.map(|c| c as f64 / ciphertext.scale.0).collect();
        message.zeroize();
        coefficients
    }

    /// Decrypts the coefficients at `indices` of a reply that carries the same ones, in the same order.
    ///
    /// # Panics
    /// Where there are not as many indices as the reply has words, or one is not below the degree.
    pub fn decrypt_reply(&self, context: &Context, reply: &Reply, indices: &[usize]) -> Vec<f64> {
        assert_eq!(reply.len(), indices.len(), "a reply carries one word for each coefficient");
        let basis = context.basis(Level(0));
        let secret = self.at(context, Level(0));
        // Horner's rule: `c_1 s`, or `(c_2 s + c_1) s`.
        let mut product = basis.zero();
        for part in reply.whole.iter().rev() {
            basis.add(&mut product, part);
            basis.mul(&mut product, &secret);
        }
        let product = Zeroizing::new(basis.inverse(product));
        let message = |(limb, m): (usize, Modulus)| {
            let words = reply.c0[limb].iter().zip(indices);
            words.map(|(&c0, &i)| m.add(c0, product.limb(limb)[i])).collect::<Vec<u32>>()
        };
        let message = Zeroizing::new(basis.moduli().enumerate().map(message).collect::<Vec<_>>());
        let centred = centred(basis, indices.len(), |limb, j| message[limb][j]);
        centred.map(|c| c as f64 / reply.scale.0).collect()
    }
}

fn encrypt_integers(
    context: &Context,
    secret: &Poly<blindsight_ring::Factor>,
    mut message: Zeroizing<Vec<i64>>,
    level: Level,
    scale: Scale,
    randomness: &mut Randomness,
) -> SeededCiphertext {
    let basis = context.basis(level);
    let seed: Seed = randomness.seed();
    let mut error = Zeroizing::new(vec![0; basis.degree()]);
    context.errors().fill(randomness.generator(), &mut error);
    message.iter_mut().zip(error.iter()).for_each(|(m, &e)| *m += i64::from(e));
    let mut c0 = basis.forward(basis.from_wide(&message));
    // Whoever has the public seed and this product has the secret.
    let mut mask = Zeroizing::new(sampler::uniform(basis, &seed));
    basis.mul(&mut mask, secret);
    basis.sub(&mut c0, &mask);
    SeededCiphertext { c0, seed, level, scale }
}

impl PublicKey {
    /// Encrypts a plaintext: `(b u + e_0 + m, a u + e_1)` for a fresh ternary `u`.
    ///
    /// Level and scale: the plaintext's. Error: [`crate::noise::fresh_public`].
    pub fn encrypt(
        &self,
        context: &Context,
        message: &PlainSummand,
        randomness: &mut Randomness,
    ) -> Ciphertext {
        let [mut c0, c1] = self.encrypt_zero(context, message.level, randomness);
        context.basis(message.level).add(&mut c0, &message.poly);
        Ciphertext { c0, c1, level: message.level, scale: message.scale }
    }

    /// An encryption of zero at a level that the key has.
    pub(crate) fn encrypt_zero(
        &self,
        context: &Context,
        level: Level,
        randomness: &mut Randomness,
    ) -> [Poly<Values>; 2] {
        let basis = context.basis(level);
        let mut ephemeral = Zeroizing::new(vec![0; basis.degree()]);
        sampler::ternary(randomness.generator(), &mut ephemeral);
        let ephemeral = Zeroizing::new(basis.forward(basis.from_signed(&ephemeral)));
        let mut half = |key: &Poly<blindsight_ring::Factor>| {
            let mut key = key.clone();
            key.truncate(basis.len());
            // masked_error subtracts the product: the sign of u does not matter, it is symmetric.
            masked_error(context, basis, &ephemeral, &key, randomness)
        };
        [half(&self.b), half(&self.a)]
    }
}

/// So many coefficients as centred integers, from at most three limbs by mixed-radix digits (Garner), in
/// constant time. `residue`
/// gives the residue of a coefficient modulo a prime.
pub(crate) fn centred(
    basis: &Basis,
    coefficients: usize,
    residue: impl Fn(usize, usize) -> u32,
) -> impl Iterator<Item = i128> {
    let product: i128 = basis.moduli().map(|m| i128::from(m.value())).product();
    let steps: Vec<_> = (0..basis.len()).map(|i| garner_step(basis, i)).collect();
    (0..coefficients).map(move |j| {
        let (mut digits, mut value, mut radix) = ([0; 3], 0, 1);
        for (i, (m, radices, inverse)) in steps.iter().enumerate() {
            let terms = radices.iter().zip(digits).map(|(&radix, digit)| m.mul_scalar(digit, radix));
            let known = terms.fold(0, |sum, term| m.add(sum, term));
            digits[i] = m.mul_scalar(m.sub(residue(i, j), known), *inverse);
            value += i128::from(digits[i]) * radix;
            radix *= i128::from(m.value());
        }
        value - i128::from(value > product / 2) * product
    })
}

/// Prime `index`, the radices `1, q_0, q_0 q_1, ...` before it, and the inverse of its own.
fn garner_step(basis: &Basis, index: usize) -> (Modulus, Vec<Scalar>, Scalar) {
    let m = basis.modulus(index);
    let radix = |k| basis.moduli().take(k).fold(1, |product, q| m.mul(product, m.reduce(q.value().into())));
    (m, (0..index).map(|k| m.scalar(radix(k))).collect(), m.scalar(m.inverse(radix(index))))
}

//! What only tests may see: the integers inside plaintexts, the halves of ciphertexts. (Feature `testing`.)

use crate::{
    Ciphertext, Context, Encoding, Error, Level, PlainFactor, PlainSummand, Scale, SecretKey, Unrelinearised,
};
use blindsight_ring::{Coefficients, Factor, Poly, Values};

/// The coefficients of an encoded factor modulo each of its primes.
pub fn factor_residues(context: &Context, plain: &PlainFactor) -> Poly<Coefficients> {
    let basis = context.factor_basis(plain.level, plain.extension);
    let mut values = full_poly(context, plain);
    for (limb, m) in values.iter_mut().zip(basis.moduli()) {
        limb.iter_mut().for_each(|word| *word = m.montgomery_reduce((*word).into()));
    }
    basis.inverse(values.assume())
}

/// The same factor with a word for each leaf.
pub fn full_factor(context: &Context, plain: &PlainFactor) -> PlainFactor {
    plain.with_poly(full_poly(context, plain), 1)
}

fn full_poly(context: &Context, plain: &PlainFactor) -> Poly<Factor> {
    let mut full = context.factor_basis(plain.level, plain.extension).scratch();
    for (word, compact) in full.words_mut().chunks_exact_mut(plain.repeats()).zip(plain.poly.words()) {
        word.fill(*compact);
    }
    full
}

/// The coefficients of an encoded summand modulo each of its primes.
pub fn summand_residues(context: &Context, plain: &PlainSummand) -> Poly<Coefficients> {
    context.basis(plain.level).inverse(plain.poly.clone())
}

/// The integer coefficients that encode two vectors of slots, both by one transform.
pub fn pair_integers(
    context: &Context,
    slots: [&[f64]; 2],
    level: Level,
    scale: Scale,
) -> Result<[Vec<i64>; 2], Error> {
    Ok(context.pair_to_integers(slots, level, scale)?.map(|integers| integers.to_vec()))
}

/// The integer coefficients that encode one vector of slots.
pub fn integers(context: &Context, slots: &[f64], level: Level, scale: Scale) -> Result<Vec<i64>, Error> {
    Ok(context.to_integers(slots, Encoding::Slots, level, scale)?.to_vec())
}

/// `(c_0, c_1)`.
pub fn halves(ciphertext: &Ciphertext) -> [&Poly<Values>; 2] {
    [&ciphertext.c0, &ciphertext.c1]
}

/// The coefficients that a ciphertext encrypts, noise and all, modulo each of its primes.
pub fn raw_message(context: &Context, secret: &SecretKey, ciphertext: &Ciphertext) -> Poly<Coefficients> {
    let basis = context.basis(ciphertext.level);
    let mut message = ciphertext.c1.clone();
    basis.mul(&mut message, &secret.at(context, ciphertext.level));
    basis.add(&mut message, &ciphertext.c0);
    basis.inverse(message)
}

/// `(c_0, c_1, c_2)`.
pub fn parts(a: &Unrelinearised) -> [&Poly<Values>; 3] {
    a.parts.each_ref()
}

/// The coefficients that an encryption in three parts holds, noise and all.
pub fn raw_message_unrelinearised(context: &Context, secret: &SecretKey, a: &Unrelinearised) -> Vec<f64> {
    let (basis, secret) = (context.basis(a.level), secret.at(context, a.level));
    let mut message = basis.zero();
    for part in a.parts.iter().rev() {
        basis.mul(&mut message, &secret);
        basis.add(&mut message, part);
    }
    let message = basis.inverse(message);
    let centred = crate::encryption::centred(basis, message.degree(), |limb, j| message.limb(limb)[j]);
    centred.map(|c| c as f64).collect()
}

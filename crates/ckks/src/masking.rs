//! Replies that say nothing but their coefficients, not even to the holder of the secret key.
//!
//! A ciphertext that a circuit gave depends on the circuit's weights in three ways beside its message: in its
//! second half, in the coefficients that nobody asked for, and in the error of those that were. An encryption
//! of zero under the client's public key makes the second half fresh: `c_1 + a u + e_1` is a ring-LWE sample
//! whose secret `u` the client does not know. Coefficients that are not read are not sent. And noise that is
//! uniform in `[-2^b, 2^b)` floods the error of those that are.
//!
//! **How far two replies are apart.** Let their messages be equal, `e_i` and `e'_i` their errors in
//! coefficient `i`, the encryption of zero's among them. Uniform noise of width `2^(b+1)` is `|d| / 2^(b+1)`
//! away from itself shifted by `d` (in statistical distance), distances of independent coefficients add up at
//! most, and that of mixtures is at most the mean of those mixed. So the replies are at most
//! `sum E|e_i - e'_i| / 2^(b+1)` apart, over all coefficients that are sent. `E|e_i|` is at most the error's
//! root mean square `s_i`, whatever its distribution and however errors depend on each other: with `2^b` at
//! least `2^kappa sum s_i` that is `2^-kappa` ([`noise_bits`]). The mean is over the randomness of the
//! client's keys and encryptions, which it draws as it should. What it may choose is the input, for which
//! [`MARGIN`] is there.
//!
//! What is left once errors are flooded, `a u + e_1` with no word on `e u - e_1 s`, is ring-LWE, for clients
//! that follow the protocol: `a` has to be uniform, which it is where it is expanded from a seed, and the
//! client's error small.

use crate::evaluator::{Evaluator, same_level};
use crate::{Ciphertext, Error, Level, Parameters, Randomness, Reply, Scale, noise};
use blindsight_ring::Modulus;
use zeroize::Zeroizing;

/// How many times its predicted deviation an error's root mean square is taken to be: inputs may be unlike
/// the one that errors are predicted on.
pub const MARGIN: f64 = 4.0;

/// Noise has at most so many bits: its integers are of 64.
pub const MOST_NOISE_BITS: u32 = 58;

/// The bits `b` of noise, uniform in `[-2^b, 2^b)` integers, that leave replies `2^-kappa` apart whose
/// coefficients have errors of these deviations at this scale, in real units.
pub fn noise_bits(kappa: u32, deviations: &[f64], scale: Scale) -> f64 {
    let sum: f64 = deviations.iter().map(|deviation| MARGIN * deviation * scale.0).sum();
    (f64::from(kappa) + sum.log2()).ceil().max(0.0)
}

/// The deviation of a coefficient's error once a reply is masked, in real units, whose own error has this
/// deviation: with the encryption of zero's, which is to be flooded, too.
pub fn with_zero(parameters: &Parameters, deviation: f64, scale: Scale) -> f64 {
    let zero = noise::coefficient_deviation(parameters, noise::fresh_public(parameters), scale);
    deviation.hypot(zero)
}

/// The deviation of noise of so many bits, in real units.
pub fn noise_deviation(noise_bits: u32, scale: Scale) -> f64 {
    f64::from(noise_bits).exp2() / 3f64.sqrt() / scale.0
}

impl Evaluator<'_> {
    /// As [`reply`](Self::reply), with an encryption of zero added and noise uniform in `[-2^noise_bits,
    /// 2^noise_bits)` in each coefficient that is sent. Needs the client's public key.
    ///
    /// Error: the ciphertext's, [`crate::noise::fresh_public`] and [`noise_deviation`].
    ///
    /// ```
    /// use blindsight_ckks::{
    ///     Context, Evaluator, KeyRequirements, Level, ParametersLiteral, Randomness, Scale, SecretKey,
    ///     SeededEvaluationKeys,
    /// };
    /// use blindsight_ring::Kernel;
    ///
    /// let literal = ParametersLiteral {
    ///     degree: 8192,
    ///     moduli: vec![268369921, 67043329],
    ///     special: vec![268271617, 268238849],
    ///     digit_limbs: 2,
    /// };
    /// let context = Context::new(literal.validate()?, Kernel::detect())?;
    /// let mut randomness = Randomness::from_system()?;
    /// let secret = SecretKey::generate(&context, &mut randomness);
    /// // The server gets a public key, with which anybody can encrypt zeros.
    /// let asked = KeyRequirements { public: Some(Level(0)), ..KeyRequirements::default() };
    /// let keys = SeededEvaluationKeys::generate(&context, &secret, &asked, &mut randomness, |_| ())?;
    /// let keys = keys.expand(&context);
    ///
    /// let scale = Scale(2f64.powi(20));
    /// let mean = secret.encrypt(&context, &[0.25; 8192], Level(0), scale, &mut randomness)?;
    /// let mean = mean.expand(context.basis(Level(0)));
    /// let reply = Evaluator::new(&context, &keys).masked_reply(&mean, &[0], 12, &mut randomness)?;
    ///
    /// let read = secret.decrypt_reply(&context, &reply, &[0])[0];
    /// assert!((read - 0.25).abs() < 2.0 * 2f64.powi(12 - 20), "noise of 12 bits at a scale of 20");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`reply`](Self::reply), [`Error::MissingKey`], and [`Error::NoiseBits`] for more bits of noise than
    /// [`MOST_NOISE_BITS`].
    pub fn masked_reply(
        &self,
        a: &Ciphertext,
        indices: &[usize],
        noise_bits: u32,
        randomness: &mut Randomness,
    ) -> Result<Reply, Error> {
        if noise_bits > MOST_NOISE_BITS {
            return Err(Error::NoiseBits { bits: noise_bits, most: MOST_NOISE_BITS });
        }
        same_level(a.level, Level(0))?;
        let context = self.context;
        let [mut first, mut second] = self.keys.public()?.encrypt_zero(context, a.level, randomness);
        let basis = context.basis(a.level);
        basis.add(&mut first, &a.c0);
        basis.add(&mut second, &a.c1);
        let mut c0 = self.reply_words(a.level, indices, first)?;
        let noise: Zeroizing<Vec<u64>> =
            Zeroizing::new(indices.iter().map(|_| randomness.bits(noise_bits + 1)).collect());
        for (m, words) in basis.moduli().zip(&mut c0) {
            words.iter_mut().zip(noise.iter()).for_each(|(word, &noise)| {
                *word = m.add(*word, shifted(m, noise, noise_bits));
            });
        }
        Ok(Reply { c0, whole: vec![second], scale: a.scale })
    }
}

/// `noise - 2^bits` modulo a prime.
fn shifted(m: Modulus, noise: u64, bits: u32) -> u32 {
    m.sub(m.reduce(noise), m.reduce(1 << bits))
}

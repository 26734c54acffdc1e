//! What can go wrong, with the figures.

use crate::{Level, Scale, parameters};

/// An error of the cryptographic layer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The parameters offer less security than was asked for.
    #[error(
        "log2(QP) is {log_qp:.2} at ring degree {degree}: {bits} bits of security allow at most {largest} there; drop levels, use smaller primes or double the degree"
    )]
    Insecure {
        /// The ring degree.
        degree: usize,
        /// What was asked for.
        log_qp: f64,
        /// What the table grants.
        largest: f64,
        /// How many bits of security were asked for.
        bits: u32,
    },
    /// Too few or too many primes or limbs in a digit.
    #[error(
        "{moduli} primes, {special} special primes, {digit_limbs} limbs a digit: expected 1 to {}, 0 to {} and 1 to {}",
        parameters::MOST_MODULI,
        parameters::MOST_SPECIAL,
        parameters::MOST_DIGIT_LIMBS
    )]
    Shape {
        /// Ciphertext primes given.
        moduli: usize,
        /// Special primes given.
        special: usize,
        /// Limbs in a digit.
        digit_limbs: usize,
    },
    /// Primes that do not come out even over the levels, or too many to divide by.
    #[error(
        "{moduli} primes at {level_limbs} a level, {special} special primes: expected 1 to {} a level, a multiple of that in all, and at most {} with the special ones",
        parameters::MOST_LEVEL_LIMBS,
        blindsight_ring::kernels::MOST_SOURCES
    )]
    LevelShape {
        /// Ciphertext primes given.
        moduli: usize,
        /// Special primes given.
        special: usize,
        /// Primes of a level.
        level_limbs: usize,
    },
    /// So much security that the table has no column for it.
    #[error("{0} bits of security: expected 128, 192 or 256")]
    SecurityBits(String),
    /// More noise than there are integers for.
    #[error("noise of {bits} bits in a reply's coefficients: expected at most {most}")]
    NoiseBits {
        /// Asked for.
        bits: u32,
        /// The most there is.
        most: u32,
    },
    /// A prime stands twice in the chain.
    #[error("prime {0} is there twice: primes of a chain must differ")]
    RepeatedPrime(u32),
    /// The special primes do not cover a digit.
    #[error(
        "a digit of {digit:.2} bits with special primes of {special:.2} bits: expected at least two bits more than the digit"
    )]
    DigitTooLarge {
        /// `log2` of the digit.
        digit: f64,
        /// `log2(P)`.
        special: f64,
    },
    /// A key-switch, or a key for one, where no prime is special.
    #[error("keys need special primes, and these parameters have none: they are for circuits without keys")]
    NoSpecialPrimes,
    /// A level beyond the chain.
    #[error("{level} asked for, but the parameters end at {largest}")]
    NoSuchLevel {
        /// What was asked for.
        level: Level,
        /// The largest level of the parameters.
        largest: Level,
    },
    /// A rotation that is none, or beyond the slots.
    #[error("a key for a rotation by {steps} of {slots} slots: expected 1 to {}", slots - 1)]
    NoSuchRotation {
        /// The rotation asked for.
        steps: usize,
        /// Slots there.
        slots: usize,
    },
    /// A coefficient beyond the degree.
    #[error("coefficient {index} of a polynomial of {degree}: expected 0 to {}", degree - 1)]
    NoSuchCoefficient {
        /// The coefficient asked for.
        index: usize,
        /// The ring degree.
        degree: usize,
    },
    /// A scale that is no positive number.
    #[error("scale {0}: expected a positive, finite number")]
    InvalidScale(f64),
    /// An operation on operands of different levels.
    #[error("operands at {left} and {right}: expected the same level")]
    LevelMismatch {
        /// Level of the left operand.
        left: Level,
        /// Level of the right operand.
        right: Level,
    },
    /// A sum of operands at different scales.
    #[error("operands at scales {left} and {right}: expected the same scale")]
    ScaleMismatch {
        /// Scale of the left operand.
        left: Scale,
        /// Scale of the right operand.
        right: Scale,
    },
    /// A rescale where no level is left.
    #[error("no level left to rescale by: the circuit is deeper than the parameters")]
    NoLevelLeft,
    /// A key that the operation needs was not generated, or for too low a level.
    #[error("no key for {operation} at {level}: generate it with the evaluation keys")]
    MissingKey {
        /// What the key is for.
        operation: String,
        /// The level it is needed at.
        level: Level,
    },
    /// Values that the modulus cannot hold at the scale.
    #[error(
        "a value of magnitude {magnitude:.4} at scale {scale} needs {needed:.1} bits, but {level} holds {available:.1}"
    )]
    Overflow {
        /// The largest magnitude.
        magnitude: f64,
        /// The scale it was to be encoded at.
        scale: Scale,
        /// Bits needed.
        needed: f64,
        /// Bits there.
        available: f64,
        /// At which level.
        level: Level,
    },
    /// A slot that is no finite number.
    #[error("slot {0} is not a finite number")]
    NotFinite(usize),
    /// More values than slots.
    #[error("{given} values for {slots} slots")]
    TooManyValues {
        /// Values given.
        given: usize,
        /// Slots there.
        slots: usize,
    },
    /// The system has no randomness to give.
    #[error("the operating system gave no random bytes: {0}")]
    Randomness(String),
    /// An error of the arithmetic below.
    #[error(transparent)]
    Ring(#[from] blindsight_ring::Error),
}

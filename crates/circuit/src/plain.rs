//! Plaintexts of a circuit: what is multiplied or added, and how it is encoded.

use blindsight_ckks::{Encoding, Level, Scale};
use blindsight_ring::parallel;
use std::sync::Arc;

/// Slots that are worth a thread's while.
const PART: usize = 2048;

/// The numbers of a plaintext, made when they are asked for.
///
/// A circuit may hold thousands of plaintexts; counting them needs none of their values, and whoever encodes them needs them
/// one at a time. So a plaintext is a function from weights (shared, behind an `Arc`) to slots.
#[derive(Clone)]
pub struct Numbers(Arc<dyn Fn() -> Vec<f64> + Send + Sync>);

impl Numbers {
    /// The numbers that `make` returns; it must return the same ones each time.
    pub fn new(make: impl Fn() -> Vec<f64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The number `at(slot)` for each of `slots` slots; inside a rayon pool threads look at different slots.
    pub fn per_slot(slots: usize, at: impl Fn(usize) -> f64 + Send + Sync + 'static) -> Self {
        let part = move |first: usize| (first..slots.min(first + PART)).map(&at).collect::<Vec<f64>>();
        Self::new(move || parallel::map((0..slots).step_by(PART), &part).concat())
    }

    /// The numbers.
    pub fn make(&self) -> Vec<f64> {
        (self.0)()
    }
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Numbers(..)")
    }
}

/// What a plaintext is used for, which decides the form it is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Multiplied with ciphertexts (modulo `Q`), also inside a linear transform that is hoisted once.
    Factor,
    /// Multiplied inside a linear transform that is hoisted twice, where sums are kept modulo `QP`.
    ExtendedFactor,
    /// Added to ciphertexts.
    Summand(Encoding),
}

impl Role {
    /// The role in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Factor => "a factor",
            Self::ExtendedFactor => "an extended factor",
            Self::Summand(Encoding::Slots) => "a summand in slots",
            Self::Summand(Encoding::Coefficients) => "a summand in coefficients",
        }
    }
}

/// One plaintext of a circuit.
#[derive(Debug, Clone)]
pub struct PlainSpec {
    /// What it is used for.
    pub role: Role,
    /// The level it is encoded at.
    pub level: Level,
    /// The scale it is encoded at.
    pub scale: Scale,
    /// Its numbers.
    pub numbers: Numbers,
}

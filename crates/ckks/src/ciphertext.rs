//! Ciphertexts: whole, seeded, and the reply that carries a few coefficients only.

use crate::{Level, Scale};
use blindsight_ring::sampler::{self, Seed};
use blindsight_ring::{Basis, Poly, Values};

/// An encryption `(c_0, c_1)` of a polynomial `m`: `c_0 + c_1 s = m + e`, in value form.
#[derive(Debug, Clone, PartialEq)]
pub struct Ciphertext {
    pub(crate) c0: Poly<Values>,
    pub(crate) c1: Poly<Values>,
    pub(crate) level: Level,
    pub(crate) scale: Scale,
}

impl Ciphertext {
    /// How many rescales it has left.
    pub fn level(&self) -> Level {
        self.level
    }
    /// The scale of its message.
    pub fn scale(&self) -> Scale {
        self.scale
    }
    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.c0.words()) + size_of_val(self.c1.words())
    }
}

/// An encryption `(c_0, c_1, c_2)` that was not relinearised: `c_0 + c_1 s + c_2 s^2 = m + e`, in value form.
///
/// What a circuit without keys ends in: nothing but a plaintext can be added to it, and nothing else takes
/// it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrelinearised {
    pub(crate) parts: [Poly<Values>; 3],
    pub(crate) level: Level,
    pub(crate) scale: Scale,
}

impl Unrelinearised {
    /// How many rescales it has left.
    pub fn level(&self) -> Level {
        self.level
    }
    /// The scale of its message.
    pub fn scale(&self) -> Scale {
        self.scale
    }
}

/// How many polynomials an encryption has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Those of a [`Ciphertext`].
    Two,
    /// Those of an [`Unrelinearised`] one.
    Three,
}

impl Parts {
    /// The parts that a reply carries whole: all but the first.
    pub(crate) const fn whole(self) -> usize {
        match self {
            Self::Two => 1,
            Self::Three => 2,
        }
    }
}

/// A fresh symmetric encryption whose uniform half is still its seed: half the bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct SeededCiphertext {
    pub(crate) c0: Poly<Values>,
    pub(crate) seed: Seed,
    pub(crate) level: Level,
    pub(crate) scale: Scale,
}

impl SeededCiphertext {
    /// The level it is encrypted at.
    pub fn level(&self) -> Level {
        self.level
    }
    /// The scale of its message.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Expands the uniform half from its seed. `basis` is that of the ciphertext's level; operations panic on
    /// a ciphertext expanded over another.
    pub fn expand(self, basis: &Basis) -> Ciphertext {
        let c1 = sampler::uniform(basis, &self.seed);
        Ciphertext { c0: self.c0, c1, level: self.level, scale: self.scale }
    }
}

/// What the server sends back: at level 0, chosen coefficients of `c_0`, and the whole of `c_1`, and of `c_2`
/// where there is one.
///
/// Only those coefficients of the message can be decrypted; every other one is hidden by the missing
/// coefficient of `c_0`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// For each prime the words of those coefficients.
    pub(crate) c0: Vec<Vec<u32>>,
    /// `c_1`; `c_1` and `c_2`.
    pub(crate) whole: Vec<Poly<Values>>,
    pub(crate) scale: Scale,
}

impl Reply {
    /// The scale of its coefficients.
    pub fn scale(&self) -> Scale {
        self.scale
    }
    /// How many coefficients it carries.
    pub fn len(&self) -> usize {
        self.c0.first().map_or(0, Vec::len)
    }
    /// Whether it carries none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

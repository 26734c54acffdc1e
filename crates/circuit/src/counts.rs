//! Counts of operations, and of the work below them, in units of one limb.

use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul};

/// How many operations of each kind, and the work that they are made of.
///
/// A rotate-and-sum counts each rotation that it performs; a rotation by zero counts nothing. A rescale that
/// is fused with a mod-down counts as a rescale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All rotations, hoisted ones too.
    pub rotations: u64,
    /// Rotations that share their decomposition with others.
    pub hoisted_rotations: u64,
    /// Products of a ciphertext and a plaintext.
    pub plaintext_multiplications: u64,
    /// Products of two ciphertexts.
    pub ciphertext_multiplications: u64,
    /// Additions and subtractions, those of plaintexts too.
    pub additions: u64,
    /// Relinearisations.
    pub relinearizations: u64,
    /// Rescales.
    pub rescales: u64,
    /// The work below.
    pub work: Work,
}

/// Work in one-limb units: one pass over the `N` words of one limb.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Transforms, forward and inverse.
    pub ntts: u64,
    /// Multiply-accumulates.
    pub multiply_accumulates: u64,
    /// Permutations by an automorphism.
    pub permutations: u64,
    /// Products of base conversion, one for each pair of source and target limb.
    pub conversions: u64,
    /// Additions, scalings, reductions and copies.
    pub passes: u64,
    /// Limbs of plaintexts, of keys and of the ciphertexts of sums of products that are read, once each.
    pub streamed: u64,
    /// Limbs of the plaintexts among them that ciphertexts are multiplied with: what weights take in memory.
    pub factors: u64,
    /// Multiply-accumulates by scalars in a chain, whose words lie in the cache.
    pub scalar_products: u64,
}

impl Counts {
    /// Homomorphic operations: rotations, products with plaintexts and ciphertexts, additions.
    pub fn hops(&self) -> u64 {
        self.rotations + self.plaintext_multiplications + self.ciphertext_multiplications + self.additions
    }

    /// Rotations and relinearisations.
    pub fn key_switches(&self) -> u64 {
        self.rotations + self.relinearizations
    }
}

impl Counts {
    /// What `f` makes of each figure of both.
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            rotations: f(self.rotations, other.rotations),
            hoisted_rotations: f(self.hoisted_rotations, other.hoisted_rotations),
            plaintext_multiplications: f(self.plaintext_multiplications, other.plaintext_multiplications),
            ciphertext_multiplications: f(self.ciphertext_multiplications, other.ciphertext_multiplications),
            additions: f(self.additions, other.additions),
            relinearizations: f(self.relinearizations, other.relinearizations),
            rescales: f(self.rescales, other.rescales),
            work: self.work.zip(other.work, f),
        }
    }
}

impl Work {
    /// What `f` makes of each figure of both.
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            ntts: f(self.ntts, other.ntts),
            multiply_accumulates: f(self.multiply_accumulates, other.multiply_accumulates),
            permutations: f(self.permutations, other.permutations),
            conversions: f(self.conversions, other.conversions),
            passes: f(self.passes, other.passes),
            streamed: f(self.streamed, other.streamed),
            factors: f(self.factors, other.factors),
            scalar_products: f(self.scalar_products, other.scalar_products),
        }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, u64::add)
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, u64::add)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<usize> for Counts {
    type Output = Self;

    fn mul(self, count: usize) -> Self {
        self.zip(self, |each, _| each * count as u64)
    }
}

impl Mul<usize> for Work {
    type Output = Self;

    fn mul(self, count: usize) -> Self {
        self.zip(self, |each, _| each * count as u64)
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(work: I) -> Self {
        work.fold(Self::default(), Add::add)
    }
}

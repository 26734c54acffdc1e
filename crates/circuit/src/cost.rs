//! How long work takes.

use crate::counts::Work;
use serde::{Deserialize, Serialize};

/// Microseconds for each unit of [`Work`] on one core, at ring degree 8192. At other degrees transforms are
/// scaled by `N log N`, the rest by `N`.
///
/// Keys, plaintexts and inputs are taken to come from memory: between two runs for one client a server runs
/// for others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// A one-limb transform.
    pub ntt: f64,
    /// A one-limb multiply-accumulate.
    pub multiply_accumulate: f64,
    /// A one-limb permutation.
    pub permutation: f64,
    /// A one-limb product of base conversion.
    pub conversion: f64,
    /// An addition, scaling or copy of one limb.
    pub pass: f64,
    /// Reading one limb of a key, a plaintext or an input from memory.
    pub stream: f64,
    /// A one-limb multiply-accumulate by scalars in a chain.
    #[serde(default = "scalar_product")]
    pub scalar_product: f64,
    /// Unpacking one limb of a fresh ciphertext and expanding its seed: no part of a circuit, but of every
    /// request.
    #[serde(default = "expansion")]
    pub expansion: f64,
}

/// The shipped figure, for files of calibrations that measured none.
const fn scalar_product() -> f64 {
    0.25
}

/// The shipped figure, likewise: as seen in whole requests, whose digest is checked, too.
const fn expansion() -> f64 {
    50.0
}

/// How many figures are times of units.
pub const UNITS: usize = 7;

/// The degree that the figures are for.
const REFERENCE_DEGREE: f64 = 8192.0;

impl Default for CostModel {
    /// One core of a recent x86-64 server with AVX-512, as seen within whole inferences: there reads miss the
    /// caches more than when they are measured by themselves.
    fn default() -> Self {
        Self {
            ntt: 7.5,
            multiply_accumulate: 1.0,
            permutation: 2.0,
            conversion: 1.2,
            pass: 1.2,
            stream: 2.4,
            scalar_product: scalar_product(),
            expansion: expansion(),
        }
    }
}

impl CostModel {
    /// The predicted time in microseconds on one core.
    pub fn microseconds(&self, work: &Work, degree: usize) -> f64 {
        let multiples = Self::multiples(work, degree);
        self.units().iter().zip(multiples).map(|(each, count)| each * count).sum()
    }

    /// The predicted time in microseconds to parse and expand so many limbs of fresh ciphertexts.
    pub fn expansion_microseconds(&self, limbs: usize, degree: usize) -> f64 {
        self.expansion * limbs as f64 * degree as f64 / REFERENCE_DEGREE
    }

    /// How often each of the [`units`](Self::units) counts: the work, scaled to the degree.
    pub fn multiples(work: &Work, degree: usize) -> [f64; UNITS] {
        let linear = degree as f64 / REFERENCE_DEGREE;
        let transforms = linear * (degree as f64).log2() / REFERENCE_DEGREE.log2();
        [
            work.ntts as f64 * transforms,
            work.multiply_accumulates as f64 * linear,
            work.permutations as f64 * linear,
            work.conversions as f64 * linear,
            work.passes as f64 * linear,
            work.streamed as f64 * linear,
            work.scalar_products as f64 * linear,
        ]
    }

    /// The times of the units, in the order of the fields.
    pub fn units(&self) -> [f64; UNITS] {
        [
            self.ntt,
            self.multiply_accumulate,
            self.permutation,
            self.conversion,
            self.pass,
            self.stream,
            self.scalar_product,
        ]
    }

    /// The model with these times of its units.
    pub fn from_units(units: [f64; UNITS]) -> Self {
        let [ntt, multiply_accumulate, permutation, conversion, pass, stream, scalar_product] = units;
        let expansion = expansion();
        Self { ntt, multiply_accumulate, permutation, conversion, pass, stream, scalar_product, expansion }
    }
}

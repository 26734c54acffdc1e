//! How long work takes.

use crate::counts::Work;
use serde::{Deserialize, Serialize};

/// Microseconds for each unit of [`Work`] on one core, at ring degree 8192. At other degrees transforms are scaled by `N log N`, the
/// rest by `N`.
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
    /// Reading one limb of a plaintext or key from memory.
    pub stream: f64,
    /// A one-limb multiply-accumulate by scalars in a chain.
    #[serde(default = "scalar_product")]
    pub scalar_product: f64,
}

/// The shipped figure, for files of calibrations that measured none.
const fn scalar_product() -> f64 {
    0.25
}

/// The degree that the figures are for.
const REFERENCE_DEGREE: f64 = 8192.0;

impl Default for CostModel {
    /// One core of a recent x86-64 server with AVX-512, as seen within whole inferences: there reads miss the caches more than when they
    /// are measured by themselves.
    fn default() -> Self {
        Self {
            ntt: 7.5,
            multiply_accumulate: 1.6,
            permutation: 2.0,
            conversion: 1.2,
            pass: 1.2,
            stream: 3.0,
            scalar_product: scalar_product(),
        }
    }
}

impl CostModel {
    /// The predicted time in microseconds on one core.
    pub fn microseconds(&self, work: &Work, degree: usize) -> f64 {
        let ratio = degree as f64 / REFERENCE_DEGREE;
        let transforms = ratio * (degree as f64).log2() / REFERENCE_DEGREE.log2();
        let linear = [
            (work.multiply_accumulates, self.multiply_accumulate),
            (work.permutations, self.permutation),
            (work.conversions, self.conversion),
            (work.passes, self.pass),
            (work.streamed, self.stream),
            (work.scalar_products, self.scalar_product),
        ];
        let linear: f64 = linear.iter().map(|(count, each)| *count as f64 * each).sum();
        work.ntts as f64 * self.ntt * transforms + linear * ratio
    }
}

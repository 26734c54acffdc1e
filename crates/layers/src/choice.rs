//! The choices that make a plan: what the planner searches, and what a plan pins.

use crate::diagonals::split::{Preference, Split};
use crate::rotate_and_sum::RotateAndSum;
use blindsight_layout::Layout;
use serde::{Deserialize, Serialize};

/// The choices of a plan for one image. With the model and the parameters they determine the circuit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// Where the image's elements lie; `None` where the client writes its im2col form.
    pub image: Option<Layout>,
    /// For each linear layer, how it is computed.
    pub layers: Vec<LayerChoice>,
}

/// How a linear layer is computed: a variant for each layer kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LayerChoice {
    /// The first layer, by [`crate::Im2colKernel`].
    Im2col {
        /// Where the partial sums lie.
        output: Layout,
        /// How they are summed.
        sum: RotateAndSum,
    },
    /// By [`crate::DiagonalKernel`].
    Diagonals {
        /// Where the partial sums lie; of the last layer, those of the reply's values.
        output: Layout,
        /// Which diagonal is taken where there is a choice.
        preference: Preference,
        /// How diagonals are split into baby and giant steps.
        split: Split,
        /// How partial sums are summed.
        sum: RotateAndSum,
    },
    /// The last layer, by [`crate::CoefficientKernel`].
    Coefficients,
}

impl LayerChoice {
    /// Where partial sums lie, and how they are summed.
    pub fn sum(&self) -> Option<(&Layout, &RotateAndSum)> {
        match self {
            Self::Im2col { output, sum } | Self::Diagonals { output, sum, .. } => Some((output, sum)),
            Self::Coefficients => None,
        }
    }
}

impl Choice {
    /// The same, every sum rescaled at its end: more limbs on the way, less noise.
    pub fn rescaled_late(mut self) -> Self {
        for layer in &mut self.layers {
            if let LayerChoice::Im2col { sum, .. } | LayerChoice::Diagonals { sum, .. } = layer {
                sum.rescale_first = false;
            }
        }
        self
    }
}

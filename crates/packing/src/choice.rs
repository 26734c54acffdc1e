//! The choices that make a plan: what the planner searches, and what a plan pins.

use crate::kernels::{FoldChoice, Preference, Split};
use crate::layer_graph::Layer;
use crate::options::Family;
use crate::{Error, Layout, Windows};
use blindsight_network::Convolution;
use serde::{Deserialize, Serialize};

/// The choices of a plan for one image. With the model and the parameters they determine the circuit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// Where the image's elements lie; `None` where the client writes out the windows of the first layer.
    pub image: Option<Layout>,
    /// For each linear layer, how it is computed.
    pub layers: Vec<LayerChoice>,
}

/// How a linear layer is computed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LayerChoice {
    /// The first layer, over windows that the client wrote out: no rotation but those of the fold.
    Windows {
        /// Where the partial sums lie.
        output: Layout,
        /// How they are summed.
        fold: FoldChoice,
    },
    /// Hybrid diagonals.
    Diagonals {
        /// Where the partial sums lie; of the last layer, those of the reply's values.
        output: Layout,
        /// Which diagonal is taken where there is a choice.
        preference: Preference,
        /// How diagonals are split into baby and giant steps.
        split: Split,
        /// How partial sums are summed.
        fold: FoldChoice,
    },
    /// The last layer, whose scores are coefficients of one product.
    Scores,
}

impl LayerChoice {
    /// Where partial sums lie, and how they are summed.
    pub fn sum(&self) -> Option<(&Layout, &FoldChoice)> {
        match self {
            Self::Windows { output, fold } | Self::Diagonals { output, fold, .. } => Some((output, fold)),
            Self::Scores => None,
        }
    }
}

impl Choice {
    /// The same, every sum rescaled at the end of its fold: more limbs on the way, less noise.
    pub fn rescaled_late(mut self) -> Self {
        for layer in &mut self.layers {
            if let LayerChoice::Windows { fold, .. } | LayerChoice::Diagonals { fold, .. } = layer {
                fold.rescale_first = false;
            }
        }
        self
    }

    /// The name of the family that the choice belongs to: `taps-T`, or `image`.
    pub fn family(&self) -> Family {
        match &self.layers[..] {
            [LayerChoice::Windows { output, .. }, ..] => Family::Taps(output.blocks.classes),
            _ => Family::Image,
        }
    }
}

/// What the first layer's windows see, once their output is laid out; and the layer as a convolution.
pub(crate) fn windows(layer: &Layer, output: &Layout) -> Result<(Windows, Convolution), Error> {
    let linear = &layer.main().linear;
    let convolution = linear.as_convolution().ok_or_else(|| {
        Error::Plan(format!("windows are those of a convolution, and {} is none", layer.name))
    })?;
    Ok((Windows::new(&convolution, linear.input, output.clone()), convolution))
}

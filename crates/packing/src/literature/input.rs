//! What the client writes.

use crate::Error;
use crate::matrix::source;
use network::{Convolution, Shape};

/// The slots of the input ciphertexts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// One ciphertext for each tap of the first convolution: slot `p` holds what the tap sees at output position `p`.
    Offsets {
        /// The convolution, for its window.
        layer: Convolution,
        /// The image's shape.
        image: Shape,
        /// The output's shape; its channels share the ciphertexts.
        output: Shape,
    },
    /// The image in one ciphertext, rows `pitch` slots apart, in copies.
    Image {
        /// The image's shape.
        image: Shape,
        /// Slots from one row to the next.
        pitch: usize,
        /// Slots from one copy to the next.
        spacing: usize,
        /// How many copies there are.
        copies: usize,
    },
}

impl Input {
    /// How many ciphertexts there are.
    pub fn ciphertexts(&self) -> usize {
        match self {
            Self::Offsets { layer, image, .. } => image.channels * layer.kernel[0] * layer.kernel[1],
            Self::Image { .. } => 1,
        }
    }

    /// The element of the image that lies in a slot, if any.
    pub fn element(&self, ciphertext: usize, slot: usize) -> Option<usize> {
        match self {
            Self::Offsets { layer, image, output } => {
                let there = slot < output.positions();
                there.then(|| source(layer, *image, *output, ciphertext, slot)).flatten()
            }
            Self::Image { image, pitch, spacing, copies } => {
                let (copy, at) = (slot / spacing, slot % spacing);
                let (row, column) = (at / pitch, at % pitch);
                let there = copy < *copies && column < image.width && row < image.channels * image.height;
                there.then_some(row * image.width + column)
            }
        }
    }

    /// The slots of each ciphertext for the values of an image, in the order channel, row, column.
    ///
    /// # Errors
    /// Where the number of values is not the image's.
    pub fn write(&self, values: &[f64], slots: usize) -> Result<Vec<Vec<f64>>, Error> {
        let (Self::Offsets { image, .. } | Self::Image { image, .. }) = self;
        if values.len() != image.elements() {
            return Err(Error::Length { what: "image", expected: image.elements(), actual: values.len() });
        }
        let slot = |c, s| self.element(c, s).map_or(0.0, |e| values[e]);
        Ok((0..self.ciphertexts()).map(|c| (0..slots).map(|s| slot(c, s)).collect()).collect())
    }
}

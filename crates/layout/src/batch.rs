//! Batches: one ciphertext for each element, one image in each slot.

use crate::Error;
use blindsight_network::Shape;
use serde::{Deserialize, Serialize};

/// A batch of images over ciphertexts: ciphertext `e` holds element `e` of each image, in the order channel,
/// row, column; slot `i` of each belongs to image `i`. The slots after the last image are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchLayout {
    /// The shape of one image.
    pub shape: Shape,
    /// Slots of a ciphertext: the most images.
    pub slots: usize,
}

impl BatchLayout {
    /// How a tensor of a batch lies, in words.
    pub fn words(shape: Shape) -> String {
        format!("{shape}, a ciphertext for each element, an image in each slot")
    }

    /// How many ciphertexts there are.
    pub fn ciphertexts(&self) -> usize {
        self.shape.elements()
    }

    /// The slots of each ciphertext for a batch of images, of which there are no more than slots.
    pub fn write(&self, images: &[&[f64]]) -> Vec<Vec<f64>> {
        let slots = |element: usize| {
            let mut slots = vec![0.0; self.slots];
            slots.iter_mut().zip(images).for_each(|(slot, image)| *slot = image[element]);
            slots
        };
        (0..self.ciphertexts()).map(slots).collect()
    }

    /// Checks that the figures are in range.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let Shape { channels, height, width } = self.shape;
        let elements = channels.saturating_mul(height).saturating_mul(width);
        if !(1..=MOST_CIPHERTEXTS).contains(&elements) {
            return Err(Error::does_not_fit(
                "elements of an image",
                elements,
                format!("1 to {MOST_CIPHERTEXTS}"),
            ));
        }
        if !self.slots.is_power_of_two() || self.slots > 1 << 16 {
            return Err(Error::does_not_fit("number of slots", self.slots, "a power of two up to 2^16"));
        }
        Ok(())
    }
}

/// No batch has more ciphertexts.
const MOST_CIPHERTEXTS: usize = 1 << 14;

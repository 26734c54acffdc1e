//! What a client writes into the slots of the input ciphertexts.

use crate::batch::BatchLayout;
use crate::placement::Placement;
use crate::{Error, Im2col, Layout};
use blindsight_network::Shape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The layout of an input image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputLayout {
    /// The im2col form of the first convolution.
    Im2col(Im2col),
    /// The image itself.
    Image(Layout),
    /// A batch of images.
    Batch(BatchLayout),
}

impl InputLayout {
    /// The image's shape.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Im2col(im2col) => im2col.input,
            Self::Image(layout) => layout.shape,
            Self::Batch(batch) => batch.shape,
        }
    }

    /// Slots of a ciphertext.
    pub fn slots(&self) -> usize {
        match self {
            Self::Im2col(im2col) => im2col.output.slots,
            Self::Image(layout) => layout.slots,
            Self::Batch(batch) => batch.slots,
        }
    }

    /// How many images a request holds at most.
    pub fn images(&self) -> usize {
        match self {
            Self::Im2col(_) | Self::Image(_) => 1,
            Self::Batch(batch) => batch.slots,
        }
    }

    /// How many ciphertexts a request has.
    pub fn ciphertexts(&self) -> usize {
        match self {
            Self::Im2col(im2col) => im2col.ciphertexts(),
            Self::Image(layout) => layout.ciphertexts,
            Self::Batch(batch) => batch.ciphertexts(),
        }
    }

    /// Checks that all figures are in range and fit together; a layout that passes can be written.
    ///
    /// # Errors
    /// With the figure that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Im2col(im2col) => im2col.validate(),
            Self::Image(layout) if layout.blocks.parts == 1 => layout.validate(),
            Self::Batch(batch) => batch.validate(),
            Self::Image(_) => Err(Error::does_not_fit("parts of an image", "several", "one")),
        }
    }

    /// The slots of each input ciphertext for the values of an image, in the order channel, row, column.
    ///
    /// # Errors
    /// Where the number of values is not the image's.
    pub fn write(&self, values: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        self.write_images(&[values])
    }

    /// The same for several images, as many as a request may hold.
    ///
    /// # Errors
    /// Where there is no image or more than a request holds, and where the number of values is not an
    /// image's.
    pub fn write_images(&self, images: &[&[f64]]) -> Result<Vec<Vec<f64>>, Error> {
        let (expected, most) = (self.shape().elements(), self.images());
        if images.is_empty() || images.len() > most {
            let (what, expected) = ("number of images in a request", format!("1 to {most}"));
            return Err(Error::does_not_fit(what, images.len(), expected));
        }
        if let Some(wrong) = images.iter().find(|image| image.len() != expected) {
            return Err(Error::Length { what: "image", expected, actual: wrong.len() });
        }
        Ok(match self {
            Self::Im2col(im2col) => im2col.write(images[0]),
            Self::Image(layout) => write_image(layout, images[0]),
            Self::Batch(batch) => batch.write(images),
        })
    }
}

fn write_image(layout: &Layout, values: &[f64]) -> Vec<Vec<f64>> {
    let placement = Placement::new(layout);
    let value = |position| match placement.at(position) {
        Some((_, element)) => values.get(element).copied().unwrap_or(1.0),
        None => 0.0,
    };
    let ciphertext = |c: usize| (0..layout.slots).map(|slot| value(c * layout.slots + slot)).collect();
    (0..layout.ciphertexts).map(ciphertext).collect()
}

impl fmt::Display for InputLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Im2col(im2col) => write!(f, "{im2col}"),
            Self::Image(layout) => write!(f, "image {layout}"),
            Self::Batch(batch) => f.write_str(&BatchLayout::words(batch.shape)),
        }
    }
}

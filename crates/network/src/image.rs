use std::fmt;

use crate::error::check_length;
use crate::{Error, Shape};

/// An image of 8-bit pixels, in the order channel, row, column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    shape: Shape,
    pixels: Vec<u8>,
}

impl Image {
    /// The image of `shape` with these pixels, in the order channel, row, column. Refuses another number of
    /// them.
    pub fn new(shape: Shape, pixels: Vec<u8>) -> Result<Self, Error> {
        check_length(|| format!("pixels of an image of {shape}"), shape.elements(), pixels.len())?;
        Ok(Self { shape, pixels })
    }

    /// Channels, height and width.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The pixels, in the order channel, row, column.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Refuses an image of another shape.
    pub(crate) fn expect_shape(&self, expected: Shape) -> Result<(), Error> {
        if self.shape == expected {
            return Ok(());
        }
        Err(Error::Image { expected: describe(expected), actual: self.to_string() })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(self.shape))
    }
}

/// Height x width and colours of an image.
fn describe(shape: Shape) -> String {
    let colours = match shape.channels {
        1 => "8-bit grey".to_string(),
        3 => "8-bit RGB".to_string(),
        n => format!("{n} channels of 8 bits"),
    };
    format!("{}x{} {colours}", shape.height, shape.width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_pixels_is_checked() {
        let message = Image::new(Shape::new(1, 2, 3), vec![0; 7]).unwrap_err().to_string();
        assert!(message.contains("1x2x3") && message.contains("expected 6, got 7"), "{message}");
    }
}

use std::fmt;
use std::io::Cursor;
use std::path::Path;

use image::{ImageDecoder, Limits, codecs::png::PngDecoder};

use crate::error::check_length;
use crate::model::read_bounded;
use crate::{Error, Shape, limits};

/// An image of 8-bit pixels, in the order channel, row, column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    shape: Shape,
    pixels: Vec<u8>,
}

impl Image {
    /// The image of `shape` with these pixels, in the order channel, row, column. Refuses another number of them.
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

    /// Reads a PNG file of the shape that a network expects; refuses what [`Image::from_png`] refuses and files
    /// larger than [`limits::PNG_BYTES`].
    pub fn open(path: &Path, expected: Shape) -> Result<Self, Error> {
        Self::from_png(&read_bounded(path, "bytes of the image file", limits::PNG_BYTES)?, expected)
    }

    /// Reads a PNG of the shape that a network expects: one channel for grey, three for RGB, 8 bits each, one frame.
    ///
    /// Refuses any other size, colour type or depth by its header, before pixels are decoded; nothing is resized or
    /// converted.
    pub fn from_png(bytes: &[u8], expected: Shape) -> Result<Self, Error> {
        let wanted = || format!("a PNG of {}", describe(expected));
        let refuse = |actual: String| Error::Image { expected: wanted(), actual };
        limits::check(|| "bytes of the image".into(), bytes.len() as u64, limits::PNG_BYTES)?;
        let found = header(bytes).map_err(refuse)?;
        if found != describe(expected) {
            return Err(refuse(found));
        }
        let interleaved = decode(bytes, expected).map_err(refuse)?;
        let channels = expected.channels;
        let pixels =
            (0..channels).flat_map(|c| interleaved.iter().skip(c).step_by(channels).copied()).collect();
        Self::new(expected, pixels)
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

/// What a PNG's header says, in the words of [`describe`]; or what is wrong with it.
fn header(bytes: &[u8]) -> Result<String, String> {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
    if !bytes.starts_with(SIGNATURE) {
        return Err("bytes that are no PNG".into());
    }
    let Some(&[w0, w1, w2, w3, h0, h1, h2, h3, depth, colour]) = bytes.get(16..26) else {
        return Err(format!("a PNG cut off after {} bytes", bytes.len()));
    };
    let colour = match colour {
        0 => "grey".to_string(),
        2 => "RGB".to_string(),
        3 => "palette".to_string(),
        4 => "grey with transparency".to_string(),
        6 => "RGBA".to_string(),
        n => format!("unknown colour type {n}"),
    };
    let [width, height] = [[w0, w1, w2, w3], [h0, h1, h2, h3]].map(u32::from_be_bytes);
    Ok(format!("{height}x{width} {depth}-bit {colour}"))
}

/// The pixels of a PNG whose header says that it is of `expected` shape, channels interleaved.
fn decode(bytes: &[u8], expected: Shape) -> Result<Vec<u8>, String> {
    let damaged = |e: image::ImageError| format!("a damaged PNG ({e})");
    let mut bounds = Limits::default();
    bounds.max_alloc = Some(limits::PNG_BYTES);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), bounds).map_err(damaged)?;
    if decoder.is_apng().map_err(damaged)? {
        return Err("an animated PNG".into());
    }
    let mut pixels = vec![0; expected.elements()];
    let found = decoder.total_bytes();
    if found != pixels.len() as u64 {
        return Err(format!("{found} bytes of pixels (transparent colour?)"));
    }
    decoder.read_image(&mut pixels).map_err(damaged)?;
    Ok(pixels)
}

#[cfg(test)]
mod tests;

//! Images: decoded, and brought to a network's size and colours.

mod conversion;
mod jpeg;

use std::io::Cursor;

use blindsight_network::{Image, Shape};
use image::imageops::{FilterType, crop_imm, resize};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

pub use conversion::Conversion;
use conversion::Step;

use crate::error::check;
use crate::{Error, limits};

/// Reads an image file's bytes into an image of `shape`: converted to its colours, resized until it covers
/// it, and cropped at the centre. `name` stands for the file in errors and in the [`Conversion`], which is
/// none where no pixel was changed.
///
/// The format is told by the bytes: PNG, JPEG, WebP, BMP, GIF or TIFF; of several frames the first is taken.
/// The image is turned upright where its EXIF data say so. What is transparent is laid over white. Sixteen
/// bits become eight. Colours become grey by their luma (ITU-R 601, as Pillow does), grey is repeated for
/// red, green and blue. Resizing is that of torchvision's `Resize` and `CenterCrop` with Pillow's antialiased
/// bilinear filter, up to rounding: the shortest side comes to the network's, where that is square.
///
/// A `shape` with one row or one column is no picture's: a vector of `s * s` or `3 * s * s` is that of a
/// square one in grey or colour, flattened; others are taken only where the size fits exactly.
///
/// # Errors
/// For bytes that are no image of these formats, or a damaged or truncated one; for one above [`limits`]; and
/// for a shape that is no image's. Memory is taken only after the header was checked.
///
/// # Examples
///
/// ```
/// use blindsight_data::decode_image;
/// use blindsight_network::Shape;
///
/// let digit = include_bytes!("../../../samples/digit-4.png");
/// let (image, conversion) = decode_image("digit-4.png", digit, Shape::new(1, 28, 28))?;
/// assert!(image.pixels().len() == 784 && conversion.is_none());
///
/// let (image, conversion) = decode_image("digit-4.png", digit, Shape::new(3, 32, 32))?;
/// let conversion = conversion.expect("it has another size").to_string();
/// assert_eq!(conversion, "digit-4.png: 28x28 grey, grey to RGB, shortest side resized to 32");
/// # Ok::<(), blindsight_data::Error>(())
/// ```
pub fn decode_image(name: &str, bytes: &[u8], shape: Shape) -> Result<(Image, Option<Conversion>), Error> {
    let target = Target::of(shape, name)?;
    let mut picture = Picture::decode(name, bytes)?;
    let pixels = match target.channels {
        1 => picture.grey().and_then(|grey| picture.fit(grey, &target))?.into_raw(),
        _ => {
            let interleaved = picture.rgb().and_then(|rgb| picture.fit(rgb, &target))?.into_raw();
            (0..3).flat_map(|c| interleaved.iter().skip(c).step_by(3).copied()).collect()
        }
    };
    Ok((Image::new(shape, pixels)?, picture.conversion.finish()))
}

/// The size and colours that an image is brought to.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    channels: usize,
    width: u32,
    height: u32,
    /// Whether images of other sizes are resized.
    resizes: bool,
}

impl Target {
    fn of(shape: Shape, name: &str) -> Result<Self, Error> {
        let Shape { channels, height, width } = shape;
        let target = |channels, height: usize, width: usize, resizes| {
            Ok(Self { channels, height: height as u32, width: width as u32, resizes })
        };
        match (channels, shape.is_vector()) {
            (n, true) if square(n) > 0 => target(1, square(n), square(n), true),
            (n, true) if n % 3 == 0 && square(n / 3) > 0 => target(3, square(n / 3), square(n / 3), true),
            (1 | 3, _) => target(channels, height, width, height > 1 && width > 1),
            _ => {
                let vector = format!("{channels} numbers");
                let expected = if shape.is_vector() { vector } else { format!("an array of {shape}") };
                Err(Error::unfit(name, format!("{expected}, which no image has"), "an image")
                    .remedy("give the network's input as .npy, .csv or .json"))
            }
        }
    }
}

/// The root of a square of more than one, or zero.
fn square(n: usize) -> usize {
    let root = n.isqrt();
    if root > 1 && root * root == n { root } else { 0 }
}

/// A decoded image, upright, and what was done to it so far.
struct Picture {
    image: DynamicImage,
    name: String,
    conversion: Conversion,
}

impl Picture {
    fn decode(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        check(name, "bytes of an image", bytes.len() as u64, limits::IMAGE_BYTES)?;
        let none = || {
            Error::unfit(name, "an image (PNG, JPEG, WebP, BMP, GIF or TIFF)", "bytes that are none of these")
        };
        let damaged = |error: image::ImageError| Error::unfit(name, "a whole image", error.to_string());
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| damaged(image::ImageError::IoError(error)))?;
        let format = reader.format().ok_or_else(none)?;
        if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
            return Err(Error::unfit(name, "a whole image", "a JPEG that is cut off"));
        }
        reader.limits(bounds());
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        check(name, "pixels", u64::from(width) * u64::from(height), limits::IMAGE_PIXELS)?;
        check(name, "bytes of an image, unpacked", decoder.total_bytes(), limits::IMAGE_DECODED_BYTES)?;
        if width == 0 || height == 0 {
            return Err(Error::unfit(name, "an image with pixels", format!("{width}x{height}")));
        }
        // Data beside the pixels: where they are damaged, the image is as it is.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        image.apply_orientation(orientation);
        let mut conversion = Conversion::new(name, &image);
        if orientation != Orientation::NoTransforms {
            conversion.step(Step::Upright);
        }
        Ok(Self { image, name: name.into(), conversion }.opaque())
    }

    /// The same with eight bits a channel and without transparency.
    fn opaque(mut self) -> Self {
        use image::ColorType::{L8, La8, Rgb8, Rgba8};
        if !matches!(self.image.color(), L8 | La8 | Rgb8 | Rgba8) {
            self.conversion.step(Step::EightBits);
        }
        if self.image.color().has_alpha() {
            let mut rgba = self.image.into_rgba8();
            if rgba.pixels().any(|pixel| pixel.0[3] < 255) {
                self.conversion.step(Step::OverWhite);
            }
            for pixel in rgba.pixels_mut() {
                let [red, green, blue, alpha] = pixel.0;
                pixel.0 = [over_white(red, alpha), over_white(green, alpha), over_white(blue, alpha), 255];
            }
            self.image = DynamicImage::ImageRgba8(rgba);
        }
        self
    }

    fn grey(&mut self) -> Result<GrayImage, Error> {
        let image = std::mem::take(&mut self.image);
        if !image.color().has_color() {
            return Ok(image.into_luma8());
        }
        let rgb = image.into_rgb8();
        if rgb.pixels().any(|pixel| pixel.0 != [pixel.0[0]; 3]) {
            self.conversion.step(Step::ToGrey);
        }
        let (width, height) = rgb.dimensions();
        let pixels = rgb.pixels().map(|pixel| luma(pixel.0)).collect();
        Ok(GrayImage::from_raw(width, height, pixels).expect("a byte for each pixel"))
    }

    fn rgb(&mut self) -> Result<RgbImage, Error> {
        let image = std::mem::take(&mut self.image);
        if !image.color().has_color() {
            self.conversion.step(Step::ToColour);
        }
        Ok(image.into_rgb8())
    }

    /// Resizes and crops to the target's size.
    fn fit<P>(
        &mut self,
        image: image::ImageBuffer<P, Vec<u8>>,
        target: &Target,
    ) -> Result<image::ImageBuffer<P, Vec<u8>>, Error>
    where
        P: image::Pixel<Subpixel = u8> + Send + Sync + 'static,
    {
        let (found, wanted) = (image.dimensions(), (target.width, target.height));
        if found == wanted {
            return Ok(image);
        }
        if !target.resizes {
            let expected = format!("an image of {}x{}, as the network's rows are", wanted.0, wanted.1);
            return Err(Error::unfit(&self.name, expected, format!("{}x{}", found.0, found.1)));
        }
        let covering = covering(found, wanted);
        let between = u64::from(found.0.max(covering.0)) * u64::from(covering.1);
        check(&self.name, "pixels once resized", between, limits::RESIZED_PIXELS)?;
        let resized = match covering == found {
            true => image,
            false => resize(&image, covering.0, covering.1, FilterType::Triangle),
        };
        self.conversion.resized(found, covering, wanted);
        let [left, top] = [margin(covering.0 - wanted.0), margin(covering.1 - wanted.1)];
        Ok(crop_imm(&resized, left, top, wanted.0, wanted.1).to_image())
    }
}

fn bounds() -> Limits {
    let mut bounds = Limits::default();
    bounds.max_image_width = Some(limits::IMAGE_SIDE);
    bounds.max_image_height = Some(limits::IMAGE_SIDE);
    bounds.max_alloc = Some(2 * limits::IMAGE_DECODED_BYTES);
    bounds
}

/// The least size with these proportions that covers `wanted`; the longer side is rounded down, as
/// torchvision does.
fn covering((width, height): (u32, u32), wanted: (u32, u32)) -> (u32, u32) {
    let [width, height, w, h] = [width, height, wanted.0, wanted.1].map(u64::from);
    // No side becomes longer than 2^32: 2^16 to 1 are the most extreme proportions, 2^16 the longest side
    // wanted.
    match w * height >= h * width {
        true => (w as u32, (w * height / width).min(u64::from(u32::MAX)) as u32),
        false => ((h * width / height).min(u64::from(u32::MAX)) as u32, h as u32),
    }
}

/// Half of what is too much, halves rounded to even as Python does.
fn margin(too_much: u32) -> u32 {
    let half = too_much / 2;
    half + u32::from(too_much % 2 == 1 && half % 2 == 1)
}

/// A colour laid over white.
fn over_white(colour: u8, alpha: u8) -> u8 {
    let (colour, alpha) = (u32::from(colour), u32::from(alpha));
    ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// ITU-R 601-2, in the integers that Pillow computes it in.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests;

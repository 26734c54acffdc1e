//! Files that hold one input.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use blindsight_network::{Image, Shape};

use crate::error::check;
use crate::picture::{Conversion, decode_image};
use crate::{Error, InputSpec, limits};

/// An input, ready for the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Normalised values, finite, in the order channel, row, column.
    pub values: Vec<f64>,
    /// What was done to an image so that it fits, if anything.
    pub conversion: Option<Conversion>,
}

impl Input {
    /// Values that needed no conversion.
    pub(crate) fn exact(values: Vec<f64>) -> Self {
        Self { values, conversion: None }
    }
}

/// Reads an image file into an image of `shape`; see [`decode_image`].
///
/// # Errors
/// As [`decode_image`], and for a file that cannot be read.
pub fn open_image(path: &Path, shape: Shape) -> Result<(Image, Option<Conversion>), Error> {
    let bytes = bounded(path, "bytes of an image", limits::IMAGE_BYTES)?;
    decode_image(&path.display().to_string(), &bytes, shape)
}

/// An input that is an image file.
pub(crate) fn image(path: &Path, spec: &InputSpec) -> Result<Input, Error> {
    let (image, conversion) = open_image(path, spec.shape())?;
    Ok(Input { values: spec.pixels(image.pixels().to_vec())?, conversion })
}

/// The ending of a file's name, in lower case.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

pub(crate) fn open(path: &Path) -> Result<BufReader<File>, Error> {
    Ok(BufReader::new(File::open(path).map_err(|source| Error::io(path, source))?))
}

/// The bytes of a file, which may be no more than `limit`; found before more is read.
fn bounded(path: &Path, what: &'static str, limit: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let place = path.display().to_string();
    check(&place, what, file.metadata().map_err(|source| Error::io(path, source))?.len(), limit)?;
    let mut bytes = vec![];
    // A file may grow, and a device has no length: the limit holds for what is read, too.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|source| Error::io(path, source))?;
    check(&place, what, bytes.len() as u64, limit)?;
    Ok(bytes)
}

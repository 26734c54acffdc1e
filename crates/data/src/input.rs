use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use blindsight_network::{Image, Shape};

use crate::array::{Order, Values};
use crate::dataset::is_data;
use crate::error::check;
use crate::npy::Header;
use crate::picture::Conversion;
use crate::table::Table;
use crate::{Error, InputSpec, Samples, Split, decode_image, limits, list};

/// Where an input lies: the argument that people write.
///
/// `FILE` is an image, a `.npy` array or a `.json` list of numbers; `FILE.csv:ROW` a row of a table, from 0;
/// `DATA:N` sample N of the test part of a data set ([`crate::Dataset`] says which there are). A colon counts
/// only where what stands before it exists.
///
/// # Examples
///
/// ```
/// use blindsight_data::{InputSource, InputSpec};
/// use blindsight_network::{Metadata, Shape};
///
/// let spec = InputSpec::new(Shape::new(1, 28, 28), Metadata::new(Shape::new(1, 28, 28), 10));
/// let source: InputSource = "../../samples/digit-4.png".parse().expect("a path");
/// let input = source.load(&spec)?;
/// assert_eq!(input.values.len(), 784);
/// assert!(input.conversion.is_none(), "it fits as it is");
/// # Ok::<(), blindsight_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputSource {
    /// A file of one input; or a data set, of which no sample is named.
    File(PathBuf),
    /// A row or sample.
    Numbered {
        /// The table or the data set.
        path: PathBuf,
        /// Which one, from 0.
        index: u64,
    },
}

/// An input, ready for the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Normalised values, finite, in the order channel, row, column.
    pub values: Vec<f64>,
    /// What was done to an image so that it fits, if anything.
    pub conversion: Option<Conversion>,
}

impl FromStr for InputSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = Path::new(text);
        let Some((path, index)) =
            text.rsplit_once(':').filter(|(path, _)| !whole.exists() && Path::new(path).exists())
        else {
            return Ok(Self::File(text.into()));
        };
        let index = index.parse().map_err(|_| {
            format!("{index:?} is no number: expected DATA:N or FILE.csv:ROW, counted from 0, as in mnist:0")
        })?;
        Ok(Self::Numbered { path: path.into(), index })
    }
}

impl InputSource {
    /// The path of a data set, where this is one and no sample is named.
    pub fn data_set(&self) -> Option<&Path> {
        match self {
            Self::File(path) => is_data(path).then_some(path),
            Self::Numbered { .. } => None,
        }
    }

    /// Reads the input that it names.
    ///
    /// Whether it can be read does not depend on its values, but for what is no finite number: a plan from
    /// elsewhere chooses shape and normalisation, and learns nothing by a refusal.
    ///
    /// # Errors
    /// For a file that cannot be read, is damaged, above [`limits`], or holds something else than the network
    /// takes; with the place in the file. Images are converted instead ([`decode_image`]).
    pub fn load(&self, spec: &InputSpec) -> Result<Input, Error> {
        match self {
            Self::File(path) => file(path, spec),
            Self::Numbered { path, index } if extension(path) == "csv" => {
                let values = Table::open(path, spec)?.nth(*index)?;
                Ok(Input::exact(values.input(0, Order::ChannelsFirst, spec)?))
            }
            Self::Numbered { path, index } if is_data(path) => {
                Samples::open(path, Split::Test, spec)?.input(usize::try_from(*index).unwrap_or(usize::MAX))
            }
            Self::Numbered { path, .. } => {
                let place = path.display().to_string();
                Err(Error::unfit(place, "a data set or a table before the colon", "a file of one input"))
            }
        }
    }
}

impl Input {
    /// Values that needed no conversion.
    pub(crate) fn exact(values: Vec<f64>) -> Self {
        Self { values, conversion: None }
    }
}

fn file(path: &Path, spec: &InputSpec) -> Result<Input, Error> {
    let place = path.display().to_string();
    match extension(path).as_str() {
        "npy" => array(path, &place, spec).map(Input::exact),
        "json" => numbers(path, &place, spec).map(Input::exact),
        "csv" => {
            Err(Error::unfit(place, "a row's number after the table", "none").remedy("as in FILE.csv:0"))
        }
        _ if is_data(path) => {
            Err(Error::unfit(place, "a sample's number after the data set", "none").remedy("as in DATA:0"))
        }
        _ => image(path, spec),
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

fn array(path: &Path, place: &str, spec: &InputSpec) -> Result<Vec<f64>, Error> {
    let mut source = open(path)?;
    let header = Header::read(&mut source, place)?;
    let order = Order::check(&header.shape, spec, place)?;
    header.values(&mut source, place)?.values.input(0, order, spec)
}

fn numbers(path: &Path, place: &str, spec: &InputSpec) -> Result<Vec<f64>, Error> {
    let source = open(path)?;
    let length = source.get_ref().metadata().map_err(|source| Error::io(path, source))?.len();
    check(place, "bytes of a list", length, limits::LIST_BYTES)?;
    let wanted = spec.shape().elements();
    let numbers = list::read(source.take(limits::LIST_BYTES), wanted, place)?;
    if numbers.len() != wanted {
        return Err(Error::unfit(place, format!("{wanted} numbers"), numbers.len().to_string()));
    }
    Values::Numbers(numbers).input(0, Order::ChannelsFirst, spec)
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

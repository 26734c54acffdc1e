//! Inputs by the arguments that people write.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::array::{Order, Values};
use crate::dataset::is_data;
use crate::error::check;
use crate::file::{Input, extension, image, open};
use crate::npy::Header;
use crate::table::Table;
use crate::{Error, InputSpec, Samples, Split, limits, list};

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
    /// takes; with the place in the file. Images are converted instead ([`crate::decode_image`]).
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

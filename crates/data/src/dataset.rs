mod cifar;
mod classes;
mod idx;
mod source;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::array::{Order, Values};
use crate::file::extension;
use crate::labels::{Labels, index};
use crate::npz::Archive;
use crate::table::Table;
use crate::{Error, Input, InputSpec, limits};

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What accuracy is measured on.
    Test,
    /// What networks are trained on.
    Train,
}

/// A data set's inputs, without their labels.
#[derive(Debug, Clone)]
pub struct Samples {
    spec: InputSpec,
    content: Content,
    features: Option<Vec<String>>,
    place: String,
}

/// What is held of a data set.
#[derive(Debug, Clone)]
enum Content {
    /// Values, one sample after the other.
    Values { values: Values, order: Order, count: usize },
    /// Image files, each of which is decoded when it is asked for.
    Files(Vec<PathBuf>),
}

/// A data set: inputs for a network, and the class of each.
///
/// # What is read
///
/// - a folder with the original files of MNIST (IDX, under any of its usual names, also in `raw` or
///   `MNIST/raw`), CIFAR-10 or CIFAR-100 (binary version, fine labels), plain or gzipped;
/// - a folder of folders of images, one for each class, or of `train` and `test` (or `val`) with these;
/// - `FILE.npz` with arrays `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`;
/// - `FILE.csv` with a header: the column `label`, else the last one, is the label.
///
/// Where there are no two parts, both [`Split`]s are the whole. Labels are numbers of classes, or names:
/// those of the network where it has all of them, else numbered in sorted order.
///
/// Bytes (`uint8` arrays, columns called `pixel0` or `1x1`) are pixels and normalised as those of images are.
/// Other numbers of vectors and series become `(number - mean) / std`, those of images are normalised
/// already.
///
/// # Examples
///
/// ```
/// use blindsight_data::{Dataset, InputSpec, Split};
/// use blindsight_network::{Metadata, Shape};
///
/// let folder = std::env::temp_dir().join("blindsight-data-example");
/// std::fs::create_dir_all(&folder).expect("writable");
/// let file = folder.join("flowers.csv");
/// std::fs::write(&file, "length,width,label\n5.1,3.5,setosa\n7.0,3.2,versicolor\n").expect("writable");
///
/// let shape = Shape::vector(2);
/// let spec = InputSpec::new(shape, Metadata::new(shape, 3));
/// let flowers = Dataset::open(&file, Split::Train, &spec)?;
/// let (inputs, labels) = flowers.inputs(0..2)?;
/// assert_eq!((inputs, labels), (vec![vec![5.1, 3.5], vec![7.0, 3.2]], vec![0, 1]));
/// # Ok::<(), blindsight_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dataset {
    samples: Samples,
    classes: Vec<usize>,
    names: Option<Vec<String>>,
}

/// Whether a path is that of a data set: a folder, an archive, a table.
pub(crate) fn is_data(path: &Path) -> bool {
    path.is_dir() || matches!(extension(path).as_str(), "npz" | "csv")
}

impl Samples {
    /// Opens the inputs of a data set, which may have no labels or any.
    ///
    /// # Errors
    /// As [`Dataset::open`], but for labels.
    pub fn open(path: &Path, split: Split, spec: &InputSpec) -> Result<Self, Error> {
        Ok(read(path, split, spec)?.0)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Values { count, .. } => *count,
            Content::Files(files) => files.len(),
        }
    }

    /// Whether there are none; never so for what was opened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a table's header calls the numbers of a sample, in their order. `None` for other data, and where
    /// the columns are pixels or have no names.
    pub fn features(&self) -> Option<&[String]> {
        self.features.as_deref()
    }

    /// Sample `n`, from 0.
    ///
    /// # Errors
    /// Where there are not so many, and for an image file that cannot be read or is damaged.
    pub fn input(&self, n: usize) -> Result<Input, Error> {
        if n >= self.len() {
            let expected = format!("a number below {}, the number of samples", self.len());
            return Err(Error::unfit(&self.place, expected, n.to_string()));
        }
        match &self.content {
            Content::Values { values, order, .. } => Ok(Input::exact(values.input(n, *order, &self.spec)?)),
            Content::Files(files) => crate::file::image(&files[n], &self.spec),
        }
    }
}

impl Dataset {
    /// Opens one part of the data set at `path`, for a network that takes `spec`.
    ///
    /// # Errors
    /// For a file that is missing, damaged, or larger than [`limits`]; for samples of another shape than the
    /// network takes (images by class are converted, [`crate::decode_image`]); for values that are no finite
    /// numbers; for labels that are missing or beyond the network's. All name the file and the place in it.
    pub fn open(path: &Path, split: Split, spec: &InputSpec) -> Result<Self, Error> {
        let (samples, labels) = read(path, split, spec)?;
        let names = labels.names();
        let classes = labels.classes(spec.labels(), &samples.place)?;
        if classes.len() != samples.len() {
            let expected = format!("a label for each of {} samples", samples.len());
            return Err(Error::unfit(&samples.place, expected, classes.len().to_string()));
        }
        Ok(Self { samples, classes, names })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are none; never so for a data set that was opened.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The inputs.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Sample `n`, from 0.
    ///
    /// # Errors
    /// As [`Samples::input`].
    pub fn input(&self, n: usize) -> Result<Input, Error> {
        self.samples.input(n)
    }

    /// The class of sample `n`, from 0, if there are so many: always less than the network's number of
    /// labels.
    pub fn label(&self, n: usize) -> Option<usize> {
        self.classes.get(n).copied()
    }

    /// The names that the data set gives its classes, sorted: of folders, or of a table's labels. `None`
    /// where labels are numbers. Where the network's labels are others, the classes are numbered in this
    /// order.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// The normalised inputs and the classes of these samples; those beyond the last are left out.
    ///
    /// # Errors
    /// As [`Samples::input`].
    pub fn inputs(&self, range: Range<usize>) -> Result<(Vec<Vec<f64>>, Vec<usize>), Error> {
        let range = range.start.min(self.len())..range.end.min(self.len());
        let inputs = range.clone().map(|n| Ok(self.input(n)?.values)).collect::<Result<_, Error>>()?;
        Ok((inputs, self.classes.get(range).unwrap_or_default().to_vec()))
    }
}

/// Reads a data set of any kind.
fn read(path: &Path, split: Split, spec: &InputSpec) -> Result<(Samples, Labels), Error> {
    let mut features = None;
    let (content, labels) = if path.is_dir() {
        folder(path, split, spec)?
    } else if extension(path) == "npz" {
        archive(path, split, spec)?
    } else if extension(path) == "csv" {
        let table = Table::open(path, spec)?.content()?;
        let order = Order::ChannelsFirst;
        features = table.features;
        (Content::Values { values: table.values, order, count: table.rows }, table.labels)
    } else {
        let found = if path.exists() { "a file of another kind" } else { "no such file" };
        return Err(Error::unfit(path.display().to_string(), "a folder, a .npz or a .csv file", found));
    };
    Ok((Samples { spec: spec.clone(), content, features, place: path.display().to_string() }, labels))
}

/// Original files where there are any, else images by class.
fn folder(path: &Path, split: Split, spec: &InputSpec) -> Result<(Content, Labels), Error> {
    match idx::read(path, split)?.map_or_else(|| cifar::read(path, split), |read| Ok(Some(read)))? {
        Some(pictures) => pictures.content(path, spec),
        None => {
            let (files, labels) = classes::read(path, split)?;
            Ok((Content::Files(files), labels))
        }
    }
}

/// Pixels and labels of a data set's original files.
#[derive(Debug)]
struct Pictures {
    shape: [usize; 3],
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Pictures {
    fn content(self, folder: &Path, spec: &InputSpec) -> Result<(Content, Labels), Error> {
        let place = folder.display().to_string();
        let order = Order::check(&self.shape, spec, &place).map_err(|error| {
            error.remedy("these are another data set's images than the network was made for")
        })?;
        if self.labels.is_empty() {
            return Err(Error::unfit(place, "images", "none"));
        }
        let (values, count) = (Values::Bytes(self.pixels), self.labels.len());
        let labels = Labels::Indices(self.labels.into_iter().map(u64::from).collect());
        Ok((Content::Values { values, order, count }, labels))
    }
}

fn archive(path: &Path, split: Split, spec: &InputSpec) -> Result<(Content, Labels), Error> {
    let archive = Archive::open(path)?;
    let (inputs, labels) = archive.of_split(split)?;
    let mut order = Order::ChannelsFirst;
    let inputs = archive.read(&inputs, |shape, place| {
        let (count, each) = shape.split_first().unwrap_or((&1, &[]));
        crate::error::check(place, "samples", *count as u64, limits::SAMPLES)?;
        order = Order::check(each, spec, place)?;
        Ok(())
    })?;
    let count = inputs.shape.first().copied().unwrap_or(1);
    let labels = labels.map_or(Ok(Labels::None), |name| archived_labels(&archive, &name, count))?;
    Ok((Content::Values { values: inputs.values, order, count }, labels))
}

fn archived_labels(archive: &Archive, name: &str, count: usize) -> Result<Labels, Error> {
    let mut place = String::new();
    let array = archive.read(name, |shape, at| {
        place = at.into();
        match shape {
            [n] | [n, 1] if *n == count => Ok(()),
            _ => Err(Error::unfit(at, format!("an array of [{count}], a label for each sample"), {
                crate::array::axes(shape)
            })
            .remedy("where each label is a row of zeros and a one, store numpy.argmax(y, 1)")),
        }
    })?;
    let numbers = array.values.numbers();
    let indices: Option<Vec<u64>> = numbers.iter().map(|&number| index(number)).collect();
    let wrong = || numbers.iter().position(|&number| index(number).is_none()).unwrap_or(0);
    indices.map(Labels::Indices).ok_or_else(|| {
        let at = wrong();
        let place = format!("{place}, element [{at}]");
        Error::unfit(place, "a class, a whole number from 0", numbers[at].to_string())
    })
}

#[cfg(test)]
mod tests;

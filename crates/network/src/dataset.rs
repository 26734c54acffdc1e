use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::error::check_length;
use crate::{Error, Image, Shape, limits};

/// Classes of the data sets that are read.
const CLASSES: u8 = 10;
// Magic numbers of IDX files: unsigned bytes (08) of rank 3 and 1.
const IDX_IMAGES: u32 = 0x0803;
const IDX_LABELS: u32 = 0x0801;
/// The shape of CIFAR-10's images.
const CIFAR_SHAPE: Shape = Shape::new(3, 32, 32);
/// How many images a file of CIFAR-10 holds at most.
const CIFAR_BATCH: usize = 10_000;

/// Which images of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Those that accuracy is measured on.
    Test,
    /// Those that networks are trained on.
    Train,
}

/// A data set in memory: images, all of one shape, and their labels.
#[derive(Clone, Debug)]
pub struct Dataset {
    shape: Shape,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Dataset {
    /// Reads the test images of the data set in a folder; see [`Dataset::open_split`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_split(folder, Split::Test)
    }

    /// Reads the original files of MNIST (IDX: `t10k-images-idx3-ubyte`, ...) or CIFAR-10 (binary version:
    /// `test_batch.bin`, ...) from a folder, each plain or with `.gz` after its name.
    ///
    /// Refuses missing, truncated or overlong files, wrong magic numbers, counts that disagree, labels above 9 and
    /// sizes above [`limits`].
    pub fn open_split(folder: &Path, split: Split) -> Result<Self, Error> {
        let (idx, batches): (&str, &[&str]) = match split {
            Split::Test => ("t10k", &["test_batch.bin"]),
            Split::Train => (
                "train",
                &[
                    "data_batch_1.bin",
                    "data_batch_2.bin",
                    "data_batch_3.bin",
                    "data_batch_4.bin",
                    "data_batch_5.bin",
                ],
            ),
        };
        let images = format!("{idx}-images-idx3-ubyte");
        let dataset = if find(folder, &images).is_some() {
            read_idx(folder, &images, &format!("{idx}-labels-idx1-ubyte"))?
        } else if find(folder, batches[0]).is_some() {
            read_cifar(folder, batches)?
        } else {
            let expected = format!("{images} (MNIST) or {} (CIFAR-10), plain or .gz", batches[0]);
            return Err(Error::Dataset { path: folder.into(), expected, actual: "neither".into() });
        };
        dataset.checked(folder)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none; never so for a data set that was opened.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Image `n`, counted from 0, or an error that names how many there are.
    pub fn image(&self, n: usize) -> Result<Image, Error> {
        self.check_index(n)?;
        let size = self.shape.elements();
        Image::new(self.shape, self.pixels[n * size..(n + 1) * size].to_vec())
    }

    /// The class of image `n`, counted from 0, or an error that names how many there are.
    pub fn label(&self, n: usize) -> Result<u8, Error> {
        self.check_index(n)?;
        Ok(self.labels[n])
    }

    fn check_index(&self, n: usize) -> Result<(), Error> {
        if n < self.len() {
            return Ok(());
        }
        let expected = format!("below {}, the number of images", self.len());
        Err(Error::Mismatch { what: "number of an image".into(), expected, actual: n.to_string() })
    }

    /// Refuses labels without a class, and an empty data set.
    fn checked(self, folder: &Path) -> Result<Self, Error> {
        let refuse =
            |expected: String, actual: String| Error::Dataset { path: folder.into(), expected, actual };
        if let Some(n) = self.labels.iter().position(|&l| l >= CLASSES) {
            let actual = format!("{} at image {n}", self.labels[n]);
            return Err(refuse(format!("labels below {CLASSES}"), actual));
        }
        if self.is_empty() { Err(refuse("images".into(), "none".into())) } else { Ok(self) }
    }
}

/// The file `name` in `folder`, plain or with `.gz` after its name.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_string(), format!("{name}.gz")].into_iter().map(|n| folder.join(n)).find(|p| p.is_file())
}

/// A file of a data set, unpacked as it is read.
struct Source {
    path: PathBuf,
    reader: Box<dyn Read>,
}

impl Source {
    fn open(folder: &Path, name: &str) -> Result<Self, Error> {
        let Some(path) = find(folder, name) else {
            let expected = format!("{name}, plain or .gz");
            return Err(Error::Dataset { path: folder.into(), expected, actual: "no such file".into() });
        };
        let file =
            BufReader::new(File::open(&path).map_err(|source| Error::Io { path: path.clone(), source })?);
        let packed = path.extension().is_some_and(|e| e == "gz");
        let reader: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { path, reader })
    }

    fn refuse(&self, expected: impl Into<String>, actual: impl Into<String>) -> Error {
        Error::Dataset { path: self.path.clone(), expected: expected.into(), actual: actual.into() }
    }

    /// Up to `limit` bytes, fewer at the end; memory is taken as they come.
    fn read(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(limit as u64).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(e) => Err(self.refuse("a readable file", format!("{e} after {} bytes", bytes.len()))),
        }
    }

    /// All that is left, which must be `expected` bytes.
    fn rest(&mut self, expected: usize) -> Result<Vec<u8>, Error> {
        let bytes = self.read(expected + 1)?;
        match bytes.len() {
            n if n == expected => Ok(bytes),
            n if n < expected => {
                Err(self.refuse(format!("{expected} bytes of data"), format!("{n} (truncated)")))
            }
            _ => Err(self.refuse(format!("{expected} bytes of data"), "more")),
        }
    }

    /// The big-endian words of an IDX header, after its magic number.
    fn idx_header<const N: usize>(&mut self, magic: u32) -> Result<[usize; N], Error> {
        let bytes = self.read(4 * (N + 1))?;
        let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|&w| u32::from_be_bytes(w)).collect();
        match words.split_first() {
            Some((&found, sizes)) if found == magic && sizes.len() == N => {
                Ok(std::array::from_fn(|i| sizes[i] as usize))
            }
            Some((&found, sizes)) if sizes.len() == N => {
                Err(self.refuse(format!("IDX magic number {magic:#010x}"), format!("{found:#010x}")))
            }
            _ => Err(self
                .refuse(format!("an IDX header of {} bytes", 4 * (N + 1)), format!("{} bytes", bytes.len()))),
        }
    }
}

fn read_idx(folder: &Path, images: &str, labels: &str) -> Result<Dataset, Error> {
    let mut images = Source::open(folder, images)?;
    let [count, height, width] = images.idx_header(IDX_IMAGES)?;
    let shape = Shape::new(1, height, width);
    shape.check("an image of the data set")?;
    limits::check(|| "images of the data set".into(), count as u64, limits::DATASET_IMAGES as u64)?;
    let bytes = count.saturating_mul(shape.elements());
    limits::check(|| "pixels of the data set".into(), bytes as u64, limits::DATASET_BYTES as u64)?;
    let mut labels = Source::open(folder, labels)?;
    let [label_count] = labels.idx_header(IDX_LABELS)?;
    check_length(|| "labels of the data set".into(), count, label_count)?;
    Ok(Dataset { shape, pixels: images.rest(bytes)?, labels: labels.rest(count)? })
}

fn read_cifar(folder: &Path, batches: &[&str]) -> Result<Dataset, Error> {
    let record = 1 + CIFAR_SHAPE.elements();
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for name in batches {
        let mut source = Source::open(folder, name)?;
        let bytes = source.read(CIFAR_BATCH * record + 1)?;
        if bytes.len() > CIFAR_BATCH * record || bytes.len() % record != 0 {
            let actual = match bytes.len() > CIFAR_BATCH * record {
                true => "more".into(),
                false => format!("{} and {} bytes (truncated)", bytes.len() / record, bytes.len() % record),
            };
            return Err(
                source.refuse(format!("at most {CIFAR_BATCH} whole records of {record} bytes"), actual)
            );
        }
        for record in bytes.chunks(record) {
            labels.push(record[0]);
            pixels.extend_from_slice(&record[1..]);
        }
    }
    Ok(Dataset { shape: CIFAR_SHAPE, pixels, labels })
}

#[cfg(test)]
mod tests;

//! The original files of CIFAR-10 and CIFAR-100, binary version.

use std::path::Path;

use super::source::{Source, find};
use super::{Pictures, Split};
use crate::Error;

/// Bytes of the pixels of an image: three channels of 32 x 32.
const PIXELS: usize = 3 * 32 * 32;

/// One of the two data sets: its files, and how their records are made.
struct Format {
    /// The folder that its archive unpacks to.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// Bytes of labels before an image's pixels; the last is the class.
    labels: usize,
    /// How many records a file holds at most.
    most: usize,
}

const FORMATS: [Format; 2] = [
    Format {
        folder: "cifar-10-batches-bin",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        labels: 1,
        most: 10_000,
    },
    Format { folder: "cifar-100-binary", train: &["train.bin"], test: "test.bin", labels: 2, most: 50_000 },
];

/// Folders and files of the version for Python.
const PICKLED: [&str; 2] = ["cifar-10-batches-py", "cifar-100-python"];
const PICKLES: [&str; 4] = ["data_batch_1", "test_batch", "batches.meta", "meta"];

/// The images of a folder with such files, if it is one.
pub(super) fn read(folder: &Path, split: Split) -> Result<Option<Pictures>, Error> {
    for format in FORMATS {
        for folder in [folder.to_path_buf(), folder.join(format.folder)] {
            if std::iter::once(&format.test).chain(format.train).any(|name| find(&folder, name).is_some()) {
                return format.read(&folder, split).map(Some);
            }
        }
    }
    let mut pickles = PICKLED.iter().filter(|name| folder.join(name).is_dir());
    match pickles.next().or_else(|| PICKLES.iter().find(|name| folder.join(name).is_file())) {
        None => Ok(None),
        Some(name) => {
            let place = folder.join(name).display().to_string();
            let remedy = "a pickle can run code when it is read: take the binary version \
                          (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)";
            Err(Error::unfit(place, "CIFAR's binary version", "its version for Python").remedy(remedy))
        }
    }
}

impl Format {
    fn read(&self, folder: &Path, split: Split) -> Result<Pictures, Error> {
        let names = if split == Split::Train { self.train } else { std::slice::from_ref(&self.test) };
        let mut all = Pictures { shape: [3, 32, 32], pixels: vec![], labels: vec![] };
        for name in names {
            let missing = || {
                let place = folder.display().to_string();
                Error::unfit(place, format!("{name}, plain or .gz"), "no such file")
            };
            self.append(&find(folder, name).ok_or_else(missing)?, &mut all)?;
        }
        Ok(all)
    }

    fn append(&self, path: &Path, all: &mut Pictures) -> Result<(), Error> {
        let (mut source, record, most) = (Source::open(path)?, self.labels + PIXELS, self.most);
        let bytes = source.read(most * record + 1)?;
        if bytes.len() > most * record || bytes.len() % record != 0 {
            let actual = match bytes.len() > most * record {
                true => "more".into(),
                false => format!("{} and {} bytes (truncated)", bytes.len() / record, bytes.len() % record),
            };
            return Err(source.refuse(format!("at most {most} whole records of {record} bytes"), actual));
        }
        for record in bytes.chunks(record) {
            all.labels.push(record[self.labels - 1]);
            all.pixels.extend_from_slice(&record[self.labels..]);
        }
        Ok(())
    }
}

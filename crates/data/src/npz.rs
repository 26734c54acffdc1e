//! Archives of arrays (`.npz`).
//!
//! Read from front to back, one member at a time: the table of contents at the end, which may claim anything,
//! is not used.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::read::{ZipFile, read_zipfile_from_stream};

use crate::array::Array;
use crate::npy::Header;
use crate::{Error, Split, limits};

/// An archive, and the names of its arrays.
pub(crate) struct Archive<'a> {
    path: &'a Path,
    place: String,
    names: Vec<String>,
}

/// Names of a data set's inputs and labels, as people call them; upper and lower case are alike.
const TRAIN: [(&str, &str); 3] = [("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y")];
const TEST: [(&str, &str); 7] = [
    ("x_test", "y_test"),
    ("test_images", "test_labels"),
    ("x_val", "y_val"),
    ("x_valid", "y_valid"),
    ("val_images", "val_labels"),
    ("x", "y"),
    ("images", "labels"),
];

impl<'a> Archive<'a> {
    /// Lists an archive's members.
    pub fn open(path: &'a Path) -> Result<Self, Error> {
        let mut archive = Self { path, place: path.display().to_string(), names: vec![] };
        let mut source = archive.source()?;
        while let Some(member) = archive.next(&mut source)? {
            let name = member.name().to_string();
            drop(member);
            if archive.names.len() == limits::MEMBERS {
                let expected = format!("at most {} arrays", limits::MEMBERS);
                return Err(Error::unfit(&archive.place, expected, "more"));
            }
            archive.names.push(name);
        }
        Ok(archive)
    }

    /// The names of the arrays of inputs and of labels; the latter may be missing.
    pub fn of_split(&self, split: Split) -> Result<(String, Option<String>), Error> {
        let pairs: &[_] = if split == Split::Train { &TRAIN } else { &TEST };
        for (inputs, labels) in pairs {
            if let Some(inputs) = self.find(inputs) {
                return Ok((inputs, self.find(labels)));
            }
        }
        let expected = match split {
            Split::Train => "arrays `x_train` and `y_train`, or `x` and `y`",
            Split::Test => "arrays `x_test` and `y_test`, or `x` and `y`",
        };
        let shown: Vec<String> = self.names.iter().take(8).map(|name| format!("{name:?}")).collect();
        let found = if shown.is_empty() { "none".into() } else { shown.join(", ") };
        Err(Error::unfit(&self.place, expected, found))
    }

    fn find(&self, array: &str) -> Option<String> {
        let stem =
            |name: &'_ String| name.strip_suffix(".npy").is_some_and(|s| s.eq_ignore_ascii_case(array));
        self.names.iter().find(|name| stem(name)).cloned()
    }

    /// Reads a member; `accept` sees its shape before the values are read.
    pub fn read(
        &self,
        name: &str,
        accept: impl FnOnce(&[usize], &str) -> Result<(), Error>,
    ) -> Result<Array, Error> {
        let mut source = self.source()?;
        while let Some(mut member) = self.next(&mut source)? {
            if member.name() == name {
                let place = format!("{}, {}", self.place, name.trim_end_matches(".npy"));
                let header = Header::read(&mut member, &place)?;
                accept(&header.shape, &place)?;
                return header.values(&mut member, &place);
            }
        }
        Err(Error::unfit(&self.place, format!("the array {name:?}"), "a file that changes"))
    }

    fn source(&self) -> Result<BufReader<File>, Error> {
        Ok(BufReader::new(File::open(self.path).map_err(|source| Error::io(self.path, source))?))
    }

    /// The next member, if there is one.
    fn next<'s, R: Read>(&self, source: &'s mut R) -> Result<Option<ZipFile<'s, R>>, Error> {
        read_zipfile_from_stream(source).map_err(|error| {
            let found = match self.names.is_empty() {
                true => format!("bytes that are none ({error})"),
                false => format!("{error} after {} arrays", self.names.len()),
            };
            Error::unfit(&self.place, "an archive as numpy.savez writes it", found)
                .remedy("save it anew with numpy.savez or numpy.savez_compressed")
        })
    }
}

//! Files of a data set, plain or gzipped.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// The file `name` in `folder`, plain or with `.gz` after its name.
pub(super) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_string(), format!("{name}.gz")].into_iter().map(|n| folder.join(n)).find(|p| p.is_file())
}

/// A file of a data set, unpacked as it is read.
pub(super) struct Source {
    place: String,
    reader: Box<dyn Read>,
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = BufReader::new(File::open(path).map_err(|source| Error::io(path, source))?);
        let packed = path.extension().is_some_and(|e| e == "gz");
        let reader: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { place: path.display().to_string(), reader })
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn refuse(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::unfit(&self.place, expected, found)
    }

    /// Up to `limit` bytes, fewer at the end; memory is taken as they come.
    pub fn read(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(limit as u64).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(e) => Err(self.refuse("a readable file", format!("{e} after {} bytes", bytes.len()))),
        }
    }

    /// All that is left, which must be `expected` bytes.
    pub fn rest(&mut self, expected: usize) -> Result<Vec<u8>, Error> {
        let bytes = self.read(expected + 1)?;
        match bytes.len() {
            n if n == expected => Ok(bytes),
            n if n < expected => {
                Err(self.refuse(format!("{expected} bytes of data"), format!("{n} (truncated)")))
            }
            _ => Err(self.refuse(format!("{expected} bytes of data"), "more")),
        }
    }
}

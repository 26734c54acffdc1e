//! Files: read within bounds, written whole or not at all.

use crate::failure::{During, Outcome};
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

/// Opens a file to read.
pub fn open(path: &Path) -> Outcome<BufReader<File>> {
    Ok(BufReader::new(File::open(path).during(|| format!("cannot open {}", path.display()))?))
}

/// Writes a file: a reader sees the old one or the new one, whole.
pub fn write(path: &Path, bytes: &[u8]) -> Outcome {
    replace(path, bytes, File::options().write(true).create(true).truncate(true))
}

/// As [`write()`], for this user's eyes only.
pub fn write_private(path: &Path, bytes: &[u8]) -> Outcome {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    replace(path, bytes, &options)
}

fn replace(path: &Path, bytes: &[u8], options: &OpenOptions) -> Outcome {
    let draft = beside(path);
    let written = options.open(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        // What is left of the draft is of no use; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&draft);
    }
    written.during(|| format!("cannot write {}", path.display()))
}

/// A file that is written piece by piece: it is there once it is finished, whole, and not before.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    beside: PathBuf,
    file: File,
}

impl Draft {
    /// Begins a file.
    pub fn new(path: &Path) -> Outcome<Self> {
        let beside = beside(path);
        let file = File::create(&beside).during(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.into(), beside, file })
    }

    /// Appends to it.
    pub fn append(&mut self, bytes: &[u8]) -> Outcome {
        self.file.write_all(bytes).during(|| format!("cannot write {}", self.path.display()))
    }

    /// Puts it in its place.
    pub fn finish(self) -> Outcome {
        let placed = self.file.sync_all().and_then(|()| fs::rename(&self.beside, &self.path));
        placed.during(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Draft {
    /// What was not finished is of no use; that it cannot be removed changes nothing.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.beside);
    }
}

/// A name beside `path` that no other process uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

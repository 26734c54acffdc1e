//! Files: read within bounds, written whole or not at all.

use crate::failure::{During, Outcome};
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

/// Opens a file to read.
pub fn open(path: &Path) -> Outcome<BufReader<File>> {
    Ok(BufReader::new(File::open(path).during(|| format!("cannot open {}", path.display()))?))
}

/// Writes a file: a reader sees the old one or the new one, whole.
pub fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let draft = beside(path);
    let written = File::create(&draft).and_then(|mut file| {
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

/// A name beside `path` that no other process uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

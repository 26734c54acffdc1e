//! The original files of MNIST and its like: IDX.

use std::path::{Path, PathBuf};

use super::source::{Source, find};
use super::{Pictures, Split};
use crate::error::check;
use crate::{Error, limits};

// Magic numbers: unsigned bytes (08) of rank 3 and 1.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;
/// Folders that torchvision puts the files in.
const FOLDERS: [&str; 5] = ["", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"];

/// The images of a folder with such files, if it is one.
pub(super) fn read(folder: &Path, split: Split) -> Result<Option<Pictures>, Error> {
    for folder in FOLDERS.map(|inner| folder.join(inner)) {
        let [own, other] = match split {
            Split::Test => ["t10k", "train"],
            Split::Train => ["train", "t10k"],
        };
        match (named(&folder, own, "images", 3), named(&folder, other, "images", 3)) {
            (Some(images), _) => return of_files(&folder, &images, own).map(Some),
            (None, Some(_)) => return Err(missing(&folder, &format!("{own}-images-idx3-ubyte"))),
            (None, None) => {}
        }
    }
    Ok(None)
}

/// One of the files, under any name that it is distributed under.
fn named(folder: &Path, part: &str, what: &str, rank: u32) -> Option<PathBuf> {
    ["-", "."].iter().find_map(|mark| find(folder, &format!("{part}-{what}{mark}idx{rank}-ubyte")))
}

fn missing(folder: &Path, name: &str) -> Error {
    Error::unfit(folder.display().to_string(), format!("{name}, plain or .gz"), "no such file")
}

fn of_files(folder: &Path, images: &Path, part: &str) -> Result<Pictures, Error> {
    let mut images = Source::open(images)?;
    let [count, height, width] = header(&mut images, IMAGES)?;
    check(images.place(), "images", count as u64, limits::SAMPLES)?;
    let bytes = (count as u64).saturating_mul(height as u64).saturating_mul(width as u64);
    check(images.place(), "bytes of pixels", bytes, limits::PIXEL_BYTES)?;
    let labels = named(folder, part, "labels", 1);
    let mut labels =
        Source::open(&labels.ok_or_else(|| missing(folder, &format!("{part}-labels-idx1-ubyte")))?)?;
    let [label_count] = header(&mut labels, LABELS)?;
    if label_count != count {
        let expected = format!("{count} labels, one for each image");
        return Err(labels.refuse(expected, label_count.to_string()));
    }
    let pixels = images.rest(bytes as usize)?;
    Ok(Pictures { shape: [1, height, width], pixels, labels: labels.rest(count)? })
}

/// The big-endian words of a header, after its magic number.
fn header<const N: usize>(source: &mut Source, magic: u32) -> Result<[usize; N], Error> {
    let bytes = source.read(4 * (N + 1))?;
    let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|&w| u32::from_be_bytes(w)).collect();
    match words.split_first() {
        Some((&found, sizes)) if found == magic && sizes.len() == N => {
            Ok(std::array::from_fn(|i| sizes[i] as usize))
        }
        Some((&found, sizes)) if sizes.len() == N => {
            Err(source.refuse(format!("IDX magic number {magic:#010x}"), format!("{found:#010x}")))
        }
        _ => {
            let expected = format!("an IDX header of {} bytes", 4 * (N + 1));
            Err(source.refuse(expected, format!("{} bytes", bytes.len())))
        }
    }
}

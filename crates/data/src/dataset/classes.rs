//! Folders of images, one for each class.

use std::fs;
use std::path::{Path, PathBuf};

use super::Split;
use crate::error::check;
use crate::file::extension;
use crate::labels::Labels;
use crate::{Error, limits};

/// Endings of image files; other files are left alone.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];
/// Folders of the two parts.
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];

/// The files in the order of classes and names, and their labels.
pub(super) fn read(folder: &Path, split: Split) -> Result<(Vec<PathBuf>, Labels), Error> {
    let [train, test] = [part(folder, &TRAIN), part(folder, &TEST)];
    let root = match (split, &train, &test) {
        (_, None, None) => folder,
        (Split::Train, Some(own), _) | (Split::Test, _, Some(own)) => own,
        (Split::Train, None, _) => return Err(no_part(folder, "a folder `train` beside the other part")),
        (Split::Test, _, None) => return Err(no_part(folder, "a folder `test` or `val` beside `train`")),
    };
    // Classes are numbered by the part that networks are trained on: a small test part may lack some.
    let names = classes(train.as_deref().unwrap_or(root))?;
    let found = classes(root)?;
    if let Some(other) = found.iter().find(|name| !names.contains(name)) {
        let place = root.join(other).display().to_string();
        return Err(Error::unfit(place, "a class that the training part has, too", "one that it has not"));
    }
    let (mut files, mut of) = (vec![], vec![]);
    for name in &found {
        let class = names.iter().position(|known| known == name).unwrap_or_default() as u32;
        let own = images(&root.join(name))?;
        of.resize(of.len() + own.len(), class);
        files.extend(own);
        check(&root.display().to_string(), "images", files.len() as u64, limits::SAMPLES)?;
    }
    Ok((files, Labels::Names { of, names }))
}

/// The folder of a part, where there is one; not one that holds images itself, which is a class of that name.
fn part(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let mut folders = names.iter().map(|name| folder.join(name)).filter(|path| path.is_dir());
    folders.find(|path| entries(path).is_ok_and(|all| all.iter().any(|entry| entry.is_dir())))
}

fn no_part(folder: &Path, expected: &str) -> Error {
    Error::unfit(folder.display().to_string(), expected, "none")
        .remedy("put the images by class directly into one folder to use all of them for both")
}

/// The names of the folders in a folder, sorted.
fn classes(folder: &Path) -> Result<Vec<String>, Error> {
    let folders = entries(folder)?.into_iter().filter(|path| path.is_dir());
    let names: Option<Vec<String>> =
        folders.map(|path| path.file_name()?.to_str().map(str::to_string)).collect();
    let place = folder.display().to_string();
    match names {
        Some(names) if !names.is_empty() => Ok(names),
        Some(_) => {
            let expected =
                "original files of MNIST, CIFAR-10 or CIFAR-100, or a folder of images for each class";
            Err(Error::unfit(place, expected, "none of these"))
        }
        None => Err(Error::unfit(place, "names of classes in UTF-8", "others")),
    }
}

/// The image files of a class, sorted.
fn images(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_image = |path: &PathBuf| path.is_file() && ENDINGS.contains(&extension(path).as_str());
    let files: Vec<PathBuf> = entries(folder)?.into_iter().filter(is_image).collect();
    if files.is_empty() {
        let expected = format!("image files ({})", ENDINGS.join(", "));
        return Err(Error::unfit(folder.display().to_string(), expected, "none"));
    }
    Ok(files)
}

/// What a folder holds, sorted by name; hidden files are left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = vec![];
    for entry in fs::read_dir(folder).map_err(|source| Error::io(folder, source))? {
        let entry = entry.map_err(|source| Error::io(folder, source))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
        check(&folder.display().to_string(), "files", paths.len() as u64, limits::SAMPLES)?;
    }
    paths.sort();
    Ok(paths)
}

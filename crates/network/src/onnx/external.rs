//! Tensors whose numbers lie in other files beside the model's.

use std::collections::HashMap;
use std::path::{Component, Path};

use super::proto;
use crate::model::read_bounded;
use crate::{Error, limits};

/// Reads into `model` the numbers that lie in other files of its folder, and answers all bytes of those
/// files, in the order of their names. Refuses a path that is more than a file's name, and more than
/// [`limits::MODEL_BYTES`] in all.
pub(crate) fn gathered(model: &mut proto::Model, folder: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let mut files: HashMap<String, Vec<u8>> = HashMap::new();
    let Some(graph) = &mut model.graph else { return Ok(vec![]) };
    let attributes = graph.node.iter_mut().flat_map(|n| &mut n.attribute).filter_map(|a| a.t.as_mut());
    let mut taken = 0;
    for tensor in graph.initializer.iter_mut().chain(attributes).filter(|t| t.data_location == 1) {
        let place = Place::of(tensor)?;
        if !files.contains_key(place.file) {
            let read = files.values().map(|bytes| bytes.len() as u64).sum::<u64>();
            let left = limits::MODEL_BYTES.saturating_sub(read);
            let bytes = read_bounded(&folder.join(place.file), "bytes of the model's data file", left)?;
            files.insert(place.file.to_string(), bytes);
        }
        let data = place.data(&tensor.name, &files[place.file])?;
        taken += data.len() as u64;
        limits::check(|| "bytes of the model's tensors".into(), taken, limits::MODEL_BYTES)?;
        tensor.raw_data = Some(data.to_vec());
        tensor.data_location = 0;
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort();
    Ok(files.into_iter().map(|(_, bytes)| bytes).collect())
}

/// Where a tensor's numbers lie.
struct Place<'t> {
    file: &'t str,
    offset: usize,
    length: Option<usize>,
}

impl<'t> Place<'t> {
    fn of(tensor: &'t proto::Tensor) -> Result<Self, Error> {
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let wrong = |actual: &str| Error::Mismatch {
            what: format!("place of tensor {:?}", tensor.name),
            expected: "the name of a file in the model's folder, an offset and a length".into(),
            actual: actual.chars().take(80).collect(),
        };
        let number = |key: &str| entry(key).map(|v| v.parse().map_err(|_| wrong(v))).transpose();
        let file = entry("location").ok_or_else(|| wrong("none"))?;
        let mut parts = Path::new(file).components().filter(|part| *part != Component::CurDir);
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(_)), None) if !file.contains('\\') => {}
            _ => return Err(wrong(&format!("{file:?}"))),
        }
        Ok(Self { file, offset: number("offset")?.unwrap_or(0), length: number("length")? })
    }

    fn data<'b>(&self, tensor: &str, bytes: &'b [u8]) -> Result<&'b [u8], Error> {
        let rest = bytes.get(self.offset..);
        let data = rest.and_then(|rest| rest.get(..self.length.unwrap_or(rest.len())));
        data.ok_or_else(|| Error::Mismatch {
            what: format!("data of tensor {tensor:?} in {:?}", self.file),
            expected: format!("{} bytes from {} on", self.length.unwrap_or(0), self.offset),
            actual: format!("a file of {} bytes", bytes.len()),
        })
    }
}

//! The journal of a long evaluation: a line of JSON for what it is about, then one for each image, appended
//! as soon as the image is done.

use crate::failure::{During, Failure, Outcome};
use blindsight_ckks::wire::hex;
use blindsight_data::Dataset;
use blindsight_network::Model;
use blindsight_planner::Plan;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What an evaluation is about: results of two that differ here do not add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Blindsight's version.
    version: String,
    /// SHA-256 of the model's file.
    model: String,
    /// Representation, ring degree, and the plan's digest.
    plan: String,
    /// The data set's folder, and how many images it has.
    data: String,
}

impl Subject {
    pub fn new(model: &Model, plan: &Plan, folder: &Path, images: &Dataset) -> Outcome<Self> {
        let folder = fs::canonicalize(folder).during(|| format!("cannot open {}", folder.display()))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let (public, digest) = (&plan.public, hex(&plan.digest()));
        let degree = public.validated_parameters()?.degree();
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            model: hex(&model.digest),
            plan: format!("{}, N = {degree}, {digest}", public.representation),
            data: format!("{name}, {} images", images.len()),
        })
    }

    /// What is another than `expected`, if anything.
    fn difference(&self, expected: &Self) -> Option<String> {
        let pairs = [
            ("version", &self.version, &expected.version),
            ("model", &self.model, &expected.model),
            ("plan", &self.plan, &expected.plan),
            ("data set", &self.data, &expected.data),
        ];
        let (what, theirs, ours) = pairs.into_iter().find(|(_, theirs, ours)| theirs != ours)?;
        Some(format!("its {what} is {theirs}, but this run's is {ours}"))
    }
}

/// What came out for one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The image's number, from 0.
    pub image: usize,
    /// Its true class.
    pub class: usize,
    /// The class in the clear.
    pub plain: usize,
    /// The class encrypted; none where the client refused the reply.
    pub encrypted: Option<usize>,
    /// Whether the client marked it as too close to call.
    pub too_close: bool,
    pub max_abs_error: f64,
    pub mean_abs_error: f64,
    /// The image's share of the server's time.
    pub server_ms: f64,
    /// Its share of all time, end to end.
    pub ms: f64,
}

/// A journal, open for more entries. No other process can have it open meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal at `path`, which is begun where there is none, and reads its entries. A last line
    /// that was not written whole is dropped.
    ///
    /// Refuses a file that is no journal, one that another run is writing, and one about something else.
    pub fn open(path: &Path, subject: &Subject, images: &Dataset) -> Outcome<(Self, Vec<Entry>)> {
        let during = || format!("journal {}", path.display());
        let mut options = File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).during(during)?;
        file.try_lock().during(|| format!("journal {} is in use by another run", path.display()))?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).during(during)?;
        let begin = [serde_json::to_vec(subject)?, b"\n".into()].concat();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole == 0 && !begin.starts_with(&bytes) {
            return Err(not_one()).during(during);
        }
        let entries = read(&bytes[..whole], subject, images).during(during)?;
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).during(during)?;
        let mut journal = Self { path: path.into(), file };
        if whole == 0 {
            journal.write(&begin)?;
        }
        Ok((journal, entries))
    }

    /// Appends entries: on return the system has them, and they outlive this process.
    pub fn append(&mut self, entries: &[Entry]) -> Outcome {
        let mut lines = vec![];
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        self.write(&lines)
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome {
        self.file.write_all(bytes).during(|| format!("cannot write {}", self.path.display()))
    }
}

fn not_one() -> Failure {
    Failure::new("is no journal of an evaluation: give --resume a file that it wrote, or a new name")
}

/// The entries of whole lines, which must be about `subject`, and of its images from the first on.
fn read(bytes: &[u8], subject: &Subject, images: &Dataset) -> Outcome<Vec<Entry>> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let Some(first) = lines.next() else { return Ok(vec![]) };
    let found: Subject = serde_json::from_slice(first).map_err(|_| not_one())?;
    if let Some(difference) = found.difference(subject) {
        return Err(Failure::new(format!(
            "{difference}: go on as it was begun, or give --resume a new file"
        )));
    }
    lines.enumerate().map(|(n, line)| entry(n, line, images).during(|| format!("line {}", n + 2))).collect()
}

fn entry(n: usize, line: &[u8], images: &Dataset) -> Outcome<Entry> {
    let entry: Entry = serde_json::from_slice(line)?;
    let Some(class) = images.label(n) else {
        return Err(Failure::new(format!("is of image {n}, but the data set has {}", images.len())));
    };
    if (entry.image, entry.class) == (n, class) {
        return Ok(entry);
    }
    let Entry { image, class: found, .. } = entry;
    Err(Failure::new(format!(
        "is of image {image} with class {found}, expected image {n} with class {class}"
    )))
}

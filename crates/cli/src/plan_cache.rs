//! Plans that were made before: the same file and the same wishes are not planned twice.
//!
//! An entry is a file named by its [`Key`], which stands in it again before the plan's own file. What is read
//! back is checked as a plan from elsewhere, and assembled for the model; what does not pass is planned anew
//! and replaced. Nothing depends on the cache: where it cannot be read or written, everything is planned.

use crate::failure::Outcome;
use crate::{configuration, files};
use blindsight_ckks::wire;
use blindsight_layout::LARGEST_PLAN_BYTES;
use blindsight_network::Model;
use blindsight_planner::{Options, Plan};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What an entry begins with. Another format of entries gets another number.
const FORMAT: &[u8] = b"blindsight plan cache 1\n";
/// The most entries that are kept. A plan takes one or two kilobytes.
const MOST_ENTRIES: usize = 256;
/// The most bytes that all entries may take.
const MOST_BYTES: u64 = 16 << 20;
/// The ending of an entry's name.
const ENDING: &str = ".plan";

/// What determines a plan: the model's name and files, all options with the cost model, and the planner
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key([u8; 32]);

impl Key {
    fn new(model: &Model, options: &Options, planner: &str) -> Self {
        // Debug output has every field, also those that options will have, and figures in full.
        let options = format!("{options:?}");
        let parts = [FORMAT, planner.as_bytes(), model.name.as_bytes(), &model.digest, options.as_bytes()];
        let hash = parts.iter().fold(Sha256::new(), |hash, part| {
            hash.chain_update((part.len() as u64).to_le_bytes()).chain_update(part)
        });
        Self(hash.finalize().into())
    }

    fn file_name(self) -> String {
        format!("{}{ENDING}", wire::hex(&self.0))
    }
}

/// A folder of plans.
#[derive(Debug)]
pub struct PlanCache {
    folder: PathBuf,
    /// What names the planner that made the entries.
    planner: String,
    most_entries: usize,
    most_bytes: u64,
}

impl PlanCache {
    /// This user's: `blindsight/plans` in the cache folder. None where no folder is known.
    pub fn of_user() -> Option<Self> {
        Some(Self::new(configuration::plans_folder().ok()?, this_planner()))
    }

    fn new(folder: PathBuf, planner: String) -> Self {
        Self { folder, planner, most_entries: MOST_ENTRIES, most_bytes: MOST_BYTES }
    }

    /// The plan of this model by these options: the one that is kept, or else the one that `make` makes,
    /// which is kept from then on. Fails where `make` does, and for nothing else.
    pub fn plan(
        &self,
        model: &Model,
        options: &Options,
        make: impl FnOnce() -> Outcome<Plan>,
    ) -> Outcome<Plan> {
        let key = Key::new(model, options, &self.planner);
        if let Some(plan) = self.read(key, model) {
            return Ok(plan);
        }
        let plan = make()?;
        // A cache that cannot be written, in a home that is read-only say, costs time only.
        let _ = self.write(key, &plan);
        Ok(plan)
    }

    /// The plan that is kept under a key, if it is whole and this model's.
    fn read(&self, key: Key, model: &Model) -> Option<Plan> {
        let path = self.folder.join(key.file_name());
        // A pipe, say, would be waited for.
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let file = File::open(path).ok()?;
        let mut entry = vec![];
        (&file).take(2 * LARGEST_PLAN_BYTES as u64).read_to_end(&mut entry).ok()?;
        let plan = Plan::read(entry.strip_prefix(FORMAT)?.strip_prefix(&key.0)?).ok()?;
        plan.circuit(model).ok()?;
        // What is used stays; that an entry looks older than it is does no harm.
        let _ = file.set_modified(SystemTime::now());
        Some(plan)
    }

    fn write(&self, key: Key, plan: &Plan) -> Outcome {
        fs::create_dir_all(&self.folder)?;
        files::write_private(&self.folder.join(key.file_name()), &[FORMAT, &key.0, &plan.write()].concat())?;
        self.remove_oldest()
    }

    /// Removes what was not used for longest, until the rest is within the bounds.
    fn remove_oldest(&self) -> Outcome {
        let mut entries = entries(&self.folder)?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        let mut bytes = 0;
        for (n, entry) in entries.iter().enumerate() {
            bytes += entry.bytes;
            if n >= self.most_entries || bytes > self.most_bytes {
                fs::remove_file(&entry.path)?;
            }
        }
        Ok(())
    }
}

/// A file of the cache.
struct Entry {
    path: PathBuf,
    used: SystemTime,
    bytes: u64,
}

/// The cache's own files in a folder, with what an interrupted process left of one: both begin with a key.
fn entries(folder: &Path) -> Outcome<Vec<Entry>> {
    let mut entries = vec![];
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let is_own = name.to_str().and_then(|name| name.split_once('.')).is_some_and(|(key, ending)| {
            key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()) && ending.starts_with(&ENDING[1..])
        });
        let data = file.metadata()?;
        if is_own && data.is_file() {
            entries.push(Entry { path: file.path(), used: data.modified()?, bytes: data.len() });
        }
    }
    Ok(entries)
}

/// Names this planner: its version, and the size and time of the file that it is in, for two builds of one
/// version may plan differently.
fn this_planner() -> String {
    let file = this_file().map_or_else(std::env::current_exe, Ok).and_then(fs::metadata);
    let build = file.and_then(|data| Ok((data.len(), data.modified()?))).ok();
    format!("{} {build:?}", env!("CARGO_PKG_VERSION"))
}

/// The file that this code was loaded from, where the system tells: the program, or what Python loaded, whose
/// program is the interpreter.
fn this_file() -> Option<PathBuf> {
    let here = this_planner as fn() -> String as usize;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let is_here = (address(from)?..address(to)?).contains(&here);
        is_here.then(|| rest.find('/').map(|at| PathBuf::from(&rest[at..]))).flatten()
    })
}

#[cfg(test)]
mod tests;

//! What a fit found out, in a file beside its result, as long as there is none.

use crate::failure::{During, Outcome};
use blindsight_ckks::wire;
use blindsight_fit::{Finding, Options};
use blindsight_network::Model;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file: a line that says what its findings hold for, and a line for each.
pub struct Kept {
    path: PathBuf,
    file: File,
    known: Vec<Finding>,
}

impl Kept {
    /// Opens the file beside `out`. What it holds counts if it is of the same model, inputs, classes, options
    /// and program; else it begins anew.
    pub fn open(
        out: &Path,
        model: &Model,
        data: (&[Vec<f64>], &[usize]),
        options: &Options,
    ) -> Outcome<Self> {
        let mut name = out.file_name().unwrap_or_default().to_os_string();
        name.push(".findings");
        let path = out.with_file_name(name);
        let heading = heading(model, data, options);
        let known = fs::read_to_string(&path).ok().and_then(|text| read(&text, &heading)).unwrap_or_default();
        let cannot = || format!("cannot write {}", path.display());
        let mut file = File::create(&path).during(cannot)?;
        // Whole lines only: the last one may have been broken off.
        let lines = known.iter().map(line).collect::<String>();
        file.write_all(format!("{heading}\n{lines}").as_bytes()).during(cannot)?;
        if !known.is_empty() {
            let count = known.len();
            eprintln!("going on where this fit was broken off: {count} findings in {}", path.display());
        }
        Ok(Self { path, file, known })
    }

    /// What was known when the file was opened.
    pub fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.known)
    }

    /// Keeps one more. Where that fails, it will be found out again.
    pub fn keep(&mut self, finding: &Finding) {
        let _ = self.file.write_all(line(finding).as_bytes());
    }

    /// The fit has come to its end: the file is of no more use. That it cannot be removed changes nothing.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn line(finding: &Finding) -> String {
    serde_json::to_string(finding).expect("plain numbers") + "\n"
}

/// The findings of a file, as far as its lines can be read; none where it is of another fit.
fn read(text: &str, heading: &str) -> Option<Vec<Finding>> {
    let mut lines = text.lines();
    (lines.next()? == heading).then(|| lines.map_while(|line| serde_json::from_str(line).ok()).collect())
}

/// What findings hold for.
fn heading(model: &Model, (inputs, labels): (&[Vec<f64>], &[usize]), options: &Options) -> String {
    let mut hash = Sha256::new();
    hash.update(model.digest);
    // Debug output has every field, also those that will be added, and figures in full.
    hash.update(format!("{} {:?} {options:?} {labels:?}", env!("CARGO_PKG_VERSION"), model.metadata));
    inputs.iter().flatten().for_each(|value| hash.update(value.to_le_bytes()));
    format!("blindsight fit {}", wire::hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_another_fit_and_broken_ones_do_not_count() {
        let finding = r#"{"degrees":[2,3],"found":{"priced":null}}"#;
        let text = format!("heading\n{finding}\n{finding}\n{}", &finding[..20]);
        assert_eq!(read(&text, "heading").expect("of this fit").len(), 2);
        assert_eq!(read(&text, "other"), None);
        assert_eq!(read("", "heading"), None);
    }
}

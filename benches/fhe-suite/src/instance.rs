//! The sizes of the benchmark, and where the harness and the processes leave files.

use crate::{During, Failure, Outcome};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

/// A size of the benchmark. How many inputs it has, the harness decides: they are counted in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// One input.
    Single,
    /// Some dozens.
    Small,
    /// About a thousand.
    Medium,
    /// The whole test set.
    Large,
}

impl Size {
    /// All sizes, by the number that the harness gives.
    pub const ALL: [Self; 4] = [Self::Single, Self::Small, Self::Medium, Self::Large];

    /// The name of its folders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// One run of a size, under the suite's root.
#[derive(Debug)]
pub struct Instance {
    size: Size,
    root: PathBuf,
}

impl Instance {
    /// The instance of this size under this root.
    pub fn new(size: Size, root: impl Into<PathBuf>) -> Self {
        Self { size, root: root.into() }
    }

    /// The one that a command line names: 0 to 3 after the program's name; in the working directory.
    ///
    /// # Errors
    /// For other arguments.
    pub fn of_arguments(arguments: impl IntoIterator<Item = String>) -> Outcome<Self> {
        let words: Vec<String> = arguments.into_iter().skip(1).collect();
        let size = match words.as_slice() {
            [word] => word.parse().ok().and_then(|n: usize| Size::ALL.get(n)),
            _ => None,
        };
        let size = size.ok_or_else(|| {
            let found = words.join(" ");
            Failure::new(format!(
                "arguments {found:?}: expected one, the instance size from 0 (single) to 3 (large)"
            ))
        })?;
        Ok(Self::new(*size, ""))
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The harness's inputs: a line for each.
    pub fn test_pixels(&self) -> PathBuf {
        self.root.join("datasets").join(self.size.name()).join("intermediate/test_pixels.txt")
    }

    fn io(&self, name: &str) -> PathBuf {
        self.root.join("io").join(self.size.name()).join(name)
    }

    /// The secret key: the client's own.
    pub fn secret_key(&self) -> PathBuf {
        self.io("secret_key/secret.key")
    }

    /// The inputs as bytes, a pixel each, one image after the other: the client's own.
    pub fn pixels(&self) -> PathBuf {
        self.io("intermediate/pixels.bin")
    }

    /// The answers, a line for each input: the client's own.
    pub fn answers(&self) -> PathBuf {
        self.io("intermediate/answers.txt")
    }

    /// The evaluation keys, whose folder the harness measures.
    pub fn evaluation_keys(&self) -> PathBuf {
        self.io("public_keys/evaluation.keys")
    }

    /// The requests, whose folder the harness measures.
    pub fn requests(&self) -> PathBuf {
        self.io("ciphertexts_upload/requests")
    }

    /// The replies, whose folder the harness measures.
    pub fn replies(&self) -> PathBuf {
        self.io("ciphertexts_download/replies")
    }

    /// What the harness compares with the labels: a class for each input, a line each.
    pub fn predictions(&self) -> PathBuf {
        self.io("encrypted_model_predictions.txt")
    }

    /// Seconds of the server's steps, which the harness copies into its report.
    pub fn reported_steps(&self) -> PathBuf {
        self.io("server_reported_steps.json")
    }
}

/// Opens a file to read.
pub(crate) fn open(path: &Path) -> Outcome<BufReader<File>> {
    Ok(BufReader::new(File::open(path).during(|| format!("cannot open {}", path.display()))?))
}

/// Begins a file, and makes its folder where there is none.
pub(crate) fn create(path: &Path) -> Outcome<BufWriter<File>> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let file = folder.and_then(|()| File::create(path));
    Ok(BufWriter::new(file.during(|| format!("cannot write {}", path.display()))?))
}

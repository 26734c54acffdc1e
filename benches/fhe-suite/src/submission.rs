//! What was installed beside the executables.

use crate::instance::{Size, open};
use crate::{During, Failure, Outcome};
use blindsight_ckks::wire;
use blindsight_network::Model;
use blindsight_planner::Plan;
use std::path::{Path, PathBuf};

/// A model and a plan for it, in a folder of their own: `model.onnx` and `model.plan`.
#[derive(Debug)]
pub struct Submission {
    folder: PathBuf,
}

impl Submission {
    /// The one for instances of a size: `batch` for the large ones where it is there, else `single`.
    ///
    /// # Errors
    /// Where nothing was installed there.
    pub fn of(size: Size, build: &Path) -> Outcome<Self> {
        let mut all = Self::all(build)?;
        Ok(match size {
            Size::Single | Size::Small => all.swap_remove(0),
            Size::Medium | Size::Large => all.pop().expect("one at least"),
        })
    }

    /// All that are there: `single`, and then `batch`, which there need not be.
    ///
    /// # Errors
    /// Where nothing was installed there.
    pub fn all(build: &Path) -> Outcome<Vec<Self>> {
        let folders = ["single", "batch"].map(|name| build.join(name));
        if !folders[0].is_dir() {
            let place = build.display();
            return Err(Failure::new(format!(
                "{place} has no folder \"single\": install the submission with benches/fhe-suite/install"
            )));
        }
        Ok(folders.into_iter().filter(|folder| folder.is_dir()).map(|folder| Self { folder }).collect())
    }

    /// The model, weights and all: the server's.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn model(&self) -> Outcome<Model> {
        let path = self.folder.join("model.onnx");
        Model::load(&path).during(|| format!("model {}", path.display()))
    }

    /// The plan, of which clients use the public part.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn plan(&self) -> Outcome<Plan> {
        let path = self.folder.join("model.plan");
        Plan::read(open(&path)?).during(|| format!("plan {}", path.display()))
    }

    /// How many bytes a request has, but for its frame.
    ///
    /// # Errors
    /// Where the plan cannot be read.
    pub fn request_bytes(&self) -> Outcome<u64> {
        let public = self.plan()?.public;
        let parameters = public.validated_parameters()?;
        Ok(wire::ciphertexts_bytes(&parameters, public.input_level, public.input.ciphertexts()) as u64)
    }
}

//! Arguments that several commands share.

use crate::failure::{During, Failure, Outcome};
use crate::threads::on_threads;
use crate::{configuration, machine, shipped};
use blindsight_network::{Dataset, Examination, Image, Model, Shape};
use blindsight_packing::Plan;
use blindsight_packing::planner::{self, Family, Objective, Options, ReplyKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A model: the path of an ONNX file, or the name of a shipped one.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArgument {
    /// Path of an .onnx file, or the name of a shipped model (see `blindsight models`)
    #[arg(value_name = "MODEL")]
    name: String,
}

impl FromStr for ModelArgument {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Self { name: name.into() })
    }
}

impl ModelArgument {
    /// Reads the model.
    pub fn load(&self) -> Outcome<Model> {
        shipped::model(&self.name)
    }

    /// The name or path, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the model as far as it goes, with everything that keeps it from running encrypted.
    pub fn examine(&self) -> Outcome<Examination> {
        shipped::examine(&self.name)
    }
}

/// What is asked of the planner.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Plan")]
pub struct PlanFlags {
    #[arg(long, value_name = "NAME", default_value_t, help = REPRESENTATIONS)]
    pub representation: Family,
    /// What the plan should be best at: latency, operations, key-switches, upload, throughput
    #[arg(long, value_name = "OBJECTIVE", default_value_t)]
    pub objective: Objective,
    /// Ring degree, a power of two (default: the smallest that fits)
    #[arg(long, value_name = "N")]
    pub ring_degree: Option<usize>,
    /// What the reply may hold: clean, nothing but the scores can be read (raw is not offered: it would save nothing here)
    #[arg(long, value_name = "REPLY", default_value_t)]
    pub reply: ReplyKind,
    /// The most bytes that evaluation keys may take
    #[arg(long, value_name = "BYTES")]
    pub max_key_bytes: Option<u64>,
    /// The most bytes that the encoded model may take in the server's memory
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<u64>,
}

const REPRESENTATIONS: &str = "How tensors lie in ciphertexts: auto (the planner chooses), image (the image itself), \
    taps-T (T taps of the first layer in each input ciphertext), lola or lola-dense (LoLa's plans), cryptonets (batches: an image in each slot)";

impl PlanFlags {
    /// The best plan for a model, with this machine's costs where they were measured; searched by all cores.
    pub fn plan(&self, model: &Model) -> Outcome<Plan> {
        let options = self.options()?;
        on_threads(machine::cores(), || Ok(planner::plan(model, &options)?))
    }

    /// The same for the planner.
    pub fn options(&self) -> Outcome<Options> {
        Ok(Options {
            family: self.representation,
            objective: self.objective,
            ring_degree: self.ring_degree,
            reply: self.reply,
            max_key_bytes: self.max_key_bytes,
            max_model_bytes: self.memory,
            max_error: None,
            cost: configuration::costs()?,
        })
    }
}

/// How exact scores are shown.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct PrecisionFlags {
    /// Scores as they are decrypted, not rounded to the predicted error. Each is then an equation of the
    /// secret key for whoever has the reply: show them to nobody, or they give the key away
    #[arg(long)]
    pub exact_scores: bool,
}

/// An image: a PNG, or a test image of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageArgument {
    /// A PNG file.
    Png(PathBuf),
    /// Test image `index` of the data set in `folder`.
    Test {
        /// The folder with the data set's original files.
        folder: PathBuf,
        /// The image's number, from 0.
        index: usize,
    },
}

impl FromStr for ImageArgument {
    type Err = String;

    /// `DIR:N` where what stands before the last colon is a folder, else the path of a PNG.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((folder, index)) = text.rsplit_once(':').filter(|(folder, _)| Path::new(folder).is_dir())
        else {
            return Ok(Self::Png(text.into()));
        };
        let index = index.parse().map_err(|_| {
            format!("{index:?} is no number of an image: expected DIR:N, N counted from 0, as in mnist:0")
        })?;
        Ok(Self::Test { folder: folder.into(), index })
    }
}

impl ImageArgument {
    /// Reads the image, which must be of `shape`.
    pub fn load(&self, shape: Shape) -> Outcome<Image> {
        match self {
            Self::Png(path) => Image::open(path, shape).during(|| format!("image {}", path.display())),
            Self::Test { folder, index } => Ok(dataset(folder, shape)?.image(*index)?),
        }
    }
}

/// The test images of a data set, which must be of `shape`.
pub fn dataset(folder: &Path, shape: Shape) -> Outcome<Dataset> {
    let dataset = Dataset::open(folder)?;
    if dataset.shape() != shape {
        return Err(Failure::new(format!(
            "the images in {} are {} (channels x height x width), the model takes {shape}",
            folder.display(),
            dataset.shape()
        )));
    }
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_file_or_a_number_in_a_folder() {
        let parse = |text: &str| text.parse::<ImageArgument>();
        assert_eq!(parse("a/b.png"), Ok(ImageArgument::Png("a/b.png".into())));
        assert_eq!(parse("no-such-folder:3"), Ok(ImageArgument::Png("no-such-folder:3".into())));
        assert_eq!(parse("src:3"), Ok(ImageArgument::Test { folder: "src".into(), index: 3 }));
        assert!(parse("src:three").expect_err("no number").contains("DIR:N"));
    }
}

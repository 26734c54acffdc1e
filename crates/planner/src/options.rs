//! What is asked of the planner.

use crate::objective::Objective;
use crate::{Error, Lola};
use blindsight_circuit::CostModel;
use blindsight_ckks::Security;
use blindsight_layers::{Choice, LayerChoice};
use blindsight_layout::Masking;
use std::fmt;
use std::str::FromStr;

/// Which plans are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// All that are offered.
    #[default]
    Auto,
    /// Those with so many kernel positions of the first layer in each input ciphertext.
    Im2col(usize),
    /// Those whose input is the image itself.
    Image,
    /// LoLa's plans.
    Lola(Lola),
    /// The one for batches of images.
    Batch,
    /// The one without evaluation keys.
    Keyless,
}

impl Packing {
    /// The packing that a choice belongs to.
    pub fn of(choice: &Choice) -> Self {
        match &choice.layers[..] {
            [LayerChoice::Im2col { output, .. }, ..] => Self::Im2col(output.blocks.parts),
            _ => Self::Image,
        }
    }
}

/// The names of [`Packing`] for help texts; `im2col-T` stands for any number that fits.
pub const OFFERED: &str = "auto, image (the image itself), im2col-1, im2col-2, ... im2col-T (T kernel positions of the first layer in each input ciphertext), keyless (no evaluation keys; for two linear layers with a square between), lola, lola-dense, cryptonets (a batch, an image in each slot)";

impl FromStr for Packing {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let refused = |reason| Error::Representation { asked: name.into(), reason, offered: OFFERED.into() };
        match name {
            "auto" => return Ok(Self::Auto),
            "image" => return Ok(Self::Image),
            "lola" => return Ok(Self::Lola(Lola::Offsets)),
            "lola-dense" => return Ok(Self::Lola(Lola::Dense)),
            "cryptonets" => return Ok(Self::Batch),
            "keyless" => return Ok(Self::Keyless),
            _ => {}
        }
        let taps = name.strip_prefix("im2col-").and_then(|t| t.parse().ok()).filter(|t| *t > 0);
        taps.map(Self::Im2col).ok_or_else(|| refused("unknown"))
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Im2col(taps) => write!(f, "im2col-{taps}"),
            Self::Image => f.write_str("image"),
            Self::Batch => f.write_str("cryptonets"),
            Self::Keyless => f.write_str("keyless"),
            Self::Lola(Lola::Offsets) => f.write_str("lola"),
            Self::Lola(Lola::Dense) => f.write_str("lola-dense"),
        }
    }
}

/// What the reply may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyKind {
    /// Nothing but the scores (and what proves them) can be read.
    #[default]
    Clean,
    /// The same, and what is sent says nothing of the weights that a distinguisher could tell better than by
    /// `2^-kappa`: see [`blindsight_ckks::masking`].
    Private {
        /// How many bits noise lies above errors.
        kappa: u32,
    },
}

impl ReplyKind {
    /// The `kappa` of private replies where none is asked for.
    pub const KAPPA: u32 = 20;

    /// A reply of this name, private ones with this `kappa`.
    ///
    /// # Errors
    /// Where another reply has a `kappa`, or it is none of 1 to [`Masking::MOST_KAPPA`].
    pub fn with_kappa(self, kappa: Option<u32>) -> Result<Self, Error> {
        match (self, kappa) {
            (Self::Clean, Some(kappa)) => {
                Err(Error::does_not_fit("kappa", kappa, "none: it is for private replies (--reply private)"))
            }
            (Self::Private { .. }, Some(kappa)) if !(1..=Masking::MOST_KAPPA).contains(&kappa) => {
                Err(Error::does_not_fit("kappa", kappa, format!("1 to {}", Masking::MOST_KAPPA)))
            }
            (Self::Private { .. }, Some(kappa)) => Ok(Self::Private { kappa }),
            (reply, None) => Ok(reply),
        }
    }

    /// The `kappa` of a private reply.
    pub(crate) fn kappa(self) -> Option<u32> {
        match self {
            Self::Clean => None,
            Self::Private { kappa } => Some(kappa),
        }
    }
}

impl FromStr for ReplyKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let reason = match name {
            "clean" => return Ok(Self::Clean),
            "private" => return Ok(Self::Private { kappa: Self::KAPPA }),
            "raw" => {
                "the clean reply of these plans is a single product, so a raw one would cost more bytes and save nothing"
            }
            _ => "there are clean and private",
        };
        Err(Error::NotOffered { what: "reply", asked: name.into(), reason })
    }
}

impl fmt::Display for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean",
            Self::Private { .. } => "private",
        })
    }
}

/// What is asked of the planner.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which plans are looked at.
    pub packing: Packing,
    /// What the plan should be best at.
    pub objective: Objective,
    /// The ring degree; without it the smallest that fits.
    pub ring_degree: Option<usize>,
    /// What the reply may hold.
    pub reply: ReplyKind,
    /// How much security the parameters have to have.
    pub security: Security,
    /// The most bytes that evaluation keys may take.
    pub max_key_bytes: u64,
    /// The most bytes of the server's memory that the encoded model and the values of an inference may take.
    /// Without it 20 GiB; and plans that would take more than 8 GiB are made with less where that costs
    /// little time.
    pub max_memory: Option<u64>,
    /// The largest predicted error (root mean square) of a score; an eighth of what the zero checks of the
    /// reply tolerate is never exceeded.
    pub max_error: Option<f64>,
    /// How long operations take.
    pub cost: CostModel,
}

/// The most bytes of keys that a plan asks for where no limit is said.
pub const DEFAULT_KEY_LIMIT: u64 = 2 << 30;

/// The most bytes of memory that a plan takes where no limit is said.
pub const DEFAULT_MEMORY_LIMIT: u64 = 20 << 30;

impl Default for Options {
    fn default() -> Self {
        Self {
            packing: Packing::Auto,
            objective: Objective::Latency,
            ring_degree: None,
            reply: ReplyKind::Clean,
            security: Security::default(),
            max_key_bytes: DEFAULT_KEY_LIMIT,
            max_memory: None,
            max_error: None,
            cost: CostModel::default(),
        }
    }
}

impl Options {
    /// Whether a plan for batches is asked for.
    pub(crate) fn is_batch(&self) -> bool {
        let fastest = self.packing == Packing::Auto && self.objective == Objective::Throughput;
        self.packing == Packing::Batch || fastest
    }
}

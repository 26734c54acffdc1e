//! The public part of a plan: all that a client needs.

use crate::{Error, InputLayout, ReplyLayout};
use blindsight_ckks::{Demands, KeyRequirements, Level, Parameters, ParametersLiteral, Scale, Security};
use blindsight_network::FinalActivation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// All that a client needs to know of a model: no weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicPlan {
    /// The model's name.
    pub model: String,
    /// The name of the plan's representation.
    pub representation: String,
    /// What the planner was asked to be best at.
    pub objective: String,
    /// What the reply may hold.
    pub reply_kind: String,
    /// The cryptographic parameters.
    pub parameters: ParametersLiteral,
    /// How an image is written into slots.
    pub input: InputLayout,
    /// The level that inputs are encrypted at.
    pub input_level: Level,
    /// The scale that inputs are encrypted at.
    pub input_scale: Scale,
    /// What is subtracted from each channel's pixels, as a share of 255.
    pub mean: Vec<f64>,
    /// What each channel is divided by after that.
    pub std: Vec<f64>,
    /// The least and the largest normalised value that the scales were set for.
    pub input_range: (f64, f64),
    /// A name for each score; or two for one score, that of a negative one first.
    pub labels: Vec<String>,
    /// What the client applies to the scores.
    pub output: FinalActivation,
    /// What no score's magnitude should exceed.
    pub score_bound: f64,
    /// The evaluation keys that the server needs.
    pub keys: KeyRequirements,
    /// How scores are read from the reply.
    pub reply: ReplyLayout,
    /// The predicted error of a score, root mean square; what masks the reply is part of it.
    pub predicted_error: f64,
    /// How much security the parameters have to have.
    pub security: Security,
    /// How replies are masked, where they are.
    pub masking: Option<Masking>,
}

/// How much a masked reply says of the network beside its scores: nothing that a distinguisher could tell
/// better than by `2^-kappa` ([`blindsight_ckks::masking`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masking {
    /// How many bits the noise lies above the largest sum of errors.
    pub kappa: u32,
    /// The noise of each coefficient is uniform in `[-2^noise_bits, 2^noise_bits)`, in integers of the reply.
    pub noise_bits: u32,
}

impl Masking {
    /// How many primes a level has in plans whose replies are masked: the noise takes scales as much larger.
    pub const LEVEL_LIMBS: usize = 2;
    /// The most `kappa` that there is: more than any ring has room for.
    pub const MOST_KAPPA: u32 = 40;
}

/// No encoded plan is larger.
pub const LARGEST_PLAN_BYTES: usize = 1 << 20;
/// How far a pixel may lie outside of the range, as a share of it: half a grey level, which clamping then
/// takes away.
pub(crate) const SLACK: f64 = 1.0 / 510.0;

impl PublicPlan {
    /// The plan's parameters, checked against the security that it states.
    ///
    /// # Errors
    /// Those of [`ParametersLiteral::validate_as`].
    pub fn validated_parameters(&self) -> Result<Parameters, blindsight_ckks::Error> {
        let level_limbs = if self.masking.is_some() { Masking::LEVEL_LIMBS } else { 1 };
        self.parameters.validate_as(Demands { security: self.security, level_limbs })
    }

    /// The encoding, the same for equal public plans.
    pub fn to_bytes(&self) -> Vec<u8> {
        encoded(self)
    }

    /// What names the plan that this is the public part of: SHA-256 of the text `blindsight plan 1`, the
    /// SHA-256 of this encoding, and `private`, the SHA-256 of the rest.
    pub fn digest(&self, private: &[u8; 32]) -> [u8; 32] {
        let hasher = Sha256::new().chain_update(DIGEST_DOMAIN);
        hasher.chain_update(Sha256::digest(self.to_bytes())).chain_update(private).finalize().into()
    }

    /// Brings values into the range that the scales were set for, what is no number to its least; how many
    /// were changed by more than half a grey level.
    pub fn clamp(&self, values: &mut [f64]) -> usize {
        let (least, largest) = self.input_range;
        let slack = SLACK * (largest - least);
        let mut outside = 0;
        for value in values {
            let inside = *value >= least - slack && *value <= largest + slack;
            outside += usize::from(!inside);
            *value = value.max(least).min(largest);
        }
        outside
    }

    /// The slots of each input ciphertext for a normalised image.
    ///
    /// # Errors
    /// As [`write_images`](Self::write_images).
    pub fn write(&self, values: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        self.write_images(&[values])
    }

    /// The slots of each input ciphertext for normalised images: one, or up to a batch's worth. No value is
    /// refused: those out of range are [clamped](Self::clamp). Whoever needs every copy of the values wiped
    /// clamps them beforehand.
    ///
    /// # Errors
    /// Where there are none or too many, and where the number of values is not an image's.
    pub fn write_images(&self, images: &[&[f64]]) -> Result<Vec<Vec<f64>>, Error> {
        let (least, largest) = self.input_range;
        if images.iter().all(|image| image.iter().all(|v| (least..=largest).contains(v))) {
            return self.input.write_images(images);
        }
        let mut clamped: Vec<Vec<f64>> = images.iter().map(|image| image.to_vec()).collect();
        clamped.iter_mut().for_each(|image| {
            self.clamp(image);
        });
        self.input.write_images(&clamped.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// What the bytes begin with whose SHA-256 is a plan's digest.
const DIGEST_DOMAIN: &[u8] = b"blindsight plan 2";

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a plan has nothing that cannot be encoded")
}

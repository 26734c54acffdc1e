//! Which public plans a client accepts.
//!
//! A client that refused some images under a plan and not others would tell whoever wrote the plan something
//! of the image: a request comes, or does not. So all that could be wrong is looked for here, before there is
//! an image: what is accepted encrypts every input.

use crate::public_plan::SLACK;
use crate::{Error, InputLayout, Masking, PublicPlan, ReplyForm};
use blindsight_ckks::masking::{MOST_NOISE_BITS, noise_deviation};
use blindsight_ckks::wire;
use blindsight_ckks::{Level, Parameters};

/// No input has a larger scale.
const LARGEST_INPUT_SCALE: f64 = (1u64 << 60) as f64;
/// No plan asks for more keys.
const MOST_KEYS: usize = 1 << 12;
/// No plan's evaluation keys take more bytes. What a client agrees to is less.
const MOST_KEY_BYTES: u64 = 16 << 30;
/// Bytes of keys that a client makes for a plan from elsewhere, unless it is told to make more.
pub const DEFAULT_AGREED_KEYS: u64 = 1 << 30;
/// Bytes of keys that a server stores for a client, unless it is told to store more.
pub const DEFAULT_KEY_QUOTA: u64 = 512 << 20;
/// No plan's request takes more bytes.
const MOST_REQUEST_BYTES: u64 = 4 << 30;
/// No plan's reply takes more bytes.
const MOST_REPLY_BYTES: u64 = 1 << 30;
/// Bits that an encoded input leaves unused, for the rounding of the encoder's floating-point numbers.
const SPARE_BITS: f64 = 0.01;
/// Integers of the encoder's type have so many bits beside the sign.
const INTEGER_BITS: f64 = 62.0;
/// What replies are called that are masked.
const PRIVATE: &str = "private";

impl PublicPlan {
    /// Checks a public plan, whoever it came from: what passes is consistent in itself, of the
    /// security that it states, 128 bits at least, and encrypts every input of its kind: every image, and
    /// every vector once its values are
    /// clamped.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_for(&self.validated_parameters()?)
    }

    /// As [`validate`](Self::validate), with parameters that are already validated.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn validate_for(&self, parameters: &Parameters) -> Result<(), Error> {
        self.input.validate()?;
        self.validate_input(parameters)?;
        self.validate_reply(parameters)?;
        self.validate_normalisation()?;
        self.validate_magnitude(parameters)?;
        self.validate_keys(parameters)?;
        self.validate_masking()?;
        self.validate_sizes(parameters)
    }

    fn validate_input(&self, parameters: &Parameters) -> Result<(), Error> {
        if self.input.slots() != parameters.slots() {
            return wrong("its input layout is for another ring degree than its parameters");
        }
        if self.input_level > parameters.max_level() {
            return wrong("its input level does not exist");
        }
        // Those of others follow from weights.
        let is_nominal =
            !matches!(self.reply.form, ReplyForm::Batch { .. } | ReplyForm::Unrelinearised { .. });
        if is_nominal && self.input_scale != parameters.nominal_scale() {
            return wrong("its input scale is not the nominal one");
        }
        if !(1.0..=LARGEST_INPUT_SCALE).contains(&self.input_scale.0) {
            return wrong("its input scale is out of range");
        }
        Ok(())
    }

    fn validate_reply(&self, parameters: &Parameters) -> Result<(), Error> {
        let is_batch = matches!(self.input, InputLayout::Batch(_));
        if is_batch != matches!(self.reply.form, ReplyForm::Batch { .. }) {
            return wrong("images and scores are not both in a batch, or both not");
        }
        self.reply.validate()?;
        match self.reply.form {
            ReplyForm::Batch { slots } if slots == parameters.slots() => {}
            ReplyForm::Coefficients => self.reply.check_room(parameters.slots())?,
            ReplyForm::Constants => {}
            ReplyForm::Unrelinearised { each, .. } if each < parameters.slots() => {}
            ReplyForm::Periodic { slots, .. } if slots == parameters.slots() => {}
            ReplyForm::Periodic { .. } | ReplyForm::Batch { .. } | ReplyForm::Unrelinearised { .. } => {
                return wrong("its reply is for another ring degree than its parameters");
            }
        }
        self.reply.check_capacity(parameters.modulus(Level(0)))?;
        let (labels, scores) = (self.labels.len(), self.reply.scores.len());
        if labels != scores && (labels, scores) != (2, 1) {
            return wrong("it has not one label for each score, or two for one score");
        }
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(self.score_bound) || self.score_bound > self.reply.capacity {
            return wrong("its score bound is not positive or beyond the reply's capacity");
        }
        if !(0.0..=self.reply.tolerance()).contains(&self.predicted_error) {
            return wrong(
                "its predicted error is not a number, negative, or beyond what its reply tolerates",
            );
        }
        Ok(())
    }

    /// Checks that masking is what it says: that the key which it takes is asked for, that it leaves scores
    /// that can be told from noise, and that the predicted error knows of it.
    fn validate_masking(&self) -> Result<(), Error> {
        let is_named = self.reply_kind == PRIVATE;
        let Some(Masking { kappa, noise_bits }) = self.masking else {
            return match is_named || self.keys.public.is_some() {
                true => wrong(
                    "it says that replies are private, or asks for a public key, and does not say how they are masked",
                ),
                false => Ok(()),
            };
        };
        if !is_named || self.keys.public != Some(Level(0)) {
            return wrong(
                "its replies are masked, but not said to be private, or without a public key of level 0",
            );
        }
        if matches!(self.reply.form, ReplyForm::Batch { .. } | ReplyForm::Unrelinearised { .. }) {
            return wrong("replies to batches, and those of three parts, cannot be masked");
        }
        let largest = self.reply.tolerance() * self.reply.scale.0;
        if !(1..=Masking::MOST_KAPPA).contains(&kappa)
            || noise_bits > MOST_NOISE_BITS
            || f64::from(noise_bits).exp2() > largest
        {
            return Err(Error::Plan(format!(
                "its replies are masked by {noise_bits} bits of noise for a kappa of {kappa}: expected at most {:.1} bits, and 1 to {}",
                largest.log2().min(MOST_NOISE_BITS.into()),
                Masking::MOST_KAPPA
            )));
        }
        if self.predicted_error < 0.999 * noise_deviation(noise_bits, self.reply.scale) {
            return wrong("its predicted error is less than the noise that masks its replies");
        }
        Ok(())
    }

    fn validate_normalisation(&self) -> Result<(), Error> {
        let channels = self.input.shape().channels;
        let (least, largest) = self.input_range;
        let numbers = self.mean.len() == channels
            && self.std.len() == channels
            && self.mean.iter().all(|m| m.is_finite())
            && self.std.iter().all(|s| s.is_finite() && *s > 0.0)
            && least.is_finite()
            && largest.is_finite()
            && least <= largest;
        if !numbers {
            return wrong("its normalisation is not one for each channel of its image");
        }
        let slack = SLACK * (largest - least);
        let within = |v: f64| v >= least - slack && v <= largest + slack;
        let pixels = self.mean.iter().zip(&self.std).flat_map(|(m, s)| [-m / s, (1.0 - m) / s]);
        match pixels.into_iter().find(|v| !within(*v)) {
            Some(outside) if self.is_of_images() => Err(Error::Plan(format!(
                "pixels from 0 to 255 come to {outside} once normalised, outside of its input range of {least} to {largest}: every image must be in range"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether inputs have rows and columns. Others are vectors, whose range is their owner's to know.
    fn is_of_images(&self) -> bool {
        let shape = self.input.shape();
        shape.height > 1 && shape.width > 1
    }

    /// Checks that every input in range can be encoded. A coefficient of a polynomial is a mean of its slots
    /// times cosines, so no larger than the largest slot; besides the input's values there are zeros and
    /// ones.
    fn validate_magnitude(&self, parameters: &Parameters) -> Result<(), Error> {
        let (least, largest) = self.input_range;
        let magnitude = least.abs().max(largest.abs()).max(1.0);
        let needed = (magnitude * self.input_scale.0).log2() + SPARE_BITS;
        let available = (parameters.log_q(self.input_level) - 1.0).min(INTEGER_BITS);
        if needed <= available {
            return Ok(());
        }
        Err(Error::Plan(format!(
            "inputs up to {magnitude} need {needed:.1} bits at its scale, its input level has {available:.1}"
        )))
    }

    fn validate_keys(&self, parameters: &Parameters) -> Result<(), Error> {
        let (slots, levels) = (parameters.slots(), parameters.max_level());
        let steps = self.keys.rotations.keys().all(|s| (1..slots).contains(s));
        let public = self.keys.public.unwrap_or(Level(0));
        if parameters.special().is_empty() && self.keys.iter().next().is_some() {
            return wrong("it needs keys, and its parameters have no special primes for them");
        }
        let exist = self.keys.iter().all(|(_, level)| level <= levels) && public <= levels;
        if steps && exist && self.keys.rotations.len() <= MOST_KEYS {
            return Ok(());
        }
        Err(Error::Plan(format!(
            "it needs keys for rotations by more than {slots}, above {levels}, or more than {MOST_KEYS}"
        )))
    }

    fn validate_sizes(&self, parameters: &Parameters) -> Result<(), Error> {
        let request = wire::ciphertexts_bytes(parameters, self.input_level, self.input.ciphertexts());
        let sizes = [
            ("evaluation keys", wire::evaluation_keys_bytes(parameters, &self.keys), MOST_KEY_BYTES),
            ("request", request, MOST_REQUEST_BYTES),
            ("reply", wire::reply_bytes(parameters, self.reply.shape()), MOST_REPLY_BYTES),
        ];
        match sizes.into_iter().find(|(_, bytes, most)| *bytes as u64 > *most) {
            Some((what, bytes, most)) => {
                Err(Error::does_not_fit(format!("bytes of the {what}"), bytes, format!("at most {most}")))
            }
            None => Ok(()),
        }
    }
}

fn wrong(what: &str) -> Result<(), Error> {
    Err(Error::Plan(what.into()))
}

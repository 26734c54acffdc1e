//! The client: the only place where a secret key lives.
//!
//! # Concepts
//!
//! A [`Client`] is made from the public part of a plan and a secret key, new or stored. It writes evaluation
//! keys for the server, encrypts images into requests, and decrypts replies into a [`Classification`].
//!
//! # Contract
//!
//! - Everything that leaves is framed with the plan's digest and the key's identity
//!   (`blindsight_ckks::wire`), and everything that comes is checked against both before it is used.
//! - A reply that was not computed with this client's keys is an [`Error`], never a confident label: a plan
//!   makes replies carry coefficients whose value is known beforehand, and noise does not hit them.
//! - What others can see of the client does not depend on secrets. A plan is accepted only if every input of
//!   its kind encrypts; values outside of its range are clamped, with a [`Warning`] for the user alone.
//!   Nothing is sent because of what a reply decrypts to.
//! - Scores are rounded to the predicted error. Their exact values hold equations of the secret key:
//!   [`Client::exact_scores`].
//! - An answer whose two best scores are closer than a few predicted errors is marked as too close to call
//!   ([`Classification::too_close`]), with a [`Warning`].
//! - Scores beyond the plan's bound come with a [`Warning`], and so does a key under which many replies were
//!   decrypted.
//! - The secret key is never printed; its file is private and never overwritten, and may be sealed with a
//!   passphrase (feature `seal`).
//!
//! # Non-goals
//!
//! The client knows nothing of weights and needs no model, only the public plan.

mod answer;
mod cost;
mod error;
mod printable;
#[cfg(feature = "http")]
pub mod remote;
mod replies;
mod rounding;
#[cfg(feature = "seal")]
mod seal;
mod store;

pub use answer::{Classification, Ranked};
pub use cost::Cost;
pub use error::Error;
pub use printable::{is_harmful, printable};
pub use replies::{REPLIES_OF_A_KEY, ReplyCount};
#[cfg(feature = "seal")]
pub use seal::{Passphrase, SealError, is_sealed, seal_file, unseal_file};

use blindsight_ckks::wire::{self, Expected, Header, KeyId, Kind, Length, PlanDigest};
use blindsight_ckks::{Context, Parameters, Parts, Randomness, SecretKey, SeededEvaluationKeys, noise};
use blindsight_layout::{PublicPlan, ReplyForm, Scores, Verdict};
use blindsight_network::{Image, Metadata};
use blindsight_ring::Kernel;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The holder of a secret key.
///
/// Does not print the key and cannot be cloned.
pub struct Client {
    plan: PublicPlan,
    digest: PlanDigest,
    context: Arc<Context>,
    secret: SecretKey,
    id: KeyId,
}

/// Why a classification may be less good than it looks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// A score larger than any the model was expected to give.
    LargeScore {
        /// The class.
        label: String,
        /// Its score.
        score: f64,
        /// The plan's bound on scores.
        bound: f64,
    },
    /// Values of an input that were brought into the plan's range.
    Clamped {
        /// How many.
        values: usize,
        /// The range.
        range: (f64, f64),
    },
    /// The two best scores are closer than a few predicted errors: either class may be the right one.
    TooClose {
        /// The two classes, the one with the larger score first.
        labels: [String; 2],
        /// How far the scores are apart.
        margin: f64,
        /// The predicted error of a score.
        predicted_error: f64,
    },
    /// Many replies were decrypted under one secret key.
    ManyReplies {
        /// How many.
        replies: u64,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LargeScore { label, score, bound } => write!(
                f,
                "the score of {} is {score:.2}, expected at most {bound} in size: the image is unlike those the model was made for",
                printable(label)
            ),
            Self::Clamped { values, range: (least, largest) } => write!(
                f,
                "{values} values of the input were outside of {least} to {largest} and were brought into that range: the input is unlike those the model was made for",
                // Takes the sign from a negative zero.
                least = least + 0.0
            ),
            Self::TooClose { labels: [best, next], margin, predicted_error } => {
                let (best, next) = (printable(best), printable(next));
                let decimals = rounding::decimals(*predicted_error);
                // Two digits of the error.
                let finer = decimals + 2;
                write!(
                    f,
                    "too close to call: {best} or {next}: their scores differ by {margin:.decimals$}, and the predicted error of a score is {predicted_error:.finer$}"
                )
            }
            Self::ManyReplies { replies } => write!(
                f,
                "{replies} replies were decrypted under this secret key, more than {REPLIES_OF_A_KEY}: if others see any of the results, make new keys"
            ),
        }
    }
}

impl Client {
    /// A client with a new secret key.
    ///
    /// # Errors
    /// Where the plan's parameters are refused, and where the system gives no randomness.
    pub fn generate(plan: PublicPlan, digest: PlanDigest) -> Result<Self, Error> {
        let context = context(&plan)?;
        let mut randomness = Randomness::from_system()?;
        let secret = SecretKey::generate(&context, &mut randomness);
        let mut id = KeyId::default();
        let length = id.len();
        id.copy_from_slice(&randomness.seed()[..length]);
        Ok(Self { plan, digest, context, secret, id })
    }

    /// The client whose secret key [`Client::save`] stored.
    ///
    /// # Errors
    /// For a file that is not such a key, is damaged, or belongs to another plan.
    pub fn load(plan: PublicPlan, digest: PlanDigest, path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::file("read", path, source))?;
        // Without a buffer, which nobody would wipe.
        Self::read(plan, digest, file)
    }

    /// As [`Client::load`], from any source.
    pub fn read(plan: PublicPlan, digest: PlanDigest, source: impl Read) -> Result<Self, Error> {
        let context = context(&plan)?;
        let length = Length::Exactly(wire::secret_key_bytes(context.parameters()));
        let expected = Expected { kind: Kind::SecretKey, plan: Some(digest), key: None, length };
        let read = || {
            let (header, payload) = wire::open_secret(source, &expected)?;
            Ok((header.key, wire::read_secret_key(&context, &payload)?))
        };
        let (id, secret) = read().map_err(|source| Error::Wire { what: "secret key", source })?;
        Ok(Self { plan, digest, context, secret, id })
    }

    /// Stores the secret key in a new file that only its owner can read.
    ///
    /// # Errors
    /// Where the file exists already ([`Error::SecretExists`]), or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        store::write_secret(path, &self.secret_key(), &wire::hex(&self.id[..4]))
    }

    /// The secret key, framed, as [`Client::read`] takes it: for a store of the owner's own that is no file.
    pub fn secret_key(&self) -> Zeroizing<Vec<u8>> {
        let payload = wire::write_secret_key(&self.secret);
        Zeroizing::new(wire::seal(&self.header(Kind::SecretKey), &payload))
    }

    /// The plan.
    pub fn plan(&self) -> &PublicPlan {
        &self.plan
    }

    /// The random identity of the secret key and of all that is made with it. Public.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// Generates the evaluation keys that the plan needs, framed for the server. `progress` is told how many
    /// of how many are done.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn evaluation_keys(&self, mut progress: impl FnMut(usize, usize)) -> Result<Vec<u8>, Error> {
        let needed = &self.plan.keys;
        let count = needed.iter().count();
        let keys = SeededEvaluationKeys::generate(
            &self.context,
            &self.secret,
            needed,
            &mut Randomness::from_system()?,
            |done| progress(done, count),
        )?;
        let payload = wire::write_evaluation_keys(&self.context, &keys);
        Ok(wire::seal(&self.header(Kind::EvaluationKeys), &payload))
    }

    /// Encrypts an image, framed for the server.
    ///
    /// # Errors
    /// For an image of another size or with other colours than the plan takes, and where the system gives no
    /// randomness. Never for what the image shows.
    pub fn encrypt(&self, image: &Image) -> Result<Vec<u8>, Error> {
        self.encrypt_images(std::slice::from_ref(image))
    }

    /// Encrypts images into one request: as many as the plan's input holds
    /// ([`blindsight_layout::InputLayout::images`]).
    ///
    /// # Errors
    /// As [`Client::encrypt`], and for none or too many.
    pub fn encrypt_images(&self, images: &[Image]) -> Result<Vec<u8>, Error> {
        let inputs = images.iter().map(|image| self.normalise(image)).collect::<Result<Vec<_>, _>>()?;
        self.encrypt_values(Zeroizing::new(inputs))
    }

    /// Encrypts the network's input: normalised values in the order channel, row, column. Values outside of
    /// the plan's range are clamped; [`Client::check_input`] tells.
    ///
    /// # Errors
    /// For a wrong number of values, and where the system gives no randomness. Never for what the values are.
    pub fn encrypt_input(&self, input: &[f64]) -> Result<Vec<u8>, Error> {
        self.encrypt_inputs(&[input])
    }

    /// Encrypts inputs into one request, as [`Client::encrypt_input`] does one: as many as the plan's input
    /// holds.
    ///
    /// # Errors
    /// As [`Client::encrypt_input`], and for none or too many.
    pub fn encrypt_inputs(&self, inputs: &[impl AsRef<[f64]>]) -> Result<Vec<u8>, Error> {
        let inputs = inputs.iter().map(|input| input.as_ref().to_vec()).collect();
        self.encrypt_values(Zeroizing::new(inputs))
    }

    /// What is to be said, here and to nobody else, of an input before it is encrypted.
    pub fn check_input(&self, input: &[f64]) -> Option<Warning> {
        let mut clamped = Zeroizing::new(input.to_vec());
        let values = self.plan.clamp(&mut clamped);
        (values > 0).then_some(Warning::Clamped { values, range: self.plan.input_range })
    }

    fn encrypt_values(&self, mut inputs: Zeroizing<Vec<Vec<f64>>>) -> Result<Vec<u8>, Error> {
        inputs.iter_mut().for_each(|input| {
            self.plan.clamp(input);
        });
        let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
        let slots = Zeroizing::new(self.plan.write_images(&inputs)?);
        let (level, scale) = (self.plan.input_level, self.plan.input_scale);
        let mut randomness = Randomness::from_system()?;
        let ciphertexts = self.secret.encrypt_all(&self.context, &slots, level, scale, &mut randomness)?;
        let payload = wire::write_ciphertexts(&self.context, &ciphertexts);
        Ok(wire::seal(&self.header(Kind::Ciphertexts), &payload))
    }

    /// Decrypts a reply. Scores are rounded to the predicted error.
    ///
    /// # Errors
    /// For bytes that are no reply to this client under this plan, and for a reply that decrypts to noise
    /// ([`Error::Garbage`]).
    pub fn decrypt(&self, reply: impl Read) -> Result<Classification, Error> {
        Ok(self.decrypt_images(reply, 1)?.swap_remove(0))
    }

    /// Decrypts a reply to so many images, in the order in which they were encrypted. Scores are rounded to
    /// the predicted error.
    ///
    /// # Errors
    /// As [`Client::decrypt`], and for more images than the plan's input holds.
    pub fn decrypt_images(&self, reply: impl Read, images: usize) -> Result<Vec<Classification>, Error> {
        Ok(self.exact_scores(reply, images)?.into_iter().map(|exact| self.rounded(exact)).collect())
    }

    /// As [`Client::decrypt_images`], scores as they are decrypted.
    ///
    /// An exact score is the message plus an error that is linear in the secret key: each is an equation of
    /// the key for whoever has the reply, and as many as the key has coefficients give it away (Li and
    /// Micciancio, ia.cr/2020/1533). Exact scores are for measuring, and for nobody but the holder of the
    /// key.
    ///
    /// # Errors
    /// As [`Client::decrypt_images`].
    pub fn exact_scores(&self, reply: impl Read, images: usize) -> Result<Vec<Classification>, Error> {
        let most = self.plan.input.images();
        let decrypted = match self.plan.reply.form {
            ReplyForm::Batch { .. } if (1..=most).contains(&images) => self.decrypt_batch(reply, images),
            ReplyForm::Batch { .. } => Err(Error::Images { actual: images, most }),
            _ if images == 1 => self.decrypt_coefficients(reply).map(|read| vec![read]),
            _ => Err(Error::Images { actual: images, most }),
        };
        decrypted.map_err(Error::coarse)
    }

    /// A classification whose scores, margin, and figures in warnings are rounded to the predicted error: 1,
    /// 2 or 5 times a power of ten. Label and decision stay those of the exact scores.
    pub fn rounded(&self, exact: Classification) -> Classification {
        exact.rounded(self.score_error())
    }

    /// The error that scores are rounded to: the one that the plan predicts, which the server wrote, or where
    /// that is less than any reply can have, the least.
    fn score_error(&self) -> f64 {
        let parameters = self.context.parameters();
        let division = match self.plan.reply.shape().parts {
            Parts::Two => noise::division(parameters),
            Parts::Three => noise::division_unrelinearised(parameters),
        };
        let least = noise::coefficient_deviation(parameters, division, self.plan.reply.scale);
        self.plan.predicted_error.max(least)
    }

    /// What the plan asks of this client.
    pub fn cost(&self) -> Cost {
        Cost::with(&self.plan, self.context.parameters())
    }

    fn decrypt_batch(&self, reply: impl Read, images: usize) -> Result<Vec<Classification>, Error> {
        let slots =
            |coefficients: Vec<f64>| self.context.coefficients_to_slots(&Zeroizing::new(coefficients));
        let slots = self.decrypt_replies(reply)?.into_iter().map(slots).collect::<Result<Vec<_>, _>>()?;
        let (scores, verdict) = self.plan.reply.read_batch(&Zeroizing::new(slots), images)?;
        scores.into_iter().map(|scores| self.classification(Scores { scores, verdict })).collect()
    }

    fn decrypt_coefficients(&self, reply: impl Read) -> Result<Classification, Error> {
        let coefficients = self.decrypt_replies(reply)?.concat();
        self.classification(self.plan.reply.read(&coefficients)?)
    }

    /// The coefficients that each ciphertext of a reply carries.
    fn decrypt_replies(&self, reply: impl Read) -> Result<Vec<Vec<f64>>, Error> {
        let layout = &self.plan.reply;
        let (indices, shape) = (layout.indices(), layout.shape());
        let length = Length::Exactly(wire::reply_bytes(self.context.parameters(), shape));
        let expected = Expected { kind: Kind::Reply, plan: Some(self.digest), key: Some(self.id), length };
        let read = || {
            let (_, payload) = wire::open(reply, &expected)?;
            wire::read_replies(&self.context, &payload, shape, layout.scale)
        };
        let replies = read().map_err(|source| Error::Wire { what: "reply", source })?;
        let coefficients = |reply| self.secret.decrypt_reply(&self.context, reply, &indices);
        Ok(replies.iter().map(coefficients).collect())
    }

    /// The classification that scores mean, if they mean anything.
    fn classification(&self, read: Scores) -> Result<Classification, Error> {
        match read.verdict {
            Verdict::Sound => {}
            Verdict::WrongKeys { found, allowed } => return Err(Error::Garbage { found, allowed }),
            Verdict::OutOfRange { found, allowed } => return Err(Error::WrappedAround { found, allowed }),
        }
        let PublicPlan { labels, output, score_bound, .. } = &self.plan;
        Ok(Classification::new(labels, *output, read.scores, self.score_error(), *score_bound))
    }

    /// The network's input for an image of the plan's size and colours.
    fn normalise(&self, image: &Image) -> Result<Vec<f64>, Error> {
        let (expected, actual) = (self.plan.input.shape(), image.shape());
        if actual != expected {
            return Err(Error::ImageShape { expected, actual });
        }
        let (mean, std) = (self.plan.mean.clone(), self.plan.std.clone());
        let metadata = Metadata { mean, std, ..Metadata::new(expected, self.plan.labels.len()) };
        Ok(metadata.normalise(image)?)
    }

    fn header(&self, kind: Kind) -> Header {
        Header { kind, plan: self.digest, key: self.id }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (plan, id) = (wire::hex(&self.digest[..8]), wire::hex(&self.id));
        f.debug_struct("Client").field("plan", &plan).field("key_id", &id).finish_non_exhaustive()
    }
}

/// Tables for the plan's parameters, on this machine's kernel.
fn context(plan: &PublicPlan) -> Result<Arc<Context>, Error> {
    let parameters: Parameters = plan.validated_parameters()?;
    Ok(Context::new(parameters, Kernel::from_environment().map_err(blindsight_ckks::Error::from)?)?)
}

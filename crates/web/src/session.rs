//! What one visitor has.

use blindsight_ckks::wire::{WireError, hex};
use blindsight_client::{Classification, Client, Cost};
use blindsight_layout::PublicPlan;
use blindsight_network::{FinalActivation, Image, Shape};
use blindsight_protocol::Address;
use serde::Serialize;
use zeroize::Zeroizing;

/// A visitor's plan and client. Each comes with its own operation, in this order.
#[derive(Debug, Default)]
pub struct Session {
    plan: Option<(PublicPlan, [u8; 32])>,
    client: Option<Client>,
}

/// Why an operation was refused. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Operations in another order than they must come.
    #[error("there is no {0} yet: {0} comes first")]
    Missing(&'static str),
    /// Bytes that are no public plan.
    #[error(transparent)]
    Plan(#[from] blindsight_protocol::Error),
    /// Bytes that are no numbers.
    #[error("numbers have 8 bytes each, and {0} bytes came")]
    Numbers(usize),
    /// Pixels that are no image.
    #[error(transparent)]
    Image(#[from] blindsight_network::Error),
    /// The plan's layout refused what it was given.
    #[error(transparent)]
    Layout(#[from] blindsight_layout::Error),
    /// The client's refusal.
    #[error(transparent)]
    Client(#[from] blindsight_client::Error),
}

impl Error {
    /// What kind of failure it is, for programs: each has its own remedy.
    pub fn code(&self) -> &'static str {
        use blindsight_client::Error as Refused;
        match self {
            Self::Missing(_) => "out_of_order",
            Self::Plan(_) => "damaged_plan",
            Self::Numbers(_) | Self::Image(_) | Self::Client(Refused::Image(_)) => "wrong_shape",
            Self::Client(Refused::ImageShape { .. } | Refused::Images { .. }) => "wrong_shape",
            Self::Client(Refused::Wire { source: WireError::Plan { .. }, .. }) => "other_plan",
            Self::Client(Refused::Wire { source: WireError::Key { .. }, .. }) => "other_key",
            Self::Client(Refused::Wire { .. }) => "damaged",
            Self::Client(Refused::Garbage { .. } | Refused::WrappedAround { .. }) => "meaningless",
            Self::Layout(_) | Self::Client(Refused::Plan(_)) => "wrong_shape",
            Self::Client(_) => "failed",
        }
    }
}

/// What a page shows of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanSummary {
    /// The model's name.
    pub model: String,
    /// The plan's digest, in hexadecimal digits.
    pub digest: String,
    /// A name for each score.
    pub labels: Vec<String>,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// How many ciphertexts a request holds.
    pub ciphertexts: usize,
    /// How many evaluation keys the plan asks for.
    pub keys: usize,
    /// How many bytes they have, all together.
    pub key_bytes: u64,
    /// How long making them takes here, about and at most, in milliseconds.
    pub key_milliseconds: f64,
    /// What is subtracted from each channel, of pixels as a share of 255, and what divides it then.
    pub mean: Vec<f64>,
    /// See `mean`.
    pub std: Vec<f64>,
    /// The least and the largest number that is not clamped, after that.
    pub range: (f64, f64),
    /// Slots of a ciphertext.
    pub slots: usize,
}

/// What a reply says, as a page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The class with the largest score.
    pub class: usize,
    /// Its name, as the plan has it.
    pub label: String,
    /// Its name without what a terminal or a page might take for an order.
    pub name: String,
    /// The scores, in the order of the plan's labels; where the network has one for two labels, zero and
    /// that.
    pub scores: Vec<f64>,
    /// How far the largest score is above the next one; none where there is one score.
    pub margin: Option<f64>,
    /// The predicted error of a score.
    pub predicted_error: f64,
    /// Whether the margin is too small for the label to be sure; a warning names both classes.
    pub too_close: bool,
    /// The probability of each class; none where the network ends in scores.
    pub probabilities: Option<Vec<f64>>,
    /// All classes, the best first.
    pub ranking: Vec<Ranked>,
    /// What to keep in mind, in sentences.
    pub warnings: Vec<String>,
}

/// A class, in its place among all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// The class.
    pub class: usize,
    /// Its name, as the plan has it.
    pub label: String,
    /// Its name, fit to be shown.
    pub name: String,
    /// Its score.
    pub score: f64,
    /// Its probability; none where the network ends in scores.
    pub probability: Option<f64>,
}

impl Session {
    /// Takes a plan from the server, and forgets the key of any other.
    ///
    /// # Errors
    /// As [`blindsight_protocol::read_plan`], and [`Cost::of`].
    pub fn open_plan(&mut self, bytes: &[u8]) -> Result<PlanSummary, Error> {
        let (plan, digest) = blindsight_protocol::read_plan(bytes)?;
        let summary = PlanSummary::new(&plan, &digest)?;
        *self = Self { plan: Some((plan, digest)), client: None };
        Ok(summary)
    }

    /// What lies in each slot of a request's ciphertexts, one ciphertext after the other: 0 for nothing, 1
    /// for a constant one, `e + 2` for element `e` of the input.
    ///
    /// # Errors
    /// Where there is no plan.
    pub fn layout(&self) -> Result<Vec<u32>, Error> {
        let (plan, _) = self.plan()?;
        // A layout writes nothing as zero and its constants as one.
        let elements: Vec<f64> = (0..plan.input.shape().elements()).map(|e| (e + 2) as f64).collect();
        let slots = plan.input.write(&elements)?;
        Ok(slots.into_iter().flatten().map(|slot| slot as u32).collect())
    }

    /// Makes a secret key.
    ///
    /// # Errors
    /// Where there is no plan, and as [`Client::generate`].
    pub fn generate_key(&mut self) -> Result<(), Error> {
        let (plan, digest) = self.plan()?;
        self.client = Some(Client::generate(plan, digest)?);
        Ok(())
    }

    /// Takes a secret key that [`secret_key`](Self::secret_key) gave.
    ///
    /// # Errors
    /// Where there is no plan, and as [`Client::read`]: for damaged bytes, and for a key of another plan.
    pub fn restore_key(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (plan, digest) = self.plan()?;
        self.client = Some(Client::read(plan, digest, bytes)?);
        Ok(())
    }

    /// The secret key, framed, for the visitor's own store.
    ///
    /// # Errors
    /// Where there is no key.
    pub fn secret_key(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(self.client()?.secret_key())
    }

    /// Makes evaluation keys, framed for the server.
    ///
    /// # Errors
    /// Where there is no key, and as [`Client::evaluation_keys`].
    pub fn evaluation_keys(&self) -> Result<Vec<u8>, Error> {
        Ok(self.client()?.evaluation_keys(|_, _| ())?)
    }

    /// Encrypts an image of the plan's shape, its 8-bit pixels in the order channel, row, column; framed
    /// for the server.
    ///
    /// # Errors
    /// Where there is no key, for another number of pixels, and as [`Client::encrypt`].
    pub fn encrypt(&self, pixels: &[u8]) -> Result<Vec<u8>, Error> {
        let client = self.client()?;
        // The image's own copy of the pixels is not wiped: it is a drawing that the page shows anyway.
        let image = Image::new(client.plan().input.shape(), pixels.to_vec())?;
        Ok(client.encrypt(&image)?)
    }

    /// Encrypts a network's input as numbers, 64-bit floats with the lowest byte first, in the order channel,
    /// row, column; framed for the server.
    ///
    /// # Errors
    /// Where there is no key, and as [`Client::encrypt_input`].
    pub fn encrypt_numbers(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.client()?.encrypt_input(&numbers(bytes)?)?)
    }

    /// What is to be said of such numbers, to the visitor alone: a sentence, or nothing.
    ///
    /// # Errors
    /// Where there is no key, or other than whole numbers.
    pub fn check_numbers(&self, bytes: &[u8]) -> Result<Option<String>, Error> {
        Ok(self.client()?.check_input(&numbers(bytes)?).map(|warning| warning.to_string()))
    }

    /// Decrypts a reply.
    ///
    /// # Errors
    /// Where there is no key, and as [`Client::decrypt`].
    pub fn decrypt(&self, reply: &[u8]) -> Result<Answer, Error> {
        Ok(Answer::from(self.client()?.decrypt(reply)?))
    }

    /// The address that evaluation keys are registered under.
    pub fn address(keys: &[u8]) -> String {
        Address::of(keys).to_string()
    }

    fn plan(&self) -> Result<(PublicPlan, [u8; 32]), Error> {
        self.plan.clone().ok_or(Error::Missing("a plan"))
    }

    fn client(&self) -> Result<&Client, Error> {
        self.client.as_ref().ok_or(Error::Missing("a secret key"))
    }
}

fn numbers(bytes: &[u8]) -> Result<Zeroizing<Vec<f64>>, Error> {
    let (numbers, []) = bytes.as_chunks() else { return Err(Error::Numbers(bytes.len())) };
    Ok(Zeroizing::new(numbers.iter().map(|number| f64::from_le_bytes(*number)).collect()))
}

impl From<Classification> for Answer {
    fn from(answer: Classification) -> Self {
        let classes = answer.labels.len();
        let ranked = |of: blindsight_client::Ranked<'_>| Ranked {
            class: of.class,
            label: of.label.into(),
            name: of.name.into_owned(),
            score: of.score,
            probability: of.probability,
        };
        Self {
            class: answer.class,
            name: answer.name().into_owned(),
            scores: FinalActivation::class_scores(&answer.scores, classes),
            probabilities: answer.output.probabilities(&answer.scores, classes),
            ranking: answer.top(classes).into_iter().map(ranked).collect(),
            margin: answer.margin,
            predicted_error: answer.predicted_error,
            too_close: answer.too_close,
            warnings: answer.warnings.iter().map(ToString::to_string).collect(),
            label: answer.label,
        }
    }
}

impl PlanSummary {
    fn new(plan: &PublicPlan, digest: &[u8; 32]) -> Result<Self, Error> {
        let Shape { channels, height, width } = plan.input.shape();
        let cost = Cost::of(plan)?;
        Ok(Self {
            model: plan.model.clone(),
            digest: hex(digest),
            labels: plan.labels.clone(),
            shape: [channels, height, width],
            ciphertexts: plan.input.ciphertexts(),
            keys: cost.keys,
            key_bytes: cost.key_bytes,
            key_milliseconds: cost.key_time.as_secs_f64() * 1e3,
            mean: plan.mean.clone(),
            std: plan.std.clone(),
            range: plan.input_range,
            slots: plan.input.slots(),
        })
    }
}

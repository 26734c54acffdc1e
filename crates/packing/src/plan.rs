//! Plans: made once, pinned by a digest, so that client and server never guess.

use crate::assemble::{Assembly, assemble};
use crate::batch;
use crate::chain::Chain;
use crate::layer_graph::LayerGraph;
use crate::options::{Family, Options};
use crate::parameters::nominal_scale;
use crate::{Choice, Error, InputLayout, Lola, ReplyForm, ReplyLayout};
use blindsight_circuit::Circuit;
use blindsight_ckks::wire::{self, Expected, Header, KeyId, Kind, Length};
use blindsight_ckks::{KeyRequirements, Level, Parameters, ParametersLiteral, Scale};
use blindsight_network::Model;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;

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
    /// A name for each score.
    pub labels: Vec<String>,
    /// What no score's magnitude should exceed.
    pub score_bound: f64,
    /// The evaluation keys that the server needs.
    pub keys: KeyRequirements,
    /// How scores are read from the reply.
    pub reply: ReplyLayout,
    /// The predicted error of a score, root mean square.
    pub predicted_error: f64,
}

/// A plan: its public part, the choices behind it, and the model it was made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What a client needs.
    pub public: PublicPlan,
    recipe: Recipe,
    model_digest: [u8; 32],
}

/// What determines a plan's circuit, beside the model and the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Recipe {
    /// The planner's choices, layer by layer.
    Layers(Choice),
    /// A batch: there is nothing to choose.
    Batch,
    /// A plan of the literature.
    Lola(Lola),
}

impl Recipe {
    /// Builds the circuit.
    pub(crate) fn assemble(
        &self,
        graph: &LayerGraph,
        parameters: &Parameters,
        bound: f64,
    ) -> Result<Assembly, Error> {
        match self {
            Self::Layers(choice) => assemble(graph, parameters, choice, bound),
            Self::Lola(lola) => lola.assemble(&Chain::new(graph)?, parameters, bound),
            Self::Batch => batch::assemble(&Chain::new(graph)?, parameters, bound),
        }
    }

    /// The name of the family that it belongs to.
    fn family(&self) -> Family {
        match self {
            Self::Layers(choice) => choice.family(),
            Self::Batch => Family::Batch,
            Self::Lola(lola) => Family::Lola(*lola),
        }
    }
}

/// No encoded plan is larger.
pub const LARGEST_PLAN_BYTES: usize = 1 << 20;
/// No input has a larger scale.
const LARGEST_INPUT_SCALE: f64 = (1u64 << 40) as f64;
/// No plan asks for more keys.
const MOST_KEYS: usize = 1 << 12;

impl Plan {
    pub(crate) fn new(
        model: &Model,
        options: &Options,
        recipe: Recipe,
        assembly: &Assembly,
        score_bound: f64,
        predicted_error: f64,
    ) -> Result<Self, Error> {
        let (parameters, metadata) = (assembly.circuit.parameters(), &model.metadata);
        let public = PublicPlan {
            model: model.name.clone(),
            representation: recipe.family().to_string(),
            objective: options.objective.to_string(),
            reply_kind: options.reply.to_string(),
            parameters: parameters.literal().clone(),
            input: assembly.input.clone(),
            input_level: assembly.input_level,
            input_scale: assembly.input_scale,
            mean: metadata.mean.clone(),
            std: metadata.std.clone(),
            input_range: metadata.input_range,
            labels: metadata.labels.clone(),
            score_bound,
            keys: assembly.circuit.keys(),
            reply: assembly.reply.clone(),
            predicted_error,
        };
        public.validate_for(parameters)?;
        Ok(Self { public, recipe, model_digest: model.digest })
    }

    /// Whether this choice determines the circuit.
    pub(crate) fn is_of(&self, choice: &Choice) -> bool {
        matches!(&self.recipe, Recipe::Layers(own) if own == choice)
    }

    /// What determines the circuit.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// SHA-256 of the model's file.
    pub fn model_digest(&self) -> &[u8; 32] {
        &self.model_digest
    }

    /// What names this plan: SHA-256 of its encoding.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_bytes()).into()
    }

    /// The encoding, the same for equal plans.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("a plan has nothing that cannot be encoded")
    }

    /// Decodes and checks a plan, whoever it came from. What passes is consistent in itself and of 128 bits of security; whether it
    /// belongs to a model, [`circuit`](Self::circuit) checks.
    ///
    /// # Errors
    /// For bytes that are too many, no plan, or one whose figures are out of range or do not fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LARGEST_PLAN_BYTES {
            let actual = bytes.len();
            return Err(Error::does_not_fit(
                "plan",
                format!("{actual} bytes"),
                format!("at most {LARGEST_PLAN_BYTES}"),
            ));
        }
        let (plan, rest): (Self, &[u8]) =
            postcard::take_from_bytes(bytes).map_err(|e| Error::Plan(format!("cannot be decoded: {e}")))?;
        if !rest.is_empty() {
            return Err(Error::Plan(format!("{} bytes follow its end", rest.len())));
        }
        plan.public.validate()?;
        Ok(plan)
    }

    /// The file of this plan: its encoding, framed like everything else that travels (`docs/formats.md`).
    pub fn write(&self) -> Vec<u8> {
        let header = Header { kind: Kind::Plan, plan: self.digest(), key: KeyId::default() };
        wire::seal(&header, &self.to_bytes())
    }

    /// Reads and checks the file of a plan, whoever it came from.
    ///
    /// # Errors
    /// Where it is no frame of a plan, or its header names another plan than it holds, and as [`from_bytes`](Self::from_bytes).
    pub fn read(source: impl Read) -> Result<Self, Error> {
        let length = Length::AtMost(LARGEST_PLAN_BYTES);
        let expected = Expected { kind: Kind::Plan, plan: None, key: None, length };
        let (header, payload) = wire::open(source, &expected)?;
        let plan = Self::from_bytes(&payload)?;
        let digest = plan.digest();
        if digest != header.plan {
            let [named, held] = [header.plan, digest].map(|d| wire::hex(&d[..8]));
            return Err(Error::Plan(format!("its header names plan {named}, but it holds {held}")));
        }
        Ok(plan)
    }

    /// The circuit of this plan for its model, built anew.
    ///
    /// # Errors
    /// Where the plan was made for another model, or is not what its choices give: a plan that was tampered with.
    pub fn circuit(&self, model: &Model) -> Result<Circuit, Error> {
        self.circuit_for(model, &self.public.parameters.validate()?)
    }

    /// As [`circuit`](Self::circuit), with parameters that are already validated.
    ///
    /// # Errors
    /// As [`circuit`](Self::circuit), and where these are not the plan's parameters.
    pub fn circuit_for(&self, model: &Model, parameters: &Parameters) -> Result<Circuit, Error> {
        if model.digest != self.model_digest {
            return Err(Error::OtherModel {
                expected: wire::hex(&self.model_digest),
                actual: wire::hex(&model.digest),
            });
        }
        if parameters.literal() != &self.public.parameters {
            return Err(Error::Plan("its parameters are not those given".into()));
        }
        let graph = LayerGraph::new(&model.graph, &model.metadata)?;
        let assembly = self.recipe.assemble(&graph, parameters, self.public.score_bound)?;
        let public = &self.public;
        let same = assembly.input == public.input
            && assembly.input_level == public.input_level
            && assembly.input_scale == public.input_scale
            && assembly.reply == public.reply
            && assembly.circuit.keys() == public.keys
            && model.metadata.labels == public.labels;
        if same {
            Ok(assembly.circuit)
        } else {
            Err(Error::Plan("it is not what its choices give for this model".into()))
        }
    }
}

impl PublicPlan {
    /// The slots of each input ciphertext for a normalised image.
    ///
    /// # Errors
    /// As [`write_images`](Self::write_images).
    pub fn write(&self, values: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        self.write_images(&[values])
    }

    /// The slots of each input ciphertext for normalised images: one, or up to a batch's worth.
    ///
    /// # Errors
    /// Where there are none or too many, where the number of values is not an image's, or one is outside the range that the scales were set
    /// for: it could give a wrong answer that looks right.
    pub fn write_images(&self, images: &[&[f64]]) -> Result<Vec<Vec<f64>>, Error> {
        let (least, largest) = self.input_range;
        let slack = 1e-6 * (largest - least);
        let within = |v: f64| v >= least - slack && v <= largest + slack;
        let values = images.iter().flat_map(|image| image.iter().enumerate());
        if let Some((index, &value)) = values.into_iter().find(|(_, v)| !within(**v)) {
            return Err(Error::Range { index, value, least, largest });
        }
        self.input.write_images(images)
    }

    /// Checks a public plan, whoever it came from: what passes is consistent in itself and of 128 bits of security.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_for(&self.parameters.validate()?)
    }

    fn validate_for(&self, parameters: &Parameters) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::Plan(what.into()));
        self.input.validate()?;
        if self.input.slots() != parameters.slots() {
            return wrong("its input layout is for another ring degree than its parameters");
        }
        if self.input_level > parameters.max_level() {
            return wrong("its input level does not exist");
        }
        let is_batch = matches!(self.input, InputLayout::Batch(_));
        if !is_batch && self.input_scale != nominal_scale(parameters) {
            return wrong("its input scale is not the nominal one");
        }
        if !(1.0..=LARGEST_INPUT_SCALE).contains(&self.input_scale.0) {
            return wrong("its input scale is out of range");
        }
        if is_batch != matches!(self.reply.form, ReplyForm::Batch { .. }) {
            return wrong("images and scores are not both in a batch, or both not");
        }
        self.reply.validate()?;
        match self.reply.form {
            ReplyForm::Batch { slots } if slots == parameters.slots() => {}
            ReplyForm::Coefficients => self.reply.check_room(parameters.slots())?,
            ReplyForm::Constants => {}
            ReplyForm::Periodic { slots, .. } if slots == parameters.slots() => {}
            ReplyForm::Periodic { .. } | ReplyForm::Batch { .. } => {
                return wrong("its reply is for another ring degree than its parameters");
            }
        }
        if self.labels.len() != self.reply.scores.len() {
            return wrong("it has not one label for each score");
        }
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(self.score_bound) || self.score_bound > self.reply.capacity {
            return wrong("its score bound is not positive or beyond the reply's capacity");
        }
        if !self.predicted_error.is_finite() || self.predicted_error < 0.0 {
            return wrong("its predicted error is not a number");
        }
        self.validate_normalisation()?;
        self.validate_keys(parameters)
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
        if numbers {
            Ok(())
        } else {
            Err(Error::Plan("its normalisation is not one for each channel of its image".into()))
        }
    }

    fn validate_keys(&self, parameters: &Parameters) -> Result<(), Error> {
        let (slots, levels) = (parameters.slots(), parameters.max_level());
        let steps = self.keys.rotations.keys().all(|s| (1..slots).contains(s));
        let exist = self.keys.iter().all(|(_, level)| level <= levels);
        if steps && exist && self.keys.rotations.len() <= MOST_KEYS {
            return Ok(());
        }
        Err(Error::Plan(format!(
            "it needs keys for rotations by more than {slots}, above {levels}, or more than {MOST_KEYS}"
        )))
    }
}

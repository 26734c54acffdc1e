//! Plans: made once, pinned by a digest, so that client and server never guess.

mod acceptance;

use crate::assemble::{Assembly, assemble};
use crate::batch;
use crate::chain::Chain;
use crate::layer_graph::LayerGraph;
use crate::options::{Family, Options};
use crate::{Choice, Error, InputLayout, Lola, ReplyLayout};
use blindsight_circuit::Circuit;
use blindsight_ckks::wire::{self, Expected, Header, KeyId, Kind, Length};
use blindsight_ckks::{KeyRequirements, Level, Parameters, ParametersLiteral, Scale};
use blindsight_network::{FinalActivation, Model};
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
            output: model.output,
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

    /// What names this plan. It commits to the public part: whoever has that and the [digest of the
    /// rest](Self::private_digest) can compute it ([`PublicPlan::digest`]).
    pub fn digest(&self) -> [u8; 32] {
        self.public.digest(&self.private_digest())
    }

    /// SHA-256 of the encoding of all that follows the public part.
    pub fn private_digest(&self) -> [u8; 32] {
        Sha256::digest(encoded(&(&self.recipe, &self.model_digest))).into()
    }

    /// The encoding, the same for equal plans.
    pub fn to_bytes(&self) -> Vec<u8> {
        encoded(self)
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
            && model.metadata.labels == public.labels
            && model.output == public.output;
        if same {
            Ok(assembly.circuit)
        } else {
            Err(Error::Plan("it is not what its choices give for this model".into()))
        }
    }
}

impl PublicPlan {
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
        let slack = acceptance::SLACK * (largest - least);
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

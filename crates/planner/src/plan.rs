//! Plans: made once, pinned by a digest, so that client and server never guess.

use crate::literature::{Chain, Lola, batch};
use crate::options::{Options, Packing};
use crate::{Error, keyless};
use blindsight_circuit::Circuit;
use blindsight_ckks::wire::{self, Expected, Header, KeyId, Kind, Length};
use blindsight_ckks::{KeyRequirements, Level, Parameters};
use blindsight_layers::{Assembly, Choice, LayerGraph, assemble};
use blindsight_layout::{LARGEST_PLAN_BYTES, Masking, PublicPlan};
use blindsight_network::Model;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;

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
    /// Without evaluation keys: there is nothing to choose.
    Keyless,
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
            Self::Layers(choice) => Ok(assemble(graph, parameters, choice, bound)?),
            Self::Lola(lola) => lola.assemble(&Chain::new(graph)?, parameters, bound),
            Self::Batch => batch::assemble(&Chain::new(graph)?, parameters, bound),
            Self::Keyless => keyless::assemble(&Chain::new(graph)?, parameters, bound),
        }
    }

    /// The name of the packing that it belongs to.
    fn packing(&self) -> Packing {
        match self {
            Self::Layers(choice) => Packing::of(choice),
            Self::Batch => Packing::Batch,
            Self::Lola(lola) => Packing::Lola(*lola),
            Self::Keyless => Packing::Keyless,
        }
    }
}

impl Plan {
    pub(crate) fn new(
        model: &Model,
        options: &Options,
        recipe: Recipe,
        assembly: &Assembly,
        score_bound: f64,
        (predicted_error, masking): (f64, Option<Masking>),
    ) -> Result<Self, Error> {
        let (parameters, metadata) = (assembly.circuit.parameters(), &model.metadata);
        let public = PublicPlan {
            model: model.name.clone(),
            representation: recipe.packing().to_string(),
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
            keys: keys(&assembly.circuit, masking),
            reply: assembly.reply.clone(),
            predicted_error,
            security: options.security,
            masking,
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

    /// Decodes and checks a plan, whoever it came from. What passes is consistent in itself and of the
    /// security that it states; whether it
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
            postcard::take_from_bytes(bytes).map_err(|e| Error::plan(format!("cannot be decoded: {e}")))?;
        if !rest.is_empty() {
            return Err(Error::plan(format!("{} bytes follow its end", rest.len())));
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
    /// Where it is no frame of a plan, or its header names another plan than it holds, and as
    /// [`from_bytes`](Self::from_bytes).
    pub fn read(source: impl Read) -> Result<Self, Error> {
        let length = Length::AtMost(LARGEST_PLAN_BYTES);
        let expected = Expected { kind: Kind::Plan, plan: None, key: None, length };
        let (header, payload) = wire::open(source, &expected)?;
        let plan = Self::from_bytes(&payload)?;
        let digest = plan.digest();
        if digest != header.plan {
            let [named, held] = [header.plan, digest].map(|d| wire::hex(&d[..8]));
            return Err(Error::plan(format!("its header names plan {named}, but it holds {held}")));
        }
        Ok(plan)
    }

    /// The circuit of this plan for its model, built anew.
    ///
    /// # Errors
    /// Where the plan was made for another model, or is not what its choices give: a plan that was tampered
    /// with.
    pub fn circuit(&self, model: &Model) -> Result<Circuit, Error> {
        self.circuit_for(model, &self.public.validated_parameters()?)
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
        let level_limbs = if self.public.masking.is_some() { Masking::LEVEL_LIMBS } else { 1 };
        if parameters.literal() != &self.public.parameters || parameters.level_limbs() != level_limbs {
            return Err(Error::plan("its parameters are not those given"));
        }
        let graph = LayerGraph::new(&model.graph, &model.metadata)?;
        let assembly = self.recipe.assemble(&graph, parameters, self.public.score_bound)?;
        let public = &self.public;
        let same = assembly.input == public.input
            && assembly.input_level == public.input_level
            && assembly.input_scale == public.input_scale
            && assembly.reply == public.reply
            && keys(&assembly.circuit, public.masking) == public.keys
            && model.metadata.labels == public.labels
            && model.metadata.mean == public.mean
            && model.metadata.std == public.std
            && model.metadata.input_range == public.input_range
            && model.output == public.output;
        if same {
            Ok(assembly.circuit)
        } else {
            Err(Error::plan("it is not what its choices give for this model"))
        }
    }
}

/// The keys that a client sends: those of the circuit, and where replies are masked the public key.
fn keys(circuit: &Circuit, masking: Option<Masking>) -> KeyRequirements {
    KeyRequirements { public: masking.map(|_| Level(0)), ..circuit.keys() }
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("a plan has nothing that cannot be encoded")
}

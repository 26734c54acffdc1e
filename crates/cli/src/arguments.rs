//! Arguments that several commands share.

use crate::failure::Outcome;
use crate::plan_cache::PlanCache;
use crate::threads::on_threads;
use crate::{configuration, machine, progress, shipped};
use blindsight_ckks::Security;
use blindsight_network::{Examination, Model};
use blindsight_planner::{DEFAULT_KEY_LIMIT, Objective, Options, Packing, Plan, ReplyKind};
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

    /// The model's file.
    pub fn bytes(&self) -> Outcome<Vec<u8>> {
        shipped::bytes(&self.name)
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
    pub representation: Packing,
    /// What the plan should be best at: latency, operations, key-switches, upload, throughput
    #[arg(long, value_name = "OBJECTIVE", default_value_t)]
    pub objective: Objective,
    /// Ring degree, a power of two (default: the smallest that fits)
    #[arg(long, value_name = "N")]
    pub ring_degree: Option<usize>,
    /// What the reply may hold: clean, nothing but the scores can be read; or private, which says nothing of
    /// the weights either, and costs a larger ring (raw is not offered: it would save nothing here)
    #[arg(long, value_name = "REPLY", default_value_t)]
    pub reply: ReplyKind,
    /// With --reply private: how many bits noise lies above errors; nobody can tell two networks of the same
    /// scores apart by a reply better than by 2^-K [default: 20]
    #[arg(long, value_name = "K")]
    pub kappa: Option<u32>,
    /// Bits of security that the parameters have to have: 128, 192 or 256
    #[arg(long, value_name = "BITS", default_value_t)]
    pub security: Security,
    /// The most bytes that evaluation keys may take (default: 2 GiB)
    #[arg(long, value_name = "BYTES")]
    pub max_key_bytes: Option<u64>,
    /// The most bytes of the server's memory that the encoded model and the values of an inference may take
    /// (default: 20 GiB; and where it would be more than 8 GiB, a plan of less if that costs little time)
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<u64>,
    /// Plan anew, though the plan of the same file and flags was kept (in blindsight/plans of the cache
    /// folder)
    #[arg(long)]
    pub no_cache: bool,
}

const REPRESENTATIONS: &str = "The packing, how tensors lie in ciphertexts: auto (the planner chooses), image (the image itself), \
    im2col-T (T kernel positions of the first layer in each input ciphertext), lola or lola-dense (LoLa's plans), cryptonets (batches: an image in each slot)";

impl PlanFlags {
    /// The best plan for a model, with this machine's costs where they were measured: the one that is kept,
    /// or else searched by all cores.
    pub fn plan(&self, model: &Model) -> Outcome<Plan> {
        let options = self.options()?;
        match PlanCache::of_user().filter(|_| !self.no_cache) {
            Some(cache) => cache.plan(model, &options, || search(model, &options)),
            None => search(model, &options),
        }
    }

    /// What is to be known of a plan of this model, in words.
    pub fn notices(model: &Model, plan: &Plan) -> Outcome<Vec<String>> {
        let notices = progress::spinning("checking the plan", || {
            on_threads(machine::cores(), || Ok(blindsight_planner::notices(model, plan)?))
        })?;
        Ok(notices.iter().map(ToString::to_string).collect())
    }

    /// The same for the planner.
    pub fn options(&self) -> Outcome<Options> {
        Ok(Options {
            packing: self.representation,
            objective: self.objective,
            ring_degree: self.ring_degree,
            reply: self.reply.with_kappa(self.kappa)?,
            security: self.security,
            max_key_bytes: self.max_key_bytes.unwrap_or(DEFAULT_KEY_LIMIT),
            max_memory: self.memory,
            max_error: None,
            cost: configuration::costs()?,
        })
    }
}

/// Plans a model, and shows that it goes on.
fn search(model: &Model, options: &Options) -> Outcome<Plan> {
    progress::spinning("planning", || {
        on_threads(machine::cores(), || Ok(blindsight_planner::plan(model, options)?))
    })
}

/// How exact scores are shown.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct PrecisionFlags {
    /// Scores as they are decrypted, not rounded to the predicted error. Each is then an equation of the
    /// secret key for whoever has the reply: show them to nobody, or they give the key away
    #[arg(long)]
    pub exact_scores: bool,
}

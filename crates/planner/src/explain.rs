//! What a plan will cost, in the words and figures of the command line.

use crate::objective::{Objective, PlanCost};
use crate::{Error, Plan, Recipe, keyless, sizes};
use blindsight_circuit::{Circuit, CostModel, Counts, DryRun, LayerRun, dry_run, working_bytes};
use blindsight_ckks::Parameters;
use blindsight_layers::LayerGraph;
use blindsight_layout::Masking;
use blindsight_network::Model;
use serde::Serialize;

/// A plan explained: a dry run of its circuit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The model's name.
    pub model: String,
    /// The plan's representation.
    pub representation: String,
    /// What the planner was asked to be best at.
    pub objective: String,
    /// What the reply may hold.
    pub reply: String,
    /// The ring degree.
    pub ring_degree: usize,
    /// How replies are masked, where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masking: Option<Masking>,
    /// Slots of a ciphertext.
    pub slots: usize,
    /// How many images a request holds at most.
    pub images: usize,
    /// `log2(QP)`.
    pub log_qp: f64,
    /// What the security table grants.
    pub security_bits: u32,
    /// How many rescales the parameters have room for.
    pub levels: usize,
    /// The counts of everything.
    pub totals: CountFields,
    /// Layer by layer.
    pub layers: Vec<LayerExplanation>,
    /// Bytes of one request.
    pub upload_bytes: u64,
    /// Bytes of one reply.
    pub download_bytes: u64,
    /// Bytes of the evaluation keys, as sent.
    pub evaluation_key_bytes: u64,
    /// Bytes of the encoded model in the server's memory.
    pub server_bytes: u64,
    /// Bytes that the values of one inference take there at once, at most.
    pub working_bytes: u64,
    /// The predicted error of a score, root mean square.
    pub predicted_error: f64,
    /// The predicted time on one core of the server.
    pub predicted_ms: f64,
    /// The predicted time, before that, to parse a request and expand its seeds.
    pub predicted_expand_ms: f64,
    /// What objectives weigh.
    #[serde(skip)]
    pub plan_cost: PlanCost,
}

/// One text, or a list where there are several.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// The only one.
    One(String),
    /// None, or several.
    Many(Vec<String>),
}

impl OneOrMany {
    fn new(mut texts: Vec<String>) -> Self {
        match texts.len() {
            1 => Self::One(texts.remove(0)),
            _ => Self::Many(texts),
        }
    }

    /// All of them.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// One layer explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerExplanation {
    /// The layer's name.
    pub name: String,
    /// The layer's kind.
    pub kind: String,
    /// What it reads: the names of layers, or `input`.
    pub inputs: Vec<String>,
    /// The representation of its input, of each where there are several.
    pub representation_in: OneOrMany,
    /// The representation of its output.
    pub representation_out: String,
    /// The level of its input.
    pub level_in: usize,
    /// The level of its output.
    pub level_out: usize,
    /// Its counts.
    #[serde(flatten)]
    pub counts: CountFields,
    /// Its predicted time on one core of the server.
    pub predicted_ms: f64,
    /// How it is computed and why so, in words, where the planner chose.
    pub reason: Option<String>,
}

impl Explanation {
    /// What the plan costs by an objective: see [`Objective::value`].
    pub fn cost(&self, objective: Objective) -> f64 {
        objective.value(&self.plan_cost)
    }
}

/// Counts under the names of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CountFields {
    /// All rotations, hoisted ones too.
    pub rotations: u64,
    /// Rotations that share their decomposition.
    pub hoisted_rotations: u64,
    /// Products with plaintexts.
    pub plaintext_multiplications: u64,
    /// Products of ciphertexts.
    pub ciphertext_multiplications: u64,
    /// Additions, those of plaintexts too.
    pub additions: u64,
    /// The sum of rotations, products and additions.
    pub hops: u64,
    /// Relinearisations.
    pub relinearizations: u64,
    /// Rescales.
    pub rescales: u64,
    /// Rotations and relinearisations.
    pub key_switches: u64,
    /// One-limb transforms.
    pub ntts: u64,
}

impl From<Counts> for CountFields {
    fn from(counts: Counts) -> Self {
        Self {
            rotations: counts.rotations,
            hoisted_rotations: counts.hoisted_rotations,
            plaintext_multiplications: counts.plaintext_multiplications,
            ciphertext_multiplications: counts.ciphertext_multiplications,
            additions: counts.additions,
            hops: counts.hops(),
            relinearizations: counts.relinearizations,
            rescales: counts.rescales,
            key_switches: counts.key_switches(),
            ntts: counts.work.ntts,
        }
    }
}

impl LayerExplanation {
    fn new(layer: &LayerRun, predicted_ms: f64, reason: Option<String>) -> Self {
        Self {
            name: layer.label.name.clone(),
            kind: layer.label.kind.clone(),
            inputs: layer.label.inputs.iter().map(|input| input.name.clone()).collect(),
            representation_in: OneOrMany::new(
                layer.label.inputs.iter().map(|input| input.representation.clone()).collect(),
            ),
            representation_out: layer.label.representation_out.clone(),
            level_in: layer.level_in.0,
            level_out: layer.level_out.0,
            counts: layer.counts.into(),
            predicted_ms,
            reason,
        }
    }
}

/// Explains a plan for its model.
///
/// # Errors
/// Those of [`Plan::circuit`].
pub fn explain(plan: &Plan, model: &Model, cost: &CostModel) -> Result<Explanation, Error> {
    let circuit = plan.circuit(model)?;
    let run = dry_run(&circuit);
    let reasons = reasons(plan, model, circuit.parameters(), &run)?;
    let degree = circuit.parameters().degree();
    let layers = run.layers.iter().zip(reasons).map(|(layer, reason)| {
        LayerExplanation::new(layer, cost.microseconds(&layer.counts.work, degree) / 1e3, reason)
    });
    let layers = layers.collect();
    Ok(explanation(plan, &circuit, &run, layers, cost))
}

/// A reason for each layer of a run; `None` where there was nothing to choose.
fn reasons(
    plan: &Plan,
    model: &Model,
    parameters: &Parameters,
    run: &DryRun,
) -> Result<Vec<Option<String>>, Error> {
    let counts: Vec<Counts> = run.layers.iter().map(|layer| layer.counts).collect();
    let choice = match plan.recipe() {
        Recipe::Layers(choice) => choice,
        Recipe::Keyless => return Ok(keyless::reasons(&plan.public.input, &plan.public.reply, &counts)),
        Recipe::Batch | Recipe::Lola(_) => return Ok(vec![None; run.layers.len()]),
    };
    let graph = LayerGraph::new(&model.graph, &model.metadata)?;
    Ok(blindsight_layers::reasons(&graph, parameters, choice, plan.public.score_bound, &counts)?)
}

fn explanation(
    plan: &Plan,
    circuit: &Circuit,
    run: &DryRun,
    layers: Vec<LayerExplanation>,
    cost: &CostModel,
) -> Explanation {
    let (public, parameters) = (&plan.public, circuit.parameters());
    let plan_cost = PlanCost::of(circuit, &public.input, public.input_level, cost);
    Explanation {
        model: public.model.clone(),
        representation: public.representation.clone(),
        objective: public.objective.clone(),
        reply: public.reply_kind.clone(),
        masking: public.masking,
        ring_degree: parameters.degree(),
        slots: parameters.slots(),
        images: plan_cost.images,
        log_qp: parameters.log_qp(),
        security_bits: parameters.security_bits(),
        levels: parameters.max_level().0,
        totals: run.totals.into(),
        layers,
        upload_bytes: plan_cost.upload_bytes,
        download_bytes: sizes::download(parameters, public.reply.shape()),
        // The plan's keys, not the circuit's: private replies need a public key, too.
        evaluation_key_bytes: sizes::evaluation_keys(parameters, &public.keys),
        server_bytes: plan_cost.model_bytes,
        working_bytes: working_bytes(circuit),
        predicted_error: public.predicted_error,
        predicted_ms: plan_cost.inference_ms,
        predicted_expand_ms: plan_cost.expand_ms,
        plan_cost,
    }
}

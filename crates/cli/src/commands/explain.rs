//! `explain`: what the encrypted run will do, without doing it.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::failure::Outcome;
use crate::machine;
use crate::report::{Facts, Table, bytes, emit, milliseconds};
use crate::threads::on_threads;
use blindsight_network::Model;
use blindsight_planner as planner;
use blindsight_planner::CountFields;
use blindsight_planner::Objective;
use blindsight_planner::{Explanation, Options, Plan, ReplyKind};
use serde::Serialize;
use std::fmt::{self, Write as _};

/// Shows what the encrypted run will do and cost; nothing is encrypted
///
/// Layer by layer: how the tensor lies in the ciphertexts before and after, operations, levels; and in all:
/// bytes, predicted error and time. Rotations count each rotation, hoisted ones too; HOPs (homomorphic
/// operations) are rotations, products and additions. Of plans that were searched it says why each layer is
/// computed as it is, and what the best plan that begins otherwise would have cost.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  blindsight explain cryptonets-mnist\n  blindsight explain cryptonets-mnist --objective operations --json"
)]
pub struct Explain {
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    plan: PlanFlags,
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    explanation: Explanation,
    /// What the plan costs by the objective, the less the better.
    objective_value: f64,
    /// The best plan of another family, where the planner was free to choose.
    runner_up: Option<RunnerUp>,
    /// What a private reply costs, where it is one: the same plan with a clean reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    clean: Option<Clean>,
    /// What was assumed, and what looks wrong.
    warnings: Vec<String>,
    /// The limits that the plan keeps.
    max_key_bytes: u64,
    max_memory: u64,
    #[serde(skip)]
    objective: Objective,
}

/// What the planner would have chosen if the family of its plan were not offered.
#[derive(Debug, Serialize)]
struct RunnerUp {
    representation: String,
    objective_value: f64,
    /// What the objective counts, as a multiple of what the plan costs.
    ratio: f64,
    ring_degree: usize,
    totals: CountFields,
    upload_bytes: u64,
    evaluation_key_bytes: u64,
    predicted_ms: f64,
}

/// The plan with a clean reply, and what the private one takes, as multiples of it.
#[derive(Debug, Serialize)]
struct Clean {
    ring_degree: usize,
    log_qp: f64,
    upload_bytes: u64,
    download_bytes: u64,
    evaluation_key_bytes: u64,
    predicted_error: f64,
    predicted_ms: f64,
    ratios: Ratios,
}

#[derive(Debug, Serialize)]
struct Ratios {
    predicted_ms: f64,
    evaluation_key_bytes: f64,
    upload_bytes: f64,
}

impl Clean {
    fn new(clean: &Explanation, private: &Explanation) -> Self {
        let ratio = |private: u64, clean: u64| private as f64 / clean as f64;
        Self {
            ring_degree: clean.ring_degree,
            log_qp: clean.log_qp,
            upload_bytes: clean.upload_bytes,
            download_bytes: clean.download_bytes,
            evaluation_key_bytes: clean.evaluation_key_bytes,
            predicted_error: clean.predicted_error,
            predicted_ms: clean.predicted_ms,
            ratios: Ratios {
                predicted_ms: private.predicted_ms / clean.predicted_ms,
                evaluation_key_bytes: ratio(private.evaluation_key_bytes, clean.evaluation_key_bytes),
                upload_bytes: ratio(private.upload_bytes, clean.upload_bytes),
            },
        }
    }
}

impl Explain {
    /// What the plan would be with a clean reply, whatever ring that takes.
    fn clean(&self, model: &Model, private: &Explanation) -> Outcome<Option<Clean>> {
        if private.masking.is_none() {
            return Ok(None);
        }
        let flags =
            PlanFlags { reply: ReplyKind::Clean, kappa: None, ring_degree: None, ..self.plan.clone() };
        let plan = flags.plan(model)?;
        let clean = blindsight_planner::explain(&plan, model, &flags.options()?.cost)?;
        Ok(Some(Clean::new(&clean, private)))
    }

    pub fn run(&self, json: bool) -> Outcome {
        let model = self.model.load()?;
        let plan = self.plan.plan(&model)?;
        let (options, objective) = (self.plan.options()?, self.plan.objective);
        let explain = |plan: &Plan| blindsight_planner::explain(plan, &model, &options.cost);
        let explanation = explain(&plan)?;
        let other = on_threads(machine::cores(), || Ok(planner::runner_up(&model, &plan, &options)?))?
            .map(|other| explain(&other))
            .transpose()?;
        let runner_up = other.map(|other| RunnerUp::new(other, &explanation, objective));
        let objective_value = explanation.cost(objective);
        let warnings = PlanFlags::notices(&model, &plan)?;
        let clean = self.clean(&model, &explanation)?;
        let Options { max_key_bytes, max_memory, .. } = options;
        let report = Report {
            explanation,
            objective_value,
            runner_up,
            clean,
            warnings,
            max_key_bytes,
            max_memory,
            objective,
        };
        emit(&report, json)
    }
}

impl RunnerUp {
    fn new(other: Explanation, best: &Explanation, objective: Objective) -> Self {
        Self {
            objective_value: other.cost(objective),
            ratio: other.cost(objective) / best.cost(objective),
            representation: other.representation,
            ring_degree: other.ring_degree,
            totals: other.totals,
            upload_bytes: other.upload_bytes,
            evaluation_key_bytes: other.evaluation_key_bytes,
            predicted_ms: other.predicted_ms,
        }
    }
}

impl Clean {
    /// What the private reply takes more, in words.
    fn cost(&self) -> String {
        let Ratios { predicted_ms, evaluation_key_bytes, upload_bytes } = self.ratios;
        format!(
            "{predicted_ms:.1} times the latency, {evaluation_key_bytes:.1} the keys, {upload_bytes:.1} the request of a clean reply (degree {}, log2(QP) {:.0}, error {:.1e})",
            self.ring_degree, self.log_qp, self.predicted_error
        )
    }
}

impl Report {
    fn layers(&self) -> Table {
        let headings = [
            "layer",
            "kind",
            "level",
            "rotations",
            "plain mul",
            "cipher mul",
            "additions",
            "HOPs",
            "key-switches",
            "NTTs",
        ];
        let mut table = Table::new(headings).left(2);
        for layer in &self.explanation.layers {
            let level = format!("{} > {}", layer.level_in, layer.level_out);
            table.row([vec![layer.name.clone(), layer.kind.clone(), level], cells(&layer.counts)].concat());
        }
        let total = ["all", "", ""].map(String::from).to_vec();
        table.row([total, cells(&self.explanation.totals)].concat());
        table
    }

    fn representations(&self) -> Table {
        let mut table = Table::new(["layer", "how its input lies in the ciphertexts"]).left(2);
        let layers = &self.explanation.layers;
        for layer in layers {
            for (input, representation) in layer.inputs.iter().zip(layer.representation_in.texts()) {
                let named = match layer.inputs.len() {
                    1 => representation.clone(),
                    _ => format!("{input}: {representation}"),
                };
                table.row([&layer.name, &named]);
            }
        }
        if let Some(last) = layers.last() {
            table.row(["reply", &last.representation_out]);
        }
        table
    }

    /// Why each layer is computed as it is; nothing for plans that were not searched.
    fn reasons(&self) -> String {
        let mut text = String::new();
        for layer in &self.explanation.layers {
            if let Some(reason) = &layer.reason {
                let _ = writeln!(text, "{} ({}): {reason}", layer.name, milliseconds(layer.predicted_ms));
            }
        }
        text
    }

    /// What the next best plan would cost.
    fn runner_up(&self) -> String {
        let Some(other) = &self.runner_up else { return String::new() };
        let Explanation { representation, totals, predicted_ms, upload_bytes, .. } = &self.explanation;
        let figures = |t: &CountFields, ms: f64, upload| {
            let (hops, switches) = (t.hops, t.key_switches);
            format!(
                "{} predicted, {hops} operations, {switches} key-switches, request {}",
                milliseconds(ms),
                bytes(upload)
            )
        };
        let apart = match other.ratio {
            ratio if ratio < 1.0005 => "as good by this objective, and worse by what breaks ties".into(),
            ratio => format!("{:.1} % more by this objective", 100.0 * (ratio - 1.0)),
        };
        format!(
            "chosen for {}: {representation}, {}\nrunner-up: {}, {}; {apart}\n",
            self.objective,
            figures(totals, *predicted_ms, *upload_bytes),
            other.representation,
            figures(&other.totals, other.predicted_ms, other.upload_bytes),
        )
    }

    fn facts(&self) -> Facts {
        let e = &self.explanation;
        let facts = Facts::default();
        let facts = match (e.masking, &self.clean) {
            (Some(masking), Some(clean)) => facts
                .fact(
                    "private reply",
                    format!(
                        "kappa {}: a reply tells networks apart by 2^-{} at most; noise of 2^{}",
                        masking.kappa, masking.kappa, masking.noise_bits
                    ),
                )
                .fact("its cost", clean.cost()),
            _ => facts,
        };
        facts
            .fact("ring", format!("degree {}, {} real slots, {} levels", e.ring_degree, e.slots, e.levels))
            .fact("security", format!("{} bits, log2(QP) {:.2}", e.security_bits, e.log_qp))
            .fact(
                "request, reply",
                format!("{}, {} ({} reply)", bytes(e.upload_bytes), bytes(e.download_bytes), e.reply),
            )
            .fact("evaluation keys, once", within(bytes(e.evaluation_key_bytes), self.max_key_bytes))
            .fact(
                "server's memory",
                within(
                    format!("{} encoded model, {} of values", bytes(e.server_bytes), bytes(e.working_bytes)),
                    self.max_memory,
                ),
            )
            .fact("predicted error", format!("{:.2e} rms of a score", e.predicted_error))
            .fact("predicted latency", format!("{} on one core", milliseconds(e.predicted_ms)))
            .fact("and before it", format!("{} to expand a request", milliseconds(e.predicted_expand_ms)))
    }
}

/// Some bytes, and the limit that they are within.
fn within(text: String, limit: u64) -> String {
    format!("{text} (limit {})", bytes(limit))
}

/// Counts as the cells of a row.
fn cells(counts: &CountFields) -> Vec<String> {
    let rotations = match counts.hoisted_rotations {
        0 => counts.rotations.to_string(),
        hoisted => format!("{} ({hoisted} hoisted)", counts.rotations),
    };
    let others = [
        counts.plaintext_multiplications,
        counts.ciphertext_multiplications,
        counts.additions,
        counts.hops,
        counts.key_switches,
        counts.ntts,
    ];
    std::iter::once(rotations).chain(others.iter().map(u64::to_string)).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.explanation;
        writeln!(f, "{}, {} representation, best for {}\n", e.model, e.representation, e.objective)?;
        write!(f, "{}\n{}\n", self.layers(), self.representations())?;
        for part in [self.reasons(), self.runner_up()].iter().filter(|part| !part.is_empty()) {
            writeln!(f, "{part}")?;
        }
        write!(f, "{}", self.facts())?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

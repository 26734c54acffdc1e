//! `explain`: what the encrypted run will do, without doing it.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::failure::Outcome;
use crate::figures::{bits, bytes, count, milliseconds, number};
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use crate::table::Table;
use crate::threads::on_threads;
use crate::{machine, progress};
use blindsight_network::Model;
use blindsight_planner as planner;
use blindsight_planner::CountFields;
use blindsight_planner::Objective;
use blindsight_planner::{DEFAULT_MEMORY_LIMIT, Explanation, Plan, ReplyKind};
use serde::Serialize;

/// Shows what the encrypted run will do and cost; nothing is encrypted
///
/// Layer by layer: how the tensor lies in the ciphertexts before and after, operations, levels; and in all:
/// bytes, predicted error and time. Rotations count each rotation, hoisted ones too; HOPs (homomorphic
/// operations) are rotations, products and additions. Of plans that were searched it says why each layer is
/// computed as it is, and what the best plan that begins otherwise would have cost.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight explain cryptonets-mnist
  blindsight explain cryptonets-mnist --objective operations --json
  blindsight explain cryptonets-mnist --wide")]
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
        let clean = planner::explain(&plan, model, &flags.options()?.cost)?;
        Ok(Some(Clean::new(&clean, private)))
    }

    pub fn run(&self, output: Output) -> Outcome {
        let model = self.model.load()?;
        let plan = self.plan.plan(&model)?;
        let (options, objective) = (self.plan.options()?, self.plan.objective);
        let explain =
            |plan: &Plan| progress::spinning("dry run", || planner::explain(plan, &model, &options.cost));
        let explanation = explain(&plan)?;
        let other = progress::spinning("planning with other packings", || {
            on_threads(machine::cores(), || Ok(planner::runner_up(&model, &plan, &options)?))
        })?;
        let other = other.map(|other| explain(&other)).transpose()?;
        let runner_up = other.map(|other| RunnerUp::new(other, &explanation, objective));
        let objective_value = explanation.cost(objective);
        let warnings = PlanFlags::notices(&model, &plan)?;
        let clean = self.clean(&model, &explanation)?;
        let max_memory = options.max_memory.unwrap_or(DEFAULT_MEMORY_LIMIT);
        let report = Report {
            explanation,
            objective_value,
            runner_up,
            clean,
            warnings,
            max_key_bytes: options.max_key_bytes,
            max_memory,
            objective,
        };
        emit(&report, output)
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
            "{} times the latency, {} times the keys and {} times the request of a clean reply (degree {}, modulus QP of {}, error {})",
            number(predicted_ms),
            number(evaluation_key_bytes),
            number(upload_bytes),
            self.ring_degree,
            bits(self.log_qp),
            number(self.predicted_error)
        )
    }
}

/// What the columns of counts mean, for who sees them the first time.
const COUNTED: &str = "Each operation acts on all slots of a ciphertext at once. Rotations move values to other slots; plain \
    products are with weights, cipher products of two ciphertexts. A key-switch is the slow part of a rotation and of a \
    cipher product. Layers use up levels: the reply is sent at level 0. Times are predicted, of one core.";

impl Report {
    /// How the input of each layer lies in ciphertexts, and the levels that it takes.
    fn layouts(&self) -> Table {
        let mut table = Table::new(["layer", "kind", "levels", "its input in the ciphertexts"]).texts(4);
        for layer in &self.explanation.layers {
            let levels = format!("{} to {}", layer.level_in, layer.level_out);
            for (input, layout) in layer.inputs.iter().zip(layer.representation_in.texts()) {
                let named = match layer.inputs.len() {
                    1 => layout.clone(),
                    _ => format!("{input}: {layout}"),
                };
                table.row([&layer.name, &layer.kind, &levels, &named]);
            }
        }
        if let Some(last) = self.explanation.layers.last() {
            table.row(["reply", "", "", &last.representation_out]);
        }
        table
    }

    /// What each layer takes.
    fn counts(&self) -> Table {
        let headings = [
            "layer",
            "rotations",
            "hoisted\nrotations",
            "plain\nproducts",
            "cipher\nproducts",
            "additions",
            "all\noperations",
            "key-\nswitches",
            "NTTs",
            "time",
        ];
        let mut table =
            Table::new(headings).spare(["NTTs", "hoisted\nrotations", "additions", "all\noperations"]);
        for layer in &self.explanation.layers {
            table.row(cells(&layer.name, &layer.counts, layer.predicted_ms));
        }
        table.row(cells("all", &self.explanation.totals, self.explanation.predicted_ms));
        table
    }

    /// Why each layer is computed as it is; nothing of plans that were not searched.
    fn reasons(&self, page: &mut Page) {
        let layers = || self.explanation.layers.iter();
        if layers().all(|layer| layer.reason.is_none()) {
            return;
        }
        page.gap();
        page.title("Why each layer is computed as it is");
        for layer in layers() {
            if let Some(reason) = &layer.reason {
                page.item(&format!("{}, {}", layer.name, milliseconds(layer.predicted_ms)), reason);
            }
        }
    }

    /// The plan beside the next best one.
    fn runner_up(&self, page: &mut Page) {
        let Some(other) = &self.runner_up else { return };
        let e = &self.explanation;
        let headings = ["plan", "time", "operations", "key-\nswitches", "request", "keys"];
        let mut table = Table::new(headings);
        let mut row = |plan: String, ms: f64, totals: &CountFields, upload: u64, keys: u64| {
            let counts = [count(totals.hops), count(totals.key_switches)];
            table.row(
                [vec![plan, milliseconds(ms)], counts.into(), vec![bytes(upload), bytes(keys)]].concat(),
            );
        };
        let chosen = format!("chosen: {}", e.representation);
        row(chosen, e.predicted_ms, &e.totals, e.upload_bytes, e.evaluation_key_bytes);
        let runner_up = format!("runner-up: {}", other.representation);
        row(runner_up, other.predicted_ms, &other.totals, other.upload_bytes, other.evaluation_key_bytes);
        page.gap();
        page.title(format!("The best plan for {}, and the best of another packing", self.objective));
        page.table(&table);
        page.say(self.apart(other.ratio));
    }

    /// How much worse the runner-up is.
    fn apart(&self, ratio: f64) -> String {
        let counted = match self.objective {
            Objective::Latency => {
                " (the time to expand a request and compute, and 0.3 ms for each MB of keys, 0.5 of a request, 0.02 of encoded weights)"
            }
            _ => "",
        };
        match ratio {
            ratio if ratio < 0.9995 => {
                let less = number(100.0 * (1.0 - ratio));
                format!(
                    "The runner-up is {less} % better by this objective{counted}: it is of another packing, and \
                     to save memory none was looked at."
                )
            }
            ratio if ratio < 1.0005 => {
                format!("The runner-up is as good by this objective{counted}, and worse by what breaks ties.")
            }
            ratio => {
                let more = number(100.0 * (ratio - 1.0));
                format!("The runner-up is {more} % worse by this objective{counted}.")
            }
        }
    }

    fn facts(&self) -> Facts {
        let e = &self.explanation;
        let request = format!(
            "{}, sent for each {}",
            bytes(e.upload_bytes),
            if e.images > 1 { "batch" } else { "image" }
        );
        self.private_facts()
            .fact(
                "ring",
                format!("degree {}: {} slots in a ciphertext; {} levels", e.ring_degree, e.slots, e.levels),
            )
            .fact("security", format!("{} bits, with a modulus QP of {}", e.security_bits, bits(e.log_qp)))
            .fact(
                "evaluation keys",
                within(format!("{}, sent once", bytes(e.evaluation_key_bytes)), self.max_key_bytes),
            )
            .fact("request", request)
            .fact("reply", format!("{} ({})", bytes(e.download_bytes), e.reply))
            .fact("server's memory", within(self.memory(), self.max_memory))
            .fact("predicted error", format!("{} of a score (root mean square)", number(e.predicted_error)))
            .fact("predicted latency", format!("{} on one core", milliseconds(e.predicted_ms)))
            .fact("and before it", format!("{} to expand a request", milliseconds(e.predicted_expand_ms)))
    }

    fn memory(&self) -> String {
        let Explanation { server_bytes, working_bytes, .. } = &self.explanation;
        format!("{} for the encoded model, {} for an inference", bytes(*server_bytes), bytes(*working_bytes))
    }

    /// What a private reply gives and costs, where it is one.
    fn private_facts(&self) -> Facts {
        let (Some(masking), Some(clean)) = (self.explanation.masking, &self.clean) else {
            return Facts::default();
        };
        let (kappa, noise) = (masking.kappa, masking.noise_bits);
        let text =
            format!("kappa {kappa}: a reply tells networks apart by 2^-{kappa} at most; noise of 2^{noise}");
        Facts::default().fact("private reply", text).fact("its cost", clean.cost())
    }
}

/// Some bytes, and the limit that they are within.
fn within(text: String, limit: u64) -> String {
    format!("{text} (limit {})", bytes(limit))
}

/// A row of counts.
fn cells(name: &str, counts: &CountFields, ms: f64) -> Vec<String> {
    let counts = [
        counts.rotations,
        counts.hoisted_rotations,
        counts.plaintext_multiplications,
        counts.ciphertext_multiplications,
        counts.additions,
        counts.hops,
        counts.key_switches,
        counts.ntts,
    ];
    let counts = counts.into_iter().map(count);
    std::iter::once(name.into()).chain(counts).chain([milliseconds(ms)]).collect()
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let e = &self.explanation;
        page.title(format!("{}: packing {}, best for {}", e.model, e.representation, e.objective));
        page.gap();
        page.table(&self.layouts());
        page.gap();
        page.table(&self.counts());
        page.gap();
        page.say(COUNTED);
        self.reasons(page);
        self.runner_up(page);
        page.gap();
        page.facts(self.facts());
        self.warnings.iter().for_each(|warning| page.warning(warning));
    }
}

//! `explain`: what the encrypted run will do, without doing it.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::configuration;
use crate::failure::Outcome;
use crate::report::{Facts, Table, bytes, emit, milliseconds};
use packing::Explanation;
use packing::explain::CountFields;
use serde::Serialize;
use std::fmt;

/// Shows what the encrypted run will do and cost; nothing is encrypted
///
/// Layer by layer: how the tensor lies in the ciphertexts before and after, operations, levels; and in all: bytes, predicted error and
/// time. Rotations count each rotation, hoisted ones too; HOPs (homomorphic operations) are rotations, products and additions.
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
}

impl Explain {
    pub fn run(&self, json: bool) -> Outcome {
        let model = self.model.load()?;
        let plan = self.plan.plan(&model)?;
        let explanation = packing::explain(&plan, &model, &configuration::costs()?)?;
        emit(&Report { explanation }, json)
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
            table.row([&layer.name, &layer.representation_in]);
        }
        if let Some(last) = layers.last() {
            table.row(["reply", &last.representation_out]);
        }
        table
    }

    fn facts(&self) -> Facts {
        let e = &self.explanation;
        Facts::default()
            .fact("ring", format!("degree {}, {} real slots, {} levels", e.ring_degree, e.slots, e.levels))
            .fact("security", format!("{} bits, log2(QP) {:.2}", e.security_bits, e.log_qp))
            .fact(
                "request, reply",
                format!("{}, {} ({} reply)", bytes(e.upload_bytes), bytes(e.download_bytes), e.reply),
            )
            .fact("evaluation keys, once", bytes(e.evaluation_key_bytes))
            .fact("encoded model", bytes(e.server_bytes))
            .fact("predicted error", format!("{:.2e} rms of a score", e.predicted_error))
            .fact("predicted latency", format!("{} on one core", milliseconds(e.predicted_ms)))
    }
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
        write!(f, "{}\n{}\n{}", self.layers(), self.representations(), self.facts())
    }
}

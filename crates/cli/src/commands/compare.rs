//! `compare`: every representation that can run a model.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::configuration;
use crate::failure::Outcome;
use crate::report::{Table, bytes, emit, milliseconds};
use network::Model;
use packing::Explanation;
use packing::planner::Family;
use serde::Serialize;
use std::fmt;

/// Compares the representations that can run a model: counts, bytes, predicted time, and the ratio to `auto`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  blindsight compare cryptonets-mnist\n  blindsight compare cryptonets-mnist --objective operations --json"
)]
pub struct Compare {
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    plan: PlanFlags,
}

/// Named plans of the literature.
const NAMED: [&str; 3] = ["cryptonets", "lola", "lola-dense"];
/// No more taps in a ciphertext are tried.
const MOST_TAPS: usize = 64;

#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Row>,
    not_offered: Vec<NotOffered>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    explanation: Explanation,
    /// HOPs, as a multiple of those of `auto`.
    hops_ratio: f64,
    /// Predicted time, as a multiple of that of `auto`.
    time_ratio: f64,
}

#[derive(Debug, Serialize)]
struct NotOffered {
    representation: String,
    reason: String,
}

impl Compare {
    pub fn run(&self, json: bool) -> Outcome {
        let model = self.model.load()?;
        let auto = self.explain(&model, Family::Auto, self.plan.ring_degree)?;
        // Rows are comparable in the ring that `auto` chose; there the taps of one ciphertext end where it is full.
        let degree = Some(auto.ring_degree);
        let taps = (1..=MOST_TAPS).map_while(|taps| self.explain(&model, Family::Taps(taps), degree).ok());
        let auto = Explanation { representation: Family::Auto.to_string(), ..auto };
        let mut explanations: Vec<_> = std::iter::once(auto).chain(taps).collect();
        let mut not_offered = vec![];
        for name in NAMED {
            match self.named(&model, name) {
                Ok(explanation) => explanations.push(explanation),
                Err(reason) => {
                    not_offered.push(NotOffered { representation: name.into(), reason: reason.to_string() })
                }
            }
        }
        emit(&Report { rows: rows(explanations), not_offered }, json)
    }

    /// A plan of the literature, in the smallest ring that it fits.
    fn named(&self, model: &Model, name: &str) -> Outcome<Explanation> {
        self.explain(model, name.parse()?, self.plan.ring_degree)
    }

    fn explain(
        &self,
        model: &Model,
        representation: Family,
        ring_degree: Option<usize>,
    ) -> Outcome<Explanation> {
        let plan = PlanFlags { representation, ring_degree, ..self.plan.clone() }.plan(model)?;
        Ok(packing::explain(&plan, model, &configuration::costs()?)?)
    }
}

/// Rows with their ratios to the first.
fn rows(explanations: Vec<Explanation>) -> Vec<Row> {
    let (hops, ms) = (explanations[0].totals.hops as f64, explanations[0].predicted_ms);
    let row = |explanation: Explanation| Row {
        hops_ratio: explanation.totals.hops as f64 / hops,
        time_ratio: explanation.predicted_ms / ms,
        explanation,
    };
    explanations.into_iter().map(row).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = [
            "representation",
            "HOPs",
            "of auto",
            "rotations",
            "products",
            "squares",
            "additions",
            "key-switches",
            "predicted",
            "of auto",
            "request",
            "keys",
        ];
        let mut table = Table::new(headings);
        for Row { explanation: e, hops_ratio, time_ratio } in &self.rows {
            let t = &e.totals;
            table.row([
                e.representation.clone(),
                t.hops.to_string(),
                format!("{hops_ratio:.2}"),
                t.rotations.to_string(),
                t.plaintext_multiplications.to_string(),
                t.ciphertext_multiplications.to_string(),
                t.additions.to_string(),
                t.key_switches.to_string(),
                milliseconds(e.predicted_ms),
                format!("{time_ratio:.2}"),
                bytes(e.upload_bytes),
                bytes(e.evaluation_key_bytes),
            ]);
        }
        writeln!(f, "{table}")?;
        self.not_offered.iter().try_for_each(|n| writeln!(f, "{}", n.reason))
    }
}

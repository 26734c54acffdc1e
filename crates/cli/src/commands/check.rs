//! `check`: everything that keeps a model from running encrypted, at once.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::configuration;
use crate::failure::Outcome;
use crate::report::{Facts, Table, bytes, emit, milliseconds};
use blindsight_client::printable;
use blindsight_network::Model;
use blindsight_planner::check::{Check as Checked, Layer, Obstacle, Tensor};
use blindsight_planner::{Explanation, explain};
use serde::Serialize;
use std::fmt;

/// Says everything that keeps a model from running encrypted, each with its remedy
///
/// Where nothing does, shows what becomes of the network, and what running it takes. Exit status 0 only
/// where the network runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  blindsight check net.onnx\n  blindsight check net.onnx --json")]
pub struct Check {
    #[command(flatten)]
    model: ModelArgument,
}

/// What was found, for a terminal.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Report(Checked);

impl Check {
    pub fn run(&self, json: bool) -> Outcome {
        let explained = |model: &Model| planned(model).map_err(|failure| failure.to_string());
        let report = Report(Checked::new(self.model.name(), self.model.examine()?, explained));
        emit(&report, json)?;
        if !report.0.ok {
            // The report says why: there is no more to be said on stderr.
            std::process::exit(1);
        }
        Ok(())
    }
}

fn planned(model: &Model) -> Outcome<Explanation> {
    let plan = PlanFlags::default().plan(model)?;
    Ok(explain(&plan, model, &configuration::costs()?)?)
}

fn declared(tensors: &[Tensor]) -> String {
    let dims = |tensor: &Tensor| {
        let dims = tensor.shape.iter().map(|d| d.map_or("?".into(), |d| d.to_string()));
        dims.collect::<Vec<_>>().join(", ")
    };
    let each = tensors.iter().map(|tensor| format!("{} [{}]", tensor.name, dims(tensor)));
    each.collect::<Vec<_>>().join(", ")
}

fn spelled(Obstacle { node, operator, reason, remedy }: &Obstacle) -> String {
    let place = match (node.as_str(), operator.as_str()) {
        ("", _) => "the model".to_string(),
        (node, "") => node.to_string(),
        (node, operator) => format!("{node} ({operator})"),
    };
    format!("{}: {}\n    {}\n", printable(&place), printable(reason), printable(remedy))
}

impl Report {
    fn facts(&self) -> Facts {
        let Checked { inputs, outputs, .. } = &self.0;
        let mut facts = Facts::default().fact("input", declared(inputs)).fact("output", declared(outputs));
        if let Some(applied) = self.0.applied.filter(|applied| *applied != "none") {
            facts = facts.fact("applied by the client", applied);
        }
        if let (Some(levels), Some(degree)) = (self.0.levels, self.0.ring_degree) {
            facts = facts.fact("levels", levels.to_string()).fact("ring degree", degree.to_string());
        }
        if let Some(ms) = self.0.predicted_ms {
            facts = facts.fact("predicted latency", format!("{} on one core", milliseconds(ms)));
        }
        if let Some(error) = self.0.predicted_error {
            facts = facts.fact("predicted error", format!("{error:.2e} rms of a score"));
        }
        if let Some(keys) = self.0.evaluation_key_bytes {
            facts = facts.fact("evaluation keys, once", bytes(keys));
        }
        facts
    }

    fn layers(&self) -> Table {
        let mut table = Table::new(["layer", "kind", "gives"]).left(2);
        for Layer { name, kind, shape: [channels, height, width] } in &self.0.fused {
            table.row([name.clone(), kind.clone(), format!("{channels}x{height}x{width}")]);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = printable(&self.0.model);
        match self.0.problems.len() {
            0 => writeln!(f, "{name} runs encrypted\n")?,
            1 => writeln!(f, "{name} does not run encrypted: one problem\n")?,
            count => writeln!(f, "{name} does not run encrypted: {count} problems\n")?,
        }
        self.0.problems.iter().try_for_each(|problem| writeln!(f, "{}", spelled(problem)))?;
        writeln!(f, "{}", self.facts())?;
        if !self.0.fused.is_empty() {
            writeln!(f, "{}", self.layers())?;
        }
        if !self.0.merged.is_empty() {
            writeln!(f, "part of these layers: {}\n", printable(&self.0.merged.join(", ")))?;
        }
        self.0.assumptions.iter().try_for_each(|said| writeln!(f, "note: {}", printable(said)))
    }
}

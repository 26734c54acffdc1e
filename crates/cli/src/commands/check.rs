//! `check`: everything that keeps a model from running encrypted, at once.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::failure::Outcome;
use crate::figures::{bytes, milliseconds, number};
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use crate::table::Table;
use crate::{configuration, progress};
use blindsight_network::Model;
use blindsight_planner::check::{Check as Checked, Layer, Obstacle, Tensor};
use blindsight_planner::{Explanation, explain};
use serde::Serialize;

/// Says everything that keeps a model from running encrypted, each with its remedy
///
/// Where nothing does, shows what becomes of the network, and what running it takes. Exit status 0 only
/// where the network runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight check net.onnx
  blindsight check net.onnx --json")]
pub struct Check {
    #[command(flatten)]
    model: ModelArgument,
}

/// What was found, for a terminal.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Report(Checked);

impl Check {
    pub fn run(&self, output: Output) -> Outcome {
        let explained = |model: &Model| planned(model).map_err(|failure| failure.to_string());
        let report = Report(Checked::new(self.model.name(), self.model.examine()?, explained));
        emit(&report, output)?;
        if !report.0.ok {
            // The report says why: there is no more to be said on stderr.
            std::process::exit(1);
        }
        Ok(())
    }
}

fn planned(model: &Model) -> Outcome<Explanation> {
    let plan = PlanFlags::default().plan(model)?;
    let costs = configuration::costs()?;
    progress::spinning("dry run", || Ok(explain(&plan, model, &costs)?))
}

fn declared(tensors: &[Tensor]) -> String {
    let dims = |tensor: &Tensor| {
        let dims = tensor.shape.iter().map(|d| d.map_or("?".into(), |d| d.to_string()));
        dims.collect::<Vec<_>>().join(", ")
    };
    let each = tensors.iter().map(|tensor| format!("{} [{}]", tensor.name, dims(tensor)));
    each.collect::<Vec<_>>().join(", ")
}

/// What is said once: problems of one operator with the same reason and remedy, in the order of the first.
fn grouped(problems: &[Obstacle]) -> Vec<Vec<&Obstacle>> {
    let mut groups: Vec<Vec<&Obstacle>> = vec![];
    for problem in problems {
        match groups.iter_mut().find(|group| are_alike(group[0], problem)) {
            Some(group) => group.push(problem),
            None => groups.push(vec![problem]),
        }
    }
    groups
}

fn are_alike(one: &Obstacle, other: &Obstacle) -> bool {
    let told = |Obstacle { node, operator, reason, remedy }: &Obstacle| {
        (node.is_empty(), operator.clone(), reason.clone(), remedy.clone())
    };
    told(one) == told(other)
}

/// Where it is in the way.
fn places(alike: &[&Obstacle]) -> String {
    let nodes: Vec<&str> = alike.iter().map(|problem| problem.node.as_str()).collect();
    match (nodes.as_slice(), alike[0].operator.as_str()) {
        ([""], _) => "the model".to_string(),
        (nodes, "") => nodes.join(", "),
        (nodes, operator) => format!("{} ({operator})", nodes.join(", ")),
    }
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
            facts = facts.fact("predicted error", format!("{} of a score, root mean square", number(error)));
        }
        if let Some(keys) = self.0.evaluation_key_bytes {
            facts = facts.fact("evaluation keys, once", bytes(keys));
        }
        facts
    }

    fn layers(&self) -> Table {
        let mut table = Table::new(["layer", "kind", "gives"]).texts(2);
        for Layer { name, kind, shape: [channels, height, width] } in &self.0.fused {
            table.row([name.clone(), kind.clone(), format!("{channels}x{height}x{width}")]);
        }
        table
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let name = &self.0.model;
        match self.0.problems.len() {
            0 => page.good(format!("{name} runs encrypted")),
            1 => page.bad(format!("{name} does not run encrypted: one problem")),
            count => page.bad(format!("{name} does not run encrypted: {count} problems")),
        }
        for alike in grouped(&self.0.problems) {
            page.gap();
            page.item(&places(&alike), &alike[0].reason);
            page.item("  remedy", &alike[0].remedy);
        }
        page.gap();
        page.facts(self.facts());
        if !self.0.fused.is_empty() {
            page.gap();
            page.table(&self.layers());
        }
        if !self.0.merged.is_empty() {
            page.gap();
            page.say(format!("part of these layers: {}", self.0.merged.join(", ")));
        }
        for said in &self.0.assumptions {
            page.item("note", said);
        }
    }
}

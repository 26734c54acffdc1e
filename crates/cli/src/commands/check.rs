//! `check`: everything that keeps a model from running encrypted, at once.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::configuration;
use crate::failure::Outcome;
use crate::report::{Facts, Table, bytes, emit, milliseconds};
use blindsight_client::printable;
use blindsight_network::{Declared, Examination, Fused, FusedNode, FusedOperation, LinearMap, Model};
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

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    ok: bool,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// What the client applies to the scores.
    applied: Option<&'static str>,
    /// Rescales of the plan; null where there is none.
    levels: Option<usize>,
    ring_degree: Option<usize>,
    predicted_ms: Option<f64>,
    predicted_error: Option<f64>,
    evaluation_key_bytes: Option<u64>,
    problems: Vec<Problem>,
    /// The layers that are computed encrypted.
    fused: Vec<Layer>,
    /// The file's nodes that became part of one of those.
    merged: Vec<String>,
    assumptions: Vec<String>,
}

/// A tensor as the file declares it.
#[derive(Debug, Serialize)]
struct Tensor {
    name: String,
    /// The dimensions, the batch first; null for a symbol.
    shape: Vec<Option<i64>>,
}

#[derive(Debug, Serialize)]
struct Problem {
    node: String,
    operator: String,
    reason: String,
    remedy: String,
}

#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    kind: String,
    /// Channels, height and width of what it gives.
    shape: [usize; 3],
}

impl Check {
    pub fn run(&self, json: bool) -> Outcome {
        let report = Report::new(self.model.name(), self.model.examine()?);
        emit(&report, json)?;
        if !report.ok {
            // The report says why: there is no more to be said on stderr.
            std::process::exit(1);
        }
        Ok(())
    }
}

impl Report {
    fn new(name: &str, examination: Examination) -> Self {
        let Examination { model, problems, assumptions, inputs, outputs } = examination;
        let mut report = Self {
            model: model.as_ref().map_or(name, |model| &model.name).to_string(),
            ok: false,
            inputs: inputs.into_iter().map(Tensor::from).collect(),
            outputs: outputs.into_iter().map(Tensor::from).collect(),
            applied: model.as_ref().map(|model| model.output.name()),
            levels: None,
            ring_degree: None,
            predicted_ms: None,
            predicted_error: None,
            evaluation_key_bytes: None,
            problems: problems.into_iter().map(Problem::from).collect(),
            fused: vec![],
            merged: vec![],
            assumptions,
        };
        if let Some(model) = model {
            report.look_at_size(&model);
            if report.problems.is_empty() {
                report.plan(&model);
            }
        }
        report
    }

    /// A model may be too large whatever becomes of its other problems.
    fn look_at_size(&mut self, model: &Model) {
        if let Err(error) = blindsight_planner::check_size(model) {
            self.problems.push(Problem::of_whole(
                error.to_string(),
                "make the network smaller: resize images, use fewer channels or larger strides",
            ));
        }
    }

    /// Looks for a plan of a model without problems.
    fn plan(&mut self, model: &Model) {
        if let Ok(fused) = model.fused() {
            self.merged = merged(model, &fused);
            self.fused = fused.nodes.iter().map(Layer::from).collect();
        }
        match planned(model) {
            Ok(explanation) => {
                self.ok = true;
                self.levels = Some(explanation.levels);
                self.ring_degree = Some(explanation.ring_degree);
                self.predicted_ms = Some(explanation.predicted_ms);
                self.predicted_error = Some(explanation.predicted_error);
                self.evaluation_key_bytes = Some(explanation.evaluation_key_bytes);
            }
            Err(failure) => self.problems.push(Problem::of_whole(
                failure.to_string(),
                "make the network smaller or shallower, or its scores and weights larger beside the error",
            )),
        }
    }
}

impl Problem {
    /// One that no node is to blame for.
    fn of_whole(reason: String, remedy: &str) -> Self {
        Self { node: String::new(), operator: String::new(), reason, remedy: remedy.into() }
    }
}

fn planned(model: &Model) -> Outcome<Explanation> {
    let plan = PlanFlags::default().plan(model)?;
    Ok(explain(&plan, model, &configuration::costs()?)?)
}

/// The nodes of the file that are no layer of their own.
fn merged(model: &Model, fused: &Fused) -> Vec<String> {
    let layers: Vec<&str> = fused.nodes.iter().map(|node| node.name.as_str()).collect();
    let names = model.graph.nodes.iter().map(|node| &node.name);
    names.filter(|name| !layers.contains(&name.as_str())).cloned().collect()
}

impl From<Declared> for Tensor {
    fn from(Declared { name, dims }: Declared) -> Self {
        Self { name, shape: dims }
    }
}

impl From<blindsight_network::Problem> for Problem {
    fn from(problem: blindsight_network::Problem) -> Self {
        let blindsight_network::Problem { node, operator, reason, remedy } = problem;
        Self { node, operator, reason, remedy }
    }
}

impl From<&FusedNode> for Layer {
    fn from(node: &FusedNode) -> Self {
        let kind = match &node.operation {
            FusedOperation::Linear { terms, .. } => match terms.first().map(|term| &term.map) {
                Some(LinearMap::Convolution(_)) => "convolution".into(),
                Some(LinearMap::Dense(_)) => "dense".into(),
                _ => "linear".into(),
            },
            FusedOperation::Polynomial { polynomial, .. } if polynomial.is_square() => "square".into(),
            FusedOperation::Polynomial { polynomial, .. } => {
                format!("polynomial of degree {}", polynomial.degree())
            }
            FusedOperation::Product(_) => "product".into(),
        };
        let shape = [node.shape.channels, node.shape.height, node.shape.width];
        Self { name: node.name.clone(), kind, shape }
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims = self.shape.iter().map(|d| d.map_or("?".into(), |d| d.to_string()));
        write!(f, "{} [{}]", self.name, dims.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, operator, reason, remedy } = self;
        let place = match (node.as_str(), operator.as_str()) {
            ("", _) => "the model".to_string(),
            (node, "") => node.to_string(),
            (node, operator) => format!("{node} ({operator})"),
        };
        writeln!(f, "{}: {}", printable(&place), printable(reason))?;
        writeln!(f, "    {}", printable(remedy))
    }
}

impl Report {
    fn facts(&self) -> Facts {
        let list =
            |tensors: &[Tensor]| tensors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut facts =
            Facts::default().fact("input", list(&self.inputs)).fact("output", list(&self.outputs));
        if let Some(applied) = self.applied.filter(|applied| *applied != "none") {
            facts = facts.fact("applied by the client", applied);
        }
        if let (Some(levels), Some(degree)) = (self.levels, self.ring_degree) {
            facts = facts.fact("levels", levels.to_string()).fact("ring degree", degree.to_string());
        }
        if let Some(ms) = self.predicted_ms {
            facts = facts.fact("predicted latency", format!("{} on one core", milliseconds(ms)));
        }
        if let Some(error) = self.predicted_error {
            facts = facts.fact("predicted error", format!("{error:.2e} rms of a score"));
        }
        if let Some(keys) = self.evaluation_key_bytes {
            facts = facts.fact("evaluation keys, once", bytes(keys));
        }
        facts
    }

    fn layers(&self) -> Table {
        let mut table = Table::new(["layer", "kind", "gives"]).left(2);
        for Layer { name, kind, shape: [channels, height, width] } in &self.fused {
            table.row([name.clone(), kind.clone(), format!("{channels}x{height}x{width}")]);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = printable(&self.model);
        match self.problems.len() {
            0 => writeln!(f, "{name} runs encrypted\n")?,
            1 => writeln!(f, "{name} does not run encrypted: one problem\n")?,
            count => writeln!(f, "{name} does not run encrypted: {count} problems\n")?,
        }
        self.problems.iter().try_for_each(|problem| writeln!(f, "{problem}"))?;
        writeln!(f, "{}", self.facts())?;
        if !self.fused.is_empty() {
            writeln!(f, "{}", self.layers())?;
        }
        if !self.merged.is_empty() {
            writeln!(f, "part of these layers: {}\n", printable(&self.merged.join(", ")))?;
        }
        self.assumptions.iter().try_for_each(|said| writeln!(f, "note: {}", printable(said)))
    }
}

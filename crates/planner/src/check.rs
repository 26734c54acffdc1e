//! Everything that keeps a file from running encrypted, its size and its plan included, as one report.

use crate::{Explanation, check_size};
use blindsight_network::{Declared, Examination, Fused, FusedNode, FusedOperation, LinearMap, Model};
use serde::Serialize;

/// What keeps a model from running encrypted; where nothing does, what becomes of it and what that takes.
///
/// Serialised, it is the document that `blindsight check --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The model's name.
    pub model: String,
    /// Whether it runs encrypted.
    pub ok: bool,
    /// The inputs that the file declares.
    pub inputs: Vec<Tensor>,
    /// Its outputs.
    pub outputs: Vec<Tensor>,
    /// What the client applies to the scores.
    pub applied: Option<&'static str>,
    /// Rescales of the plan; `None` where there is none.
    pub levels: Option<usize>,
    /// The plan's ring degree.
    pub ring_degree: Option<usize>,
    /// The predicted time of an inference on one core.
    pub predicted_ms: Option<f64>,
    /// The predicted error of a score, root mean square.
    pub predicted_error: Option<f64>,
    /// Bytes of the evaluation keys.
    pub evaluation_key_bytes: Option<u64>,
    /// What is in the way, all of it.
    pub problems: Vec<Obstacle>,
    /// The layers that are computed encrypted.
    pub fused: Vec<Layer>,
    /// The file's nodes that became part of one of those.
    pub merged: Vec<String>,
    /// What was taken for granted, a sentence each.
    pub assumptions: Vec<String>,
}

/// A tensor as the file declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// The dimensions, the batch first; null for a symbol.
    pub shape: Vec<Option<i64>>,
}

/// One thing that is in the way, and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Obstacle {
    /// The node; empty where it is none's.
    pub node: String,
    /// Its operator; empty where there is no node.
    pub operator: String,
    /// What is in the way.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// A layer that is computed encrypted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub kind: String,
    /// Channels, height and width of what it gives.
    pub shape: [usize; 3],
}

impl Check {
    /// Of a file that was examined; `name` is its name where it holds no model. Where nothing is in the way
    /// so far, `explained` plans the model: what it fails with is in the way.
    pub fn new(
        name: &str,
        examination: Examination,
        explained: impl FnOnce(&Model) -> Result<Explanation, String>,
    ) -> Self {
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
            problems: problems.into_iter().map(Obstacle::from).collect(),
            fused: vec![],
            merged: vec![],
            assumptions,
        };
        if let Some(model) = model {
            report.look_at_size(&model);
            if report.problems.is_empty() {
                report.plan(&model, explained);
            }
        }
        report
    }

    /// A model may be too large whatever becomes of its other problems.
    fn look_at_size(&mut self, model: &Model) {
        if let Err(error) = check_size(model) {
            self.problems.push(Obstacle::of_whole(
                error.to_string(),
                "make the network smaller: resize images, use fewer channels or larger strides",
            ));
        }
    }

    /// Looks for a plan of a model without problems.
    fn plan(&mut self, model: &Model, explained: impl FnOnce(&Model) -> Result<Explanation, String>) {
        if let Ok(fused) = model.fused() {
            self.merged = merged(model, &fused);
            self.fused = fused.nodes.iter().map(Layer::from).collect();
        }
        match explained(model) {
            Ok(explanation) => {
                self.ok = true;
                self.levels = Some(explanation.levels);
                self.ring_degree = Some(explanation.ring_degree);
                self.predicted_ms = Some(explanation.predicted_ms);
                self.predicted_error = Some(explanation.predicted_error);
                self.evaluation_key_bytes = Some(explanation.evaluation_key_bytes);
            }
            Err(reason) => self.problems.push(Obstacle::of_whole(
                reason,
                "make the network smaller or shallower, or its scores and weights larger beside the error",
            )),
        }
    }
}

impl Obstacle {
    /// One that no node is to blame for.
    fn of_whole(reason: String, remedy: &str) -> Self {
        Self { node: String::new(), operator: String::new(), reason, remedy: remedy.into() }
    }
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

impl From<blindsight_network::Problem> for Obstacle {
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

//! What a network costs once it is encrypted, by the planner.

use blindsight_network::{Graph, Metadata, Model};
use blindsight_planner::{self as planner, Options, explain};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What an encrypted inference is predicted to take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Price {
    pub levels: usize,
    pub milliseconds: f64,
}

/// The price of a network, as it is read from its file again: weights are of single precision there, and
/// arithmetic is spelled out. Fails where no plan fits it.
pub(crate) fn price(graph: &Graph, metadata: &Metadata, options: &Options) -> Result<Price, Error> {
    let model = Model::from_bytes("fitted", &graph.to_onnx(metadata)?)?;
    let plan = planner::plan(&model, options)?;
    let explained = explain(&plan, &model, &options.cost)?;
    Ok(Price { levels: explained.levels, milliseconds: explained.predicted_ms })
}

/// How many times as large as the planner takes them to be errors are on these inputs, rounded to two digits.
/// One where nothing can be said.
pub(crate) fn error_ratio(
    graph: &Graph,
    metadata: &Metadata,
    options: &Options,
    inputs: &[Vec<f64>],
) -> Result<f64, Error> {
    let model = Model::from_bytes("fitted", &graph.to_onnx(metadata)?)?;
    let plan = planner::plan(&model, options)?;
    let ratio = planner::error_ratio(&model, &plan, inputs)?.unwrap_or(1.0).clamp(0.01, 100.0);
    Ok(format!("{ratio:.1e}").parse().unwrap_or(1.0))
}

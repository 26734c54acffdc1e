//! Plans.

use crate::arrays::{matrix, rows};
use crate::errors::{PlanError, of_plan};
use crate::network::{Network, json, on_all_cores};
use blindsight_planner::{Objective, Options, explain, notices, simulated_errors};
use blindsight_protocol::write_plan;
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A plan: how a network is computed on ciphertexts.
#[pyclass(frozen, module = "blindsight._engine")]
pub struct Plan(pub blindsight_planner::Plan);

/// The planner's options by what was asked for; what was not has the planner's default.
pub fn options(
    objective: Option<&str>,
    max_key_bytes: Option<u64>,
    memory: Option<u64>,
) -> PyResult<Options> {
    let mut options = Options::default();
    if let Some(objective) = objective {
        options.objective = objective.parse::<Objective>().map_err(of_plan)?;
    }
    options.max_key_bytes = max_key_bytes.unwrap_or(options.max_key_bytes);
    options.max_memory = memory;
    Ok(options)
}

#[pymethods]
impl Plan {
    /// The best plan for a network.
    #[staticmethod]
    fn make(
        py: Python<'_>,
        network: &Network,
        objective: Option<&str>,
        max_key_bytes: Option<u64>,
        memory: Option<u64>,
    ) -> PyResult<Self> {
        let options = options(objective, max_key_bytes, memory)?;
        let plan = || on_all_cores(|| blindsight_planner::plan(&network.model, &options));
        py.detach(plan).map(Self).map_err(of_plan)
    }

    /// Reads the bytes of a plan's file.
    #[staticmethod]
    fn read(frame: &[u8]) -> PyResult<Self> {
        blindsight_planner::Plan::read(frame).map(Self).map_err(of_plan)
    }

    /// The bytes of the plan's file.
    fn write<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.write())
    }

    /// The public part, framed: all that a client needs, and nothing of the weights.
    fn public<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &write_plan(&self.0.public, &self.0.private_digest()))
    }

    /// What the plan does and costs, as JSON.
    fn explain(&self, py: Python<'_>, network: &Network) -> PyResult<String> {
        let explained = || explain(&self.0, &network.model, &Options::default().cost);
        json(&py.detach(explained).map_err(of_plan)?)
    }

    /// What is to be known before one relies on it, a sentence each.
    fn notices(&self, py: Python<'_>, network: &Network) -> PyResult<Vec<String>> {
        let notices = || on_all_cores(|| notices(&network.model, &self.0));
        let notices = py.detach(notices).map_err(of_plan)?;
        Ok(notices.iter().map(ToString::to_string).collect())
    }

    /// Errors that scores of these inputs may come out with: a row for each draw.
    fn simulated_errors<'py>(
        &self,
        py: Python<'py>,
        network: &Network,
        inputs: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let inputs = rows(&inputs, network.model.graph.input.elements())?;
        let draw = || on_all_cores(|| simulated_errors(&network.model, &self.0, &inputs));
        let errors = py.detach(draw).map_err(|error| PlanError::new_err(error.to_string()))?;
        matrix(py, &errors)
    }
}

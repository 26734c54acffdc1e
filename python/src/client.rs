//! The client: the only holder of a secret key.

use crate::arrays::rows;
use crate::errors::{DamagedError, of_client};
use crate::network::{json, on_all_cores, pixels};
use crate::progress::Progress;
use blindsight_client::Classification;
use blindsight_network::Metadata;
use blindsight_protocol::read_plan;
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json as value};

/// A client with its secret key.
#[pyclass(frozen, module = "blindsight._engine")]
pub struct Client(blindsight_client::Client);

/// What a reply says, as JSON.
pub fn answer(classification: &Classification) -> Value {
    let ranked = classification.top(classification.labels.len());
    let probabilities: Option<Vec<f64>> = ranked.iter().map(|ranked| ranked.probability).collect();
    value!({
        "class": classification.class,
        "label": classification.label,
        "name": classification.name(),
        "scores": classification.scores,
        "margin": classification.margin,
        "predicted_error": classification.predicted_error,
        "too_close": classification.too_close,
        "ranking": ranked.iter().map(|ranked| value!({
            "class": ranked.class, "label": ranked.label, "name": ranked.name, "score": ranked.score,
        })).collect::<Vec<_>>(),
        "probabilities": probabilities,
        "warnings": classification.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// What a client knows of the network by a plan, as JSON.
pub fn facts(client: &blindsight_client::Client) -> Value {
    let (plan, cost) = (client.plan(), client.cost());
    let shape = plan.input.shape();
    value!({
        "model": plan.model,
        "shape": [shape.channels, shape.height, shape.width],
        "labels": plan.labels,
        "images": plan.input.images(),
        "mean": plan.mean,
        "std": plan.std,
        "predicted_error": plan.predicted_error,
        "evaluation_key_bytes": cost.key_bytes,
    })
}

/// The network's inputs for images of 8-bit pixels, by the plan's normalisation.
pub fn normalised<'py>(
    py: Python<'py>,
    client: &blindsight_client::Client,
    images: &PyReadonlyArray2<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let plan = client.plan();
    let (mean, std) = (plan.mean.clone(), plan.std.clone());
    let metadata = Metadata { mean, std, ..Metadata::new(plan.input.shape(), plan.labels.len()) };
    pixels(py, &metadata, plan.input.shape(), images)
}

#[pymethods]
impl Client {
    /// Of a public plan's frame; with a new secret key, or the one in a file, which Python never sees.
    #[new]
    fn new(public: &[u8], secret: Option<std::path::PathBuf>) -> PyResult<Self> {
        let (plan, digest) = read_plan(public).map_err(|e| DamagedError::new_err(e.to_string()))?;
        let client = match secret {
            None => blindsight_client::Client::generate(plan, digest),
            Some(path) => blindsight_client::Client::load(plan, digest, &path),
        };
        client.map(Self).map_err(of_client)
    }

    /// What is known of the network, as JSON.
    fn facts(&self) -> PyResult<String> {
        json(&facts(&self.0))
    }

    /// Stores the secret key in a new file that only its owner can read.
    fn save_secret(&self, path: std::path::PathBuf) -> PyResult<()> {
        self.0.save(&path).map_err(of_client)
    }

    /// The frame of evaluation keys, made anew.
    fn evaluation_keys<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut progress = Progress::new(progress);
        let made = py.detach(|| {
            let tell = |done, total| progress.tell(done as u64, total as u64, "making keys");
            on_all_cores(|| self.0.evaluation_keys(tell))
        });
        progress.result()?;
        Ok(PyBytes::new(py, &made.map_err(of_client)?))
    }

    /// Images of 8-bit pixels, normalised: a row each.
    fn normalised<'py>(
        &self,
        py: Python<'py>,
        images: PyReadonlyArray2<'py, u8>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        normalised(py, &self.0, &images)
    }

    /// The frame of a request with these normalised inputs, and what is to be said of them here.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        inputs: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<(Bound<'py, PyBytes>, Vec<String>)> {
        let inputs = rows(&inputs, self.0.plan().input.shape().elements())?;
        let request = py.detach(|| self.0.encrypt_inputs(&inputs)).map_err(of_client)?;
        let warnings = inputs.iter().filter_map(|input| self.0.check_input(input));
        Ok((PyBytes::new(py, &request), warnings.map(|warning| warning.to_string()).collect()))
    }

    /// What a reply to so many inputs says, as JSON, an answer each.
    fn decrypt(&self, py: Python<'_>, reply: &[u8], images: usize, exact: bool) -> PyResult<String> {
        let decrypted = py.detach(|| match exact {
            true => self.0.exact_scores(reply, images),
            false => self.0.decrypt_images(reply, images),
        });
        json(&Value::Array(decrypted.map_err(of_client)?.iter().map(answer).collect()))
    }
}

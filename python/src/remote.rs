//! A client of a server over HTTPS.

use crate::arrays::rows;
use crate::client::{answer, facts, normalised};
use crate::errors::{DamagedError, InputError, ServerError, of_remote};
use crate::network::json;
use crate::progress::Progress;
use blindsight_client::remote::{RemoteClient, Secrets, Server, Trust};
use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use serde_json::json as value;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

/// A client whose keys are registered at a server.
#[pyclass(frozen, module = "blindsight._engine")]
pub struct Remote(Mutex<RemoteClient>);

/// Which certificate is trusted: that of a fingerprint, what authorities in a PEM file signed, or what those
/// of this system did.
fn trust(fingerprint: Option<&str>, ca: Option<PathBuf>) -> PyResult<Trust> {
    match (fingerprint, ca) {
        (Some(fingerprint), _) => {
            let parsed = fingerprint.parse();
            parsed.map(Trust::Pinned).map_err(|_| {
                ServerError::new_err(
                    "a fingerprint is 64 hexadecimal digits, as `blindsight serve` prints it",
                )
            })
        }
        (None, Some(path)) => std::fs::read(&path)
            .map(Trust::Authorities)
            .map_err(|error| DamagedError::new_err(format!("cannot read {}: {error}", path.display()))),
        (None, None) => Ok(Trust::System),
    }
}

#[pymethods]
impl Remote {
    /// Connects; makes and registers keys where `folder` holds none for this plan.
    #[new]
    #[allow(clippy::too_many_arguments, reason = "the names of Python's keyword arguments")]
    fn new(
        py: Python<'_>,
        url: &str,
        token: &str,
        model: Option<&str>,
        folder: PathBuf,
        fingerprint: Option<&str>,
        ca: Option<PathBuf>,
        max_key_bytes: u64,
        retry_for: f64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let trust = trust(fingerprint, ca)?;
        let retry_for = Duration::try_from_secs_f64(retry_for).map_err(|_| {
            InputError::new_err(format!("retry_for is {retry_for}: expected seconds, zero or more"))
        })?;
        let mut progress = Progress::new(progress);
        let opened = py.detach(|| {
            let server = Server::connect(url.trim_end_matches('/'), token, &trust)?;
            let server = server.with_retry_budget(retry_for);
            let agree = |cost: &blindsight_client::Cost| cost.key_bytes <= max_key_bytes;
            let tell = |sent, all| progress.tell(sent, all, "registering keys");
            RemoteClient::open(server, model, Secrets::from(&folder), agree, tell)
        });
        progress.result()?;
        Ok(Self(Mutex::new(opened.map_err(of_remote)?)))
    }

    /// What is known of the network, as JSON.
    fn facts(&self) -> PyResult<String> {
        json(&facts(self.client().client()))
    }

    /// Images of 8-bit pixels, normalised: a row each.
    fn normalised<'py>(
        &self,
        py: Python<'py>,
        images: PyReadonlyArray2<'py, u8>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        normalised(py, self.client().client(), &images)
    }

    /// Encrypts an input, has it classified, decrypts the reply: as JSON, and what is to be said of the
    /// input.
    fn classify<'py>(
        &self,
        py: Python<'py>,
        inputs: PyReadonlyArray2<'py, f64>,
        exact: bool,
    ) -> PyResult<(String, Vec<String>)> {
        let elements = self.client().client().plan().input.shape().elements();
        let inputs = rows(&inputs, elements)?;
        let answers = py.detach(|| {
            let mut client = self.client();
            let classify = |input: &Vec<f64>| match exact {
                true => client.classify_input_exactly(input),
                false => client.classify_input(input),
            };
            inputs.iter().map(classify).collect::<Result<Vec<_>, _>>()
        });
        let document = |each: &blindsight_client::remote::Answer| {
            let mut document = answer(&each.classification);
            document["upload_bytes"] = value!(each.upload_bytes);
            document["download_bytes"] = value!(each.download_bytes);
            document["latency_ms"] = value!(each.timing.step("compute"));
            document
        };
        let answers: Vec<_> = answers.map_err(of_remote)?.iter().map(document).collect();
        let client = self.client();
        let warnings = inputs.iter().filter_map(|input| client.client().check_input(input));
        let warnings = warnings.map(|warning| warning.to_string()).collect();
        Ok((json(&value!(answers))?, warnings))
    }
}

impl Remote {
    /// Nothing panics while it is locked, so a lock that a panic left behind is as good.
    fn client(&self) -> std::sync::MutexGuard<'_, RemoteClient> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

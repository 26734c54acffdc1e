//! The server: no secret key, by type.

use crate::errors::of_server;
use crate::network::{Network, on_all_cores};
use crate::plan::Plan;
use blindsight_server::{ClientKeys, PreparedModel};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A model ready to run on ciphertexts.
#[pyclass(frozen, module = "blindsight._engine")]
pub struct Server(PreparedModel);

/// A client's evaluation keys, ready for use.
#[pyclass(frozen, module = "blindsight._engine")]
pub struct Keys(ClientKeys);

#[pymethods]
impl Keys {
    /// Bytes in memory.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.bytes()
    }
}

#[pymethods]
impl Server {
    #[new]
    fn new(py: Python<'_>, network: &Network, plan: &Plan) -> PyResult<Self> {
        let prepare = || on_all_cores(|| PreparedModel::new(&network.model, &plan.0));
        py.detach(prepare).map(Self).map_err(of_server)
    }

    /// Bytes of the encoded model in memory.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.bytes()
    }

    /// Reads a client's evaluation keys and expands them.
    fn keys(&self, py: Python<'_>, frame: &[u8]) -> PyResult<Keys> {
        py.detach(|| self.0.read_keys(frame)).map(Keys).map_err(of_server)
    }

    /// From a request's bytes to the reply's, on this thread alone, or on so many.
    fn infer<'py>(
        &self,
        py: Python<'py>,
        keys: &Keys,
        request: &[u8],
        threads: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let infer = || match threads {
            1 => self.0.infer(&keys.0, request),
            _ => on_all_cores(|| self.0.infer(&keys.0, request)),
        };
        let reply = py.detach(infer).map_err(of_server)?;
        Ok(PyBytes::new(py, &reply))
    }
}

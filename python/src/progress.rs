//! Progress, told to a callable of Python.

use pyo3::prelude::*;

/// A callable that is told `(done, total, what)`; the first exception that it raises is kept, and it is told
/// no more.
pub struct Progress {
    callable: Option<Py<PyAny>>,
    raised: Option<PyErr>,
}

impl Progress {
    pub fn new(callable: Option<Py<PyAny>>) -> Self {
        Self { callable, raised: None }
    }

    pub fn tell(&mut self, done: u64, total: u64, what: &str) {
        if let (Some(callable), None) = (&self.callable, &self.raised) {
            self.raised = Python::attach(|py| callable.call1(py, (done, total, what))).err();
        }
    }

    /// What was raised, if anything.
    pub fn result(self) -> PyResult<()> {
        self.raised.map_or(Ok(()), Err)
    }
}

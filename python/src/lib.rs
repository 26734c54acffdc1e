//! The engine of the Python package `blindsight`: what it computes, as one extension module.
//!
//! Users meet the classes of `lib/blindsight`, which are documented there. This module is their bridge: it
//! takes and gives arrays, bytes and JSON, lets other threads of Python run while it computes, and turns
//! every error into an exception of [`errors`].

mod arrays;
mod client;
mod errors;
mod layers;
mod network;
mod plan;
mod progress;
mod remote;
mod server;

use pyo3::prelude::*;

/// Does what the command line `blindsight ARGUMENTS` does: its exit status.
#[pyfunction]
fn run(py: Python<'_>, arguments: Vec<String>) -> u8 {
    py.detach(|| blindsight_cli::run(std::iter::once("blindsight".to_string()).chain(arguments)))
}

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(module)?;
    module.add_class::<network::Network>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<client::Client>()?;
    module.add_class::<remote::Remote>()?;
    module.add_class::<server::Server>()?;
    module.add_class::<server::Keys>()?;
    module.add_function(wrap_pyfunction!(network::check, module)?)?;
    module.add_function(wrap_pyfunction!(network::fit, module)?)?;
    module.add_function(wrap_pyfunction!(run, module)?)
}

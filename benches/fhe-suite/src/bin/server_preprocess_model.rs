//! Server: what it prepares before requests come.

use std::process::ExitCode;

fn main() -> ExitCode {
    blindsight_fhe_suite::main_of_all(blindsight_fhe_suite::server::preprocess_model)
}

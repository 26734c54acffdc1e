//! Server: what it prepares before requests come.

use blindsight_fhe_suite::Allocator;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    blindsight_fhe_suite::main_of_all(blindsight_fhe_suite::server::preprocess_model)
}

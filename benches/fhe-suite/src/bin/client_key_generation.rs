//! Client: a secret key, and evaluation keys for the server.

use blindsight_fhe_suite::Allocator;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    blindsight_fhe_suite::main(blindsight_fhe_suite::client::key_generation)
}

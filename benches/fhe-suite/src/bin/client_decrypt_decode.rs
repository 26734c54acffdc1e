//! Client: replies into scores.

use blindsight_fhe_suite::Allocator;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    blindsight_fhe_suite::main(blindsight_fhe_suite::client::decrypt_decode)
}

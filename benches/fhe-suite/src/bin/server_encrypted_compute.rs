//! Server: requests into replies.

use std::process::ExitCode;

fn main() -> ExitCode {
    blindsight_fhe_suite::main(blindsight_fhe_suite::server::encrypted_compute)
}

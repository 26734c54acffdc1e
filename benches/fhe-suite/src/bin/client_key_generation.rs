//! Client: a secret key, and evaluation keys for the server.

use std::process::ExitCode;

fn main() -> ExitCode {
    blindsight_fhe_suite::main(blindsight_fhe_suite::client::key_generation)
}

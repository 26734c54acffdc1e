//! Client: replies into scores.

use std::process::ExitCode;

fn main() -> ExitCode {
    blindsight_fhe_suite::main(blindsight_fhe_suite::client::decrypt_decode)
}

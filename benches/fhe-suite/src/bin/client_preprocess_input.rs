//! Client: the harness's text into pixels.

use std::process::ExitCode;

fn main() -> ExitCode {
    blindsight_fhe_suite::main(blindsight_fhe_suite::client::preprocess_input)
}

//! Client: pixels into requests.

use std::process::ExitCode;

fn main() -> ExitCode {
    blindsight_fhe_suite::main(blindsight_fhe_suite::client::encode_encrypt_input)
}

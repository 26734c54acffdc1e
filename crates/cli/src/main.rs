//! The `blindsight` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(blindsight_cli::run(std::env::args_os()))
}

//! The `blindsight` command: classifies images that the classifier cannot see.
//!
//! Each command is one file in `commands`: its arguments, what it does (a call or two of `client`, `server`
//! and `planner`), and the report it prints. Everything that computes lies in those libraries.
//!
//! A library, so that the Python package can carry the command, too.

mod arguments;
mod chart;
mod commands;
mod configuration;
mod details;
mod failure;
mod files;
mod fleet;
mod inputs;
mod journal;
mod lines;
mod machine;
mod passphrase;
mod plan_cache;
mod plan_file;
mod preview;
mod progress;
mod remote;
mod report;
mod scatter;
mod session;
mod shipped;
mod threads;

use clap::Parser;
use std::ffi::OsString;
use std::process::ExitCode;

/// Classifies images it cannot see.
///
/// A client encrypts an image, a server without any secret key runs a neural network on the ciphertexts, the
/// client decrypts the scores. Start with `blindsight demo`.
#[derive(Debug, Parser)]
#[command(name = "blindsight", version, propagate_version = true, after_help = EXAMPLES)]
struct Arguments {
    /// Print one JSON document on stdout, for scripts
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: commands::Command,
}

const EXAMPLES: &str = "\
Examples:
  blindsight demo                                     everything at once, no file needed
  blindsight classify cryptonets-mnist digit.png      one image of your own
  blindsight explain cryptonets-mnist                 what the encrypted run will do, and cost
  blindsight bench cryptonets-mnist                   how fast it is on this machine

The same between two machines, over files (client, then server):
  blindsight plan cryptonets-mnist --out net.plan
  blindsight keygen --plan net.plan --secret my.secret --keys my.keys
  blindsight encrypt --plan net.plan --secret my.secret --in digit.png --out digit.enc
  blindsight infer cryptonets-mnist --plan net.plan --keys my.keys --in digit.enc --out digit.reply
  blindsight decrypt --plan net.plan --secret my.secret --in digit.reply

And over HTTPS, with a page to try it:
  blindsight serve --model cryptonets-mnist
  blindsight classify --server https://127.0.0.1:8443 digit.png

Exit status: 0 success, 1 failure (the reason is on stderr; with --json a document with \"error\" on stdout, too), 2 wrong usage.";

/// Does what these arguments, the program's name before them, say, as the command `blindsight` does it.
/// Ends the process for wrong usage, for `--help` and `--version`.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    let json = arguments.json;
    match arguments.command.run(json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", report::lines(&failure.to_string()));
            if json {
                report::document(&failure.document());
            }
            ExitCode::FAILURE
        }
    }
}

//! `signing-key`: what a server signs its models with.

use crate::failure::Outcome;
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use blindsight_service::Signer;
use serde::Serialize;
use std::path::PathBuf;

/// Makes the key that a server signs its models with, and shows its public half
///
/// A file that is there is read, and never overwritten. `serve --sign FILE` signs with it; clients that were
/// given the public half beforehand refuse, with `classify --server URL --pin KEY`, whatever it did not sign.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight signing-key server.sign")]
pub struct SigningKey {
    /// The file of the key; made where it is not there
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    public_key: String,
    made: bool,
}

impl SigningKey {
    pub fn run(&self, output: Output) -> Outcome {
        let made = !self.file.exists();
        let signer = if made { Signer::create(&self.file)? } else { Signer::read(&self.file)? };
        emit(&Report { file: self.file.clone(), public_key: signer.public(), made }, output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let facts = Facts::default()
            .fact("signing key", format!("{}: for serve --sign, to be shown to nobody", self.file.display()))
            .fact("public key", format!("{}: for clients, with --pin", self.public_key));
        page.facts(facts);
    }
}

//! `keygen`: a secret key for the client, evaluation keys for the server.

use crate::failure::{Failure, Outcome};
use crate::figures::{bytes, milliseconds};
use crate::page::{Facts, Page, Shown};
use crate::passphrase::PassphraseFlags;
use crate::remote::agree;
use crate::report::{Output, emit};
use crate::session::{generate, timed};
use crate::{files, plan_file};
use blindsight_ckks::wire;
use blindsight_client::Cost;
use blindsight_layout::DEFAULT_AGREED_KEYS;
use serde::Serialize;
use std::path::PathBuf;

/// Client: draws a secret key, and evaluation keys for the server
///
/// The secret key's file is readable by its owner only and never overwritten. It stays with the client; the
/// evaluation keys go to the server, once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight keygen --plan net.plan --secret my.secret --keys my.keys
  blindsight keygen --plan net.plan --secret sealed.secret --keys my.keys --seal")]
pub struct Keygen {
    /// The plan, or its public part
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// Where the secret key goes: a new file
    #[arg(long, value_name = "S")]
    secret: PathBuf,
    /// Where the evaluation keys go
    #[arg(long, value_name = "K")]
    keys: PathBuf,
    /// Seal the secret key with a passphrase, which is asked for; where one is given it is sealed, too
    #[arg(long)]
    seal: bool,
    #[command(flatten)]
    passphrase: PassphraseFlags,
    /// The most bytes that evaluation keys may take: more are not made
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_AGREED_KEYS)]
    max_key_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    key_id: String,
    secret: PathBuf,
    sealed: bool,
    keys: PathBuf,
    evaluation_key_bytes: u64,
    keygen_ms: f64,
}

impl Keygen {
    pub fn run(&self, output: Output) -> Outcome {
        let plan = plan_file::read(&self.plan)?;
        if self.secret == self.keys {
            return Err(Failure::new(format!(
                "--secret and --keys both name {}: they are two files",
                self.keys.display()
            )));
        }
        agree(&Cost::of(&plan.public)?, self.max_key_bytes)?;
        let passphrase = self.passphrase.choose(self.seal)?;
        let (generated, keygen_ms) = timed(|| generate(&plan));
        let (client, key_bytes) = generated?;
        match &passphrase {
            Some(passphrase) => client.save_sealed(&self.secret, passphrase)?,
            None => client.save(&self.secret)?,
        }
        files::write(&self.keys, &key_bytes)?;
        let report = Report {
            key_id: wire::hex(&client.key_id()),
            secret: self.secret.clone(),
            sealed: passphrase.is_some(),
            keys: self.keys.clone(),
            evaluation_key_bytes: key_bytes.len() as u64,
            keygen_ms,
        };
        emit(&report, output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let keys =
            format!("{}, {}: send it to the server", self.keys.display(), bytes(self.evaluation_key_bytes));
        let sealed = if self.sealed { ", sealed" } else { "" };
        let secret = format!("{}{sealed}: keep it, and show it to nobody", self.secret.display());
        let facts = Facts::default()
            .fact("secret key", secret)
            .fact("evaluation keys", keys)
            .fact("identity", self.key_id.clone())
            .fact("time", milliseconds(self.keygen_ms));
        page.facts(facts);
    }
}

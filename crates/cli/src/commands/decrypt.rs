//! `decrypt`: a reply into scores.

use super::classify::Report;
use crate::arguments::PrecisionFlags;
use crate::failure::{During, Outcome};
use crate::files;
use crate::passphrase::PassphraseFlags;
use crate::report::emit;
use crate::session::load_client;
use blindsight_client::ReplyCount;
use std::path::PathBuf;

/// Client: decrypts a reply to label and scores
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  blindsight decrypt --plan net.plan --secret my.secret --in digit.reply --json"
)]
pub struct Decrypt {
    /// The plan, or its public part
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The secret key
    #[arg(long, value_name = "S")]
    secret: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFlags,
    /// The server's reply
    #[arg(long = "in", value_name = "R")]
    reply: PathBuf,
    #[command(flatten)]
    precision: PrecisionFlags,
}

impl Decrypt {
    pub fn run(&self, json: bool) -> Outcome {
        let client = load_client(&self.plan, &self.secret, &self.passphrase)?;
        let reply = files::open(&self.reply)?;
        let many = ReplyCount::of(&self.secret).count()?;
        let exact = client.exact_scores(reply, 1).during(|| self.reply.display().to_string())?.swap_remove(0);
        let as_is = self.precision.exact_scores;
        let mut classification = if as_is { exact } else { client.rounded(exact) };
        classification.warnings.extend(many);
        let download_bytes = self.reply.metadata()?.len();
        emit(&Report::decrypted(classification, as_is, download_bytes), json)
    }
}

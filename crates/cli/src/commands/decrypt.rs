//! `decrypt`: replies into scores.

use super::classify;
use crate::arguments::PrecisionFlags;
use crate::failure::{During, Failure, Outcome};
use crate::files;
use crate::page::{Page, Shown};
use crate::passphrase::PassphraseFlags;
use crate::report::{Output, emit};
use crate::session::load_client;
use crate::table::Table;
use blindsight_ckks::wire::{FRAME_BYTES, Frames};
use blindsight_client::{Client, ReplyCount};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Client: decrypts replies to label and scores
///
/// To one input its answer is printed; to several, all of them in the order of the inputs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight decrypt --plan net.plan --secret my.secret --in digit.reply --json
  blindsight decrypt --plan batch.plan --secret batch.secret \\
    --in all.reply --count 100")]
pub struct Decrypt {
    /// The plan, or its public part
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The secret key
    #[arg(long, value_name = "S")]
    secret: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFlags,
    /// The server's replies; may be repeated
    #[arg(long = "in", value_name = "R", required = true)]
    replies: Vec<PathBuf>,
    /// How many inputs they answer (default: one for each reply). A plan for batches needs it: its replies do
    /// not tell how many of their places were used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    precision: PrecisionFlags,
}

/// The answers to several inputs.
#[derive(Debug, Serialize)]
struct Reports {
    count: usize,
    answers: Vec<classify::Report>,
}

impl Decrypt {
    pub fn run(&self, output: Output) -> Outcome {
        let client = load_client(&self.plan, &self.secret, &self.passphrase)?;
        let mut answers = vec![];
        for path in &self.replies {
            self.answers(&client, path, &mut answers).during(|| path.display().to_string())?;
        }
        if let Some(count) = self.count.filter(|count| *count > answers.len() as u64) {
            return Err(Failure::new(format!(
                "the replies answer {} inputs at most, expected {count}: give all files, or a smaller --count",
                answers.len()
            )));
        }
        match answers.len() {
            1 => emit(&answers.swap_remove(0), output),
            count => emit(&Reports { count, answers }, output),
        }
    }

    /// The answers of a file of replies. What was decrypted is counted, whatever came of it.
    fn answers(&self, client: &Client, path: &Path, all: &mut Vec<classify::Report>) -> Outcome {
        let (before, mut decrypted) = (all.len(), 0);
        let read = self.read(client, path, all, &mut decrypted);
        if decrypted > 0 {
            let many = ReplyCount::of(&self.secret).count_several(decrypted)?.map(|many| many.to_string());
            all[before..].iter_mut().for_each(|answer| answer.warnings.extend(many.clone()));
        }
        read
    }

    /// Decrypts a file of replies, one after the other; refuses more than there are inputs.
    fn read(
        &self,
        client: &Client,
        path: &Path,
        all: &mut Vec<classify::Report>,
        decrypted: &mut u64,
    ) -> Outcome {
        let (each, bytes) = (client.plan().input.images(), client.cost().reply_bytes);
        let mut replies = Frames::new(files::open(path)?, bytes as usize - FRAME_BYTES);
        while let Some(reply) = replies.next()? {
            let left = match self.count {
                Some(count) => usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(all.len()),
                None => 1,
            };
            if left == 0 {
                let message =
                    format!("answers more than the {} inputs of --count: give the right one", all.len());
                return Err(Failure::new(message));
            }
            *decrypted += 1;
            for classification in client.exact_scores(&reply[..], left.min(each))? {
                let is_exact = self.precision.exact_scores;
                let answer = if is_exact { classification } else { client.rounded(classification) };
                all.push(classify::Report::decrypted(answer, is_exact, bytes));
            }
        }
        Ok(())
    }
}

impl Shown for Reports {
    fn show(&self, page: &mut Page) {
        let mut table = Table::new(["input", "class", "remark", "score", "margin"]).texts(3);
        for (n, answer) in self.answers.iter().enumerate() {
            let score = answer.top.first().map_or(String::new(), |best| answer.figure(best.score));
            let margin = answer.margin.map_or(String::new(), |margin| answer.figure(margin));
            let too_close = answer.too_close().unwrap_or_default();
            table.row([n.to_string(), answer.name.clone(), too_close, score, margin]);
        }
        page.table(&table);
        let mut told: Vec<&String> = self.answers.iter().flat_map(|answer| &answer.warnings).collect();
        // What is too close is said beside its label.
        told.retain(|warning| !warning.starts_with("too close"));
        told.dedup();
        told.iter().for_each(|warning| page.warning(warning));
    }
}

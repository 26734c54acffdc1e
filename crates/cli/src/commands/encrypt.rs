//! `encrypt`: inputs into requests.

use crate::failure::Outcome;
use crate::figures::{bytes, milliseconds};
use crate::files::Draft;
use crate::inputs::{self, Inputs, Notes};
use crate::page::{Facts, Page, Shown};
use crate::passphrase::PassphraseFlags;
use crate::progress;
use crate::report::{Output, emit};
use crate::session::{load_client, timed};
use blindsight_client::Client;
use blindsight_data::InputSource;
use serde::Serialize;
use std::path::PathBuf;

/// Client: encrypts inputs for the server
///
/// Several inputs make one file: a request for each, one after the other; with a plan for batches, as many
/// inputs in each request as it holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight encrypt --plan net.plan --secret my.secret \\
    --in digit.png --out digit.enc
  blindsight encrypt --plan net.plan --secret my.secret \\
    --in a.jpg --in b.jpg --out both.enc
  blindsight encrypt --plan batch.plan --secret batch.secret \\
    --in digits.csv --count 100 --out all.enc")]
pub struct Encrypt {
    /// The plan, or its public part
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The secret key
    #[arg(long, value_name = "S")]
    secret: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseFlags,
    /// An input, as `classify` takes it, or a whole data set, as `evaluate` does; may be repeated
    #[arg(long = "in", value_name = "INPUT", required = true)]
    inputs: Vec<InputSource>,
    /// How many test samples of each data set, from the first (default: all)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Where the ciphertexts go
    #[arg(long, value_name = "C")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    out: PathBuf,
    /// How many inputs the file holds.
    inputs: usize,
    /// In how many requests.
    requests: usize,
    upload_bytes: u64,
    encrypt_ms: f64,
    /// How many inputs had values out of the plan's range, which were brought into it.
    clamped: usize,
}

impl Encrypt {
    pub fn run(&self, output: Output) -> Outcome {
        let client = load_client(&self.plan, &self.secret, &self.passphrase)?;
        let inputs = Inputs::open(&self.inputs, self.count, inputs::spec_of(client.plan()))?;
        emit(&self.encrypt(&client, &inputs)?, output)
    }

    /// Request by request: no more inputs than one request holds are in memory.
    fn encrypt(&self, client: &Client, inputs: &Inputs) -> Outcome<Report> {
        let (each, mut draft) = (client.plan().input.images(), Draft::new(&self.out)?);
        let (mut batch, mut notes) = (vec![], Notes::default());
        let mut report = Report::new(self.out.clone(), inputs.len());
        let bar = progress::bar("inputs", inputs.len());
        for input in inputs.iter() {
            let values = notes.values(input?);
            if let Some(warning) = client.check_input(&values) {
                report.clamped += 1;
                notes.say(&format!("warning: {warning}"));
            }
            batch.push(values);
            bar.inc(1);
            if batch.len() == each {
                report.append(client, &std::mem::take(&mut batch), &mut draft)?;
            }
        }
        if !batch.is_empty() {
            report.append(client, &batch, &mut draft)?;
        }
        bar.finish_and_clear();
        draft.finish()?;
        Ok(report)
    }
}

impl Report {
    fn new(out: PathBuf, inputs: usize) -> Self {
        Self { out, inputs, requests: 0, upload_bytes: 0, encrypt_ms: 0.0, clamped: 0 }
    }

    /// Encrypts inputs into one more request.
    fn append(&mut self, client: &Client, batch: &[Vec<f64>], draft: &mut Draft) -> Outcome {
        let (request, ms) = timed(|| client.encrypt_inputs(batch));
        let request = request?;
        draft.append(&request)?;
        self.requests += 1;
        self.upload_bytes += request.len() as u64;
        self.encrypt_ms += ms;
        Ok(())
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let Self { out, inputs, requests, .. } = self;
        let size = bytes(self.upload_bytes);
        let mut facts = Facts::default();
        facts = match inputs {
            1 => facts.fact("request", format!("{}, {size}: send it to the server", out.display())),
            _ => {
                let what = format!("{requests} in {}, {size}: send them to the server", out.display());
                facts.fact("inputs", inputs.to_string()).fact("requests", what)
            }
        };
        if requests != inputs {
            facts = facts.fact("to decrypt the replies", format!("give `decrypt` --count {inputs}"));
        }
        page.facts(facts.fact("time", milliseconds(self.encrypt_ms)));
    }
}

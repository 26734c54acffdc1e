//! `infer`: the server's part.

use crate::arguments::ModelArgument;
use crate::failure::{During, Outcome};
use crate::figures::{bytes, milliseconds};
use crate::files::{self, Draft};
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use crate::session::timed;
use crate::threads::on_threads;
use crate::{plan_file, progress};
use blindsight_ckks::wire::Frames;
use blindsight_client::Cost;
use blindsight_planner::Plan;
use blindsight_server::{ClientKeys, PreparedModel};
use indicatif::ProgressBar;
use serde::Serialize;
use std::fs;
use std::io::BufRead;
use std::path::PathBuf;

/// Server: runs the network on encrypted inputs; takes no secret
///
/// Requests are answered one after the other, and no more than one is in memory. For one request alone
/// weights are encoded while the network runs, which takes less time and much less memory than before it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight infer cryptonets-mnist --plan net.plan --keys my.keys \\
    --in digit.enc --out digit.reply")]
pub struct Infer {
    #[command(flatten)]
    model: ModelArgument,
    /// The plan
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The client's evaluation keys
    #[arg(long, value_name = "K")]
    keys: PathBuf,
    /// The client's requests, one or more in each file; may be repeated
    #[arg(long = "in", value_name = "C", required = true)]
    requests: Vec<PathBuf>,
    /// Where the replies go, one after the other
    #[arg(long, value_name = "R")]
    out: PathBuf,
    /// Threads that the work is spread over
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

#[derive(Debug, Serialize)]
struct Report {
    out: PathBuf,
    /// How many requests were answered.
    requests: usize,
    /// The server's work on all of them, without encoding weights.
    latency_ms: f64,
    expand_ms: f64,
    prepare_ms: f64,
    download_bytes: u64,
}

impl Infer {
    pub fn run(&self, output: Output) -> Outcome {
        emit(&on_threads(self.threads.into(), || self.infer())?, output)
    }

    fn infer(&self) -> Outcome<Report> {
        let (model, plan) = (self.model.load()?, plan_file::read(&self.plan)?);
        let count = self.count(&plan)?;
        let prepare = || -> Outcome<_> {
            let server = match count {
                0 | 1 => PreparedModel::for_one_request(&model, &plan, 0)?,
                _ => PreparedModel::new(&model, &plan)?,
            };
            let keys =
                server.read_keys(files::open(&self.keys)?).during(|| self.keys.display().to_string())?;
            Ok((server, keys))
        };
        let (prepared, prepare_ms) = timed(|| progress::spinning("preparing model and keys", prepare));
        let (server, keys) = prepared?;
        let mut report = Report::new(self.out.clone(), prepare_ms);
        let (mut draft, bar) = (Draft::new(&self.out)?, progress::slow_bar("requests", count));
        for path in &self.requests {
            let requests = Frames::new(files::open(path)?, server.request_bytes());
            let answered = report.answer(&server, &keys, requests, &mut draft, &bar);
            answered.during(|| path.display().to_string())?;
        }
        bar.finish_and_clear();
        draft.finish()?;
        Ok(report)
    }

    /// How many requests there are, as far as lengths of files tell.
    fn count(&self, plan: &Plan) -> Outcome<usize> {
        let each = Cost::of(&plan.public)?.request_bytes;
        let bytes = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
        Ok(self.requests.iter().map(|path| (bytes(path) / each) as usize).sum())
    }
}

impl Report {
    fn new(out: PathBuf, prepare_ms: f64) -> Self {
        Self { out, requests: 0, latency_ms: 0.0, expand_ms: 0.0, prepare_ms, download_bytes: 0 }
    }

    /// Answers the requests of a file, one after the other: no more than one is in memory.
    fn answer(
        &mut self,
        server: &PreparedModel,
        keys: &ClientKeys,
        mut requests: Frames<impl BufRead>,
        draft: &mut Draft,
        bar: &ProgressBar,
    ) -> Outcome {
        while let Some(request) = requests.next()? {
            let (parsed, expand_ms) = timed(|| server.read_request(keys, &request));
            drop(request);
            let parsed = parsed?;
            let (answer, computing_ms) =
                timed(|| server.compute(keys, parsed).map(|a| (server.write_reply(&a), a.encoding())));
            let (reply, encoding) = answer?;
            let encoding_ms = encoding.as_secs_f64() * 1e3;
            draft.append(&reply)?;
            self.requests += 1;
            self.expand_ms += expand_ms;
            self.latency_ms += computing_ms - encoding_ms;
            self.prepare_ms += encoding_ms;
            self.download_bytes += reply.len() as u64;
            bar.inc(1);
        }
        Ok(())
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let facts = Facts::default()
            .fact(
                if self.requests == 1 { "reply" } else { "replies" },
                format!("{}, {}: send it to the client", self.out.display(), bytes(self.download_bytes)),
            )
            .fact(
                if self.requests == 1 { "latency, weights encoded on the way" } else { "latency" },
                milliseconds(self.latency_ms),
            )
            .fact("parsing and expanding", milliseconds(self.expand_ms))
            .fact("preparing model and keys", milliseconds(self.prepare_ms));
        page.facts(facts);
    }
}

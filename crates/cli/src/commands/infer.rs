//! `infer`: the server's part.

use crate::arguments::ModelArgument;
use crate::failure::{During, Outcome};
use crate::report::{Facts, bytes, emit, milliseconds};
use crate::session::timed;
use crate::threads::on_threads;
use crate::{files, plan_file};
use blindsight_server::PreparedModel;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Server: runs the network on an encrypted image; takes no secret
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  blindsight infer cryptonets-mnist --plan net.plan --keys my.keys --in digit.enc --out digit.reply"
)]
pub struct Infer {
    #[command(flatten)]
    model: ModelArgument,
    /// The plan
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// The client's evaluation keys
    #[arg(long, value_name = "K")]
    keys: PathBuf,
    /// The client's request
    #[arg(long = "in", value_name = "C")]
    request: PathBuf,
    /// Where the reply goes
    #[arg(long, value_name = "R")]
    out: PathBuf,
    /// Threads that the work is spread over
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

#[derive(Debug, Serialize)]
struct Report {
    out: PathBuf,
    latency_ms: f64,
    expand_ms: f64,
    prepare_ms: f64,
    download_bytes: u64,
}

impl Infer {
    pub fn run(&self, json: bool) -> Outcome {
        emit(&on_threads(self.threads.into(), || self.infer())?, json)
    }

    fn infer(&self) -> Outcome<Report> {
        let (model, plan) = (self.model.load()?, plan_file::read(&self.plan)?);
        let (prepared, prepare_ms) = timed(|| -> Outcome<_> {
            let server = PreparedModel::new(&model, &plan)?;
            let keys =
                server.read_keys(files::open(&self.keys)?).during(|| self.keys.display().to_string())?;
            Ok((server, keys))
        });
        let (server, keys) = prepared?;
        let request = files::open(&self.request)?;
        let (parsed, expand_ms) = timed(|| server.read_request(&keys, request));
        let parsed = parsed.during(|| self.request.display().to_string())?;
        let (reply, latency_ms) =
            timed(|| -> Outcome<_> { Ok(server.write_reply(&server.compute(&keys, &parsed)?)) });
        let reply = reply?;
        files::write(&self.out, &reply)?;
        let download_bytes = reply.len() as u64;
        Ok(Report { out: self.out.clone(), latency_ms, expand_ms, prepare_ms, download_bytes })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = Facts::default()
            .fact(
                "reply",
                format!("{}, {}: send it to the client", self.out.display(), bytes(self.download_bytes)),
            )
            .fact("latency", milliseconds(self.latency_ms))
            .fact("parsing and expanding", milliseconds(self.expand_ms))
            .fact("preparing model and keys", milliseconds(self.prepare_ms));
        write!(f, "{facts}")
    }
}

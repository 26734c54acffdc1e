//! `fleet`: how a fleet is.

use crate::commands::simulate::Simulate;
use crate::failure::{During, Outcome};
use crate::fleet::BusFlags;
use crate::report::{Facts, emit};
use blindsight_fleet::Beat;
use blindsight_fleet::status::{Queue, Status, status};
use serde::Serialize;
use std::fmt;

/// Shows a fleet: its workers, what waits, what was laid aside; or simulates one
#[derive(Debug, clap::Args)]
pub struct Fleet {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Workers and what they did, jobs and their age, jobs that were laid aside
    Status(Flags),
    Simulate(Simulate),
}

#[derive(Debug, clap::Args)]
struct Flags {
    /// NATS with JetStream: nats://HOST:PORT or tls://HOST:PORT
    #[arg(long, value_name = "URL")]
    fleet: String,
    #[command(flatten)]
    bus: BusFlags,
}

/// What is said of a fleet.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Report(Status);

impl Fleet {
    pub fn run(&self, json: bool) -> Outcome {
        let flags = match &self.command {
            Command::Status(flags) => flags,
            Command::Simulate(simulate) => return simulate.run(json),
        };
        let runtime = tokio::runtime::Runtime::new()?;
        let found = runtime.block_on(async {
            let bus = flags.bus.connect(&flags.fleet, "blindsight fleet status").await?;
            status(&bus)
                .await
                .map_err(|error| crate::failure::Failure::new(error.to_string()))
                .during(|| "asking the fleet".into())
        })?;
        emit(&Report(found), json)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { workers, jobs, dead } = &self.0;
        let threads: usize = workers.iter().map(|worker| worker.threads).sum();
        let facts = Facts::default()
            .fact("workers", format!("{}, {threads} inferences at once", workers.len()))
            .fact("jobs", queue(jobs))
            .fact("laid aside", queue(dead));
        write!(f, "{facts}")?;
        workers.iter().try_for_each(|worker| write!(f, "\n{}", line(worker)))
    }
}

fn queue(queue: &Queue) -> String {
    let age =
        queue.oldest_ms.map_or(String::new(), |ms| format!(", the oldest {:.1} s old", ms as f64 / 1e3));
    format!("{}{age}", queue.messages)
}

fn line(worker: &Beat) -> String {
    let asked = (worker.key_hits + worker.key_misses).max(1);
    format!(
        "  {} {}: {} of {} busy, {} computed, {} from others, keys in memory {} % of the time ({} MiB){}",
        worker.worker,
        worker.models.join(", "),
        worker.busy,
        worker.threads,
        worker.computed,
        worker.redelivered,
        100 * worker.key_hits / asked,
        worker.key_bytes >> 20,
        if worker.draining { ", draining" } else { "" },
    )
}

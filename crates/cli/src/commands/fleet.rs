//! `fleet`: how a fleet is.

use crate::commands::simulate::Simulate;
use crate::failure::{During, Outcome};
use crate::figures::{bytes, count, milliseconds};
use crate::fleet::BusFlags;
use crate::page::{Facts, Page, Shown};
use crate::progress;
use crate::report::{Output, emit};
use crate::table::Table;
use blindsight_fleet::status::{Queue, Status, status};
use blindsight_fleet::{Beat, FrontState};
use serde::Serialize;

/// Shows a fleet: its fronts and workers, what waits, what was laid aside; or simulates one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight fleet status --fleet nats://127.0.0.1:4222
  blindsight fleet simulate --workers 50 --clients 20000 --images 6000000")]
pub struct Fleet {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fronts, workers and what they did, jobs and their age, jobs that were laid aside
    #[command(after_help = "Examples:\n  blindsight fleet status --fleet nats://127.0.0.1:4222")]
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
    pub fn run(&self, output: Output) -> Outcome {
        let flags = match &self.command {
            Command::Status(flags) => flags,
            Command::Simulate(simulate) => return simulate.run(output),
        };
        let runtime = tokio::runtime::Runtime::new()?;
        let found = progress::spinning("asking the fleet", || {
            runtime.block_on(async {
                let bus = flags.bus.connect(&flags.fleet, "blindsight fleet status").await?;
                status(&bus)
                    .await
                    .map_err(|error| crate::failure::Failure::new(error.to_string()))
                    .during(|| "asking the fleet".into())
            })
        })?;
        emit(&Report(found), output)
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let Status { fronts, workers, jobs, dead } = &self.0;
        let threads: usize = workers.iter().map(|worker| worker.threads).sum();
        let facts = Facts::default()
            .fact("fronts", count(fronts.len() as u64))
            .fact("workers", format!("{}, {threads} inferences at once", workers.len()))
            .fact("jobs", queue(jobs))
            .fact("laid aside", queue(dead));
        page.facts(facts);
        for table in [fronts_table(fronts), workers_table(workers)].into_iter().flatten() {
            page.gap();
            page.table(&table);
        }
    }
}

fn queue(queue: &Queue) -> String {
    let age =
        queue.oldest_ms.map_or(String::new(), |ms| format!(", the oldest {} old", milliseconds(ms as f64)));
    format!("{}{age}", count(queue.messages))
}

/// What each front serves, and who waits there; none where there is no front.
fn fronts_table(fronts: &[FrontState]) -> Option<Table> {
    let mut table =
        Table::new(["front", "models", "jobs\nsent", "waiting for\ntheir turn", "up for"]).texts(2);
    for front in fronts {
        table.row([
            front.front.clone(),
            front.models.join(", "),
            count(front.sent as u64),
            count(front.waiting as u64),
            milliseconds(front.seconds as f64 * 1e3),
        ]);
    }
    (!fronts.is_empty()).then_some(table)
}

/// What each worker does and did; none where there is no worker.
fn workers_table(workers: &[Beat]) -> Option<Table> {
    let headings = [
        "worker",
        "models",
        "state",
        "busy",
        "computed",
        "from\nothers",
        "up for",
        "keys found\nin memory",
        "keys'\nmemory",
    ];
    let mut table = Table::new(headings).texts(3).spare(["up for"]);
    for worker in workers {
        let asked = (worker.key_hits + worker.key_misses).max(1);
        table.row([
            worker.worker.clone(),
            worker.models.join(", "),
            if worker.draining { "draining" } else { "ready" }.into(),
            format!("{} of {}", worker.busy, worker.threads),
            count(worker.computed),
            count(worker.redelivered),
            milliseconds(worker.seconds as f64 * 1e3),
            format!("{} %", 100 * worker.key_hits / asked),
            bytes(worker.key_bytes as u64),
        ]);
    }
    (!workers.is_empty()).then_some(table)
}

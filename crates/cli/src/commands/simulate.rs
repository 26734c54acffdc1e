//! `fleet simulate`: a day of a large fleet.

use crate::failure::Outcome;
use crate::figures::{count, milliseconds, number, traffic};
use crate::lines::{Lines, Series};
use crate::page::{Page, Shown};
use crate::report::{Output, emit};
use crate::table::Table;
use crate::{files, progress};
use blindsight_fleet::simulation::{Day, Scenario, simulate};
use serde::Serialize;
use std::path::PathBuf;

/// Simulates a day: latency, keys in memory, traffic and cost, with shards of clients and without
///
/// The defaults are a network of CIFAR-10's size on a thousand machines. Times of an inference and bytes of
/// keys and requests of another network are what `bench` and `explain` say.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight fleet simulate
  blindsight fleet simulate --workers 50 --clients 20000 --images 6000000")]
pub struct Simulate {
    /// Machines
    #[arg(long, value_name = "N", default_value_t = 1000)]
    workers: usize,
    /// Inferences at once on each
    #[arg(long, value_name = "N", default_value_t = 4)]
    threads: usize,
    /// Clients that ask at some time of the day
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    clients: u32,
    /// Images in the day
    #[arg(long, value_name = "N", default_value_t = 120_000_000)]
    images: u64,
    /// The busiest rate over the day's mean, from 1 to 2
    #[arg(long, value_name = "F", default_value_t = Scenario::default().peak)]
    peak: f64,
    /// Milliseconds of one inference
    #[arg(long, value_name = "MS", default_value_t = Scenario::default().service_ms)]
    service_ms: f64,
    /// Milliseconds to expand a client's keys
    #[arg(long, value_name = "MS", default_value_t = Scenario::default().expand_ms)]
    expand_ms: f64,
    /// MB of a client's keys in the store
    #[arg(long, value_name = "MB", default_value_t = Scenario::default().key_bytes / 1e6)]
    key_mb: f64,
    /// MB of a client's expanded keys
    #[arg(long, value_name = "MB", default_value_t = Scenario::default().expanded_bytes / 1e6)]
    expanded_mb: f64,
    /// MB of a worker's memory for keys
    #[arg(long, value_name = "MB", default_value_t = Scenario::default().memory / 1e6)]
    memory_mb: f64,
    /// MB of a request
    #[arg(long, value_name = "MB", default_value_t = Scenario::default().request_bytes / 1e6)]
    request_mb: f64,
    /// Milliseconds that idle workers leave a job to the one that has met its client's keys
    #[arg(long, value_name = "MS", default_value_t = Scenario::default().courtesy_ms)]
    courtesy_ms: f64,
    /// Failures of each worker in a day
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    failures: f64,
    /// What a worker's hour costs
    #[arg(long, value_name = "PRICE", default_value_t = Scenario::default().hour)]
    hour: f64,
    /// Where latencies hour by hour are drawn
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Report {
    scenario: Scenario,
    sharded: Day,
    unsharded: Day,
}

impl Simulate {
    pub fn run(&self, output: Output) -> Outcome {
        let scenario = self.scenario();
        let unsharded = Scenario { shards: None, ..scenario.clone() };
        let (sharded, unsharded) = progress::spinning("simulating", || {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| simulate(&unsharded));
                (simulate(&scenario), other.join().expect("it does not panic"))
            })
        });
        let report = Report { scenario, sharded, unsharded };
        if let Some(path) = &self.plot {
            files::write(path, report.plot().as_bytes())?;
        }
        emit(&report, output)
    }

    fn scenario(&self) -> Scenario {
        Scenario {
            workers: self.workers.max(1),
            threads: self.threads.max(1),
            clients: self.clients.max(1),
            images: self.images,
            peak: self.peak.clamp(1.0, 2.0),
            service_ms: self.service_ms,
            expand_ms: self.expand_ms,
            key_bytes: self.key_mb * 1e6,
            expanded_bytes: self.expanded_mb * 1e6,
            memory: self.memory_mb * 1e6,
            request_bytes: self.request_mb * 1e6,
            courtesy_ms: self.courtesy_ms,
            failures: self.failures,
            hour: self.hour,
            ..Scenario::default()
        }
    }
}

impl Report {
    fn plot(&self) -> String {
        let series = |day: &Day, highlighted, index: usize, name: &str| Series {
            label: format!("{}, {name}", if highlighted { "shards" } else { "none" }),
            highlighted,
            dashed: index == 0,
            values: day.hours.iter().map(|hour| hour[index]).collect(),
        };
        let names = ["median", "99 of 100"];
        let of = |day, highlighted| (0..2).map(move |index| series(day, highlighted, index, names[index]));
        let all = of(&self.sharded, true).chain(of(&self.unsharded, false)).collect();
        let title = format!(
            "Latency over a day, {} workers, with shards of clients and without",
            self.scenario.workers
        );
        Lines { title, series: all }.svg()
    }
}

/// The lines of the table.
fn figures(day: &Day) -> [(&'static str, String); 11] {
    [
        ("images", count(day.images)),
        ("latency: half within", milliseconds(day.p50_ms)),
        ("99 of 100 within", milliseconds(day.p99_ms)),
        ("999 of 1000 within", milliseconds(day.p999_ms)),
        ("keys found in memory", format!("{} %", number(100.0 * day.key_hits))),
        ("threads busy", format!("{} %", number(100.0 * day.busy))),
        ("read from the store", traffic(day.store_bytes)),
        ("in a second, at the peak", traffic(day.store_peak_rate)),
        ("requests", traffic(day.network_bytes)),
        ("delivered again", count(day.redelivered)),
        ("workers' cost of a million images", number(day.cost_per_million)),
    ]
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let mut table = Table::new(["figure", "with shards", "without"]);
        for ((name, with), (_, without)) in figures(&self.sharded).into_iter().zip(figures(&self.unsharded)) {
            table.row([name.to_string(), with, without]);
        }
        page.table(&table);
    }
}

//! `worker`: computes for a fleet.

use crate::commands::serve::{Log, stop_signal};
use crate::failure::{During, Outcome};
use crate::fleet::{BusFlags, agreed};
use crate::page::{Facts, Page, Shown};
use crate::report::{Output, emit};
use crate::{machine, progress};
use blindsight_fleet::{Depot, Options, Worker, monitor};
use serde::Serialize;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Computes for a fleet: takes requests that fronts publish, and answers them
///
/// Start as many as wanted, on any machines that reach NATS and the store. Models and plans come from the
/// store, where a front puts them: a worker waits for the first one. Ctrl-C or SIGTERM ends it when what it
/// computes is done; what a worker that was killed had begun goes to another one. A worker holds evaluation
/// keys and no secret key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nats-server -js &
  blindsight serve --model cryptonets-mnist \\
    --fleet nats://127.0.0.1:4222 --store file:///srv/blindsight &
  blindsight worker --model cryptonets-mnist \\
    --fleet nats://127.0.0.1:4222 --store file:///srv/blindsight")]
pub struct Work {
    /// The name of a model that a front serves; may be given several times
    #[arg(long = "model", value_name = "MODEL", required = true)]
    models: Vec<String>,
    /// NATS with JetStream: nats://HOST:PORT or tls://HOST:PORT
    #[arg(long, value_name = "URL")]
    fleet: String,
    /// Where the fleet's keys, large requests, models and plans lie: file:///FOLDER, or s3://BUCKET/PREFIX
    /// where that was built in
    #[arg(long, value_name = "URL")]
    store: String,
    /// Inferences at once [default: the machine's cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// MiB of expanded keys in memory
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    key_memory: u32,
    /// Where Prometheus finds figures, at /metrics, and others whether the worker is ready, at /healthz (not
    /// offered otherwise)
    #[arg(long, value_name = "IP:PORT")]
    metrics: Option<SocketAddr>,
    /// How the worker logs on stderr
    #[arg(long, value_name = "FORM", default_value = "text")]
    log: Log,
    #[command(flatten)]
    bus: BusFlags,
}

/// What is said when the worker begins.
#[derive(Debug, Serialize)]
struct Report {
    models: Vec<String>,
    threads: usize,
    metrics: Option<SocketAddr>,
}

impl Work {
    pub fn run(&self, output: Output) -> Outcome {
        self.log.start();
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(self.work(output))
    }

    async fn work(&self, output: Output) -> Outcome {
        let stop = stop_signal()?;
        let depot = Depot::open(&self.store)?;
        let mut stop = pin!(stop);
        let spinner = progress::spinner("waiting for a front");
        let shared = tokio::select! {
            () = &mut stop => return Ok(()),
            shared = agreed(&depot) => shared?,
        };
        spinner.finish_and_clear();
        let bus = self.bus.connect(&self.fleet, "blindsight worker").await?;
        let threads = self.threads.map_or_else(machine::cores, usize::from);
        let key_memory = (self.key_memory as usize) << 20;
        // A path names the model in its file, as `serve` does.
        let models: Vec<String> = self.models.iter().map(|name| stem(name)).collect();
        let options = Options { models: models.clone(), threads, key_memory, observer: None };
        let worker = Worker::new(bus, depot, shared, options)?;
        let metrics = self.offer_metrics(worker.clone()).await?;
        emit(&Report { models, threads, metrics }, output)?;
        Ok(worker.run(stop).await?)
    }

    async fn offer_metrics(&self, worker: Arc<Worker>) -> Outcome<Option<SocketAddr>> {
        let Some(address) = self.metrics else { return Ok(None) };
        let listener = TcpListener::bind(address).await.during(|| format!("cannot listen on {address}"))?;
        let bound = listener.local_addr()?;
        tokio::spawn(monitor(listener, worker));
        Ok(Some(bound))
    }
}

/// The name of a model, or of the one in a file.
fn stem(model: &str) -> String {
    let path = std::path::Path::new(model);
    match path.extension() {
        Some(extension) if extension == "onnx" => {
            path.file_stem().map_or(model.into(), |stem| stem.to_string_lossy().into_owned())
        }
        _ => model.into(),
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        let mut facts = Facts::default()
            .fact("computing", self.models.join(", "))
            .fact("at once", self.threads.to_string());
        if let Some(metrics) = self.metrics {
            facts = facts.fact("figures", format!("http://{metrics}/metrics"));
        }
        page.facts(facts);
    }
}

//! `bench`: how long everything takes on this machine.

use crate::arguments::{ModelArgument, PlanFlags};
use crate::failure::Outcome;
use crate::figures::{bits, bytes, count, milliseconds, number, rate};
use crate::inputs;
use crate::machine::{self, Machine};
use crate::page::{Facts, Page, Shown};
use crate::progress;
use crate::report::{Output, emit};
use crate::session::{Session, Setup, Times};
use crate::table::Table;
use blindsight_data::{InputSource, InputSpec};
use blindsight_network::Model;
use blindsight_ring::parallel::Pool;
use serde::Serialize;

/// Measures the server latency of one encrypted inference, and everything around it
///
/// One run that is not counted warms up; medians of the others are printed. With a plan for batches each run
/// is one of a full batch. Use an idle machine, and BLINDSIGHT_KERNEL (scalar, avx2, avx512 or neon) to
/// measure other kernels than the fastest. With several threads, as many runs again tell how much faster they
/// are than one, and, since cores of a shared or a hyper-threaded machine give less than they promise, how
/// much more as many inferences get done side by side, each on a thread of its own: no spreading of one
/// inference can gain more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  blindsight bench cryptonets-mnist
  blindsight bench cryptonets-mnist --threads 4 --runs 100 --json")]
pub struct Bench {
    #[command(flatten)]
    model: ModelArgument,
    /// Threads that the server's work is spread over
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Inferences that are measured
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// The input to classify, as `classify` takes it (default: a black image; the time does not depend on it)
    #[arg(long, visible_alias = "in", value_name = "INPUT")]
    image: Option<InputSource>,
    #[command(flatten)]
    plan: PlanFlags,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    representation: String,
    /// How many images each run classifies.
    images: usize,
    threads: u16,
    runs: u32,
    machine: Machine,
    latency_ms: Spread,
    /// What the threads gain, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    scaling: Option<Scaling>,
    /// The median of what the processor was at work for in each run, all threads together, where the system
    /// tells.
    processor_ms: Option<f64>,
    /// Images over the median latency.
    images_per_second: f64,
    expand_ms: f64,
    encrypt_ms: f64,
    decrypt_ms: f64,
    /// What the server does once, for the model and for a client's keys.
    prepare_ms: f64,
    #[serde(flatten)]
    setup: Setup,
    peak_rss_bytes: Option<u64>,
    upload_bytes: u64,
    download_bytes: u64,
    server_bytes: usize,
    log_qp: f64,
    ring_degree: usize,
    totals: blindsight_planner::CountFields,
}

/// What several threads gain over one, measured in turn.
#[derive(Debug, Clone, Copy, Serialize)]
struct Scaling {
    /// The median latency on one thread.
    one_thread_ms: f64,
    /// That, over the median latency on all of them.
    speedup: f64,
    /// How much more gets done by as many inferences side by side, each on a thread of its own: what the
    /// machine has to give.
    side_by_side: f64,
}

/// How often threads are compared with one in turn.
const TURNS: usize = 3;

/// How a figure spread over the runs.
#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Bench {
    pub fn run(&self, output: Output) -> Outcome {
        let model = self.model.load()?;
        let input = self.input(&model)?;
        emit(&self.measure(model, input)?, output)
    }

    fn input(&self, model: &Model) -> Outcome<Vec<f64>> {
        match &self.image {
            Some(source) => inputs::load(source, &InputSpec::of(model)),
            None => inputs::black(model),
        }
    }

    fn measure(&self, model: Model, input: Vec<f64>) -> Outcome<Report> {
        let threads = Pool::new(self.threads.into())?;
        let session = threads.run(|| Session::open(model, &self.plan))?;
        let images = vec![input; session.batch()];
        let first = progress::spinning("warming up", || threads.run(|| session.classify(&images)))?;
        let times = threads.run(|| self.times(&session, &images))?;
        let peak_rss_bytes = machine::peak_memory();
        let median = |time: fn(&Times) -> f64| Spread::of(times.iter().map(time)).median;
        let explained = session.explain()?;
        let latency_ms = Spread::of(times.iter().map(|t| t.latency));
        Ok(Report {
            model: session.model.name.clone(),
            representation: explained.representation,
            images: images.len(),
            processor_ms: times
                .iter()
                .map(|t| t.processor)
                .collect::<Option<Vec<_>>>()
                .map(|p| Spread::of(p.into_iter()).median),
            images_per_second: images.len() as f64 / latency_ms.median * 1e3,
            threads: self.threads,
            runs: self.runs,
            machine: Machine::this()?,
            latency_ms,
            scaling: (self.threads > 1).then(|| self.scaling(&session, &images, &threads)).transpose()?,
            expand_ms: median(|t| t.expand),
            encrypt_ms: median(|t| t.encrypt),
            decrypt_ms: median(|t| t.decrypt),
            prepare_ms: session.setup.prepare_model_ms + session.setup.prepare_keys_ms,
            setup: session.setup.clone(),
            peak_rss_bytes,
            upload_bytes: first.upload_bytes,
            download_bytes: first.download_bytes,
            server_bytes: session.server_bytes(),
            log_qp: explained.log_qp,
            ring_degree: explained.ring_degree,
            totals: explained.totals,
        })
    }

    fn times(&self, session: &Session, images: &[Vec<f64>]) -> Outcome<Vec<Times>> {
        let bar = progress::slow_bar("measuring", self.runs as usize);
        let run = |_| {
            let round = session.classify(images)?;
            bar.inc(1);
            Ok(round.times)
        };
        let times = (0..self.runs).map(run).collect::<Outcome<_>>()?;
        bar.finish_and_clear();
        Ok(times)
    }

    /// Measured in turns of several runs each: the first of a turn finds its threads asleep and its memory
    /// given back.
    fn scaling(&self, session: &Session, images: &[Vec<f64>], threads: &Pool) -> Outcome<Scaling> {
        let bar = progress::slow_bar("comparing with one thread", TURNS);
        let runs = self.runs.div_ceil(TURNS as u32);
        let one = || session.latencies(images, runs);
        let mut times: [Vec<f64>; 3] = Default::default();
        for _ in 0..TURNS {
            times[0].extend(threads.run(one)?);
            times[1].extend(one()?);
            times[2].extend(side_by_side(self.threads.into(), one)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let [all, one, beside] = times.map(|times| Spread::of(times.into_iter()).median);
        let side_by_side = f64::from(self.threads) * one / beside;
        Ok(Scaling { one_thread_ms: one, speedup: one / all, side_by_side })
    }
}

/// What so many threads measure that all do the same, each by itself.
fn side_by_side(threads: usize, measure: impl Fn() -> Outcome<Vec<f64>> + Sync) -> Outcome<Vec<f64>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&measure)).collect();
        let measured = threads.into_iter().map(|thread| thread.join().expect("measuring does not panic"));
        Ok(measured.collect::<Outcome<Vec<_>>>()?.concat())
    })
}

impl Spread {
    /// Of at least one figure.
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let middle = |i: usize| sorted[i.min(sorted.len() - 1)];
        let half = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { middle(half) } else { (middle(half - 1) + middle(half)) / 2.0 };
        Self { median, min: middle(0), max: middle(sorted.len() - 1) }
    }
}

impl Report {
    fn times(&self) -> Table {
        let latency = self.latency_ms;
        let mut rows = vec![
            (
                "server",
                if self.images > 1 { "inference, each batch" } else { "inference, each image" },
                latency.median,
            ),
            ("", "  fastest run", latency.min),
            ("", "  slowest run", latency.max),
            ("", "parsing and expanding a request", self.expand_ms),
            ("", "encoding the model, once", self.setup.prepare_model_ms),
            ("", "a client's keys, once", self.setup.prepare_keys_ms),
            ("client", "generating keys, once", self.setup.keygen_ms),
            ("", if self.images > 1 { "encrypting a batch" } else { "encrypting an image" }, self.encrypt_ms),
            ("", "decrypting a reply", self.decrypt_ms),
            ("both", "making the plan, once", self.setup.plan_ms),
        ];
        if let Some(ms) = self.processor_ms {
            rows.insert(3, ("", "  processor time", ms));
        }
        if let Some(scaling) = self.scaling {
            rows.insert(3, ("", "  on one thread", scaling.one_thread_ms));
        }
        let mut table = Table::new(["where", "what", "median"]).texts(2);
        for (place, what, ms) in rows {
            table.row([place.to_string(), what.to_string(), milliseconds(ms)]);
        }
        table
    }

    fn facts(&self) -> Facts {
        let totals = &self.totals;
        let facts = Facts::default()
            .fact("images", format!("{} at once, {}", self.images, rate(self.images_per_second)))
            .fact("upload, reply", format!("{}, {}", bytes(self.upload_bytes), bytes(self.download_bytes)))
            .fact("evaluation keys", bytes(self.setup.evaluation_key_bytes))
            .fact("encoded model", bytes(self.server_bytes as u64))
            .fact(
                "operations",
                format!(
                    "{}, with {} key-switches and {} one-limb transforms (NTTs)",
                    count(totals.hops),
                    count(totals.key_switches),
                    count(totals.ntts)
                ),
            )
            .fact("ring", format!("degree {}, modulus QP of {}", self.ring_degree, bits(self.log_qp)))
            .fact("machine", format!("{}, {} used", self.machine, self.threads));
        let facts = match self.scaling {
            Some(Scaling { speedup, side_by_side, .. }) => facts.fact(
                "threads",
                format!(
                    "{} are {} times as fast as one; as many inferences side by side get {} times as much done",
                    self.threads,
                    number(speedup),
                    number(side_by_side)
                ),
            ),
            None => facts,
        };
        match self.peak_rss_bytes {
            Some(peak) => facts.fact("peak memory", bytes(peak)),
            None => facts,
        }
    }
}

impl Shown for Report {
    fn show(&self, page: &mut Page) {
        page.title(format!("{}, packing {}, {} runs", self.model, self.representation, self.runs));
        page.gap();
        page.table(&self.times());
        page.gap();
        page.facts(self.facts());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let odd = Spread::of([3.0, 1.0, 2.0].into_iter());
        assert_eq!((odd.min, odd.median, odd.max), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0].into_iter()).median, 2.5);
    }
}

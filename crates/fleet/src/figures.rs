//! A worker's figures for Prometheus. Nothing in them tells one client from another.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What a worker did since its start.
#[derive(Debug)]
pub struct Figures {
    registry: Registry,
    /// Inferences.
    pub computed: Counter,
    /// Jobs that other workers had begun.
    pub redelivered: Counter,
    /// Jobs that were laid aside.
    pub dead: Counter,
    /// Messages that were none of the fleet's.
    pub foreign: Counter,
    /// Jobs whose keys were in memory.
    pub key_hits: Counter,
    /// Jobs whose keys had to be read and expanded.
    pub key_misses: Counter,
    busy_seconds: Counter<f64, AtomicU64>,
    waited: Histogram,
    compute: Histogram,
    busy: Gauge,
    key_bytes: Gauge,
}

impl Figures {
    /// All of them zero.
    pub fn new() -> Self {
        // From half a millisecond to half a minute.
        let histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 17));
        let mut figures = Self {
            registry: Registry::with_prefix("blindsight_worker"),
            computed: Counter::default(),
            redelivered: Counter::default(),
            dead: Counter::default(),
            foreign: Counter::default(),
            key_hits: Counter::default(),
            key_misses: Counter::default(),
            busy_seconds: Counter::default(),
            waited: histogram(),
            compute: histogram(),
            busy: Gauge::default(),
            key_bytes: Gauge::default(),
        };
        figures.register();
        figures
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("computed", "Inferences", self.computed.clone());
        r.register("redelivered", "Jobs that other workers had begun", self.redelivered.clone());
        r.register("dead", "Jobs that were laid aside", self.dead.clone());
        r.register("foreign", "Messages that were none of the fleet's", self.foreign.clone());
        r.register("key_hits", "Jobs whose keys were in memory", self.key_hits.clone());
        r.register("key_misses", "Jobs whose keys had to be read", self.key_misses.clone());
        r.register_with_unit("busy", "Time spent computing", Unit::Seconds, self.busy_seconds.clone());
        r.register_with_unit("queue_age", "From published to taken", Unit::Seconds, self.waited.clone());
        r.register_with_unit("compute", "Running the network", Unit::Seconds, self.compute.clone());
        r.register("computing", "Inferences under way", self.busy.clone());
        r.register_with_unit("keys", "Expanded keys in memory", Unit::Bytes, self.key_bytes.clone());
    }

    /// An inference ended.
    pub fn computed(&self, time: Duration) {
        self.computed.inc();
        self.busy_seconds.inc_by(time.as_secs_f64());
        self.compute.observe(time.as_secs_f64());
    }

    /// A job was taken.
    pub fn waited(&self, time: Duration) {
        self.waited.observe(time.as_secs_f64());
    }

    /// The exposition, with gauges as they stand.
    pub fn text(&self, busy: usize, key_bytes: usize) -> String {
        self.busy.set(busy as i64);
        self.key_bytes.set(key_bytes as i64);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all text");
        text
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

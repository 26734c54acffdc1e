//! Figures for Prometheus. Nothing in them tells one client from another.

use crate::keyring::Keyring;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;
use tokio_rustls::rustls::ServerConnection;

/// What a request is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Route {
    method: String,
    route: String,
    status: u16,
}

/// What a TLS handshake is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Handshake {
    version: String,
    exchange: String,
}

pub struct Metrics {
    registry: Registry,
    requests: Family<Route, Counter>,
    handshakes: Family<Handshake, Counter>,
    duration: Histogram,
    compute: Histogram,
    places: Gauge,
    cache_bytes: Gauge,
    /// Keys registered since the start.
    pub keys_registered: Counter,
    /// Lines of the audit log that could not be written.
    pub audit_lost: Counter,
}

impl Metrics {
    pub fn new(keyring: &Keyring) -> Self {
        // From half a millisecond to half a minute.
        let histogram = || Histogram::new(exponential_buckets(0.0005, 2.0, 17));
        let mut metrics = Self {
            registry: Registry::with_prefix("blindsight"),
            requests: Family::default(),
            handshakes: Family::default(),
            duration: histogram(),
            compute: histogram(),
            places: Gauge::default(),
            cache_bytes: Gauge::default(),
            keys_registered: Counter::default(),
            audit_lost: Counter::default(),
        };
        metrics.register(keyring);
        metrics
    }

    fn register(&mut self, keyring: &Keyring) {
        let r = &mut self.registry;
        r.register("requests", "Requests answered", self.requests.clone());
        r.register("tls_handshakes", "TLS handshakes, by version and key exchange", self.handshakes.clone());
        r.register_with_unit(
            "request_duration",
            "From a request's head to its answer's",
            Unit::Seconds,
            self.duration.clone(),
        );
        r.register_with_unit("compute", "Running the network", Unit::Seconds, self.compute.clone());
        r.register("queue_places", "Places taken in the queue", self.places.clone());
        r.register_with_unit("cache", "Expanded keys in memory", Unit::Bytes, self.cache_bytes.clone());
        r.register("cache_hits", "Requests whose keys were in memory", keyring.hits.clone());
        r.register("cache_misses", "Requests whose keys had to be read", keyring.misses.clone());
        r.register("keys_registered", "Evaluation keys registered", self.keys_registered.clone());
        r.register("audit_lost", "Lines of the audit log that could not be written", self.audit_lost.clone());
    }

    pub fn answered(&self, method: &str, route: &str, status: u16, time: Duration) {
        let labels = Route { method: method.into(), route: route.into(), status };
        self.requests.get_or_create(&labels).inc();
        self.duration.observe(time.as_secs_f64());
    }

    pub fn shook_hands(&self, connection: &ServerConnection) {
        let version = connection.protocol_version().map(|version| format!("{version:?}"));
        let exchange = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        let labels =
            Handshake { version: version.unwrap_or_default(), exchange: exchange.unwrap_or_default() };
        self.handshakes.get_or_create(&labels).inc();
    }

    pub fn computed(&self, time: Duration) {
        self.compute.observe(time.as_secs_f64());
    }

    /// The exposition, with gauges as they stand.
    pub fn text(&self, places: usize, cache_bytes: usize) -> String {
        self.places.set(places as i64);
        self.cache_bytes.set(cache_bytes as i64);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all text");
        text
    }
}

//! What a request may take.

use blindsight_layout::DEFAULT_KEY_QUOTA;
use std::net::IpAddr;
use std::time::Duration;

/// Bounds on memory, disk and time.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Inferences that are computed at once.
    pub threads: usize,
    /// Requests that may wait or be received besides those computed; beyond them, 429.
    pub queue: usize,
    /// Places beyond these for clients that hold none: the others cannot shut them out.
    pub reserve: usize,
    /// Places that one client may hold at once.
    pub places_per_client: usize,
    /// Uploads of keys at once.
    pub uploads: usize,
    /// Uploads of keys at once of one client.
    pub uploads_per_client: usize,
    /// Connections at once; beyond them, those that have waited longest without a request are closed for new
    /// ones.
    pub connections: usize,
    /// Connections at once from one address; several clients may share one.
    pub connections_per_address: usize,
    /// Proxies, whose connections carry many clients: they are bounded by `connections` alone.
    pub proxies: Vec<IpAddr>,
    /// Bytes of keys that one client may store.
    pub quota: u64,
    /// Bytes of expanded keys in memory.
    pub cache: usize,
    /// For a TLS handshake, for a request's head, and between two requests on one connection.
    pub head: Duration,
    /// Between two pieces of a body, and for a piece of an answer to be taken.
    pub stall: Duration,
    /// For a request's whole body.
    pub body: Duration,
    /// For a thread to be free.
    pub wait: Duration,
    /// After which an upload that nobody went on with is dropped.
    pub abandoned: Duration,
    /// For what runs to finish when the server shuts down.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads,
            queue: 64,
            reserve: 32,
            places_per_client: 48,
            uploads: 64,
            uploads_per_client: 4,
            connections: 512,
            connections_per_address: 128,
            proxies: vec![],
            quota: DEFAULT_KEY_QUOTA,
            cache: 1 << 30,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            body: Duration::from_secs(60),
            wait: Duration::from_secs(30),
            abandoned: Duration::from_hours(24),
            shutdown: Duration::from_secs(30),
        }
    }
}

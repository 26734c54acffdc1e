//! What a request may take.

use std::time::Duration;

/// Bounds on memory, disk and time.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Inferences that are computed at once.
    pub threads: usize,
    /// Requests that may wait or be received besides those computed; beyond them, 429.
    pub queue: usize,
    /// Places that one client may hold at once.
    pub places_per_client: usize,
    /// Uploads of keys at once.
    pub uploads: usize,
    /// Connections at once; the others wait to be accepted.
    pub connections: usize,
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
            places_per_client: 48,
            uploads: 16,
            connections: 512,
            quota: 256 << 20,
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

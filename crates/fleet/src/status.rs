//! How a fleet is: what `blindsight fleet status` shows.

use crate::bus::{self, Bus};
use crate::front::milliseconds;
use crate::roster::{Beat, FrontState};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// For fronts and workers to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// A fleet, as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Fronts that answered.
    pub fronts: Vec<FrontState>,
    /// Workers that answered.
    pub workers: Vec<Beat>,
    /// Jobs that wait or are computed.
    pub jobs: Queue,
    /// Jobs that were laid aside.
    pub dead: Queue,
}

/// A stream.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Queue {
    /// Messages in it.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Milliseconds since the oldest came.
    pub oldest_ms: Option<u64>,
}

/// Who answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Member {
    Worker(Beat),
    Front(FrontState),
}

/// Asks all fronts and workers, and JetStream.
///
/// # Errors
/// Where the bus does not answer.
pub async fn status(bus: &Bus) -> Result<Status, async_nats::Error> {
    let (fronts, workers) = ask(bus).await?;
    Ok(Status { fronts, workers, jobs: queue(bus, bus::JOBS).await?, dead: queue(bus, bus::DEAD).await? })
}

async fn ask(bus: &Bus) -> Result<(Vec<FrontState>, Vec<Beat>), async_nats::Error> {
    let inbox = bus.client.new_inbox();
    let mut answers = bus.client.subscribe(inbox.clone()).await?;
    bus.client.publish_with_reply(bus::STATUS, inbox, bytes::Bytes::new()).await?;
    bus.client.flush().await?;
    let (mut fronts, mut workers, end) = (vec![], vec![], Instant::now() + PATIENCE);
    while let Ok(Some(answer)) = timeout_at(end, answers.next()).await {
        match serde_json::from_slice(&answer.payload) {
            Ok(Member::Worker(beat)) => workers.push(beat),
            Ok(Member::Front(state)) => fronts.push(state),
            Err(_) => {}
        }
    }
    fronts.sort_by(|a: &FrontState, b: &FrontState| a.front.cmp(&b.front));
    workers.sort_by(|a: &Beat, b: &Beat| a.worker.cmp(&b.worker));
    Ok((fronts, workers))
}

async fn queue(bus: &Bus, name: &str) -> Result<Queue, async_nats::Error> {
    let Ok(mut stream): Result<Stream, _> = bus.jetstream.get_stream(name).await else {
        return Ok(Queue::default());
    };
    let state = stream.info().await?.state.clone();
    let first = u64::try_from(state.first_timestamp.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    let oldest_ms = (state.messages > 0).then(|| milliseconds().saturating_sub(first));
    Ok(Queue { messages: state.messages, bytes: state.bytes, oldest_ms })
}

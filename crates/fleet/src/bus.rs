//! The message bus: how fronts and workers reach each other over NATS, and what its streams hold.

use crate::job::FrontId;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, jetstream};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The stream of jobs: each is gone once a worker says that it is done.
pub const JOBS: &str = "blindsight-jobs";
/// The stream of jobs that ended every worker that tried them.
pub const DEAD: &str = "blindsight-dead";
/// The key-value store in which uses of tokens are counted, and the stream that it is.
const COUNTS: &str = "blindsight-usage";
const COUNTS_STREAM: &str = "KV_blindsight-usage";
/// Where workers say that they live.
pub const BEATS: &str = "blindsight.beats";
/// Where workers and fronts are asked how they are.
pub const STATUS: &str = "blindsight.status";
/// Where fronts say that keys were deleted.
pub const FORGET: &str = "blindsight.forget";

/// A worker that says nothing for so long is taken for dead, and its job is given to another.
pub const ACK_WAIT: Duration = Duration::from_secs(3);
/// How often a worker says that it still computes.
pub const PROGRESS: Duration = Duration::from_secs(1);
/// So long a worker waits at a place of its own where a bell was heard: the job may be right behind.
pub const MOMENT: Duration = Duration::from_millis(10);
/// A job that so many workers took and did not finish is laid aside.
pub const MOST_DELIVERIES: i64 = 3;
/// How to reach the bus.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `nats://HOST:PORT`, or `tls://HOST:PORT`; several, with commas between them. A user and password may
    /// stand before the first host (`nats://USER:PASSWORD@HOST:PORT`); whoever sees this machine's processes
    /// sees them.
    pub url: String,
    /// A file of credentials (`.creds`).
    pub credentials: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey: Option<PathBuf>,
    /// Authorities, in PEM, one of which must have signed the server's certificate.
    pub ca: Option<PathBuf>,
}

/// Why the bus cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// A file of credentials.
    #[error("{}: {source}: expected a file that `nats` or `nsc` wrote", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// No connection.
    #[error("cannot reach NATS at {url}: {source}: {}", remedy(.source))]
    Connect {
        /// Where.
        url: String,
        /// What it said.
        source: ConnectError,
    },
    /// A stream or consumer.
    #[error("JetStream: {0}: is it switched on (nats-server -js), and may this user use it?")]
    JetStream(String),
}

/// A connection, and its JetStream.
#[derive(Debug, Clone)]
pub struct Bus {
    /// The connection.
    pub client: async_nats::Client,
    /// Its JetStream.
    pub jetstream: jetstream::Context,
}

impl Bus {
    /// Connects; afterwards it comes back by itself when the server does.
    ///
    /// # Errors
    /// Where the server cannot be reached now, or credentials cannot be read.
    pub async fn connect(access: &Access, name: &str) -> Result<Self, BusError> {
        let pause = |attempts: usize| Duration::from_millis((50 * attempts as u64).min(1000));
        let mut options = ConnectOptions::new()
            .name(name)
            .reconnect_delay_callback(pause)
            .request_timeout(Some(Duration::from_secs(2)))
            .ping_interval(Duration::from_secs(5));
        options = authorised(options, access).await?;
        let servers: Vec<&str> = access.url.split(',').collect();
        if let Ok(url) = url::Url::parse(servers[0])
            && let (user, Some(password)) = (url.username(), url.password())
        {
            options = options.user_and_password(user.into(), password.into());
        }
        // What stands before an @ is not for logs.
        let shown = access.url.rsplit('@').next().unwrap_or_default();
        let refused = |source| BusError::Connect { url: shown.into(), source };
        let client = options.connect(servers).await.map_err(refused)?;
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(Duration::from_secs(2))
            .ack_timeout(Duration::from_secs(2))
            .build(client.clone());
        Ok(Self { client, jetstream })
    }

    /// Makes what is missing of the streams, and of the consumers for a plan, and makes those anew that are
    /// ahead of the stream. A server that was killed while the queue was empty may forget how far it had
    /// counted, and consumers, which do not forget, would wait for numbers that come much later. Gives the
    /// number of the last job.
    ///
    /// # Errors
    /// Where JetStream refuses.
    pub async fn prepare(&self, plan: &[u8; 32], shards: u16) -> Result<u64, BusError> {
        let (last, reached) = self.reached(plan, shards).await?;
        for (shard, _) in reached.into_iter().filter(|(_, reached)| *reached > last) {
            self.replace_consumer(plan, shard).await?;
        }
        Ok(last)
    }

    /// As [`prepare`](Self::prepare), where a job was numbered anew: all consumers that have delivered
    /// anything are made anew. How far they are says nothing then, as new numbers soon reach the old ones. A
    /// job that is being computed comes a second time.
    ///
    /// # Errors
    /// Where JetStream refuses.
    pub async fn recount(&self, plan: &[u8; 32], shards: u16) -> Result<(), BusError> {
        let (_, reached) = self.reached(plan, shards).await?;
        for (shard, _) in reached.into_iter().filter(|(_, reached)| *reached > 0) {
            self.replace_consumer(plan, shard).await?;
        }
        Ok(())
    }

    /// Makes what is missing of the streams, and of the consumers for a plan. Gives the number of the last
    /// job, and for each shard the number that its consumer has come to.
    async fn reached(&self, plan: &[u8; 32], shards: u16) -> Result<(u64, Vec<(u16, u64)>), BusError> {
        for config in [jobs(), dead()] {
            self.jetstream.get_or_create_stream(config).await.map_err(refused)?;
        }
        let mut stream = self.jetstream.get_stream(JOBS).await.map_err(refused)?;
        let mut reached = vec![];
        for shard in 0..shards {
            let name = consumer_name(plan, shard);
            let known = stream.get_or_create_consumer::<pull::Config>(&name, consumer(plan, shard)).await;
            reached.push((shard, known.map_err(refused)?.cached_info().delivered.stream_sequence));
        }
        // Looked at last, so that what is published meanwhile is no sign of anything.
        Ok((stream.info().await.map_err(refused)?.state.last_sequence, reached))
    }

    async fn replace_consumer(&self, plan: &[u8; 32], shard: u16) -> Result<(), BusError> {
        tracing::warn!(shard, "NATS numbers jobs anew after a crash: their queue is made anew, too");
        let stream = self.jetstream.get_stream_no_info(JOBS).await.map_err(refused)?;
        stream.delete_consumer(&consumer_name(plan, shard)).await.map_err(refused)?;
        stream.create_consumer(consumer(plan, shard)).await.map_err(refused)?;
        Ok(())
    }

    /// Makes what is missing of the counts of tokens.
    ///
    /// # Errors
    /// Where JetStream refuses.
    pub async fn prepare_counts(&self) -> Result<(), BusError> {
        self.jetstream.get_or_create_stream(counts()).await.map_err(refused)?;
        Ok(())
    }

    /// The counts of tokens, which a front made.
    ///
    /// # Errors
    /// Where there are none yet.
    pub async fn counts(&self) -> Result<kv::Store, BusError> {
        self.jetstream.get_key_value(COUNTS).await.map_err(refused)
    }

    /// The consumer of a plan's shard, which a front made.
    ///
    /// # Errors
    /// Where there is none yet.
    pub async fn consumer(&self, plan: &[u8; 32], shard: u16) -> Result<PullConsumer, BusError> {
        self.jetstream.get_consumer_from_stream(consumer_name(plan, shard), JOBS).await.map_err(refused)
    }
}

/// Says who asks, as the files do.
async fn authorised(mut options: ConnectOptions, access: &Access) -> Result<ConnectOptions, BusError> {
    if let Some(path) = &access.credentials {
        let wrong = |source| BusError::Credentials { path: path.clone(), source };
        options = options.credentials_file(path).await.map_err(wrong)?;
    }
    if let Some(path) = &access.nkey {
        let wrong = |source| BusError::Credentials { path: path.clone(), source };
        options = options.nkey(std::fs::read_to_string(path).map_err(wrong)?.trim().into());
    }
    if let Some(path) = &access.ca {
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    Ok(options)
}

/// What to do where there is no connection.
fn remedy(error: &ConnectError) -> &'static str {
    // What rustls does not accept comes as data that are not valid.
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let untrusted = cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData);
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            "say who asks with --fleet-nkey or --fleet-credentials"
        }
        ConnectErrorKind::Tls => "give the authority that signed its certificate with --fleet-ca",
        _ if untrusted => "give the authority that signed its certificate with --fleet-ca",
        _ => "is nats-server running there, with -js?",
    }
}

fn refused(error: impl std::fmt::Display) -> BusError {
    BusError::JetStream(error.to_string())
}

/// The first half of a plan's digest: what its subjects are called by.
pub fn short(plan: &[u8; 32]) -> String {
    plan[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where jobs of a plan and shard go.
pub fn job_subject(plan: &[u8; 32], shard: u16) -> String {
    format!("blindsight.jobs.{}.{shard}", short(plan))
}

/// Where fronts say that a job of a plan and shard is there; `*` for all shards.
pub fn bell_subject(plan: &[u8; 32], shard: &str) -> String {
    format!("blindsight.bells.{}.{shard}", short(plan))
}

/// Where a front takes answers.
pub fn answer_subject(front: FrontId) -> String {
    format!("blindsight.answers.{front}")
}

/// Where jobs are laid aside.
pub fn dead_subject(plan: &[u8; 32]) -> String {
    format!("blindsight.dead.{}", short(plan))
}

fn consumer_name(plan: &[u8; 32], shard: u16) -> String {
    format!("{}-{shard}", short(plan))
}

fn jobs() -> Config {
    Config {
        name: JOBS.into(),
        description: Some("requests that wait for a worker".into()),
        subjects: vec!["blindsight.jobs.>".into()],
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        max_age: Duration::from_secs(600),
        max_bytes: 256 << 20,
        max_messages: 10_000,
        duplicate_window: Duration::from_secs(120),
        ..Config::default()
    }
}

fn dead() -> Config {
    Config {
        name: DEAD.into(),
        description: Some("requests that ended every worker that tried them".into()),
        subjects: vec!["blindsight.dead.>".into()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_age: Duration::from_secs(7 * 86_400),
        max_bytes: 64 << 20,
        ..Config::default()
    }
}

/// What `nats kv add` makes, too: the last state of each key.
fn counts() -> Config {
    Config {
        name: COUNTS_STREAM.into(),
        description: Some("what was used of tokens".into()),
        subjects: vec![format!("$KV.{COUNTS}.>")],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        max_messages_per_subject: 1,
        max_bytes: 256 << 20,
        allow_rollup: true,
        allow_direct: true,
        ..Config::default()
    }
}

/// Deliveries are not bounded here: JetStream would leave a job that reached the bound where it is. The
/// worker that gets it once too often lays it aside.
fn consumer(plan: &[u8; 32], shard: u16) -> pull::Config {
    pull::Config {
        durable_name: Some(consumer_name(plan, shard)),
        filter_subject: job_subject(plan, shard),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        ..pull::Config::default()
    }
}

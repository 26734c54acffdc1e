//! More than one machine: fronts, workers, a bus and a store.
//!
//! # Concepts
//!
//! A *front* is a [`Service`](blindsight_service::Service) that does not compute: its
//! [`Compute`](blindsight_service::Compute) is a [`Fleet`], which publishes a [`Job`](job::Job) for each
//! request and waits for the answer. A [`Worker`] takes jobs and computes. Between them are NATS JetStream,
//! which keeps jobs until they are done ([`bus`]), and an object store, which keeps keys, large requests,
//! models and plans ([`Depot`]).
//!
//! # Example
//!
//! The store that fronts and workers share, here a folder. What is put first stays.
//!
//! ```
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use blindsight_fleet::Depot;
//!
//! let folder = std::env::temp_dir().join(format!("blindsight-depot-{}", std::process::id()));
//! let depot = Depot::open(&format!("file://{}", folder.display()))?;
//! assert!(depot.put_first("plans/one", b"a plan".to_vec()).await?);
//! assert!(!depot.put_first("plans/one", b"another".to_vec()).await?);
//! assert_eq!(depot.get("plans/one", 100).await?.as_deref(), Some(&b"a plan"[..]));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contract
//!
//! - Every request is answered, or refused with what to do, whichever part of a fleet ends.
//! - Workers compute jobs that a front of their fleet sealed, and nothing else.
//! - Keys that were acknowledged lie in the store, and the record that registers them is written last.
//! - Clients take turns at each front as they do in one process.
//! - No worker, front, message or object holds a secret key: the type's name does not occur in these sources.
//!
//! # Non-goals
//!
//! No scheduler and no supervisor: systemd, Docker or Kubernetes start workers and fronts.

mod bells;
pub mod bus;
mod counts;
mod depot;
mod figures;
mod front;
pub mod job;
mod keys;
pub mod models;
mod monitor;
mod paused;
mod roster;
pub mod seal;
pub mod simulation;
pub mod status;
mod threads;
mod tokens;
mod worker;

pub use bus::{Access, Bus, BusError};
pub use counts::BusCounts;
pub use depot::{Depot, DepotError, Object, Seen, Shared};
pub use front::Fleet;
pub use models::ModelError;
pub use monitor::monitor;
pub use roster::{Beat, FrontState};
pub use tokens::StoredTokens;
pub use worker::{Observer, Options, Worker, WorkerError};

/// The shards that a fleet is made with where nothing else is said.
pub const SHARDS: u16 = 16;

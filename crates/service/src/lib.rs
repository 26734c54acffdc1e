//! The server over HTTPS: what runs when you type `blindsight serve`.
//!
//! # Concepts
//!
//! A [`Service`] is made from [`Limits`], a folder and the models to serve. It answers the protocol that
//! `docs/server.md` states and `openapi.json` lists. One straight line leads a request through it: `listener`
//! (connections, TLS, time limits) -> `routes` (who asks, for what) -> `queue` (a place) ->
//! [`Compute`], which is this process (`queue`: a turn, then a thread) or a fleet of others ->
//! `blindsight_server::PreparedModel`.
//!
//! What lasts lies in one folder: the certificate and its key, `tokens.json` (hashes), `usage.json` (counts),
//! `index.redb` (which keys are registered), `keys/` (their frames) and `uploads/` (frames that are not whole
//! yet).
//!
//! # Contract
//!
//! - Evaluation keys are registered when they are whole, conform to a served plan, and are safely on disk;
//!   what was acknowledged survives crashes, and nothing else is accepted after them.
//! - Whatever a request needs is bounded before it is read: its length by the plan, its time by [`Limits`],
//!   its memory by a place in the queue.
//! - A client sees its own keys and nothing of others, and of the models those that its token is for.
//! - A token's rate and budget hold over restarts and crashes, and over all services that share
//!   [`Counts`]: what is not sure to be left is not given.
//! - Nothing that identifies a client, and nothing that it sent, is logged; the [`Audit`] log, where there is
//!   one, names clients, models, sizes and outcomes, and nothing that was sent.
//! - The service cannot hold a secret key, by type: as in `server`, the type's name does not occur in these
//!   sources.
//!
//! # Non-goals
//!
//! No accounts (a token is made on the command line), no billing. One process owns the folder; several
//! machines are the crate `fleet`, beyond the seam.

mod audit;
mod body;
mod cache;
mod catalogue;
mod compute;
mod document;
mod files;
mod gate;
mod keyring;
mod limits;
mod listener;
mod lock;
mod metrics;
mod page;
mod places;
mod queue;
mod refusal;
mod registry;
mod routes;
mod scope;
mod service;
mod sign;
mod store;
mod store_error;
mod strict;
mod timing;
mod tls;
mod tokens;
mod turns;
mod turnstile;
mod usage;
mod whole;

pub use audit::Audit;
pub use cache::Cache;
pub use catalogue::{Catalogue, CatalogueError, Served};
pub use compute::{Compute, Computed, Inference, Later};
pub use document::{Document, Edit, Version};
pub use limits::Limits;
pub use listener::{Listener, Transport, serve_stream};
pub use refusal::{Outcome, Refusal};
pub use registry::{Id, Record, Registry};
pub use scope::{NotARate, Rate, Scope};
pub use service::{Extras, Service, SharedTokens, StartError};
pub use sign::{SignError, Signer};
pub use store::Store;
pub use store_error::StoreError;
pub use timing::Timing;
pub use tls::{Identity, TlsError};
pub use tokens::{ClientName, Entry, State, Token, TokenError, Tokens};
pub use turnstile::{Pass, Turnstile};
pub use usage::{Counter, Counters, Counts, Used};

/// The OpenAPI document that the service answers by.
pub const OPENAPI: &str = include_str!("../openapi.json");

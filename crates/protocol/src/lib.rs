//! What a client and a server say to each other over HTTP: names, JSON documents, the public plan's frame.
//!
//! # Concepts
//!
//! `docs/server.md` states the protocol's rules, `crates/service/openapi.json` every path and status. Here
//! are the parts of it that both sides compile: the [`VERSION`], the [`headers`], the JSON
//! [documents](Models), the [`Code`] of every refusal, the [`Address`] of evaluation keys, and a plan's
//! public part as bytes ([`write_plan`], [`read_plan`]).
//!
//! # Contract
//!
//! Everything read here comes from outside: it is checked before it is used, and what is wrong is said.
//!
//! # Non-goals
//!
//! No HTTP: neither requests nor connections. Compiles to wasm.

mod address;
mod documents;
pub mod headers;
mod plan;
mod statement;

pub use address::{Address, NotAnAddress};
pub use documents::{About, Allowance, Code, InputShape, Key, KeyStatus, Keys, Model, Models, Problem};
pub use plan::{Error, read_plan, write_plan};
pub use statement::{SignedStatement, Statement};

/// The version of the protocol. It pins the version of the file formats, too.
pub const VERSION: u32 = 1;

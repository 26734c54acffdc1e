//! The client for a browser: key, encryption and decryption as WebAssembly.
//!
//! # Concepts
//!
//! A [`Session`] is what one visitor has: a plan and a client with its secret key. The functions of
//! [`exports`] are its operations, for a host that shares nothing with them but linear memory: the host asks
//! for room for an argument ([`exports::argument`]), writes bytes there, calls one operation, and reads the
//! bytes of its result. `npm/src/engine.js` is such a host.
//!
//! # Example
//!
//! What the page does, step by step; between `encrypt` and `decrypt` the request travels to a server.
//!
//! ```
//! use blindsight_network::Model;
//! use blindsight_planner::{Options, plan};
//! use blindsight_web::Session;
//!
//! let onnx = include_bytes!("../../../models/lola-small-mnist.onnx");
//! let model = Model::from_bytes("lola-small-mnist", onnx)?;
//! let plan = plan(&model, &Options::default())?;
//! let frame = blindsight_protocol::write_plan(&plan.public, &plan.private_digest());   // what a server gives
//!
//! let mut session = Session::default();
//! session.open_plan(&frame)?;
//! session.generate_key()?;
//! let request = session.encrypt(&[0; 28 * 28])?;
//! assert!(session.decrypt(&request).is_err(), "a request is no reply");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contract
//!
//! - An operation returns 0 and leaves its result, or 1 and leaves JSON: a code for programs, a message for
//!   people.
//! - Argument and result are wiped when they are replaced, and the secret key when it is.
//! - Randomness is the host's `crypto.getRandomValues`, by way of the `getrandom` crate. It is the only
//!   import.
//! - The secret key is a result of [`exports::secret_key`] alone.
//!
//! # Non-goals
//!
//! No network and no storage: bytes in, bytes out. On other targets than wasm32 the crate is there to be
//! tested.

#[cfg(target_family = "wasm")]
mod entropy;
pub mod exports;
mod session;

pub use session::{Answer, Error, PlanSummary, Ranked, Session};

//! Which layouts and which layer kernels: the planner, and plans.
//!
//! [`plan()`] finds the cheapest path through layouts for an objective. A [`Plan`] pins it; its
//! [public part](blindsight_layout::PublicPlan) is all that a client needs. The plans of the literature are
//! recipes beside it ([`Lola`], and CryptoNets' for batches), and so are plans without evaluation keys.
//!
//! # Example
//!
//! ```
//! use blindsight_circuit::CostModel;
//! use blindsight_network::Model;
//! use blindsight_planner::{Options, Plan, explain, plan};
//!
//! let onnx = include_bytes!("../../../models/lola-small-mnist.onnx");
//! let model = Model::from_bytes("lola-small-mnist", onnx)?;
//! let plan = plan(&model, &Options::default())?;
//! let explanation = explain(&plan, &model, &CostModel::default())?;
//! for layer in &explanation.layers {
//!     println!("{}: {} key-switches", layer.name, layer.counts.key_switches);
//! }
//! assert_eq!(Plan::read(plan.write().as_slice())?.digest(), plan.digest());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contract
//!
//! A plan's circuit computes, on plain slots, what the network computes. The same model, options and cost
//! model give the same plan on every machine. Plans from outside are checked before they are used.
//!
//! # Non-goals
//!
//! How layers are computed is not known here, and nothing here holds or needs a secret.

pub mod check;
mod costs;
mod error;
mod errors;
mod expected;
mod explain;
mod keyless;
mod literature;
mod masking;
mod notices;
mod objective;
mod options;
mod parameters;
mod plan;
mod planner;
mod private;
mod search;
mod sharing;
mod simulate;
pub mod sizes;
mod within;

pub use error::{Error, Limit};
pub use errors::error_ratio;
pub use explain::{CountFields, Explanation, LayerExplanation, OneOrMany, explain};
pub use literature::Lola;
pub use notices::{Notice, notices};
pub use objective::{Objective, PlanCost};
pub use options::{DEFAULT_KEY_LIMIT, DEFAULT_MEMORY_LIMIT, OFFERED, Options, Packing, ReplyKind};
pub use parameters::{candidates, candidates_at, parameters, parameters_of};
pub use plan::{Plan, Recipe};
pub use planner::{check_size, plan, runner_up};
pub use simulate::simulated_errors;
pub use within::plan_for;

#[cfg(test)]
mod tests;

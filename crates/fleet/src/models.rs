//! Models and plans in the store: what a front publishes, and what a worker prepares.

use crate::depot::{Depot, DepotError, MOST_MODEL, Named};
use blindsight_network::Model;
use blindsight_planner::Plan;
use blindsight_protocol::Address;
use blindsight_server::PreparedModel;

/// Why a model is not computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The store.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// A model's file that cannot be read.
    #[error("model {0}: {1}")]
    Model(String, String),
    /// A plan that cannot be read.
    #[error("plan of {0}: {1}")]
    Plan(String, String),
    /// A plan that does not fit its model.
    #[error(transparent)]
    Server(#[from] blindsight_server::Error),
}

/// A model that a worker computes.
#[derive(Debug)]
pub struct Prepared {
    /// Its name.
    pub name: String,
    /// Ready to compute with.
    pub model: PreparedModel,
}

fn name_path(name: &str) -> String {
    format!("names/{name}")
}

fn model_path(digest: &[u8; 32]) -> String {
    format!("models/{}", Address(*digest))
}

fn plan_path(digest: &[u8; 32]) -> String {
    format!("plans/{}", Address(*digest))
}

/// What a name is served by now.
///
/// # Errors
/// Where the store cannot be read.
pub async fn named(depot: &Depot, name: &str) -> Result<Option<Named>, DepotError> {
    depot.document(&name_path(name)).await
}

/// The plan that a name is served by, if it is for this model.
///
/// # Errors
/// Where it cannot be read.
pub async fn plan_of(depot: &Depot, model: &Model) -> Result<Option<Plan>, ModelError> {
    match named(depot, &model.name).await?.filter(|named| named.model == model.digest) {
        Some(named) => Ok(Some(read_plan(depot, &model.name, &named.plan).await?)),
        None => Ok(None),
    }
}

/// Publishes a model, its file's bytes, and the plan that it is served by. Where another front was first,
/// with the same model, its plan holds: that one is given.
///
/// # Errors
/// Where the store cannot be written.
pub async fn publish(depot: &Depot, model: &Model, file: Vec<u8>, plan: Plan) -> Result<Plan, ModelError> {
    let offered = Named { model: model.digest, plan: plan.digest() };
    depot.put(&model_path(&model.digest), file).await?;
    depot.put(&plan_path(&offered.plan), plan.write()).await?;
    let text = serde_json::to_vec(&offered).expect("numbers");
    if depot.put_first(&name_path(&model.name), text.clone()).await? {
        return Ok(plan);
    }
    match plan_of(depot, model).await? {
        Some(first) => Ok(first),
        // Another model of this name was served until now.
        None => {
            depot.put(&name_path(&model.name), text).await?;
            Ok(plan)
        }
    }
}

/// Serves a name by another plan from now on.
///
/// # Errors
/// Where the store cannot be written.
pub async fn replace(depot: &Depot, model: &Model, file: Vec<u8>, plan: &Plan) -> Result<(), ModelError> {
    let named = Named { model: model.digest, plan: plan.digest() };
    depot.put(&model_path(&model.digest), file).await?;
    depot.put(&plan_path(&named.plan), plan.write()).await?;
    depot.put(&name_path(&model.name), serde_json::to_vec(&named).expect("numbers")).await?;
    Ok(())
}

/// Prepares what a name is served by, from the store.
///
/// # Errors
/// Where model and plan are not there, or do not fit.
pub async fn prepare(depot: &Depot, name: &str, named: &Named) -> Result<Prepared, ModelError> {
    let path = model_path(&named.model);
    let file = depot.checked(&path, &named.model, MOST_MODEL).await?;
    let file = file.ok_or(DepotError::Damaged(path))?;
    let plan = read_plan(depot, name, &named.plan).await?;
    let called = name.to_string();
    let prepare = move || {
        let wrong = |error: &dyn std::fmt::Display| ModelError::Model(called.clone(), error.to_string());
        let model = Model::from_bytes(&called, &file).map_err(|error| wrong(&error))?;
        let model = PreparedModel::new(&model, &plan)?;
        Ok(Prepared { name: called, model })
    };
    let prepared = tokio::task::spawn_blocking(prepare).await;
    prepared.map_err(|panic| ModelError::Model(name.into(), panic.to_string()))?
}

async fn read_plan(depot: &Depot, name: &str, digest: &[u8; 32]) -> Result<Plan, ModelError> {
    let path = plan_path(digest);
    let wrong = |text: String| ModelError::Plan(name.into(), text);
    let bytes = depot.get(&path, MOST_MODEL).await?;
    let bytes = bytes.ok_or_else(|| wrong(format!("{path} is not in the store")))?;
    let plan = Plan::read(&bytes[..]).map_err(|error| wrong(error.to_string()))?;
    if &plan.digest() == digest { Ok(plan) } else { Err(DepotError::Damaged(path).into()) }
}

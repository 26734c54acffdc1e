//! The models that are served.

use crate::Scope;
use blindsight_ckks::wire::{self, Expected, FRAME_BYTES, Kind, Length, PlanDigest, WireError};
use blindsight_network::{Metadata, Model};
use blindsight_planner::Plan;
use blindsight_protocol::{About, InputShape};
use blindsight_server::PreparedModel;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A model, prepared, and what is said of it.
pub struct Served {
    /// Ready to compute with.
    pub prepared: PreparedModel,
    /// What clients are told.
    pub summary: blindsight_protocol::Model,
    /// SHA-256 of the model's file.
    pub model_digest: [u8; 32],
    /// The framed public plan.
    pub plan: Vec<u8>,
}

/// The models that a service serves, by name.
#[derive(Default)]
pub struct Catalogue(BTreeMap<String, Arc<Served>>);

/// Why a model cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// A name that cannot stand in a path.
    #[error("{0:?} cannot stand in an address: a model's name is made of a-z A-Z 0-9 . _ -")]
    Name(String),
    /// Two models of one name.
    #[error("two models are called {0:?}: serve one of them under another name")]
    Twice(String),
    /// A model that does not fit its plan.
    #[error(transparent)]
    Server(#[from] blindsight_server::Error),
    /// A plan that is not secure.
    #[error(transparent)]
    Parameters(#[from] blindsight_ckks::Error),
}

impl Catalogue {
    /// Prepares a model to be served by a plan of its own.
    ///
    /// # Errors
    /// For a name that is there or cannot stand in a path, and for a plan that was made for another model.
    pub fn add(&mut self, model: &Model, plan: &Plan) -> Result<(), CatalogueError> {
        let id = model.name.clone();
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            return Err(CatalogueError::Name(id));
        }
        if self.0.contains_key(&id) {
            return Err(CatalogueError::Twice(id));
        }
        let prepared = PreparedModel::new(model, plan)?;
        let summary = summary(&id, &prepared, model)?;
        let plan = blindsight_protocol::write_plan(&plan.public, &plan.private_digest());
        let model_digest = model.digest;
        self.0.insert(id, Arc::new(Served { prepared, summary, model_digest, plan }));
        Ok(())
    }

    /// A model that is served.
    pub fn get(&self, id: &str) -> Option<&Arc<Served>> {
        self.0.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.0.values()
    }

    /// The model that keys with this header are for, among those that a token is for.
    pub(crate) fn for_keys(&self, head: &[u8], scope: &Scope) -> Result<&Arc<Served>, WireError> {
        let mut refused = None;
        for served in self.iter().filter(|served| scope.allows(&served.summary.id)) {
            match wire::read_header(head, &served.keys_expected()) {
                Ok(_) => return Ok(served),
                // A file for a served plan that is wrong otherwise is told so; one for none is told the plan.
                Err(error @ WireError::Plan { .. }) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(WireError::Truncated { expected: FRAME_BYTES, actual: 0 }))
    }

    /// The most bytes that any body has.
    pub(crate) fn largest_body(&self) -> u64 {
        self.iter().map(|served| served.summary.request_bytes).max().unwrap_or(0).max(self.largest_keys())
    }

    /// The most bytes that keys for any model have.
    pub(crate) fn largest_keys(&self) -> u64 {
        self.iter().map(|served| served.summary.evaluation_key_bytes).max().unwrap_or(0)
    }
}

impl Served {
    fn keys_expected(&self) -> Expected {
        let length = Length::Exactly(self.prepared.evaluation_keys_bytes());
        Expected { kind: Kind::EvaluationKeys, plan: Some(self.digest()), key: None, length }
    }

    /// What names the plan.
    pub fn digest(&self) -> PlanDigest {
        self.prepared.digest()
    }
}

fn summary(
    id: &str,
    prepared: &PreparedModel,
    model: &Model,
) -> Result<blindsight_protocol::Model, blindsight_ckks::Error> {
    let (plan, shape) = (prepared.plan(), model.graph.input);
    let parameters = plan.validated_parameters()?;
    let frame = |payload: usize| (FRAME_BYTES + payload) as u64;
    Ok(blindsight_protocol::Model {
        id: id.into(),
        plan: wire::hex(&prepared.digest()),
        representation: plan.representation.clone(),
        objective: plan.objective.clone(),
        reply: plan.reply_kind.clone(),
        ring_degree: plan.parameters.degree,
        log_qp: parameters.log_qp(),
        security_bits: parameters.security_bits(),
        input: InputShape { channels: shape.channels, height: shape.height, width: shape.width },
        labels: plan.labels.clone(),
        evaluation_key_bytes: frame(prepared.evaluation_keys_bytes()),
        request_bytes: frame(prepared.request_bytes()),
        reply_bytes: frame(prepared.reply_bytes()),
        about: about(&model.metadata),
    })
}

/// What a model's file says of it for people.
fn about(metadata: &Metadata) -> About {
    let Metadata { dataset, description, accuracy, features, samples, .. } = metadata.clone();
    About { dataset, description, accuracy, features, samples }
}

//! `/v1/models`: what is served.

use super::{Client, Shared};
use crate::refusal::{Outcome, Refusal};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use blindsight_protocol::{Code, Models, SignedStatement};

pub async fn list(State(service): Shared, client: Client) -> Json<Models> {
    let summaries = service.catalogue.iter().map(|served| &served.summary);
    let allowed = summaries.filter(|model| client.token.scope.allows(&model.id));
    Json(Models { models: allowed.cloned().collect() })
}

pub async fn plan(
    State(service): Shared,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Outcome<Response> {
    let served = service.model(&id, &client.token.scope)?;
    client.witness.model(&served.summary.id);
    let tag = format!("\"{}\"", served.summary.plan);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let kind = "application/octet-stream".to_string();
    Ok(([(header::CONTENT_TYPE, kind), (header::ETAG, tag)], served.plan.clone()).into_response())
}

pub async fn signature(
    State(service): Shared,
    client: Client,
    Path(id): Path<String>,
) -> Outcome<Json<SignedStatement>> {
    let served = service.model(&id, &client.token.scope)?;
    client.witness.model(&served.summary.id);
    let statement = service.statement(&served);
    statement.map(Json).ok_or_else(|| Refusal::new(Code::NotFound, "this server signs nothing"))
}

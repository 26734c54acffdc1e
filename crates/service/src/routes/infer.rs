//! `/v1/models/{id}/infer`: an encrypted image to encrypted scores.

use super::{Client, Shared};
use crate::body::{self, Pieces};
use crate::catalogue::Served;
use crate::compute::{Computed, Inference};
use crate::refusal::{Outcome, Refusal};
use crate::timing::Timing;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use blindsight_protocol::{Address, Code, headers};
use std::sync::Arc;
use std::time::Instant;

pub async fn infer(
    State(service): Shared,
    client: Client,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Outcome<Response> {
    let served = service.model(&model, &client.token.scope)?;
    client.witness.model(&served.summary.id);
    let id = (client.name.clone(), keys_named(&headers)?);
    let length = expected_length(&served, &headers)?;
    if !service.keyring.knows(&served, &id) {
        let expected = id.clone();
        service.waiting(move |service| service.keyring.expect(&expected)).await?;
    }
    let place = service.queue.enter(&id.0)?;
    let mut charge = service.charge(&client.token).await?;
    let start = Instant::now();
    let request = Pieces::new(body, length, &service.limits).whole().await?;
    let read = start.elapsed();
    let inference = Inference {
        served,
        client: id.0,
        keys: id.1,
        request: Arc::new(request),
        id: client.witness.id().into(),
    };
    charge.begin();
    let computed = service.compute.infer(inference).await.inspect_err(|_| charge.take_back());
    drop(place);
    let Computed { reply, timing } = computed??;
    timing.of("compute").into_iter().for_each(|time| service.metrics.computed(time));
    let mut all = Timing::default();
    all.add("read", read);
    let kind = (header::CONTENT_TYPE, "application/octet-stream".to_string());
    let timing = (HeaderName::from_static(headers::SERVER_TIMING), all.then(timing).header());
    Ok(([kind, timing], reply).into_response())
}

fn keys_named(headers: &HeaderMap) -> Outcome<Address> {
    let named = headers.get(headers::KEYS).and_then(|value| value.to_str().ok());
    let address = named.and_then(|text| text.parse().ok());
    address.ok_or_else(|| {
        let detail = "expected a header Blindsight-Keys: the address of registered keys, 64 lower-case hexadecimal digits";
        Refusal::new(Code::BadRequest, detail)
    })
}

/// The length of the body, which the plan fixes.
fn expected_length(served: &Served, headers: &HeaderMap) -> Outcome<u64> {
    let (expected, actual) = (served.summary.request_bytes, body::length(headers)?);
    match actual {
        _ if actual == expected => Ok(actual),
        _ => {
            let code = if actual > expected { Code::TooLarge } else { Code::NotConforming };
            Err(Refusal::new(code, format!("a request for this model has {expected} bytes, not {actual}")))
        }
    }
}

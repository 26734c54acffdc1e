//! `/v1/models/{id}/infer`: an encrypted image to encrypted scores.

use super::{Client, Shared};
use crate::Service;
use crate::body::{self, Pieces};
use crate::catalogue::Served;
use crate::refusal::{Outcome, Refusal};
use crate::store::Id;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use blindsight_protocol::{Address, Code, headers};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the server did, and how long it took.
#[derive(Default)]
struct Timing(Vec<(&'static str, Duration)>);

impl Timing {
    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.push((name, start.elapsed()));
        done
    }

    fn header(&self) -> String {
        let step = |(name, time): &(&str, Duration)| format!("{name};dur={:.3}", time.as_secs_f64() * 1e3);
        self.0.iter().map(step).collect::<Vec<_>>().join(", ")
    }
}

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
    service.expect_keys(&served, &id)?;
    let place = service.queue.enter(&id.0)?;
    let mut charge = service.usage.charge(&client.token)?;
    let start = Instant::now();
    let request = Pieces::new(body, length, &service.limits).whole().await?;
    let received = Instant::now();
    let work = {
        let (service, id) = (service.clone(), id.clone());
        move || (Instant::now(), compute(&service, &served, &id, &request))
    };
    charge.begin();
    let computed = service.queue.compute(&id.0, work).await.inspect_err(|_| charge.take_back());
    let (begun, computed) = computed?;
    drop(place);
    let (reply, mut timing) = computed?;
    timing.0.splice(0..0, [("read", received - start), ("queue", begun - received)]);
    let kind = (header::CONTENT_TYPE, "application/octet-stream".to_string());
    Ok(([kind, (HeaderName::from_static(headers::SERVER_TIMING), timing.header())], reply).into_response())
}

fn compute(service: &Arc<Service>, served: &Served, id: &Id, request: &[u8]) -> Outcome<(Vec<u8>, Timing)> {
    let mut timing = Timing::default();
    let prepared = &served.prepared;
    let keys = timing.step("keys", || service.keys(served, id))?;
    let request = timing.step("expand", || prepared.read_request(&keys, request));
    let request = request.map_err(|error| Refusal::new(Code::NotConforming, error.to_string()))?;
    let answer = timing.step("compute", || prepared.compute(&keys, &request));
    let answer = answer.map_err(|error| Refusal::internal(&error))?;
    timing.0.last().into_iter().for_each(|(_, time)| service.metrics.computed(*time));
    Ok((prepared.write_reply(&answer), timing))
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

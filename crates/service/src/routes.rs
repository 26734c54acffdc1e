//! Who asks, and for what.

mod infer;
mod keys;
mod models;

use crate::audit::Witness;
use crate::body::Polite;
use crate::gate::{Guest, Ticket, Visit};
use crate::refusal::{Outcome, Refusal};
use crate::{ClientName, Entry, OPENAPI, Service, page};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head, post};
use blindsight_protocol::{Code, VERSION, headers};
use std::sync::Arc;
use std::time::Instant;

type Shared = State<Arc<Service>>;

/// Everything that the service answers on its main address.
pub fn router(service: Arc<Service>) -> Router {
    let api = Router::new()
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::plan))
        .route("/v1/models/{id}/signature", get(models::signature))
        .route("/v1/models/{id}/infer", post(infer::infer))
        .route("/v1/keys", get(keys::list))
        .route("/v1/keys/{digest}", head(keys::status).put(keys::put).delete(keys::delete))
        .route("/healthz", get(health))
        .layer(from_fn(check_version));
    api.fallback(elsewhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(service.clone(), observe))
        .with_state(service)
}

/// The figures, on an address of their own.
pub fn metrics_router(service: Arc<Service>) -> Router {
    let text = |State(service): Shared| async move {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(header::CONTENT_TYPE, kind)], service.metrics())
    };
    Router::new().route("/metrics", get(text)).with_state(service)
}

/// The client that asks, by its token, and what is kept of that. While its request lasts its connection is
/// not closed for another one.
struct Client {
    name: ClientName,
    token: Entry,
    witness: Arc<Witness>,
    _visit: Option<Visit>,
}

impl FromRequestParts<Arc<Service>> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Outcome<Self> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = header.and_then(|value| value.split_once(' ')).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::new(Code::Unauthorized, "expected a header `Authorization: Bearer TOKEN`"));
        }
        let (name, token) = service.authenticate(token.trim())?;
        let witness = parts.extensions.get::<Arc<Witness>>().expect("every request has one").clone();
        witness.client(&name);
        Ok(Self { name, token, witness, _visit: parts.extensions.get::<Arc<Ticket>>().map(Ticket::visit) })
    }
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn health(State(service): Shared) -> Outcome<&'static str> {
    match service.is_closing() {
        false => Ok("ok"),
        true => Err(Refusal::for_now(Code::Unavailable, "the server is shutting down")),
    }
}

/// The page, or a path that is not here; one of another version is told so.
async fn elsewhere(uri: Uri, request: Request) -> Response {
    let first = uri.path().split('/').nth(1).unwrap_or_default();
    let version = first.strip_prefix('v').and_then(|digits| digits.parse::<u32>().ok());
    match version {
        Some(version) if version != VERSION => other_version(version).into_response(),
        Some(_) => Refusal::new(Code::NotFound, "no such path: see /v1/openapi.json").into_response(),
        None => page::answer(uri.path(), &request),
    }
}

async fn wrong_method() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "no such method on this path: see /v1/openapi.json")
}

fn other_version(version: impl std::fmt::Display) -> Refusal {
    let detail = format!(
        "the client speaks version {version} of the protocol, this server version {VERSION}: install the client that belongs to it"
    );
    Refusal::new(Code::UnsupportedVersion, detail)
}

/// Refuses clients of another version, before anything else is looked at.
async fn check_version(request: Request, next: Next) -> Response {
    match request.headers().get(headers::VERSION) {
        Some(version) if version.as_bytes() != VERSION.to_string().as_bytes() => {
            other_version(String::from_utf8_lossy(version.as_bytes()).escape_debug()).into_response()
        }
        _ => next.run(request).await,
    }
}

/// The guest that a proxy's request is from, where it is from a proxy that is known here and names one: the
/// last address in `X-Forwarded-For`, which the proxy itself wrote. An error where that address has as many
/// requests under way as one may.
fn admitted(request: &Request) -> Result<Option<Guest>, ()> {
    let Some(ticket) = request.extensions().get::<Arc<Ticket>>().filter(|ticket| ticket.is_proxy()) else {
        return Ok(None);
    };
    let named = request.headers().get_all("x-forwarded-for").iter().next_back();
    let last = named.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.map(|address| ticket.guest(address).ok_or(())).transpose()
}

fn crowded() -> Refusal {
    Refusal::for_now(
        Code::Busy,
        "this address has as many requests under way as one may: try again after a moment",
    )
}

/// Logs and counts every request: its route as it stands in the table, never its path, and nothing of what it
/// carries.
async fn observe(State(service): Shared, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let guest = admitted(&request);
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_string();
    let method = known(request.method());
    let received = request.body().size_hint().exact().unwrap_or(0);
    let (most, time) = (service.catalogue.largest_body(), service.limits.body);
    let mut request = request.map(|body| Body::new(Polite::new(body, most, time)));
    let witness = Arc::new(service.witness(format!("{method} {route}"), received));
    request.extensions_mut().insert(witness.clone());
    let mut response = match &guest {
        Ok(_) => next.run(request).await,
        Err(_) => crowded().into_response(),
    };
    response.headers_mut().insert(headers::VERSION, HeaderValue::from(VERSION));
    let id = HeaderValue::from_str(witness.id()).expect("hexadecimal digits");
    response.headers_mut().insert(headers::REQUEST_ID, id);
    page::secure(response.headers_mut());
    let (status, elapsed) = (response.status().as_u16(), start.elapsed());
    service.metrics.answered(method, &route, status, elapsed);
    let milliseconds = elapsed.as_secs_f64() * 1e3;
    let sent = response.body().size_hint().exact().unwrap_or(0);
    let request_id = witness.id();
    tracing::info!(method, route, status, milliseconds, received, sent, request_id, "request");
    witness.answered(status, outcome(&response), sent);
    response
}

/// A method's name where HTTP defines it. Others are whatever a client likes: as labels of figures they would
/// take memory without end, and in logs they would be text of the client's.
fn known(method: &Method) -> &'static str {
    let standard = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS];
    let names = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"];
    standard.iter().zip(names).find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

/// `ok`, or the code of the refusal.
fn outcome(response: &Response) -> String {
    let code = response.extensions().get::<Code>().and_then(|code| serde_json::to_value(code).ok());
    code.and_then(|code| code.as_str().map(String::from)).unwrap_or_else(|| "ok".into())
}

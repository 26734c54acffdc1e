//! `/v1/keys`: evaluation keys, registered once.

use super::{Client, Shared};
use crate::audit::Witness;
use crate::body::{self, Pieces};
use crate::catalogue::Served;
use crate::refusal::{Outcome, Refusal};
use crate::registry::{Id, Record};
use crate::store::Upload;
use crate::store_error::StoreError;
use crate::tokens::now;
use crate::{Scope, Service};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use blindsight_ckks::wire::{HEADER_BYTES, hex};
use blindsight_protocol::{Address, Code, Key, KeyStatus, Keys, headers};
use blindsight_server::ClientKeys;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::sync::Arc;

/// How long keys may live at least and at most, where they do not live until they are deleted: a minute, a
/// year.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=31_536_000;

#[derive(Deserialize)]
pub struct Lifetime {
    expires_in: Option<u64>,
}

/// An answer about keys: the same in headers, for programs that stream, and as a document.
struct Status(StatusCode, KeyStatus);

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let complete = if self.1.complete { "?1" } else { "?0" };
        let headers = [
            (HeaderName::from_static(headers::UPLOAD_OFFSET), HeaderValue::from(self.1.received)),
            (HeaderName::from_static(headers::UPLOAD_COMPLETE), HeaderValue::from_static(complete)),
        ];
        (self.0, headers, Json(self.1)).into_response()
    }
}

pub async fn list(State(service): Shared, Client { name: client, .. }: Client) -> Outcome<Json<Keys>> {
    let key = |(address, record): (Address, Record)| Key {
        digest: address.to_string(),
        plan: hex(&record.plan),
        bytes: record.bytes,
        created: record.created,
        expires: record.expires,
    };
    let found =
        service.waiting(move |service| Ok((service.store.list(&client)?, service.store.used(&client)?)));
    let (keys, used_bytes) = found.await?;
    let keys = keys.into_iter().map(key).collect();
    Ok(Json(Keys { keys, used_bytes, quota_bytes: service.store.quota() }))
}

pub async fn status(
    State(service): Shared,
    Client { name: client, _visit, .. }: Client,
    Path(digest): Path<String>,
) -> Outcome<Response> {
    let id = (client, address(&digest)?);
    Ok(state_of(&service, id).await?.into_response())
}

pub async fn delete(
    State(service): Shared,
    Client { name: client, _visit, .. }: Client,
    Path(digest): Path<String>,
) -> Outcome<StatusCode> {
    let id = (client, address(&digest)?);
    let delete = move |service: &Arc<Service>| {
        service.store.delete(&id)?;
        service.forget(&id);
        Ok(StatusCode::NO_CONTENT)
    };
    service.waiting(delete).await
}

pub async fn put(
    State(service): Shared,
    Client { name: client, token, witness, _visit }: Client,
    Path(digest): Path<String>,
    lifetime: Result<Query<Lifetime>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Outcome<Response> {
    let id = (client, address(&digest)?);
    let expires = expiry(lifetime)?;
    let (offset, length) = (offset(&headers)?, body::length(&headers)?);
    within(offset, length, service.catalogue.largest_keys())?;
    if !service.catalogue.iter().any(|served| token.scope.allows(&served.summary.id)) {
        let detail = "none of this token's models is served here: ask whoever runs the server";
        return Err(Refusal::new(Code::UnknownModel, detail));
    }
    let asked = id.clone();
    if service.waiting(move |service| Ok(service.store.registered(&asked)?)).await?.is_some() {
        return Ok(state_of(&service, id).await?.into_response());
    }
    let turn = service.uploads.enter(&id.0)?;
    let begun = id.clone();
    let upload = service.waiting(move |service| Ok(service.store.begin(&begun)?)).await?;
    if offset != upload.received() {
        return Err(Refusal::wrong_offset(offset, upload.received()));
    }
    let pieces = Pieces::new(body, length, &service.limits);
    // A task of its own: whatever becomes of the connection, what has arrived is written down in order.
    let task = tokio::spawn(async move {
        let _turn = turn;
        let received = receive(&service, id, &token.scope, &witness, upload, pieces, expires).await;
        if received.as_ref().is_ok_and(|Status(_, status)| status.complete) {
            witness.registered();
        }
        received
    });
    let status = task.await.map_err(|panic| Refusal::internal(&panic))??;
    Ok(status.into_response())
}

/// Takes a part of a frame; registers the frame when it is whole.
async fn receive(
    service: &Arc<Service>,
    id: Id,
    scope: &Scope,
    witness: &Witness,
    upload: Upload,
    mut pieces: Pieces,
    expires: Option<u64>,
) -> Outcome<Status> {
    let length = pieces.missing();
    let (head, piece) = head(&upload, &mut pieces).await?;
    let served = match service.catalogue.for_keys(&head, scope) {
        Ok(served) => served.clone(),
        Err(error) => {
            upload.discard()?;
            return Err(Refusal::new(Code::NotConforming, format!("evaluation keys: {error}")));
        }
    };
    witness.model(&served.summary.id);
    let total = served.summary.evaluation_key_bytes;
    within(upload.received(), length, total)?;
    let reserve = move |_: &Arc<Service>| Ok(upload.reserve(total).map(|()| upload)?);
    let mut upload = service.waiting(reserve).await?;
    if !piece.is_empty() {
        upload.append(&piece)?;
    }
    let rest = take_rest(&mut upload, &mut pieces).await;
    let digest = id.1.to_string();
    let received = upload.received();
    if received < total {
        pause(service, upload).await;
        rest?;
        let status = KeyStatus { digest, received, total: Some(total), complete: false };
        return Ok(Status(StatusCode::ACCEPTED, status));
    }
    rest?;
    let worker = service.clone();
    let client = id.0.clone();
    service.queue.compute(&client, move || register(&worker, &served, id, upload, expires)).await??;
    Ok(Status(StatusCode::CREATED, KeyStatus { digest, received, total: Some(total), complete: true }))
}

/// Lets other fronts go on with an upload; where that fails the client begins anew there.
async fn pause(service: &Arc<Service>, upload: Upload) {
    let paused = service.waiting(move |_| Ok(upload.pause()?)).await;
    paused.unwrap_or_else(|refused| tracing::warn!(detail = refused.detail(), "an upload stays here alone"));
}

/// Writes down what comes, up to the end or until it breaks off.
async fn take_rest(upload: &mut Upload, pieces: &mut Pieces) -> Outcome<()> {
    while let Some(piece) = pieces.next().await? {
        upload.append(&piece)?;
    }
    Ok(())
}

/// The header of a frame, from what has arrived before or from the body's beginning; and what of the body was
/// read for it.
async fn head(upload: &Upload, pieces: &mut Pieces) -> Outcome<(Vec<u8>, Vec<u8>)> {
    if upload.received() > 0 {
        let mut head = vec![];
        let read = upload.open()?.take(HEADER_BYTES as u64).read_to_end(&mut head);
        read.map_err(|error| Refusal::internal(&error))?;
        return Ok((head, vec![]));
    }
    let mut begun = vec![];
    while begun.len() < HEADER_BYTES {
        match pieces.next().await? {
            Some(piece) => begun.extend_from_slice(&piece),
            None => {
                let detail = format!("the first part of a frame must hold its header, {HEADER_BYTES} bytes");
                return Err(Refusal::new(Code::BadRequest, detail));
            }
        }
    }
    Ok((begun.clone(), begun))
}

/// Checks a frame that is whole, and registers it.
fn register(service: &Service, served: &Served, id: Id, upload: Upload, expires: Option<u64>) -> Outcome<()> {
    let keys = match check(served, &id.1, &upload)? {
        Ok(keys) => keys,
        Err(detail) => {
            upload.discard()?;
            return Err(Refusal::new(Code::NotConforming, detail));
        }
    };
    let record = Record { plan: served.digest(), bytes: upload.received(), created: now(), expires };
    upload.register(&record)?;
    service.metrics.keys_registered.inc();
    // Whoever registers keys will use them.
    service.keyring.cache.insert(id, served.digest(), Arc::new(keys), expires);
    Ok(())
}

/// The keys, if the bytes that arrived are those of the address, and keys for the plan.
fn check(
    served: &Served,
    address: &Address,
    upload: &Upload,
) -> Result<Result<ClientKeys, String>, StoreError> {
    let mut source = Hashed { source: upload.open()?, hasher: Sha256::new() };
    let keys = match served.prepared.read_keys(&mut source) {
        Ok(keys) => keys,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let actual = Address(source.hasher.finalize().into());
    if actual != *address {
        return Ok(Err(format!(
            "the SHA-256 of what arrived is {actual}, not that of the path: send it again"
        )));
    }
    Ok(Ok(keys))
}

/// A source, and the digest of all that was read from it.
struct Hashed<R> {
    source: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// How keys stand now.
async fn state_of(service: &Arc<Service>, id: Id) -> Outcome<Status> {
    let digest = id.1.to_string();
    let look = move |service: &Arc<Service>| match service.store.registered(&id)? {
        Some(record) => Ok((Some(record), (0, None))),
        None => Ok((None, service.store.progress(&id)?)),
    };
    let (record, (received, total)) = service.waiting(look).await?;
    if let Some(record) = record {
        let status = KeyStatus { digest, received: record.bytes, total: Some(record.bytes), complete: true };
        return Ok(Status(StatusCode::OK, status));
    }
    Ok(Status(StatusCode::OK, KeyStatus { digest, received, total, complete: false }))
}

fn address(digest: &str) -> Outcome<Address> {
    digest
        .parse()
        .map_err(|error: blindsight_protocol::NotAnAddress| Refusal::new(Code::BadRequest, error.to_string()))
}

fn offset(headers: &HeaderMap) -> Outcome<u64> {
    let Some(value) = headers.get(headers::UPLOAD_OFFSET) else { return Ok(0) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Refusal::new(Code::BadRequest, "expected a number of bytes in Upload-Offset"))
}

fn expiry(lifetime: Result<Query<Lifetime>, QueryRejection>) -> Outcome<Option<u64>> {
    match lifetime.map(|Query(lifetime)| lifetime.expires_in) {
        Ok(None) => Ok(None),
        Ok(Some(seconds)) if LIFETIMES.contains(&seconds) => Ok(Some(now() + seconds)),
        _ => {
            let (least, most) = LIFETIMES.into_inner();
            Err(Refusal::new(Code::BadRequest, format!("expires_in: expected {least} to {most} seconds")))
        }
    }
}

/// Refuses a body that would end behind the frame.
fn within(offset: u64, length: u64, total: u64) -> Outcome<()> {
    if offset.checked_add(length).is_some_and(|end| end <= total) {
        return Ok(());
    }
    let detail = format!("evaluation keys have {total} bytes here, the body would end behind them");
    Err(Refusal::new(Code::TooLarge, detail))
}

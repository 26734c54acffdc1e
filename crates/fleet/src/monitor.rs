//! A worker's figures and readiness over HTTP, on an address of their own.

use crate::worker::Worker;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Answers at `/metrics` and `/healthz`, as long as the worker is there. It is for the operator: nothing
/// bounds who connects.
pub async fn monitor(listener: TcpListener, worker: Arc<Worker>) {
    let router =
        Router::new().route("/metrics", get(metrics)).route("/healthz", get(health)).with_state(worker);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::warn!(%error, "figures are no longer offered");
    }
}

async fn metrics(State(worker): State<Arc<Worker>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], worker.metrics())
}

async fn health(State(worker): State<Arc<Worker>>) -> (StatusCode, &'static str) {
    match worker.is_ready() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: models are prepared, or jobs are finished"),
    }
}

//! Health, metrics and the API, on one address; loopback unless configured otherwise.
//!
//! Reads the read model and nothing else of the pipeline. A request that needs much work gets its own thread, so that a
//! scrape never waits for it. Before every handler stands [`guard`]: who may ask is decided in [`access`], and what a peer
//! may take of the service is bounded by [`limits`].

mod access;
mod agents;
mod audit;
pub mod commands;
mod connections;
mod forget;
mod guard;
mod health;
mod in_aux;
mod integrations;
pub mod limits;
mod log_level;
pub mod model;
pub mod readiness;
mod refusals;
mod stream;
mod unmapped;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::model::{Format, Http};
use crate::telemetry::metrics::Metrics;

use self::commands::Commands;
use self::guard::Guard;
use self::model::ReadModel;
use self::readiness::Readiness;
use self::refusals::Refusals;

/// What the handlers read.
#[derive(Clone, Debug)]
pub struct State {
    /// Agents and feeds.
    pub model: ReadModel,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether CMS can dial in, how the store is, and the ways to Kafka.
    pub readiness: Arc<Readiness>,
    /// To those who carry out what a request asks for.
    pub commands: Commands,
    /// Who may do what; changes with a reload.
    pub access: Arc<ArcSwap<Http>>,
    /// Of the values on the topics.
    pub format: Format,
}

/// Serves until it is stopped.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) {
    let refusals = Arc::new(Refusals::new(&state.metrics));
    let guard = Arc::new(Guard::new(&state, Arc::clone(&refusals)));
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/api/v1/agents", get(agents::list))
        .route("/api/v1/forget", post(forget::forget))
        .route("/api/v1/integrations", get(integrations::list))
        .route("/api/v1/integrations/{id}/pause", post(commands::pause))
        .route("/api/v1/integrations/{id}/resume", post(commands::resume))
        .route("/api/v1/log-level", get(log_level::get).put(log_level::put))
        .route("/api/v1/unmapped", get(unmapped::list))
        .fallback(not_found)
        .layer(axum::middleware::from_fn_with_state(guard, guard::guard))
        .with_state(Arc::new(state));
    connections::accept(listener, routes, refusals, stop).await;
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let exposition = state.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exposition).into_response()
}

async fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "no such page: /metrics, /health/live, /health/ready, /api/v1/agents, /api/v1/integrations, /api/v1/unmapped; \
         POST /api/v1/integrations/ID/pause and /resume; POST /api/v1/forget; GET and PUT /api/v1/log-level",
    )
}

/// An error as JSON.
fn problem(status: StatusCode, message: impl Into<String>) -> Response {
    (status, axum::Json(json!({ "error": message.into() }))).into_response()
}

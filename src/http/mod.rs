//! Health, metrics and the API, on one address; loopback unless configured otherwise.
//!
//! Reads the read model and nothing else of the pipeline. A request that needs much work gets its own thread, so that a
//! scrape never waits for it. Before every handler stands [`guard`]: who may ask is decided in [`access`], and what a peer
//! may take of the service is bounded by [`limits`].

mod access;
mod agents;
mod audit;
mod connections;
mod forget;
mod guard;
mod health;
mod integrations;
pub mod limits;
mod log_level;
mod places;
mod publishing;
pub mod readiness;
mod refusals;
mod stream;
mod unmapped;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::model::{Format, Http};
use crate::telemetry::metrics::Metrics;

use self::guard::Guard;
use self::limits::Limits;
use self::readiness::Readiness;
use self::refusals::Refusals;
use crate::integration::command::Commands;
use crate::views::model::ReadModel;

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

type Route = (Method, &'static str, fn(MethodFilter) -> MethodRouter<Arc<State>>);

/// Every route that there is; [`access`] says who may use it.
const ROUTES: [Route; 11] = [
    (Method::GET, "/metrics", |method| on(method, metrics)),
    (Method::GET, "/health/live", |method| on(method, health::live)),
    (Method::GET, "/health/ready", |method| on(method, health::ready)),
    (Method::GET, "/api/v1/agents", |method| on(method, agents::list)),
    (Method::POST, "/api/v1/forget", |method| on(method, forget::forget)),
    (Method::GET, "/api/v1/integrations", |method| on(method, integrations::list)),
    (Method::POST, "/api/v1/integrations/{id}/pause", |method| on(method, publishing::pause)),
    (Method::POST, "/api/v1/integrations/{id}/resume", |method| on(method, publishing::resume)),
    (Method::GET, "/api/v1/log-level", |method| on(method, log_level::get)),
    (Method::PUT, "/api/v1/log-level", |method| on(method, log_level::put)),
    (Method::GET, "/api/v1/unmapped", |method| on(method, unmapped::list)),
];

/// Serves until it is stopped.
pub async fn serve(listener: TcpListener, state: State, limits: Limits, stop: CancellationToken) {
    let refusals = Arc::new(Refusals::new(&state.metrics));
    let guard = Arc::new(Guard::new(&state, limits, Arc::clone(&refusals)));
    let with_route = |router: Router<Arc<State>>, (method, path, handler): Route| {
        let Ok(method) = MethodFilter::try_from(method) else { return router };
        router.route(path, handler(method))
    };
    let routes = ROUTES
        .into_iter()
        .fold(Router::new(), with_route)
        .fallback(not_found)
        .layer(axum::middleware::from_fn_with_state(guard, guard::guard))
        .with_state(Arc::new(state));
    connections::accept(listener, routes, limits, refusals, stop).await;
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

/// That agents cannot be shown yet.
fn not_restored() -> Response {
    let message = "the agents are being recovered, from the store or from Kafka, and nobody knows yet who is there: see \
                   /health/ready";
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, message);
    answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    answer
}

/// An error as JSON.
fn problem(status: StatusCode, message: impl Into<String>) -> Response {
    (status, axum::Json(json!({ "error": message.into() }))).into_response()
}

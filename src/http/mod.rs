//! Health, metrics and the API, on one port; loopback unless configured otherwise.
//!
//! Reads only the read model of the pipeline. An expensive request gets its own thread, so that a scrape never waits for it.
//! [`guard`] runs before every handler; [`access`] decides who may ask, and [`limits`] bounds what a peer may use of the
//! service.

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
pub mod reload;
mod root;
mod routes;
mod status;
mod stream;
mod support;
mod unmapped;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodFilter;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::model::{Format, Http};
use crate::integration::command::Commands;
use crate::telemetry::metrics::Metrics;
use crate::views::model::ReadModel;
use crate::views::service::ServiceView;

use self::guard::Guard;
use self::limits::HttpLimits;
use self::readiness::Readiness;
use self::refusals::Refusals;
use self::reload::ReloadRequests;
use self::routes::{HttpRoute, ROUTES};

/// What the handlers read.
#[derive(Clone, Debug)]
pub struct State {
    /// Agents and feeds.
    pub model: ReadModel,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether CMS can dial in, the state of the store, and the ways to Kafka.
    pub readiness: Arc<Readiness>,
    /// What is known of the service as a whole.
    pub service: ServiceView,
    /// Sends what a request asks for to the tasks that carry it out.
    pub commands: Commands,
    /// Where requests to reload go; `None`: nobody carries them out.
    pub reloads: Option<ReloadRequests>,
    /// Who may do what; changes with a reload.
    pub access: Arc<ArcSwap<Http>>,
    /// The format of values on the topics.
    pub format: Format,
}

/// Serves on all of these addresses until it is stopped.
pub async fn serve(listeners: Vec<TcpListener>, state: State, limits: HttpLimits, stop: CancellationToken) {
    let refusals = Arc::new(Refusals::new(&state.metrics));
    let guard = Arc::new(Guard::new(&state, limits, Arc::clone(&refusals)));
    let with_route = |router: Router<Arc<State>>, route: &HttpRoute| {
        let Ok(method) = MethodFilter::try_from(route.method.clone()) else { return router };
        router.route(route.path, (route.handler)(method))
    };
    let routes = ROUTES
        .iter()
        .fold(Router::new(), with_route)
        .fallback(not_found)
        .layer(axum::middleware::from_fn_with_state(guard, guard::guard))
        .with_state(Arc::new(state));
    connections::accept(&listeners, routes, limits, refusals, stop).await;
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let exposition = state.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exposition).into_response()
}

async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, format!("no such page: {}", routes::named()))
}

/// The answer while agents cannot be shown yet.
fn not_restored() -> Response {
    let message = "the agents are being recovered, from the store or from Kafka, and nobody knows yet who is there: see \
                   /health/ready";
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, message);
    answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    answer
}

/// Returns an error as JSON.
fn problem(status: StatusCode, message: impl Into<String>) -> Response {
    (status, axum::Json(json!({ "error": message.into() }))).into_response()
}

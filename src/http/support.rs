//! `GET /api/v1/log` and `/api/v1/configuration`: what somebody needs who is to help from afar, without secrets and people.
//!
//! The log's last lines at INFO and above, which name nobody by themselves; what the configuration says about people (paths,
//! names, the user for Kafka) is taken out of them too.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::telemetry::log_tail::LastLines;
use crate::telemetry::logs;

use super::{State, problem};

pub(super) async fn log(Shared(state): Shared<Arc<State>>) -> Response {
    let Some(LastLines { earlier, lines }) = logs::last_lines() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "this process does not log");
    };
    let redacted = state.service.configuration();
    // Some thousand lines: not on a thread that has sockets waiting.
    let scrub = move || lines.iter().map(|line| redacted.scrub(line)).collect::<Vec<String>>();
    match tokio::task::spawn_blocking(scrub).await {
        Ok(lines) => Json(json!({ "earlier": earlier, "lines": lines })).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(super) async fn configuration(Shared(state): Shared<Arc<State>>) -> Response {
    let text = state.service.configuration().text().to_owned();
    ([(header::CONTENT_TYPE, "application/toml; charset=utf-8")], text).into_response()
}

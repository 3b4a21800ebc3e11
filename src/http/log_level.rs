//! `GET` and `PUT /api/v1/log-level`: what is logged, and another level until the next reload.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::telemetry::logs::{self, LogLevel};
use crate::telemetry::targets::HTTP;

use super::problem;

/// The longest level; one directive per module is far shorter.
const LONGEST_LEVEL: usize = 4 * 1024;

pub(super) async fn get() -> Response {
    logs::level().map_or_else(no_log, shown)
}

/// Sets the level in the body, written as in the configuration.
pub(super) async fn put(body: String) -> Response {
    let Some(log) = logs::level() else { return no_log() };
    let to = body.trim();
    if to.len() > LONGEST_LEVEL {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, format!("a log level has at most {LONGEST_LEVEL} bytes"));
    }
    let from = log.levels().current;
    match log.set(to) {
        Ok(renamed) => {
            tracing::info!(target: HTTP, from, to, "log level changed until the next reload");
            for (old, now) in renamed {
                tracing::warn!(target: HTTP, old, now, "a target of log lines is called otherwise now");
            }
            shown(log)
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn shown(log_level: &LogLevel) -> Response {
    let levels = log_level.levels();
    Json(json!({ "level": levels.current, "configured": levels.configured })).into_response()
}

fn no_log() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "this process does not log")
}

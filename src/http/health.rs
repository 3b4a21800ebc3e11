//! `/health/live` and `/health/ready`.
//!
//! Ready means: listeners are bound, the store is writable, the agent table is there. The state of Kafka is in the body
//! only: an unready pod would cut off CMS during exactly the outage that the queue is for.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::publish::observer::KafkaHealth;

use super::State;

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> (StatusCode, Json<Value>) {
    let store = state.store.clone();
    let written = tokio::task::spawn_blocking(move || is_writable(&store)).await;
    let store = match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    // HTTP is served only after every listener has been bound.
    let status = if store.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if store.is_ok() { "ready" } else { "not ready" },
        "listeners": "bound",
        "store": store.err().unwrap_or_else(|| "writable".to_owned()),
        "agentTable": "complete",
        "kafka": kafka(&state),
    });
    (status, Json(body))
}

fn is_writable(directory: &Path) -> std::io::Result<()> {
    tempfile::Builder::new().prefix(".writable-").tempfile_in(directory).map(drop)
}

fn kafka(state: &State) -> Value {
    let health = state.kafka.iter().map(crate::publish::PublishHandle::health).reduce(KafkaHealth::merge);
    let pending: usize = state.kafka.iter().map(crate::publish::PublishHandle::pending).sum();
    let Some(health) = health else { return json!({ "pendingMessages": pending }) };
    json!({
        "connected": health.connected,
        "brokersUp": health.brokers_up,
        "brokers": health.brokers,
        "pendingMessages": pending,
        "lastAcknowledged": health.last_acknowledged.map(|at| at.to_string()),
        "supersededBy": health.superseded_by.map(|owner| owner.to_string()),
        "lastError": health.last_error.map(|error| json!({
            "kind": error.kind, "message": error.message, "at": error.at.to_string(),
        })),
    })
}

//! `/health/live` and `/health/ready`.
//!
//! Ready means: listeners are bound, the store is writable, the agent table is there. The state of Kafka is in the body
//! only: an unready pod would cut off CMS during exactly the outage that the queue is for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::publish::PublishHandle;
use crate::publish::journal::StoreHealth;
use crate::publish::observer::KafkaHealth;

use super::State;

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> (StatusCode, Json<Value>) {
    let handles = state.kafka.get().map_or(&[][..], |handles| handles);
    // The ways to Kafka are there when the table is, and listeners are next.
    let is_recovered = !handles.is_empty() && state.is_listening.load(Ordering::Acquire);
    let directory = state.store.clone();
    let written = tokio::task::spawn_blocking(move || is_writable(&directory)).await;
    let store = match (handles.first().map(PublishHandle::store_health), written) {
        // What is in the directory says nothing about a store that is not there.
        (Some(StoreHealth { is_durable: false, .. }), _) => Err("in memory: it could not be opened on disk".to_owned()),
        (_, Ok(Err(error))) => Err(error.to_string()),
        (_, Err(error)) => Err(error.to_string()),
        (None, _) => Ok("opened"),
        (Some(StoreHealth { trouble: Some(trouble), .. }), _) => Err(trouble),
        (Some(StoreHealth { .. }), _) => Ok("writable"),
    };
    let is_ready = is_recovered && store.is_ok();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "listeners": if is_recovered { "bound" } else { "waiting for the agent table" },
        "store": store.map_or_else(|trouble| trouble, str::to_owned),
        "agentTable": if is_recovered { "complete" } else { "being recovered" },
        "kafka": kafka(handles),
    });
    (status, Json(body))
}

/// The files that are open stay writable when their directory is gone, but nobody would find them after a restart.
fn is_writable(directory: &Path) -> std::io::Result<()> {
    if !directory.join(crate::store::DATABASE).exists() {
        return Err(std::io::Error::other(
            "its file is gone from its directory: restart, and give it the directory back",
        ));
    }
    tempfile::Builder::new().prefix(".writable-").tempfile_in(directory).map(drop)
}

fn kafka(handles: &[PublishHandle]) -> Value {
    let health = handles.iter().map(PublishHandle::health).reduce(KafkaHealth::merge);
    let pending: usize = handles.iter().map(PublishHandle::pending).sum();
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

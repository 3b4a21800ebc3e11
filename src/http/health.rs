//! `/health/live` and `/health/ready`.
//!
//! Ready means: listeners are bound, the store is writable, the agent table is there. The state of Kafka is in the body
//! only: an unready pod would cut off CMS during exactly the outage that the queue is for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::publish::PublishHandle;
use crate::publish::observer::KafkaHealth;

use super::State;

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> (StatusCode, Json<Value>) {
    let look = state.readiness.look().await;
    let (is_ready, is_recovered) = (look.is_ready(), look.is_recovered);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "listeners": if is_recovered { "bound" } else { "waiting for the agent table" },
        "store": look.store.map_or_else(|trouble| trouble, str::to_owned),
        "agentTable": if is_recovered { "complete" } else { "being recovered" },
        "kafka": kafka(state.readiness.handles()),
    });
    (status, Json(body))
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

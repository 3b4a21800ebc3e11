//! `/health/live` and `/health/ready`.
//!
//! Ready means: listeners are bound, the store is writable, the agent table is there. The state of Kafka is in the body
//! only: an unready pod would cut off CMS during exactly the outage that the queue is for.
//!
//! Anybody may ask, and gets states in fixed words: the text of errors names users, hosts and topics, and is for those who
//! may read the state of the integrations.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::integration::handles::Handles;
use crate::kafka::PublishHandle;
use crate::kafka::observer::KafkaHealth;

use super::State;
use super::guard::ReadsErrors;
use super::readiness::Trouble;

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

pub(super) async fn ready(
    Shared(state): Shared<Arc<State>>,
    Extension(ReadsErrors(reads_errors)): Extension<ReadsErrors>,
) -> (StatusCode, Json<Value>) {
    let sample = state.readiness.sample();
    let (is_ready, is_recovered) = (sample.is_ready(), sample.is_recovered);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (store, said) = match sample.store {
        Ok(state) => (state, None),
        Err(Trouble { state, said }) => (state, said),
    };
    let mut body = json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "listeners": if is_recovered { "bound" } else { "waiting for the agent table" },
        "store": store,
        "agentTable": if is_recovered { "complete" } else { "being recovered" },
        "kafka": kafka(state.readiness.handles(), reads_errors),
    });
    if let Some(awaited) = state.service.awaited() {
        body["waitsSince"] = awaited.since.to_string().into();
        // The store does not know the agents, and Kafka has not told them.
        body["waitsFor"] = "Kafka".into();
        if reads_errors {
            body["kafka"]["waitingFor"] = awaited.reason.into();
        }
    }
    if reads_errors && let Some(said) = said {
        body["storeError"] = said.into();
    }
    (status, Json(body))
}

/// Numbers and states for everybody; the text of errors, and whose they are, for those who may read it.
fn kafka(handles: &Handles, reads_errors: bool) -> Value {
    let handles = handles.all();
    let health = handles.iter().map(PublishHandle::health).reduce(KafkaHealth::merge);
    let pending: usize = handles.iter().map(PublishHandle::pending).sum();
    let state = kafka_state(health.as_ref());
    let Some(health) = health else { return json!({ "state": state, "pendingMessages": pending }) };
    let mut told = json!({
        "state": state,
        "connected": health.connected,
        "brokersUp": health.brokers_up,
        "brokers": health.brokers,
        "pendingMessages": pending,
        "lastAcknowledged": health.last_acknowledged.map(|at| at.to_string()),
    });
    if reads_errors {
        told["supersededBy"] = health.superseded_by.map(|owner| owner.to_string()).into();
        told["lastError"] = health.last_error.map_or(
            Value::Null,
            |error| json!({ "kind": error.kind, "message": error.message, "at": error.at.to_string() }),
        );
    }
    told
}

/// Returns the state of Kafka in the words for everybody.
pub(super) const fn kafka_state(health: Option<&KafkaHealth>) -> &'static str {
    match health {
        Some(KafkaHealth { superseded_by: Some(_), .. }) => SUPERSEDED,
        Some(KafkaHealth { connected: true, .. }) => CONNECTED,
        _ => WAITING,
    }
}

/// What everybody may know of Kafka; `docs/http.md` lists them.
const WAITING: &str = "waiting for Kafka";
const CONNECTED: &str = "connected";
const SUPERSEDED: &str = "another instance publishes";

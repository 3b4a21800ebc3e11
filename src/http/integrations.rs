//! `/api/v1/integrations`: how each feed stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use crate::time::Timestamp;

use super::State;
use super::model::IntegrationModel;

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let pending: Vec<usize> = state.kafka.iter().map(crate::publish::PublishHandle::pending).collect();
    let integrations = state.model.read();
    let entries = integrations.iter().zip(pending).map(|(integration, pending)| entry(integration, pending));
    Json(json!({ "integrations": entries.collect::<Vec<_>>() }))
}

fn entry(integration: &IntegrationModel, pending: usize) -> Value {
    let feed = &integration.feed;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": &*integration.id,
        "name": integration.name,
        "listen": integration.listen.map(|address| address.to_string()),
        "layout": integration.layout,
        "peer": feed.figures.peer.as_deref(),
        "connections": feed.connections,
        "lastRecordAt": text(feed.figures.last_record_at),
        "lastCompleteSnapshotAt": text(feed.last_snapshot_at),
        "lastStatus": feed.status.as_ref().map(|status| json!({
            "kind": status.event.kind.name(), "at": status.event.at.to_string(),
        })),
        "agents": integration.agents.len(),
        "agentsLoggedIn": feed.figures.logged_in,
        "mappingVersion": integration.mapping_version,
        "pendingMessages": pending,
    })
}

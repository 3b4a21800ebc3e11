//! `/api/v1/integrations`: how each feed stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use crate::time::Timestamp;

use crate::kafka::PublishHandle;

use super::State;
use crate::views::model::IntegrationModel;

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let integrations = state.model.read();
    let handles = state.readiness.handles();
    let entries = integrations.iter().enumerate().map(|(number, integration)| entry(integration, handles.get(number)));
    Json(json!({ "integrations": entries.collect::<Vec<_>>() }))
}

fn entry(integration: &IntegrationModel, publish: Option<&PublishHandle>) -> Value {
    let feed = &integration.feed;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": &*integration.id,
        "removed": integration.is_removed,
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
        "agents": integration.is_known().then_some(integration.agents.len()),
        "agentsLoggedIn": integration.is_known().then_some(feed.figures.logged_in),
        "mappingVersion": integration.mapping_version,
        "pendingMessages": publish.map(PublishHandle::pending),
        "paused": publish.map(PublishHandle::is_held),
        "supersededBy": publish.and_then(|publish| publish.health().superseded_by).map(|owner| owner.to_string()),
        "journalBytes": publish.map(|publish| publish.lane().stored_bytes()),
    })
}

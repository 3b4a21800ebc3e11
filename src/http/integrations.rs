//! `/api/v1/integrations`: the state of each feed.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use crate::kafka::PublishHandle;
use crate::time::Timestamp;
use crate::views::model::{FeedView, IntegrationIndex, IntegrationModel};

use super::State;

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let shown: Vec<Shown> = state.model.read().iter().map(Shown::of).collect();
    let handles = state.readiness.handles();
    let handle = |others| handles.get(IntegrationIndex::after(others));
    let entries = shown.iter().enumerate().map(|(others, integration)| entry(integration, handle(others).as_ref()));
    Json(json!({ "integrations": entries.collect::<Vec<_>>() }))
}

/// What is shown of the read model, copied so that nobody waits for it meanwhile.
struct Shown {
    id: Arc<str>,
    is_removed: bool,
    name: String,
    listen: Option<SocketAddr>,
    layout: String,
    feed: FeedView,
    /// `None` where they are not known.
    agents: Option<usize>,
    mapping_version: u64,
}

impl Shown {
    fn of(integration: &IntegrationModel) -> Self {
        Self {
            id: Arc::clone(&integration.id),
            is_removed: integration.is_removed,
            name: integration.name.clone(),
            listen: integration.listen,
            layout: integration.layout.clone(),
            feed: integration.feed.clone(),
            agents: integration.is_known().then_some(integration.agents.len()),
            mapping_version: integration.mapping_version,
        }
    }
}

fn entry(integration: &Shown, publish: Option<&PublishHandle>) -> Value {
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
        "agents": integration.agents,
        "agentsLoggedIn": integration.agents.map(|_| feed.figures.logged_in),
        "mappingVersion": integration.mapping_version,
        "pendingMessages": publish.map(PublishHandle::pending),
        "paused": publish.map(PublishHandle::is_paused),
        "supersededBy": publish.and_then(|publish| publish.health().superseded_by).map(|owner| owner.to_string()),
        "journalBytes": publish.map(|publish| publish.lane().stored_bytes()),
    })
}

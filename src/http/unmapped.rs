//! `/api/v1/unmapped`: external users and activities that nobody has mapped, the most frequent first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::mapping::annotate::NoUser;
use crate::mapping::unmapped::Seen;

use super::{State, not_restored};
use crate::views::model::IntegrationModel;

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Response {
    let integrations = state.model.read();
    if !integrations.iter().all(IntegrationModel::is_known) {
        return not_restored();
    }
    let entries: Vec<Value> = integrations.iter().filter(|known| !known.is_removed).map(entry).collect();
    Json(json!({ "integrations": entries })).into_response()
}

fn entry(integration: &IntegrationModel) -> Value {
    let unmapped = &integration.unmapped;
    let users = unmapped.users().into_iter().map(|(user, seen)| {
        let reason = match seen.reason {
            NoUser::Ambiguous => "ambiguous",
            NoUser::Unmapped | NoUser::Nameless => "unmapped",
        };
        with_seen(json!({ "externalUser": user, "reason": reason }), seen)
    });
    let activities = unmapped
        .activities()
        .into_iter()
        .map(|(activity, seen)| with_seen(json!({ "externalActivity": activity }), seen));
    json!({
        "integration": &*integration.id,
        "users": users.collect::<Vec<_>>(),
        "activities": activities.collect::<Vec<_>>(),
        "notListed": unmapped.not_listed(),
    })
}

fn with_seen(mut entry: Value, seen: Seen) -> Value {
    entry["firstSeen"] = seen.first_seen.to_string().into();
    entry["lastSeen"] = seen.last_seen.to_string().into();
    entry["count"] = seen.count.into();
    entry
}

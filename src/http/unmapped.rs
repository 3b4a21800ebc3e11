//! `/api/v1/unmapped`: external users and activities that nobody has mapped, the most frequent first.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::mapping::annotate::NoUser;
use crate::mapping::unmapped::{Listed, UnmappedEntry};
use crate::views::model::IntegrationModel;

use super::{State, not_restored, problem};

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Response {
    let Some(listed) = listed(&state) else { return not_restored() };
    let to_json = move || json!({ "integrations": listed.into_iter().map(entry).collect::<Vec<_>>() }).to_string();
    match tokio::task::spawn_blocking(to_json).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Returns what each integration lists; `None` until all of them know their agents. Nobody waits for the model while it is
/// shown.
fn listed(state: &State) -> Option<Vec<(Arc<str>, Listed)>> {
    let integrations = state.model.read();
    let are_known = integrations.iter().all(IntegrationModel::is_known);
    let wanted = integrations.iter().filter(|known| !known.is_removed);
    are_known.then(|| wanted.map(|known| (Arc::clone(&known.id), known.unmapped.listed())).collect())
}

fn entry((id, listed): (Arc<str>, Listed)) -> Value {
    let not_listed = listed.not_listed;
    let [users, activities] = listed.sorted();
    let users = users.into_iter().map(|(user, seen)| {
        let reason = match seen.reason {
            NoUser::Ambiguous => "ambiguous",
            NoUser::Unmapped | NoUser::Nameless => "unmapped",
        };
        with_seen(json!({ "externalUser": &*user, "reason": reason }), seen)
    });
    let activities =
        activities.into_iter().map(|(activity, seen)| with_seen(json!({ "externalActivity": &*activity }), seen));
    json!({
        "integration": &*id,
        "users": users.collect::<Vec<_>>(),
        "activities": activities.collect::<Vec<_>>(),
        "notListed": not_listed,
    })
}

fn with_seen(mut entry: Value, seen: UnmappedEntry) -> Value {
    entry["firstSeen"] = seen.first_seen.to_string().into();
    entry["lastSeen"] = seen.last_seen.to_string().into();
    entry["count"] = seen.count.into();
    entry
}

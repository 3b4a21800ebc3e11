//! `/api/v1/unmapped`: external users and activities that nobody has mapped, the most frequent first, each with the rows that
//! were perhaps meant for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::mapping::annotate::NoUser;
use crate::mapping::near::{Difference, MOST_NEAR, NearIndex};
use crate::mapping::scoped::Scope;
use crate::mapping::spelling;
use crate::mapping::tables::{MappingTables, User};
use crate::mapping::unmapped::{Listed, UnmappedEntry};
use crate::time::Timestamp;
use crate::views::model::{AgentView, IntegrationModel};

use super::{State, not_restored, problem};

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Response {
    let Some(shown) = shown(&state) else { return not_restored() };
    let to_json = move || json!({ "integrations": shown.iter().map(Shown::entry).collect::<Vec<_>>() }).to_string();
    match tokio::task::spawn_blocking(to_json).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Returns what each integration lists; `None` until all of them know their agents. Nobody waits for the model while it is
/// shown.
fn shown(state: &State) -> Option<Vec<Shown>> {
    let integrations = state.model.read();
    let are_known = integrations.iter().all(IntegrationModel::is_known);
    let wanted = integrations.iter().filter(|known| !known.is_removed);
    are_known.then(|| wanted.map(Shown::of).collect())
}

/// What is shown of the read model.
struct Shown {
    id: Arc<str>,
    listed: Listed,
    mapping: Option<Arc<MappingTables>>,
    agents: Vec<Arc<AgentView>>,
}

impl Shown {
    fn of(integration: &IntegrationModel) -> Self {
        // Nobody is looked for where nobody is unmapped.
        let (users, _) = integration.unmapped.counts();
        let agents = if users > 0 { integration.agents.values().cloned().collect() } else { Vec::new() };
        Self {
            id: Arc::clone(&integration.id),
            listed: integration.unmapped.listed(),
            mapping: integration.mapping.clone(),
            agents,
        }
    }

    fn entry(&self) -> Value {
        let not_listed = self.listed.not_listed;
        let [users, activities] = self.listed.clone().sorted();
        json!({
            "integration": &*self.id,
            "users": self.users(&users),
            "activities": self.activities(&activities),
            "notListed": not_listed,
        })
    }

    fn users(&self, users: &[(Arc<str>, UnmappedEntry)]) -> Vec<Value> {
        if users.is_empty() {
            return Vec::new();
        }
        let Some(mapping) = &self.mapping else { return Vec::new() };
        let near = NearIndex::of(mapping.users.keys().map(String::as_str).chain(mapping.scoped.keys()));
        let of = |agent: &'_ Arc<AgentView>| {
            let (event, annotation) = &agent.published;
            (Arc::clone(&annotation.external_user), event.ride_along.name.clone())
        };
        let agents: HashMap<Arc<str>, Option<Arc<str>>> = self.agents.iter().map(of).collect();
        // A row that somebody else has is hardly meant for this one.
        let in_feed: HashSet<String> = agents.keys().map(|user| spelling::normal(user).into_owned()).collect();
        let entry = |(user, seen): &(Arc<str>, UnmappedEntry)| {
            let reason = match seen.reason {
                NoUser::Ambiguous => "ambiguous",
                NoUser::Unmapped | NoUser::Nameless => "unmapped",
            };
            let mut entry = json!({ "externalUser": &**user, "reason": reason });
            if let Some(Some(name)) = agents.get(user) {
                entry["name"] = (&**name).into();
            }
            let elsewhere = out_of_scope(mapping, user, seen.acd, seen.last_seen);
            let meant = near.near(user).into_iter().filter_map(|(key, differences)| {
                let names = names_of(&differences);
                let row = match mapping.users.get(key) {
                    Some(row) => user_row(key, row, &Scope::default(), &names),
                    None => mapping.scoped.of(key).first().map(|(scope, row)| user_row(key, row, scope, &names))?,
                };
                Some(with_presence(row, in_feed.contains(key)))
            });
            entry["near"] = elsewhere.into_iter().chain(meant).take(MOST_NEAR).collect();
            with_seen(entry, *seen)
        };
        users.iter().map(entry).collect()
    }

    fn activities(&self, activities: &[(Arc<str>, UnmappedEntry)]) -> Vec<Value> {
        let rows = self.mapping.as_ref().map(|mapping| &mapping.activities);
        let near = NearIndex::of(rows.into_iter().flat_map(HashMap::keys).map(String::as_str));
        let entry = |(activity, seen): &(Arc<str>, UnmappedEntry)| {
            let meant = near.near(activity).into_iter().filter_map(|(key, differences)| {
                let row = rows?.get(key)?;
                Some(json!({
                    "externalActivity": key,
                    "activityId": row.activity_id,
                    "activityName": row.activity_name,
                    "differsIn": names_of(&differences),
                }))
            });
            let meant: Value = meant.collect();
            with_seen(json!({ "externalActivity": &**activity, "near": meant }), *seen)
        };
        activities.iter().map(entry).collect()
    }
}

/// Returns the rows of that user that count elsewhere, or at another time.
fn out_of_scope(mapping: &MappingTables, user: &str, acd: u32, at: Timestamp) -> Vec<Value> {
    let key = spelling::normal(user);
    let rows = mapping.scoped.of(&key).iter().map(|(scope, row)| {
        let is_elsewhere = scope.acd.is_some_and(|only| only != acd);
        let differs = [is_elsewhere.then_some("acd"), (!scope.holds_at(at)).then_some("time")];
        user_row(&key, row, scope, &differs.into_iter().flatten().collect::<Vec<_>>())
    });
    rows.collect()
}

fn user_row(key: &str, row: &User, scope: &Scope, differs_in: &[&str]) -> Value {
    let mut shown = json!({
        "externalUser": key,
        "employeeId": row.employee_id,
        "employeeName": row.employee_name,
        "differsIn": differs_in,
    });
    if let Some(acd) = scope.acd {
        shown["acd"] = acd.into();
    }
    for (name, moment) in [("validFrom", scope.from), ("validTo", scope.to)] {
        if let Some(moment) = moment {
            shown[name] = moment.to_string().into();
        }
    }
    shown
}

fn with_presence(mut row: Value, is_in_feed: bool) -> Value {
    row["isInFeed"] = is_in_feed.into();
    row
}

fn names_of(differences: &[Difference]) -> Vec<&'static str> {
    differences.iter().map(|difference| difference.name()).collect()
}

fn with_seen(mut entry: Value, seen: UnmappedEntry) -> Value {
    entry["firstSeen"] = seen.first_seen.to_string().into();
    entry["lastSeen"] = seen.last_seen.to_string().into();
    entry["count"] = seen.count.into();
    entry
}

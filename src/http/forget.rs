//! `POST /api/v1/forget`: forgets a person, in every integration or in one.
//!
//! The person is named in the body: a URL ends up in the logs of proxies. The answer comes when nothing of them is left in
//! the store and `current` has their tombstone; 202 when that takes longer than a few seconds: then it is on disk, and
//! completes by itself, even across a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::integration::command::{Command, Forget, ForgetAnswer, Task};
use crate::integration::handles::Handles;
use crate::journal::store;
use crate::kafka::PublishHandle;
use crate::mapping::spelling;
use crate::telemetry::targets::HTTP;
use crate::views::model::IntegrationIndex;

use super::{State, problem};

/// How long a request waits for the end of it in total.
const PATIENCE_TO_THE_END: Duration = Duration::from_secs(9);

/// How much of that is for erasing them, once it is on disk.
const PATIENCE_WITH_WHAT_FOLLOWS: Duration = Duration::from_secs(3);

/// How long files that were set aside are searched.
const PATIENCE_WITH_FILES: Duration = Duration::from_secs(3);

/// Most characters of a login id.
const LONGEST_LOGIN_ID: usize = 256;

/// What the audit record names as its subject: where, and never who.
#[derive(Clone, Debug)]
pub(super) struct About(pub(super) String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wanted {
    login_id: String,
    integration: Option<String>,
    acd: Option<u32>,
}

/// Returns the integration that a request names.
pub(super) fn integration_of(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Wanted>(body).ok()?.integration
}

pub(super) async fn forget(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response {
    // The parser's error is not passed on: it quotes what was read.
    let Ok(mut wanted) = serde_json::from_slice::<Wanted>(&body) else {
        let expected = r#"expected a body such as {"loginId": "4711"}, with "integration" and "acd" if only there"#;
        return problem(StatusCode::BAD_REQUEST, expected);
    };
    wanted.login_id = spelling::trim(&wanted.login_id).to_owned();
    if wanted.login_id.is_empty() || wanted.login_id.chars().count() > LONGEST_LOGIN_ID {
        let message = format!("a login id has 1 to {LONGEST_LOGIN_ID} characters");
        return problem(StatusCode::BAD_REQUEST, message);
    }
    let ids: Vec<Arc<str>> = state.model.read().iter().map(|known| Arc::clone(&known.id)).collect();
    let is_wanted = |id: &str| wanted.integration.as_ref().is_none_or(|wanted| *wanted == *id);
    let wanted_of: Vec<IntegrationIndex> =
        (0..ids.len()).filter(|others| is_wanted(&ids[*others])).map(IntegrationIndex::after).collect();
    if wanted_of.is_empty() {
        return problem(StatusCode::NOT_FOUND, "no such integration: see /api/v1/integrations");
    }
    if !state.readiness.is_listening() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the service is starting: see /health/ready");
    }
    let is_replaced = |handle: &PublishHandle| !handle.store_health().is_durable;
    if state.readiness.directory().is_some() && state.readiness.handles().any().as_ref().is_some_and(is_replaced) {
        let message = "the store is in memory, and nobody can be forgotten in what is on disk: make the directory writable \
                       and restart";
        return problem(StatusCode::SERVICE_UNAVAILABLE, message);
    }
    let deadline = Instant::now() + PATIENCE_TO_THE_END;
    let Asked { mut told, unanswered } =
        ask_all(&state, &wanted_of, &wanted, deadline - PATIENCE_WITH_WHAT_FOLLOWS).await;
    let mut waiting = Vec::new();
    for (index, found) in &mut told {
        if let Some(erased) = found.erased.take()
            && !matches!(timeout_at(deadline, erased).await, Ok(Ok(())))
        {
            waiting.push(*index);
        }
    }
    // Nobody knows them, but perhaps it was they: of an agent whom an earlier run forgot, it is known only that it is not over.
    let is_perhaps_them = unanswered.is_empty()
        && told.iter().all(|(_, found)| found.acds.is_empty() && found.in_feed.is_empty() && !found.is_full)
        && is_still_erased(&state, deadline).await;
    let quarantined = search_quarantined(&state, wanted.login_id.clone()).await;
    let found = Found { told, waiting, unanswered, quarantined, is_perhaps_them };
    answer(&state, &ids, &wanted, &found)
}

/// How integrations have answered.
struct Asked {
    told: Vec<(IntegrationIndex, ForgetAnswer)>,
    /// These have not answered in time. It may be done there meanwhile.
    unanswered: Vec<IntegrationIndex>,
}

/// Asks all of them before it waits for any, with one deadline for all.
async fn ask_all(state: &State, of: &[IntegrationIndex], wanted: &Wanted, answered_by: Instant) -> Asked {
    let mut asked = Asked { told: Vec::new(), unanswered: Vec::new() };
    let mut answers = Vec::new();
    for &index in of {
        let (done, answer) = oneshot::channel();
        let forget = Forget {
            login_id: wanted.login_id.as_str().into(),
            acd: wanted.acd,
            is_unknown_too: wanted.integration.is_some() && wanted.acd.is_some(),
            done,
        };
        match timeout_at(answered_by, state.command(Command { index, task: Task::Forget(forget) })).await {
            Ok(Ok(())) => answers.push((index, answer)),
            Ok(Err(_)) | Err(_) => asked.unanswered.push(index),
        }
    }
    for (index, answer) in answers {
        match timeout_at(answered_by, answer).await {
            Ok(Ok(found)) => asked.told.push((index, found)),
            // It has a feed, and is starting or ending at the moment.
            Ok(Err(_)) if has_feed(state, index) => asked.unanswered.push(index),
            Ok(Err(_)) => {}
            Err(_) => asked.unanswered.push(index),
        }
    }
    asked
}

fn has_feed(state: &State, index: IntegrationIndex) -> bool {
    state.model.read().get(index.get()).is_some_and(|known| known.listen.is_some())
}

/// Whether somebody who was forgotten before may still be found in the store, when the deadline has come. Waits for the
/// erasure, and makes it begin at once.
async fn is_still_erased(state: &State, deadline: Instant) -> bool {
    let Some(handle) = state.readiness.handles().any() else { return false };
    let lane = handle.lane();
    if lane.is_erasing() {
        let (erased, receiver) = oneshot::channel();
        // The caller may have stopped waiting.
        lane.when_erased(
            0,
            Box::new(move || {
                let _ = erased.send(());
            }),
        );
        let _ = timeout_at(deadline, receiver).await;
    }
    lane.is_erasing()
}

/// Files in which they may still be: they cannot be deleted there.
async fn search_quarantined(state: &State, login_id: String) -> Vec<PathBuf> {
    let Some(directory) = state.readiness.directory().map(Path::to_owned) else { return Vec::new() };
    let deadline = std::time::Instant::now() + PATIENCE_WITH_FILES;
    let searched = tokio::task::spawn_blocking(move || store::quarantined_with(&directory, &login_id, deadline)).await;
    searched.unwrap_or_else(|error| {
        tracing::error!(target: HTTP, %error, "files that were set aside cannot be searched");
        Vec::new()
    })
}

/// Everything that the answer is made of.
struct Found {
    told: Vec<(IntegrationIndex, ForgetAnswer)>,
    /// Integrations where it is on disk but not done yet.
    waiting: Vec<IntegrationIndex>,
    /// Integrations that have not answered.
    unanswered: Vec<IntegrationIndex>,
    quarantined: Vec<PathBuf>,
    /// Nobody knows them, and somebody who was forgotten before is not erased yet.
    is_perhaps_them: bool,
}

fn answer(state: &State, ids: &[Arc<str>], wanted: &Wanted, found: &Found) -> Response {
    let Found { told, waiting, unanswered, quarantined, is_perhaps_them } = found;
    let places = |acds: fn(&ForgetAnswer) -> &Vec<u32>| -> Vec<Value> {
        let of_one = |(index, found): &(IntegrationIndex, ForgetAnswer)| {
            let id = Arc::clone(&ids[index.get()]);
            let place = move |acd: &u32| json!({ "integration": &*id, "acd": acd });
            acds(found).iter().map(place).collect::<Vec<_>>()
        };
        told.iter().flat_map(of_one).collect()
    };
    let (forgotten, in_feed) = (places(|found| &found.acds), places(|found| &found.in_feed));
    let about = About(format!("{} of {}", forgotten.len(), wanted.integration.as_deref().unwrap_or("all")));
    let mut told_of = json!({
        "forgotten": forgotten,
        "inFeed": in_feed,
        "setAside": quarantined.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
    });
    let status = if !unanswered.is_empty() {
        let ids: Vec<&str> = unanswered.iter().map(|index| &*ids[index.get()]).collect();
        told_of["error"] = format!(
            "the service is too busy: {} did not answer in time, and it may be done there meanwhile; what is listed is done; \
             ask again",
            ids.join(", ")
        )
        .into();
        StatusCode::SERVICE_UNAVAILABLE
    } else if told.iter().any(|(_, found)| found.is_full) {
        told_of["error"] =
            "the journal is full: nothing is forgotten until Kafka takes what waits, ask again then".into();
        StatusCode::SERVICE_UNAVAILABLE
    } else if !in_feed.is_empty() {
        told_of["error"] =
            "the feed still shows this agent: the next snapshot would bring them back; forget them when they have \
                            left CMS, or when the feed is gone"
                .into();
        StatusCode::CONFLICT
    } else if *is_perhaps_them {
        told_of["waitsFor"] =
            "somebody who was forgotten before is not erased from the store yet, perhaps this one: ask again".into();
        StatusCode::ACCEPTED
    } else if forgotten.is_empty() {
        told_of["error"] =
            "nobody knows this login id, or they are forgotten already; to send a tombstone to the topic \
                            `current` nevertheless, name an integration and an ACD"
                .into();
        StatusCode::NOT_FOUND
    } else if !waiting.is_empty() {
        told_of["waitsFor"] = why_waiting(state.readiness.handles(), waiting).into();
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    let mut response = (status, Json(told_of)).into_response();
    response.extensions_mut().insert(about);
    response
}

fn why_waiting(handles: &Handles, waiting: &[IntegrationIndex]) -> String {
    let waiting: Vec<PublishHandle> = waiting.iter().filter_map(|index| handles.get(*index)).collect();
    let pending: usize = waiting.iter().map(PublishHandle::pending).sum();
    let why = if waiting.iter().any(PublishHandle::is_paused) {
        "publishing is paused"
    } else if pending > 0 {
        "Kafka has not taken everything yet"
    } else {
        "the store is busy"
    };
    format!("{why}: {pending} messages wait")
}

#[cfg(test)]
#[path = "forget_tests.rs"]
mod tests;

//! `POST /api/v1/integrations/{id}/pause` and `/resume`: stop publishing, and resume it.
//!
//! The answer comes when it is on disk, so that it survives a restart; 202 when that takes longer than [`PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::oneshot;

use crate::integration::command::{Command, Task};
use crate::views::model::IntegrationIndex;

use super::{State, problem};

/// How long a request waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl State {
    /// Passes it on to the task that carries it out.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub(super) async fn command(&self, command: Command) -> Result<(), &'static str> {
        match tokio::time::timeout(PATIENCE, self.commands.send(command)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("the service is ending"),
            Err(_) => Err("the service is too busy: ask again"),
        }
    }
}

pub(super) async fn pause(shared: Shared<Arc<State>>, id: Path<String>) -> Response {
    publishing(shared, id, true).await
}

pub(super) async fn resume(shared: Shared<Arc<State>>, id: Path<String>) -> Response {
    publishing(shared, id, false).await
}

async fn publishing(Shared(state): Shared<Arc<State>>, Path(id): Path<String>, pause: bool) -> Response {
    let others = state.model.read().iter().position(|known| *known.id == *id);
    let Some(index) = others.map(IntegrationIndex::after) else {
        return problem(StatusCode::NOT_FOUND, format!("no integration {id:?}: see /api/v1/integrations"));
    };
    if !state.readiness.is_listening() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the service is starting: see /health/ready");
    }
    let (done, answer) = oneshot::channel();
    if let Err(why) = state.command(Command { index, task: Task::Publishing { pause, done } }).await {
        return problem(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    let word = if pause { "paused" } else { "running" };
    let (status, changed) = match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(changed)) => (StatusCode::OK, changed),
        Ok(Err(_)) => {
            return problem(StatusCode::CONFLICT, format!("{id:?} has no real time, or it is starting or ending"));
        }
        // It is done, and will be on disk once the store can be written.
        Err(_) => (StatusCode::ACCEPTED, true),
    };
    (status, Json(json!({ "integration": id, "publishing": word, "changed": changed }))).into_response()
}

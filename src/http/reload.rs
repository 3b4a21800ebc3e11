//! `POST /api/v1/reload`: does what SIGHUP does, and answers with what has changed, or why it was refused.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;

use super::{State, problem};

/// How long a request waits for the end of a reload. Integrations that end may have to wait for Kafka.
const RELOAD_PATIENCE: Duration = Duration::from_secs(12);

/// Most requests that wait, besides the one that is carried out.
pub const MOST_RELOADS: usize = 4;

/// Asks whoever has the service to reload.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Gets the answer.
    pub done: oneshot::Sender<ReloadAnswer>,
}

/// What a reload has come to, as the body of the answer.
#[derive(Debug)]
pub struct ReloadAnswer {
    /// Whether nothing at all has changed, because something is wrong.
    pub is_refused: bool,
    /// What is told.
    pub body: Value,
}

/// Sends requests to reload.
pub type ReloadRequests = mpsc::Sender<ReloadRequest>;

/// Returns where the answer will be.
fn ask(requests: &ReloadRequests) -> Result<oneshot::Receiver<ReloadAnswer>, &'static str> {
    let (done, answer) = oneshot::channel();
    match requests.try_send(ReloadRequest { done }) {
        Ok(()) => Ok(answer),
        Err(TrySendError::Full(_)) => Err("other requests to reload are waiting: ask again"),
        Err(TrySendError::Closed(_)) => Err("the service is ending"),
    }
}

pub(super) async fn reload(Shared(state): Shared<Arc<State>>) -> Response {
    let Some(requests) = &state.reloads else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "this process has no configuration file to read again");
    };
    let answer = match ask(requests) {
        Ok(answer) => answer,
        Err(why) => return problem(StatusCode::SERVICE_UNAVAILABLE, why),
    };
    match tokio::time::timeout(RELOAD_PATIENCE, answer).await {
        Ok(Ok(ReloadAnswer { is_refused, body })) => {
            let status = if is_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            (status, Json(body)).into_response()
        }
        Ok(Err(_)) => problem(StatusCode::SERVICE_UNAVAILABLE, "the service is starting or ending: ask again"),
        Err(_) => {
            let message =
                "not over yet: the log will say what has changed, and rtalink_reload_refused whether it was refused";
            (StatusCode::ACCEPTED, Json(json!({ "waitsFor": message }))).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_requests_to_reload_wait() {
        let (requests, mut asked) = mpsc::channel(MOST_RELOADS);
        let waiting: Vec<_> = (0..MOST_RELOADS).map(|_| ask(&requests).unwrap()).collect();
        let refused = ask(&requests).unwrap_err();
        println!("{} requests to reload, limit {MOST_RELOADS}: {refused}", waiting.len() + 1);
        assert!(asked.try_recv().is_ok() && ask(&requests).is_ok(), "there is room again");
        drop(asked);
        assert_eq!(ask(&requests).unwrap_err(), "the service is ending");
    }
}

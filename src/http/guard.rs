//! What stands before every handler: access, a place among the requests that are answered, the body, the time,
//! and behind some the record for the audit topic.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::model::{Http, Role};

use super::access::{self, Caller, Refusal};
use super::audit::{self, Audit, Deed};
use super::connections::Origin;
use super::limits::{ANSWER_TIME, BODY_TIME, LARGEST_BODY, MOST_REQUESTS};
use super::model::ReadModel;
use super::readiness::Readiness;
use super::refusals::{Reason, Refusals};
use super::{State, problem};

/// What it decides with.
pub(super) struct Guard {
    access: Arc<ArcSwap<Http>>,
    refusals: Arc<Refusals>,
    audit: Audit,
    readiness: Arc<Readiness>,
    model: ReadModel,
    places: Arc<Semaphore>,
}

impl Guard {
    pub(super) fn new(state: &State, refusals: Arc<Refusals>) -> Self {
        Self {
            access: Arc::clone(&state.access),
            refusals,
            audit: Audit::new(&state.metrics, state.format),
            readiness: Arc::clone(&state.readiness),
            model: state.model.clone(),
            places: Arc::new(Semaphore::new(MOST_REQUESTS)),
        }
    }

    /// The answer, once what it tells of is recorded; another one where it must not be given without.
    async fn recorded(&self, caller: &Caller, deed: &Deed, answer: Response) -> Response {
        let ids: Vec<Arc<str>> = self.model.read().iter().map(|known| Arc::clone(&known.id)).collect();
        let handles = self.readiness.handles();
        let is_recorded = self.audit.record(handles, &ids, caller, deed, answer.status()).await;
        if is_recorded || !deed.is_look() {
            return answer;
        }
        problem(StatusCode::SERVICE_UNAVAILABLE, "who looks at one agent is recorded, and that cannot be done now")
    }
}

/// Lets a request through to its handler, or answers it.
pub(super) async fn guard(Shared(guard): Shared<Arc<Guard>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.extensions().get::<Origin>().cloned() else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "a request from nowhere");
    };
    let (answer, permit) = match pass(&guard, &origin, request, next).await {
        Ok((answer, permit)) => (answer, Some(permit)),
        Err((reason, answer)) => {
            if let Some(reason) = reason {
                guard.refusals.count(reason, origin.peer.ip().to_canonical());
            }
            (answer, None)
        }
    };
    origin.progress.answered(permit);
    answer
}

type Refused = (Option<Reason>, Response);

async fn pass(
    guard: &Arc<Guard>,
    origin: &Origin,
    request: Request,
    next: Next,
) -> Result<(Response, OwnedSemaphorePermit), Refused> {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = matched.unwrap_or_else(|| request.uri().path()).to_owned();
    let caller = access::decide(&guard.access.load(), origin.peer, request.method(), &route, request.headers());
    let caller = caller.map_err(refused)?;
    let permit = Arc::clone(&guard.places).try_acquire_owned().map_err(|_| {
        let busy = problem(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time: ask again");
        (Some(Reason::TooManyRequests), with(busy, header::RETRY_AFTER, "1"))
    })?;
    let (mut parts, body) = request.into_parts();
    // Nobody further in needs it.
    parts.headers.remove(header::AUTHORIZATION);
    let body = whole(body).await?;
    let deed = audit::deed(&parts.method, &route, &parts.uri, &body);
    let request = Request::from_parts(parts, body.into());
    let answer = match (caller, deed) {
        (Some(caller), Some(deed)) => {
            let guard = Arc::clone(guard);
            // On its own: it is recorded also where the peer does not wait for the answer.
            let done = tokio::spawn(async move {
                let answer = next.run(request).await;
                let deed = deed.about(answer.extensions().get());
                guard.recorded(&caller, &deed, answer).await
            });
            within(ANSWER_TIME, done).await.map(|done| done.unwrap_or_else(|error| failed(&error)))
        }
        _ => within(ANSWER_TIME, next.run(request)).await,
    };
    match answer {
        Some(answer) => Ok((answer, permit)),
        None => {
            let late = problem(StatusCode::SERVICE_UNAVAILABLE, "the answer takes too long: ask again");
            Err((Some(Reason::SlowAnswer), late))
        }
    }
}

fn failed(error: &tokio::task::JoinError) -> Response {
    tracing::error!(%error, "a request over HTTP has failed");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the request has failed: the log says why")
}

async fn whole(body: Body) -> Result<Bytes, Refused> {
    let too_large = || {
        let message = format!("a body has at most {LARGEST_BODY} bytes");
        (Some(Reason::BodyTooLarge), problem(StatusCode::PAYLOAD_TOO_LARGE, message))
    };
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    match within(BODY_TIME, axum::body::to_bytes(body, LARGEST_BODY + 1)).await {
        None => {
            let slow = problem(StatusCode::REQUEST_TIMEOUT, "the body takes too long");
            Err((Some(Reason::SlowRequest), with(slow, header::CONNECTION, "close")))
        }
        Some(Ok(bytes)) if bytes.len() <= LARGEST_BODY => Ok(bytes),
        Some(Ok(_)) => Err(too_large()),
        Some(Err(error)) if is_over_limit(&error) => Err(too_large()),
        Some(Err(_)) => Err((None, problem(StatusCode::BAD_REQUEST, "the body cannot be read to its end"))),
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(time, work).await.ok()
}

fn is_over_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("limit"))
}

fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::NoToken { why } => {
            let answer = problem(StatusCode::UNAUTHORIZED, why);
            (Some(Reason::NoToken), with(answer, header::WWW_AUTHENTICATE, "Bearer realm=\"rtalink\""))
        }
        Refusal::WrongToken => {
            let answer = problem(StatusCode::UNAUTHORIZED, "this token is not known: see [[http.token]]");
            let scheme = "Bearer realm=\"rtalink\", error=\"invalid_token\"";
            (Some(Reason::WrongToken), with(answer, header::WWW_AUTHENTICATE, scheme))
        }
        Refusal::Forbidden { name, role, needed } => {
            let needed: Vec<&str> = needed.iter().copied().map(Role::name).collect();
            let message = format!("token {name:?} is {}: this needs {}", role.name(), needed.join(" or "));
            let scheme = "Bearer realm=\"rtalink\", error=\"insufficient_scope\"";
            let answer = problem(StatusCode::FORBIDDEN, message);
            (Some(Reason::Forbidden), with(answer, header::WWW_AUTHENTICATE, scheme))
        }
    }
}

fn with(mut answer: Response, name: header::HeaderName, value: &'static str) -> Response {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

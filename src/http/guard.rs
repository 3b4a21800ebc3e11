//! What stands before every handler: access, a place among the requests that are answered, the body, the time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::model::{Http, Role};

use super::access::{self, Refusal};
use super::connections::Origin;
use super::limits::{ANSWER_TIME, BODY_TIME, LARGEST_BODY, MOST_REQUESTS};
use super::problem;
use super::refusals::{Reason, Refusals};

/// What it decides with.
pub(super) struct Guard {
    pub(super) access: Arc<ArcSwap<Http>>,
    pub(super) refusals: Arc<Refusals>,
    places: Arc<Semaphore>,
}

impl Guard {
    pub(super) fn new(access: Arc<ArcSwap<Http>>, refusals: Arc<Refusals>) -> Self {
        Self { access, refusals, places: Arc::new(Semaphore::new(MOST_REQUESTS)) }
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
    guard: &Guard,
    origin: &Origin,
    request: Request,
    next: Next,
) -> Result<(Response, OwnedSemaphorePermit), Refused> {
    let route = request.extensions().get::<MatchedPath>().map_or(request.uri().path(), MatchedPath::as_str);
    let caller = access::decide(&guard.access.load(), origin.peer, request.method(), route, request.headers());
    let caller = caller.map_err(refused)?;
    let permit = Arc::clone(&guard.places).try_acquire_owned().map_err(|_| {
        let busy = problem(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time: ask again");
        (Some(Reason::TooManyRequests), with(busy, header::RETRY_AFTER, "1"))
    })?;
    let (mut parts, body) = request.into_parts();
    if let Some(caller) = caller {
        parts.extensions.insert(caller);
    }
    // Nobody further in needs it.
    parts.headers.remove(header::AUTHORIZATION);
    let request = Request::from_parts(parts, whole(body).await?);
    match tokio::time::timeout(ANSWER_TIME, next.run(request)).await {
        Ok(answer) => Ok((answer, permit)),
        Err(_) => {
            let late = problem(StatusCode::SERVICE_UNAVAILABLE, "the answer takes too long: ask again");
            Err((Some(Reason::SlowAnswer), late))
        }
    }
}

async fn whole(body: Body) -> Result<Body, Refused> {
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
        Some(Ok(bytes)) if bytes.len() <= LARGEST_BODY => Ok(bytes.into()),
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

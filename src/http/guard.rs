//! What runs before every handler: access, a place among the requests being answered, the body, the time limit; and after
//! some the record for the audit topic.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::LengthLimitError;
use tokio::sync::Semaphore;

use crate::config::model::{Http, Role};
use crate::telemetry::targets::HTTP;
use crate::time::Timestamp;
use crate::views::model::ReadModel;

use super::access::{self, AccessRefusal, Caller};
use super::audit::{Audit, Deed};
use super::connections::RequestOrigin;
use super::limits::{HttpLimits, LARGEST_BODY};
use super::places::RequestPlaces;
use super::readiness::Readiness;
use super::refusals::{RefusalReason, Refusals};
use super::routes::{self, Load};
use super::stream::Permit;
use super::{State, problem};

/// Whether the caller may read the text of errors, which names users, hosts and topics.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadsErrors(pub(super) bool);

/// What it decides with.
pub(super) struct Guard {
    access: Arc<ArcSwap<Http>>,
    refusals: Arc<Refusals>,
    audit: Audit,
    readiness: Arc<Readiness>,
    model: ReadModel,
    limits: HttpLimits,
    places: Arc<RequestPlaces>,
    watching: Arc<RequestPlaces>,
    tables: Arc<Semaphore>,
}

impl Guard {
    pub(super) fn new(state: &State, limits: HttpLimits, refusals: Arc<Refusals>) -> Self {
        Self {
            access: Arc::clone(&state.access),
            refusals,
            audit: Audit::new(&state.metrics, state.format),
            readiness: Arc::clone(&state.readiness),
            model: state.model.clone(),
            limits,
            places: RequestPlaces::new(limits.most_requests, limits.most_requests_of_one_address),
            watching: RequestPlaces::new(limits.most_watching, limits.most_watching.div_ceil(2)),
            tables: Arc::new(Semaphore::new(limits.most_tables)),
        }
    }

    /// Records a refused change or look at one person, if the caller is known: strangers could fill the topic.
    fn note_refusal(self: &Arc<Self>, refusal: &AccessRefusal, deed: Option<Deed>, origin: &RequestOrigin) {
        let (AccessRefusal::Forbidden { name, role, .. }, Some(deed)) = (refusal, deed) else { return };
        if !self.audit.admits_refusal(name, Timestamp::now()) {
            return;
        }
        let caller = Caller { name: name.clone(), role: Some(*role), peer: origin.peer.ip().to_canonical() };
        let guard = Arc::clone(self);
        // Nobody waits for it, and there are only a few at a time.
        tokio::spawn(async move { guard.record(&caller, &deed, StatusCode::FORBIDDEN).await });
    }

    async fn record(&self, caller: &Caller, deed: &Deed, status: StatusCode) -> bool {
        let ids: Vec<Arc<str>> = self.model.read().iter().map(|known| Arc::clone(&known.id)).collect();
        self.audit.record(self.readiness.handles(), &ids, caller, deed, status).await
    }

    /// Returns the answer once its deed is recorded; another one where it must not be given without the record.
    async fn recorded(&self, caller: &Caller, deed: &Deed, answer: Response) -> Response {
        let is_recorded = self.record(caller, deed, answer.status()).await;
        if is_recorded || !deed.is_look() {
            return answer;
        }
        problem(StatusCode::SERVICE_UNAVAILABLE, "who looks at one agent is recorded, and that cannot be done now")
    }
}

/// Lets a request through to its handler, or answers it.
pub(super) async fn guard(Shared(guard): Shared<Arc<Guard>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.extensions().get::<RequestOrigin>().cloned() else {
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

type Refused = (Option<RefusalReason>, Response);

async fn pass(
    guard: &Arc<Guard>,
    origin: &RequestOrigin,
    request: Request,
    next: Next,
) -> Result<(Response, Permit), Refused> {
    if let Some(refused) = ambiguous(request.headers()) {
        return Err(refused);
    }
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let caller = access::decide(&guard.access.load(), origin.peer, request.method(), matched, request.headers());
    let route = routes::find(request.method(), matched);
    let deed_of = |uri: &Uri, body: &[u8]| route.and_then(|route| (route.deed)(uri, body));
    let caller = caller.map_err(|refusal| {
        // The body of a refused request is not read.
        let deed = deed_of(request.uri(), &[]);
        guard.note_refusal(&refusal, deed, origin);
        refused(refusal)
    })?;
    let (mut parts, body) = request.into_parts();
    let reads_errors = access::may_read_errors(&guard.access.load(), origin.peer, &parts.headers);
    parts.extensions.insert(ReadsErrors(reads_errors));
    // Nobody further in needs it.
    parts.headers.remove(header::AUTHORIZATION);
    // A peer that is slow to send it has no place yet.
    let body = whole(body, guard.limits.body_time).await?;
    origin.progress.answers();
    let load = route.map_or(Load::Usual, |route| route.load);
    let places = if load == Load::Watching { &guard.watching } else { &guard.places };
    let Some(request_place) = places.take(origin.peer.ip()) else { return Err(busy()) };
    let place = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
    let deed = deed_of(&parts.uri, &body);
    let asks_for_all = load == Load::Table && deed.is_none();
    let table_place = if asks_for_all { place(&guard.tables) } else { None };
    if asks_for_all && table_place.is_none() {
        return Err(busy());
    }
    let permit = Permit { _request: request_place, _table: table_place };
    let answer_time = guard.limits.answer_time;
    let request = Request::from_parts(parts, body.into());
    let answer = match (caller, deed) {
        (Some(caller), Some(deed)) => {
            let guard = Arc::clone(guard);
            // In its own task: it is recorded even where the peer does not wait for the answer.
            let done = tokio::spawn(async move {
                let answer = next.run(request).await;
                let deed = deed.about(answer.extensions().get());
                guard.recorded(&caller, &deed, answer).await
            });
            within(answer_time, done).await.map(|done| done.unwrap_or_else(|error| failed(&error)))
        }
        _ => within(answer_time, next.run(request)).await,
    };
    match answer {
        Some(answer) => Ok((answer, permit)),
        None => {
            let late = problem(StatusCode::SERVICE_UNAVAILABLE, "the answer takes too long: ask again");
            Err((Some(RefusalReason::SlowAnswer), late))
        }
    }
}

/// Headers of which there must be only one: of two, somebody else may have looked at the other.
const SINGLE: [header::HeaderName; 3] = [header::HOST, header::ORIGIN, header::AUTHORIZATION];

fn ambiguous(headers: &header::HeaderMap) -> Option<Refused> {
    let twice = SINGLE.into_iter().find(|name| headers.get_all(name).iter().nth(1).is_some())?;
    let message = format!("the head has more than one line {twice:?}: send one", twice = twice.as_str());
    Some((Some(RefusalReason::Malformed), with(problem(StatusCode::BAD_REQUEST, message), header::CONNECTION, "close")))
}

fn busy() -> Refused {
    let busy = problem(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time: ask again");
    (Some(RefusalReason::TooManyRequests), with(busy, header::RETRY_AFTER, "1"))
}

fn failed(error: &tokio::task::JoinError) -> Response {
    tracing::error!(target: HTTP, %error, "a request over HTTP has failed");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the request has failed: the log says why")
}

async fn whole(body: Body, time: Duration) -> Result<Bytes, Refused> {
    let too_large = || {
        let message = format!("a body has at most {LARGEST_BODY} bytes");
        (Some(RefusalReason::BodyTooLarge), problem(StatusCode::PAYLOAD_TOO_LARGE, message))
    };
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    match within(time, axum::body::to_bytes(body, LARGEST_BODY + 1)).await {
        None => {
            let slow = problem(StatusCode::REQUEST_TIMEOUT, "the body takes too long");
            Err((Some(RefusalReason::SlowRequest), with(slow, header::CONNECTION, "close")))
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
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.into_iter().any(<dyn std::error::Error>::is::<LengthLimitError>)
}

fn refused(refusal: AccessRefusal) -> Refused {
    match refusal {
        AccessRefusal::NoToken { why } => {
            let answer = problem(StatusCode::UNAUTHORIZED, why);
            (Some(RefusalReason::NoToken), with(answer, header::WWW_AUTHENTICATE, "Bearer realm=\"rtalink\""))
        }
        AccessRefusal::WrongToken => {
            let answer = problem(StatusCode::UNAUTHORIZED, "this token is not known: see [[http.token]]");
            let scheme = "Bearer realm=\"rtalink\", error=\"invalid_token\"";
            (Some(RefusalReason::WrongToken), with(answer, header::WWW_AUTHENTICATE, scheme))
        }
        AccessRefusal::Forbidden { name, role, needed } => {
            let needed: Vec<&str> = needed.iter().copied().map(Role::name).collect();
            let message = format!("token {name:?} is {}: this needs {}", role.name(), needed.join(" or "));
            let scheme = "Bearer realm=\"rtalink\", error=\"insufficient_scope\"";
            let answer = problem(StatusCode::FORBIDDEN, message);
            (Some(RefusalReason::Forbidden), with(answer, header::WWW_AUTHENTICATE, scheme))
        }
    }
}

fn with(mut answer: Response, name: header::HeaderName, value: &'static str) -> Response {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

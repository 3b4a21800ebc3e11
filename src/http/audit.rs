//! What goes to the audit topic: every change, and every look at one person, also those refused to a known token.
//!
//! A record goes through the journal, as events do, and takes the reserve of a full one: it survives that Kafka is away, and
//! a restart. A look at one person that cannot be recorded is not answered. A change is carried out nevertheless, and said in the
//! log: in an emergency the service must obey. Nothing personal is in a record but the login id that was asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use metrics::Counter;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use crate::config::model::Format;
use crate::contract::{self, v1};
use crate::integration::handles::Handles;
use crate::journal::message::Batch;
use crate::kafka::encode::Encoder;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::names;
use crate::telemetry::targets::HTTP;
use crate::time::Timestamp;
use crate::views::model::IntegrationIndex;

use super::access::Caller;
use super::agents::Filter;
use super::forget;

use v1::audit_event::{Action, Outcome};

/// The Kafka key of what is about no integration alone.
const SERVICE: &str = "service";

/// The most of a target that is recorded, in characters.
const LONGEST_TARGET: usize = 256;

/// The most refusals of one token that are recorded within a minute.
const MOST_REFUSALS: usize = 10;

const MINUTE: Duration = Duration::from_secs(60);

/// What a request does that is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    action: Action,
    target: String,
    /// The integration that it is about, if it is about one.
    integration: Option<String>,
}

impl Deed {
    /// The same, about what has shown to be its target.
    pub(super) fn about(self, target: Option<&forget::About>) -> Self {
        match target {
            Some(forget::About(target)) => Self { target: shortened(target), ..self },
            None => self,
        }
    }

    /// Whether it must not be done without a record.
    pub(super) fn is_look(&self) -> bool {
        self.action == Action::LookAtAgent
    }
}

/// Of most requests nothing is recorded.
pub(super) fn nothing(_: &Uri, _: &[u8]) -> Option<Deed> {
    None
}

/// Publishing is stopped.
pub(super) fn pause(uri: &Uri, _: &[u8]) -> Option<Deed> {
    Some(of_integration(Action::Pause, uri))
}

/// Publishing goes on.
pub(super) fn resume(uri: &Uri, _: &[u8]) -> Option<Deed> {
    Some(of_integration(Action::Resume, uri))
}

/// Somebody is forgotten. Who it is must not be in it: the topic keeps it for long.
pub(super) fn forget(_: &Uri, body: &[u8]) -> Option<Deed> {
    let integration = forget::integration_of(body).map(|id| shortened(&id));
    Some(Deed { action: Action::Forget, target: String::new(), integration })
}

/// The log level is another one.
pub(super) fn log_level(_: &Uri, body: &[u8]) -> Option<Deed> {
    let level = String::from_utf8_lossy(body);
    Some(Deed { action: Action::LogLevel, target: shortened(level.trim()), integration: None })
}

/// Everything is read again.
pub(super) fn reload(_: &Uri, _: &[u8]) -> Option<Deed> {
    Some(Deed { action: Action::Reload, target: String::new(), integration: None })
}

/// One person is looked at, by their login id. What cannot be read shows nobody.
pub(super) fn look_at_agent(uri: &Uri, _: &[u8]) -> Option<Deed> {
    let Query(filter) = Query::<Filter>::try_from_uri(uri).ok()?;
    let (login_id, integration) = (filter.login_id?, filter.integration.map(|id| shortened(&id)));
    Some(Deed { action: Action::LookAtAgent, target: shortened(&login_id), integration })
}

/// `/api/v1/integrations/ID/…`.
fn of_integration(action: Action, uri: &Uri) -> Deed {
    let id = percent_decode_str(uri.path().split('/').nth(4).unwrap_or_default()).decode_utf8_lossy();
    Deed { action, target: shortened(&id), integration: Some(shortened(&id)) }
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_TARGET).collect()
}

/// Writes records.
#[derive(Clone)]
pub(super) struct Audit {
    format: Format,
    recorded: Counter,
    lost: Counter,
    left_out: Counter,
    /// Refusals of a token that were recorded within the last minute. Tokens are few, and so are their names.
    refusals: Arc<Mutex<HashMap<String, VecDeque<Timestamp>>>>,
}

impl Audit {
    pub(super) fn new(metrics: &Metrics, format: Format) -> Self {
        let counter = |outcome| {
            let counter = metrics.counter(names::AUDIT_EVENTS, &[outcome]);
            counter.increment(0);
            counter
        };
        let [recorded, lost, left_out] = ["recorded", "lost", "left_out"].map(counter);
        Self { format, recorded, lost, left_out, refusals: Arc::default() }
    }

    /// Whether one more refusal of this token is recorded; counted, if not. What a script asks for again and again must not
    /// fill the topic.
    pub(super) fn admits_refusal(&self, token: &str, now: Timestamp) -> bool {
        let mut refusals = self.refusals.lock();
        let recent = refusals.entry(token.to_owned()).or_default();
        recent.retain(|at| now.since(*at) < MINUTE);
        let is_admitted = recent.len() < MOST_REFUSALS;
        if is_admitted {
            recent.push_back(now);
        } else {
            self.left_out.increment(1);
        }
        is_admitted
    }

    /// Hands the record to the journal, among those of the integration that it is about, or, where that is unknown or paused,
    /// of the first that publishes. `ids` are in the order of the model. Whether it is there.
    pub(super) async fn record(
        &self,
        handles: &Handles,
        ids: &[Arc<str>],
        caller: &Caller,
        deed: &Deed,
        status: StatusCode,
    ) -> bool {
        let known = deed.integration.as_ref().and_then(|wanted| ids.iter().position(|id| **id == **wanted));
        let own = known.and_then(|others| handles.get(IntegrationIndex::after(others)));
        let handle = match own {
            Some(own) if !own.is_paused() => Some(own),
            own => {
                let all = handles.all();
                all.iter().find(|one| !one.is_paused()).cloned().or(own).or_else(|| all.into_iter().next())
            }
        };
        let key = known.and_then(|number| ids.get(number)).cloned().unwrap_or_else(|| SERVICE.into());
        let event = v1::AuditEvent {
            at: Some(contract::timestamp(Timestamp::now())),
            token: caller.name.clone(),
            role: caller.role.map(|role| role.name().to_owned()).unwrap_or_default(),
            action: deed.action.into(),
            target: deed.target.clone(),
            outcome: outcome(status).into(),
            status: status.as_u16().into(),
            peer: caller.peer.to_string(),
        };
        let message = Encoder::new(key, self.format).audit_message(&event);
        let failure = match (handle, message) {
            (Some(handle), Ok(message)) => {
                let batch = Batch { messages: vec![message], is_urgent: true, ..Batch::default() };
                // A slow store keeps it waiting.
                match tokio::task::spawn_blocking(move || handle.submit(batch).is_ok()).await {
                    Ok(true) => None,
                    Ok(false) => Some("the journal is full or closed".to_owned()),
                    Err(error) => Some(error.to_string()),
                }
            }
            (None, _) => Some("the service is starting".to_owned()),
            (_, Err(error)) => Some(error.to_string()),
        };
        let counter = if failure.is_none() { &self.recorded } else { &self.lost };
        counter.increment(1);
        let Some(failure) = failure else { return true };
        let action = deed.action.as_str_name();
        tracing::error!(
            target: HTTP, token = caller.name,
            action,
            status = status.as_u16(),
            failure,
            "what was done cannot be recorded"
        );
        false
    }
}

fn outcome(status: StatusCode) -> Outcome {
    match status {
        StatusCode::ACCEPTED => Outcome::Accepted,
        StatusCode::FORBIDDEN => Outcome::Refused,
        status if status.is_success() => Outcome::Done,
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;

    #[test]
    fn changes_and_looks_at_one_person_are_to_be_recorded() {
        let cases = [
            ("POST", "/api/v1/integrations/{id}/pause", "/api/v1/integrations/a-1/pause", "PAUSE a-1 of a-1"),
            ("POST", "/api/v1/integrations/{id}/resume", "/api/v1/integrations/a%2D1/resume", "RESUME a-1 of a-1"),
            ("PUT", "/api/v1/log-level", "/api/v1/log-level", "LOG_LEVEL debug of all"),
            ("POST", "/api/v1/reload", "/api/v1/reload", "RELOAD  of all"),
            ("GET", "/api/v1/agents", "/api/v1/agents?login_id=4711", "LOOK_AT_AGENT 4711 of all"),
            ("HEAD", "/api/v1/agents", "/api/v1/agents?integration=b&login%5Fid=a+%2F%zz", "LOOK_AT_AGENT a /%zz of b"),
            ("GET", "/api/v1/agents", "/api/v1/agents?login_id=", "LOOK_AT_AGENT  of all"),
            ("GET", "/api/v1/agents", "/api/v1/agents?mode=ACD", "nothing"),
            ("GET", "/api/v1/log-level", "/api/v1/log-level", "nothing"),
            ("GET", "/api/v1/integrations/{id}/pause", "/api/v1/integrations/a/pause", "nothing"),
        ];
        for (method, route, uri, expected) in cases {
            let route = routes::find(&method.parse().unwrap(), Some(route));
            let deed = route.and_then(|route| (route.deed)(&uri.parse().unwrap(), b" debug\n"));
            let told = deed.map_or_else(
                || "nothing".to_owned(),
                |deed| {
                    let integration = deed.integration.as_deref().unwrap_or("all");
                    format!("{} {} of {integration}", deed.action.as_str_name(), deed.target)
                },
            );
            assert_eq!(told, expected, "{uri}");
        }
        let long = log_level(&Uri::from_static("/"), "ü".repeat(4_096).as_bytes());
        assert_eq!(long.unwrap().target.chars().count(), LONGEST_TARGET);
    }

    #[test]
    fn of_each_token_so_many_refusals_a_minute_are_recorded_and_the_rest_is_counted() {
        let metrics = Metrics::new().unwrap();
        let audit = Audit::new(&metrics, Format::Protobuf);
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let admitted =
            |token: &str, from: i64| (0..30).filter(|more| audit.admits_refusal(token, at(from + more))).count();
        assert_eq!(admitted("wallboard", 0), MOST_REFUSALS);
        assert_eq!(admitted("planning", 0), MOST_REFUSALS, "another token has its own");
        assert_eq!(admitted("wallboard", 60), MOST_REFUSALS, "a minute later");
        assert!(metrics.render().contains("rtalink_audit_events_total{outcome=\"left_out\"} 60"));
        println!(
            "30 refusals of a token in 30 s, limit {MOST_REFUSALS} a minute: {MOST_REFUSALS} recorded, 20 left out"
        );
    }
}

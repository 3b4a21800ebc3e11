//! Encodes events and feed statuses to the bytes of `proto/rtalink/v1`.
//!
//! Encoded once, before anything is queued: every retry sends the same bytes, and the same `eventId`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use uuid::Uuid;

use crate::config::model::Format;
use crate::contract::header;
use crate::contract::status;
use crate::contract::{self, JsonError, agent, v1};
use crate::journal::message::{Message, Route};
use crate::mapping::annotate::Annotation;
use crate::mapping::key::MatchLevel;
use crate::tracker::event::AgentEvent;
use crate::tracker::status::FeedStatus;

/// Encodes what one integration publishes.
#[derive(Clone, Debug)]
pub struct Encoder {
    integration: Arc<str>,
    format: Format,
    namespace: Uuid,
}

impl Encoder {
    /// Creates an encoder for an integration.
    pub fn new(integration: Arc<str>, format: Format) -> Self {
        Self { integration, format, namespace: Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"rtalink") }
    }

    /// Returns the event as it is published.
    pub fn event(&self, event: &AgentEvent, annotation: &Annotation) -> v1::AgentStateEvent {
        let previous = event.previous.as_ref();
        v1::AgentStateEvent {
            event_id: self.event_id(event).to_string(),
            integration: self.integration.to_string(),
            acd: event.acd,
            login_id: event.login_id.to_string(),
            agent_name: text(&event.ride_along.name),
            role: text(&event.ride_along.role),
            location: text(&event.ride_along.location),
            logout_reason: text(&event.ride_along.logout_reason),
            external_user: annotation.external_user.to_string(),
            sequence: event.sequence,
            cause: agent::cause(event.cause).into(),
            evidence: event.evidence.map(|evidence| agent::evidence(evidence).into()),
            state: Some(agent::state(&event.state)),
            previous: previous.map(|previous| agent::state(&previous.state)),
            state_since: Some(contract::timestamp(event.state_since)),
            previous_since: previous.map(|previous| contract::timestamp(previous.state_since)),
            previous_last_seen: previous.map(|previous| contract::timestamp(previous.last_seen)),
            since_quality: agent::quality(event.quality).into(),
            after_gap: event.after_gap,
            observed_at: Some(contract::timestamp(event.observed_at)),
            external_activity: annotation.external_activity.to_string(),
            previous_external_activity: text(&annotation.previous_external_activity),
            user: annotation.user.as_ref().ok().map(|user| agent::user(user)),
            activity: annotation.activity.as_deref().map(agent::activity),
            previous_activity: annotation.previous_activity.as_deref().map(agent::activity),
            activity_since: annotation.activity_since.map(contract::timestamp),
            mapped: Some(v1::Mapped { user: annotation.user.is_ok(), activity: level(annotation.level).into() }),
            mapping_version: annotation.version,
        }
    }

    /// Returns the UUIDv5 of integration, ACD, login id, sequence and observation: the same across retries and restarts.
    fn event_id(&self, event: &AgentEvent) -> Uuid {
        let AgentEvent { acd, login_id, sequence, observed_at, .. } = event;
        let millis = observed_at.as_millis();
        let name = format!("{}/{acd}/{login_id}/{sequence}/{millis}", self.integration);
        Uuid::new_v5(&self.namespace, name.as_bytes())
    }

    /// Returns the message of an event.
    ///
    /// # Errors
    /// When the JSON form cannot be created.
    pub fn event_message(
        &self,
        event: &AgentEvent,
        annotation: &Annotation,
        read_at: Option<Instant>,
    ) -> Result<Message, JsonError> {
        let encoded = self.event(event, annotation);
        let key = format!("{}/{}/{}", self.integration, event.acd, event.login_id);
        let event_id = Bytes::from(encoded.event_id.clone().into_bytes());
        let mut headers = vec![(header::EVENT_ID, event_id)];
        let payload = self.payload(contract::AGENT_STATE_EVENT, &encoded, &mut headers)?;
        Ok(Message { route: Route::AgentState, key: key.into(), payload, headers, read_at })
    }

    /// Returns the message of a feed status.
    ///
    /// # Errors
    /// When the JSON form cannot be created.
    pub fn status_message(&self, status: &FeedStatus) -> Result<Message, JsonError> {
        let mut headers = Vec::new();
        let message = status::message(&self.integration, status);
        let payload = self.payload(contract::FEED_STATUS, &message, &mut headers)?;
        Ok(Message { route: Route::FeedStatus, key: self.integration.clone(), payload, headers, read_at: None })
    }

    /// Returns the message of a record for the audit topic.
    ///
    /// # Errors
    /// When the JSON form cannot be created.
    pub fn audit_message(&self, event: &v1::AuditEvent) -> Result<Message, JsonError> {
        let mut headers = Vec::new();
        let payload = self.payload(contract::AUDIT_EVENT, event, &mut headers)?;
        Ok(Message { route: Route::Audit, key: self.integration.clone(), payload, headers, read_at: None })
    }

    fn payload(
        &self,
        schema: &'static str,
        message: &impl prost::Message,
        headers: &mut Vec<(&'static str, Bytes)>,
    ) -> Result<Bytes, JsonError> {
        let encoded = message.encode_to_vec();
        let (payload, content_type) = match self.format {
            Format::Protobuf => (encoded, header::PROTOBUF),
            Format::Json => (contract::to_json(schema, &encoded)?, header::JSON),
        };
        headers.push((header::CONTENT_TYPE, Bytes::from_static(content_type.as_bytes())));
        headers.push((header::SCHEMA, Bytes::from_static(schema.as_bytes())));
        Ok(payload.into())
    }
}

fn text(text: &Option<Arc<str>>) -> String {
    text.as_deref().unwrap_or_default().to_owned()
}

const fn level(level: MatchLevel) -> v1::mapped::Level {
    match level {
        MatchLevel::Exact => v1::mapped::Level::Exact,
        MatchLevel::Base => v1::mapped::Level::Base,
        MatchLevel::Mode => v1::mapped::Level::Mode,
        MatchLevel::Default => v1::mapped::Level::Default,
        MatchLevel::None => v1::mapped::Level::None,
    }
}

//! Encodes events and feed statuses to the bytes of `proto/rtalink/v1`.
//!
//! Encoded once, before anything is queued: every retry sends the same bytes, and the same `eventId`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prost::Message as _;

use crate::config::model::Format;
use crate::contract::header;
use crate::contract::status;
use crate::contract::{self, JsonError, event as encoded, v1};
use crate::journal::message::{Message, Route};
use crate::mapping::annotate::Annotation;
use crate::tracker::event::AgentEvent;
use crate::tracker::status::FeedStatus;

/// Room for an event with some skills; more make it grow.
const EVENT_BYTES: usize = 768;

/// Encodes what one integration publishes.
#[derive(Clone, Debug)]
pub struct Encoder {
    integration: Arc<str>,
    format: Format,
}

impl Encoder {
    /// Creates an encoder for an integration.
    pub fn new(integration: Arc<str>, format: Format) -> Self {
        Self { integration, format }
    }

    /// Returns the event as it is published.
    ///
    /// # Errors
    /// None that is known of: what is encoded here can be read.
    pub fn event(&self, event: &AgentEvent, annotation: &Annotation) -> Result<v1::AgentStateEvent, JsonError> {
        let mut bytes = Vec::with_capacity(EVENT_BYTES);
        encoded::encode(&self.integration, encoded::event_id(&self.integration, event), event, annotation, &mut bytes);
        let failed = |source| JsonError::Decode { schema: contract::AGENT_STATE_EVENT.to_owned(), source };
        v1::AgentStateEvent::decode(&*bytes).map_err(failed)
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
        let mut bytes = Vec::with_capacity(EVENT_BYTES);
        // Written where the value will be: its own text would be one more.
        let _ = write!(bytes, "{}/{}/{}", self.integration, event.acd, event.login_id);
        let key = String::from_utf8_lossy(&bytes).into();
        bytes.clear();
        encoded::encode(&self.integration, encoded::event_id(&self.integration, event), event, annotation, &mut bytes);
        let event_id = Bytes::copy_from_slice(&bytes[encoded::EVENT_ID]);
        let mut headers = vec![(header::EVENT_ID, event_id)];
        // As many bytes as it has: it may wait for long, and is counted by its length.
        let payload = self.payload(contract::AGENT_STATE_EVENT, Bytes::copy_from_slice(&bytes), &mut headers)?;
        Ok(Message { route: Route::AgentState, key, payload, headers, read_at })
    }

    /// Returns the message of a feed status.
    ///
    /// # Errors
    /// When the JSON form cannot be created.
    pub fn status_message(&self, status: &FeedStatus) -> Result<Message, JsonError> {
        let mut headers = Vec::new();
        let message = status::message(&self.integration, status);
        let payload = self.payload(contract::FEED_STATUS, message.encode_to_vec().into(), &mut headers)?;
        Ok(Message { route: Route::FeedStatus, key: self.integration.clone(), payload, headers, read_at: None })
    }

    /// Returns the message of a record for the audit topic.
    ///
    /// # Errors
    /// When the JSON form cannot be created.
    pub fn audit_message(&self, event: &v1::AuditEvent) -> Result<Message, JsonError> {
        let mut headers = Vec::new();
        let payload = self.payload(contract::AUDIT_EVENT, event.encode_to_vec().into(), &mut headers)?;
        Ok(Message { route: Route::Audit, key: self.integration.clone(), payload, headers, read_at: None })
    }

    /// Returns the value of an encoded message, and adds the headers that say what it is.
    fn payload(
        &self,
        schema: &'static str,
        encoded: Bytes,
        headers: &mut Vec<(&'static str, Bytes)>,
    ) -> Result<Bytes, JsonError> {
        let (payload, content_type) = match self.format {
            Format::Protobuf => (encoded, header::PROTOBUF),
            Format::Json => (contract::to_json(schema, &encoded)?.into(), header::JSON),
        };
        headers.push((header::CONTENT_TYPE, Bytes::from_static(content_type.as_bytes())));
        headers.push((header::SCHEMA, Bytes::from_static(schema.as_bytes())));
        Ok(payload)
    }
}

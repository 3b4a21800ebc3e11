//! Encodes events and feed statuses to the bytes of `proto/rtalink/v1`.
//!
//! Encoded once, before anything is queued: every retry sends the same bytes, and the same `eventId`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
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
/// Events in protobuf lie one behind the other in pieces of memory of this size, or as large as the event is; a piece is given
/// back when none of its events waits any more.
const PIECE_BYTES: usize = 16 * 1024;

/// Encodes what one integration publishes.
#[derive(Debug)]
pub struct Encoder {
    integration: Arc<str>,
    format: Format,
    /// What is being encoded.
    scratch: Vec<u8>,
    /// Where it is kept.
    piece: BytesMut,
}

impl Encoder {
    /// Creates an encoder for an integration.
    pub fn new(integration: Arc<str>, format: Format) -> Self {
        Self { integration, format, scratch: Vec::with_capacity(EVENT_BYTES), piece: BytesMut::new() }
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
        &mut self,
        event: &AgentEvent,
        annotation: &Annotation,
        read_at: Option<Instant>,
    ) -> Result<Message, JsonError> {
        self.scratch.clear();
        // Written where the value will be: its own text would be one more.
        let _ = write!(self.scratch, "{}/{}/{}", self.integration, event.acd, event.login_id);
        let key = String::from_utf8_lossy(&self.scratch).into();
        self.scratch.clear();
        let event_id = encoded::event_id(&self.integration, event);
        encoded::encode(&self.integration, event_id, event, annotation, &mut self.scratch);
        let mut headers = Vec::with_capacity(3);
        let encoded = match self.format {
            Format::Protobuf => self.keep_scratch(),
            // It is not kept.
            Format::Json => Bytes::copy_from_slice(&self.scratch),
        };
        let event_id = match self.format {
            Format::Protobuf => encoded.slice(encoded::EVENT_ID),
            Format::Json => Bytes::copy_from_slice(&encoded[encoded::EVENT_ID]),
        };
        headers.push((header::EVENT_ID, event_id));
        let payload = self.payload(contract::AGENT_STATE_EVENT, encoded, &mut headers)?;
        Ok(Message { route: Route::AgentState, key, payload, headers, read_at })
    }

    /// Puts what was encoded into the piece of memory.
    fn keep_scratch(&mut self) -> Bytes {
        if self.piece.capacity() < self.scratch.len() {
            // A new one: an old piece that nobody needs any more would grow instead, and stay large.
            self.piece = BytesMut::with_capacity(PIECE_BYTES.max(self.scratch.len()));
        }
        self.piece.extend_from_slice(&self.scratch);
        self.piece.split().freeze()
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

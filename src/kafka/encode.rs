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
        let (event_id, payload) = match self.format {
            Format::Protobuf => {
                let payload = self.keep_scratch();
                (payload.slice(encoded::EVENT_ID), payload)
            }
            Format::Json => {
                let payload = contract::to_json(contract::AGENT_STATE_EVENT, &self.scratch)?.into();
                (Bytes::copy_from_slice(&self.scratch[encoded::EVENT_ID]), payload)
            }
        };
        let mut headers = Vec::with_capacity(3);
        headers.push((header::EVENT_ID, event_id));
        headers.extend(self.content(contract::AGENT_STATE_EVENT));
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
        let message = status::message(&self.integration, status);
        self.message(Route::FeedStatus, contract::FEED_STATUS, message.encode_to_vec())
    }

    /// Returns the message of a record for the audit topic.
    ///
    /// # Errors
    /// When the JSON form cannot be created.
    pub fn audit_message(&self, event: &v1::AuditEvent) -> Result<Message, JsonError> {
        self.message(Route::Audit, contract::AUDIT_EVENT, event.encode_to_vec())
    }

    /// Returns a message with the integration for its key.
    fn message(&self, route: Route, schema: &'static str, encoded: Vec<u8>) -> Result<Message, JsonError> {
        let payload = match self.format {
            Format::Protobuf => encoded.into(),
            Format::Json => contract::to_json(schema, &encoded)?.into(),
        };
        let (key, headers) = (Arc::clone(&self.integration), self.content(schema).into());
        Ok(Message { route, key, payload, headers, read_at: None })
    }

    fn content(&self, schema: &'static str) -> [(&'static str, Bytes); 2] {
        header::content(schema, self.format == Format::Json)
    }
}

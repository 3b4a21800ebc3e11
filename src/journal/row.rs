//! A row of the journal: what one integration hands over at a time, converted to bytes and back.
//!
//! Invariant: a message comes back as it was, with the same key, value and headers, in their order: what is sent after a
//! restart is what was due before it. The headers of events and feed statuses follow from the route, from how the value is
//! encoded and from the event's id, and only these are written; all others are written by name. A feed status without any
//! header is the one message that would come back with some.
//!
//! `read_at` crosses a restart as wall-clock time. Its age is kept, at least zero: a clock that was set back makes a message
//! new, never from the future. Policy: bytes that are not a batch, or are of a newer version, are an error that names the
//! message; nothing panics. Pure but for the clock. Cost: value and key are copied.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use uuid::Uuid;

use crate::contract::header;
use crate::contract::put::Put;
use crate::contract::{self, store};
use crate::time::Timestamp;

use super::message::{AgentImages, Message, Route};

type Headers = Vec<(&'static str, Bytes)>;

/// Why a row could not be read. Keys contain login ids and are not named: this goes to the log, with the row's position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The bytes are not a batch.
    #[error("not a row of the journal, it may be damaged: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A route of a newer version.
    #[error("route {route} of a message is not known to this version: a newer one has written it, run that one")]
    Route {
        /// As it was written.
        route: i32,
    },
    /// A header that this version never writes.
    #[error("header {name:?} of a message is not known to this version: a newer one has written it, run that one")]
    Header {
        /// As it was written.
        name: String,
    },
    /// An event id that is not one.
    #[error("a message has an event id of {length} bytes instead of 16, the row may be damaged")]
    EventId {
        /// How long it is.
        length: usize,
    },
}

impl RowError {
    /// Whether a newer version wrote it: it is intact, and must be kept for that version.
    pub const fn is_newer(&self) -> bool {
        match self {
            Self::Route { .. } | Self::Header { .. } => true,
            Self::Decode(_) | Self::EventId { .. } => false,
        }
    }
}

/// Numbers of the fields of a `rtalink.store.v1.Batch`.
const MESSAGES: u32 = 1;
pub(super) const AGENTS: u32 = 2;
const FORGOTTEN: u32 = 3;

/// Encodes a batch as the journal has it, with the agents as they are after it, and those who are forgotten.
pub fn encode(messages: &[Message], agents: &AgentImages, forgotten: &[store::Forgotten]) -> Vec<u8> {
    /// Around a message: where it goes, when it was read, the id of its event. Headers are mostly not written.
    const AROUND: usize = 48;
    let now = Now::read();
    let value = |message: &Message| message.key.len() + message.payload.len() + AROUND;
    let size = messages.iter().map(value).sum::<usize>() + agents.fields().len();
    let mut row = Vec::with_capacity(size);
    let mut put = Put(&mut row);
    for message in messages {
        put.message(MESSAGES, |put| put_message(put, message, now));
    }
    row.extend_from_slice(agents.fields());
    let mut put = Put(&mut row);
    for who in forgotten {
        put.optional_bytes(FORGOTTEN, Some(who.encode_to_vec()));
    }
    row
}

/// Reads a batch back from [`encode`].
///
/// # Errors
/// Bytes that are not a batch, or of a newer version.
pub fn decode(content: &[u8]) -> Result<(Vec<Message>, Vec<store::AgentMemory>), RowError> {
    let batch = store::Batch::decode(content)?;
    let now = Now::read();
    let messages = batch.messages.into_iter().map(|stored| from_stored_at(stored, now)).collect::<Result<_, _>>()?;
    Ok((messages, batch.agents))
}

/// Returns a message as the store has it.
pub fn stored(message: &Message) -> store::Message {
    stored_at(message, Now::read())
}

/// Reads a message back from [`stored`].
///
/// # Errors
/// One of a newer version.
pub fn from_stored(stored: &store::Message) -> Result<Message, RowError> {
    from_stored_at(stored.clone(), Now::read())
}

/// Whether [`from_stored`] can read it.
pub(super) fn check(stored: &store::Message) -> Result<(), RowError> {
    envelope(stored).map(|_| ())
}

fn stored_at(message: &Message, now: Now) -> store::Message {
    let mut bytes = Vec::with_capacity(message.size());
    put_message(&mut Put(&mut bytes), message, now);
    // What was written here can be read.
    store::Message::decode(&*bytes).unwrap_or_default()
}

/// Writes a `rtalink.store.v1.Message`.
fn put_message(put: &mut Put<'_>, message: &Message, now: Now) {
    let json = message.headers.iter().any(|(name, value)| *name == header::CONTENT_TYPE && *value == header::JSON);
    let event_id = event_id(message);
    let is_derived = is_derived(message, json, event_id);
    let route = match message.route {
        Route::AgentState => store::message::Route::AgentState,
        Route::FeedStatus => store::message::Route::FeedStatus,
        Route::DeadLetter => store::message::Route::DeadLetter,
        Route::Refresh => store::message::Route::Refresh,
        Route::Audit => store::message::Route::Audit,
        Route::Tombstone => store::message::Route::Tombstone,
    };
    put.int(1, route as i32);
    put.bytes(2, &*message.key);
    put.bytes(3, &message.payload);
    put.int(4, message.read_at.map_or(0, |read_at| now.wall_clock(read_at)));
    put.flag(5, json && is_derived);
    if is_derived {
        put.bytes(6, event_id.as_ref().map_or(&[][..], |id| id.as_bytes()));
        return;
    }
    for (name, value) in &message.headers {
        put.message(7, |put| {
            put.bytes(1, name);
            put.bytes(2, value);
        });
    }
}

fn from_stored_at(stored: store::Message, now: Now) -> Result<Message, RowError> {
    let (route, headers) = envelope(&stored)?;
    let store::Message { key, payload, read_at, .. } = stored;
    let read_at = (read_at != 0).then(|| now.instant(read_at));
    Ok(Message { route, key: key.into(), payload: payload.into(), headers, read_at })
}

/// Returns where a message goes, and its headers.
fn envelope(stored: &store::Message) -> Result<(Route, Headers), RowError> {
    let store::Message { route, json, ref event_id, ref headers, .. } = *stored;
    let route = match store::message::Route::try_from(route) {
        Ok(store::message::Route::AgentState) => Route::AgentState,
        Ok(store::message::Route::FeedStatus) => Route::FeedStatus,
        Ok(store::message::Route::DeadLetter) => Route::DeadLetter,
        Ok(store::message::Route::Refresh) => Route::Refresh,
        Ok(store::message::Route::Audit) => Route::Audit,
        Ok(store::message::Route::Tombstone) => Route::Tombstone,
        Ok(store::message::Route::Unspecified) | Err(_) => return Err(RowError::Route { route }),
    };
    let event_id = match (event_id.is_empty(), Uuid::from_slice(event_id)) {
        (true, _) => None,
        (false, Ok(event_id)) => Some(event_id),
        (false, Err(_)) => return Err(RowError::EventId { length: event_id.len() }),
    };
    let headers = if headers.is_empty() {
        derived(route, json, event_id).unwrap_or_default()
    } else {
        named(headers).map_err(|name| RowError::Header { name })?
    };
    Ok((route, headers))
}

/// The headers of an event or a feed status; `None` where they do not follow from it.
fn derived(route: Route, json: bool, event_id: Option<Uuid>) -> Option<Headers> {
    let content = |schema| header::content(schema, json);
    match route {
        Route::AgentState | Route::Refresh => {
            let event_id = Bytes::from(event_id?.to_string());
            let id = [(header::EVENT_ID, event_id)];
            Some(id.into_iter().chain(content(contract::AGENT_STATE_EVENT)).collect())
        }
        Route::FeedStatus => Some(content(contract::FEED_STATUS).to_vec()),
        Route::Audit => Some(content(contract::AUDIT_EVENT).to_vec()),
        Route::Tombstone => Some(Vec::new()),
        Route::DeadLetter => None,
    }
}

/// Whether the headers of a message are those that [`derived`] makes again.
fn is_derived(message: &Message, json: bool, event_id: Option<Uuid>) -> bool {
    let is_content = |headers: &[(&'static str, Bytes)], schema| *headers == header::content(schema, json);
    match (message.route, &*message.headers) {
        (Route::AgentState | Route::Refresh, [(header::EVENT_ID, id), content @ ..]) => {
            let is_same = |known: Uuid| *id == known.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes();
            event_id.is_some_and(is_same) && is_content(content, contract::AGENT_STATE_EVENT)
        }
        (Route::FeedStatus, content) => is_content(content, contract::FEED_STATUS),
        (Route::Audit, content) => is_content(content, contract::AUDIT_EVENT),
        (Route::Tombstone, headers) => headers.is_empty(),
        (Route::AgentState | Route::Refresh | Route::DeadLetter, _) => false,
    }
}

fn event_id(message: &Message) -> Option<Uuid> {
    let (_, text) = message.headers.iter().find(|(name, _)| *name == header::EVENT_ID)?;
    Uuid::try_parse_ascii(text).ok()
}

/// Headers written by name, or the name that is not known.
fn named(headers: &[store::Header]) -> Result<Headers, String> {
    let known = |name: &str| header::ALL.into_iter().find(|known| *known == name);
    headers
        .iter()
        .map(|header| match known(&header.name) {
            Some(name) => Ok((name, Bytes::copy_from_slice(&header.value))),
            None => Err(header.name.clone()),
        })
        .collect()
}

/// The same moment on both clocks.
#[derive(Clone, Copy)]
struct Now {
    instant: Instant,
    wall: Timestamp,
}

impl Now {
    fn read() -> Self {
        Self { instant: Instant::now(), wall: Timestamp::now() }
    }

    /// Returns microseconds since 1970, at least one: 0 means none.
    fn wall_clock(self, at: Instant) -> i64 {
        self.wall.minus(self.instant.saturating_duration_since(at)).as_micros().max(1)
    }

    fn instant(self, wall_clock: i64) -> Instant {
        let age: Duration = self.wall.since(Timestamp::from_micros(wall_clock));
        // A monotonic clock need not reach back that far: then the message counts as new.
        self.instant.checked_sub(age).unwrap_or(self.instant)
    }
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;

//! What goes to Kafka: encoded once, before it is queued, so that every retry sends the same bytes.
//!
//! The names that consumers rely on are here and nowhere else: the headers, the content types, and which route leads
//! to which topics.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::config::model::Topics;

/// Names of Kafka headers and the values that are fixed.
pub mod header {
    /// The event's id, the same over retries and restarts.
    pub const EVENT_ID: &str = "event_id";
    /// How the value is encoded: [`PROTOBUF`] or [`JSON`].
    pub const CONTENT_TYPE: &str = "content-type";
    /// Full name of the protobuf message in the value.
    pub const SCHEMA: &str = "schema";
    /// Dead letters: the integration whose record it was.
    pub const INTEGRATION: &str = "integration";
    /// Dead letters: why it was refused.
    pub const REASON: &str = "reason";
    /// Dead letters: offset of the record in its connection, decimal.
    pub const OFFSET: &str = "offset";
    /// Dead letters: when it was read, RFC 3339.
    pub const RECEIVED_AT: &str = "received_at";

    /// Checkpoints: id of the store whose journal the position is of.
    pub const OWNER: &str = "owner";
    /// Checkpoints: the runs by which the journal was counted, the one that publishes last.
    pub const RUNS: &str = "runs";
    /// Checkpoints: when the transaction was ended, RFC 3339.
    pub const COMMITTED_AT: &str = "committed_at";

    /// Every name that a journaled message may have.
    pub const ALL: [&str; 7] = [EVENT_ID, CONTENT_TYPE, SCHEMA, INTEGRATION, REASON, OFFSET, RECEIVED_AT];

    /// [`CONTENT_TYPE`] of encoded protobuf messages.
    pub const PROTOBUF: &str = "application/x-protobuf";
    /// [`CONTENT_TYPE`] of their JSON form.
    pub const JSON: &str = "application/json";
    /// [`CONTENT_TYPE`] of checkpoints.
    pub const TEXT: &str = "text/plain";
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The events topic and, with the same key and value, the compacted current topic.
    AgentState,
    /// The feed-status topic.
    FeedStatus,
    /// The dead-letter topic.
    DeadLetter,
    /// The compacted current topic alone: an agent's last event, once more and unchanged.
    Refresh,
    /// The audit topic.
    Audit,
    /// The compacted current topic alone, without a value: an agent is forgotten.
    Tombstone,
}

impl Route {
    /// The topics that a message of this route goes to.
    pub const fn topics(self) -> &'static [Topic] {
        match self {
            Self::AgentState => &[Topic::Events, Topic::Current],
            Self::FeedStatus => &[Topic::FeedStatus],
            Self::DeadLetter => &[Topic::DeadLetter],
            Self::Refresh | Self::Tombstone => &[Topic::Current],
            Self::Audit => &[Topic::Audit],
        }
    }
}

/// One of the topics that are published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Every transition.
    Events,
    /// Each agent's last event, compacted.
    Current,
    /// Connections, gaps, outages.
    FeedStatus,
    /// Records that could not be read.
    DeadLetter,
    /// How far each integration's messages are committed; with exactly-once delivery only.
    Checkpoint,
    /// Who did what, and who looked at whom.
    Audit,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Events, Self::Current, Self::FeedStatus, Self::DeadLetter, Self::Checkpoint, Self::Audit];

    /// Its configured name.
    pub fn name(self, topics: &Topics) -> &str {
        match self {
            Self::Events => &topics.events,
            Self::Current => &topics.current,
            Self::FeedStatus => &topics.feed_status,
            Self::DeadLetter => &topics.dead_letter,
            Self::Checkpoint => &topics.checkpoint,
            Self::Audit => &topics.audit,
        }
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it goes.
    pub route: Route,
    /// Kafka key.
    pub key: Arc<str>,
    /// Kafka value.
    pub payload: Bytes,
    /// Kafka headers, in this order.
    pub headers: Vec<(&'static str, Bytes)>,
    /// When its bytes were read from the socket: the start of the event latency. `None` where no socket read caused it.
    pub read_at: Option<Instant>,
}

impl Message {
    /// What is at the key is to be forgotten.
    pub fn tombstone(key: Arc<str>) -> Self {
        Self { route: Route::Tombstone, key, payload: Bytes::new(), headers: Vec::new(), read_at: None }
    }

    /// The Kafka value; a tombstone has none.
    pub fn value(&self) -> Option<&[u8]> {
        (self.route != Route::Tombstone).then_some(&self.payload)
    }

    /// Bytes of key, value and headers: what it counts for in a queue.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.payload.len() + headers
    }
}

/// What one worker hands over at a time, all of one integration and in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order in which they are to be published.
    pub messages: Vec<Message>,
    /// Agents as they are after these messages, each once: what a restart has to know if it finds them.
    pub agents: Vec<crate::proto::store::AgentMemory>,
    /// Agents who are forgotten with the tombstones among the messages: none of them is in `agents`.
    pub forgotten: Vec<crate::proto::store::Forgotten>,
    /// May take the reserve of a full journal: feed statuses.
    pub is_urgent: bool,
}

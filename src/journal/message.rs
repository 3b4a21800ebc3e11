//! Messages to Kafka: encoded once, before they are queued, so that every retry sends the same bytes.
//!
//! The names that consumers rely on are here and nowhere else: the headers, the content types, and which route leads
//! to which topics.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

pub use crate::config::topics::Topic;

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
    /// Returns the topics that a message of this route goes to.
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
    /// Creates a tombstone: what is at the key is to be forgotten.
    pub fn tombstone(key: Arc<str>) -> Self {
        Self { route: Route::Tombstone, key, payload: Bytes::new(), headers: Vec::new(), read_at: None }
    }

    /// Returns the Kafka value; a tombstone has none.
    pub fn value(&self) -> Option<&[u8]> {
        (self.route != Route::Tombstone).then_some(&self.payload)
    }

    /// Returns the bytes of key, value and headers: its size in a queue.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.payload.len() + headers
    }
}

/// What a worker hands over at a time, all of one integration and in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order in which they are to be published. None where nothing but `source` has changed.
    pub messages: Vec<Message>,
    /// Agents as they are after these messages, each once: what a restart needs to know if it finds them.
    pub agents: Vec<crate::contract::store::AgentMemory>,
    /// Agents who are forgotten with the tombstones among the messages: none of them is in `agents`.
    pub forgotten: Vec<crate::contract::store::Forgotten>,
    /// How far the source has been read with these messages, as its lane remembers it from then on, in the same commit: a
    /// `rtalink.store.v1.FeedMemory`. Absent where the source is a feed.
    pub source: Option<Vec<u8>>,
    /// May take the reserve of a full journal: feed statuses.
    pub is_urgent: bool,
}

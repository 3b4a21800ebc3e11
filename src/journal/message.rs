//! Messages to Kafka: encoded once, before they are queued, so that every retry sends the same bytes.
//!
//! The names that consumers rely on are here and nowhere else: the headers, the content types, and which route leads
//! to which topics.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::contract::header;
use crate::contract::put::Put;
use crate::contract::saved;
use crate::mapping::annotate::Published;
use crate::tracker::saved::SavedAgent;

use super::row;

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

    /// Returns the same with bytes of its own: those of an event lie between others, which would be kept with it.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.payload = Bytes::copy_from_slice(&self.payload);
        for (name, value) in &mut self.headers {
            if *name == header::EVENT_ID {
                *value = Bytes::copy_from_slice(value);
            }
        }
        self
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
    pub agents: AgentImages,
    /// Agents who are forgotten with the tombstones among the messages: none of them is in `agents`.
    pub forgotten: Vec<crate::contract::store::Forgotten>,
    /// How far the source has been read with these messages, as its lane remembers it from then on, in the same commit: a
    /// `rtalink.store.v1.FeedMemory`. Absent where the source is a feed.
    pub source: Option<Vec<u8>>,
    /// May take the reserve of a full journal: feed statuses.
    pub is_urgent: bool,
}

/// Agents as they are after the messages of a batch, in the form of its row.
#[derive(Clone, Debug, Default)]
pub struct AgentImages(Vec<u8>);

impl AgentImages {
    /// Makes one with room for so many.
    pub fn with_capacity(agents: usize) -> Self {
        /// Of an agent with some skills.
        const IMAGE: usize = 256;
        Self(Vec::with_capacity(agents * IMAGE))
    }

    /// Adds an agent. The message of their last event is in the same row.
    pub fn add(&mut self, agent: &SavedAgent, published: Option<&Published>) {
        Put(&mut self.0).message(row::AGENTS, |put| saved::put_agent(put, agent, published, None));
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns them as fields of a row.
    pub(super) fn fields(&self) -> &[u8] {
        &self.0
    }
}

/// Of agents that [`saved::encode_agent`] has encoded.
impl<I: AsRef<[u8]>> FromIterator<I> for AgentImages {
    fn from_iter<T: IntoIterator<Item = I>>(images: T) -> Self {
        let mut all = Vec::new();
        images.into_iter().for_each(|image| Put(&mut all).optional_bytes(row::AGENTS, Some(image)));
        Self(all)
    }
}

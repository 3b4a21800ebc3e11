//! What goes to Kafka: encoded once, before it is queued, so that every retry sends the same bytes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The events topic and, with the same key and value, the compacted current topic.
    AgentState,
    /// The feed-status topic.
    FeedStatus,
    /// The dead-letter topic.
    DeadLetter,
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

/// What one worker hands over at a time, all of one integration and in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order in which they are to be published.
    pub messages: Vec<Message>,
}

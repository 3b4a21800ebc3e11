//! What comes out of an engine.

use std::sync::Arc;

use crate::mapping::annotate::Annotation;
use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, SnapshotEvent};
use crate::tracker::status::FeedStatus;
use crate::wire::framing::Frame;
use crate::wire::reason::Reason;

use super::session::ConnectionId;

/// What comes out, in order.
#[derive(Debug)]
pub enum Finding {
    /// A transition with its mapping.
    Event(Box<AgentEvent>, Box<Annotation>),
    /// Something happened to the feed.
    Status(Box<FeedStatus>),
    /// Bytes that are not a valid record.
    DeadLetter(DeadLetter),
    /// A snapshot has ended.
    Snapshot(SnapshotEvent),
    /// A connection is to be closed.
    Close(ConnectionId, CloseReason),
    /// A connection ended without a valid record, and no feed status reports it: there were too many like it. Holds its
    /// address and port.
    Probe(Arc<str>),
}

/// Bytes that are not a valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why.
    pub reason: Reason,
    /// Distance of the record from the beginning of its connection, in bytes.
    pub offset: u64,
    /// At most `max_record` bytes of it.
    pub raw: Vec<u8>,
    /// Receipt.
    pub received_at: Timestamp,
}

/// Why the engine wants a connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Another one took over.
    Replaced,
    /// It sent no valid record in time, or nothing but invalid ones.
    NoValidRecord,
    /// Too many wait already.
    TooManyWaiting,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Replaced, Self::NoValidRecord, Self::TooManyWaiting];

    /// Returns the label in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::NoValidRecord => "no_valid_record",
            Self::TooManyWaiting => "too_many_waiting",
        }
    }
}

impl DeadLetter {
    pub(super) fn new(frame: Frame<'_>, reason: Reason, received_at: Timestamp) -> Self {
        Self { reason, offset: frame.offset, raw: frame.bytes.to_vec(), received_at }
    }
}

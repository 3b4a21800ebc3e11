//! The last event of each agent, to be written to the current topic again while nothing changes (`refresh_after`).
//!
//! The message is the one that was published, byte for byte, with its `event_id`: consumers can tell that it is a copy. Off
//! by default; then nothing is kept.

use std::collections::HashMap;
use std::time::Duration;

use crate::contract::store::Message as StoredMessage;
use crate::journal::message::{Message, Route};
use crate::journal::row;
use crate::time::Timestamp;
use crate::tracker::event::AgentEvent;
use crate::tracker::table::AgentIndex;

/// Messages that are written again at a time: a second later there may be more.
const PORTION: usize = 500;

#[derive(Debug)]
struct LastEvent {
    message: Message,
    written_at: Timestamp,
}

/// The last event of each agent, to be written again.
#[derive(Debug, Default)]
pub struct LastEvents {
    after: Option<Duration>,
    events: HashMap<AgentIndex, LastEvent>,
}

impl LastEvents {
    /// Creates one that writes them again after so long; never, without `after`.
    pub fn new(after: Option<Duration>) -> Self {
        Self { after, events: HashMap::new() }
    }

    /// Whether events need to be remembered.
    pub(super) const fn are_kept(&self) -> bool {
        self.after.is_some()
    }

    /// Remembers an event as it is published.
    pub(super) fn note(&mut self, event: &AgentEvent, message: Message) {
        self.put(event.agent, message.detached(), event.observed_at);
    }

    /// Remembers the message that was published before a restart.
    pub(super) fn put(&mut self, agent: AgentIndex, message: Message, written_at: Timestamp) {
        if self.are_kept() {
            let message = Message { route: Route::Refresh, read_at: None, ..message };
            self.events.insert(agent, LastEvent { message, written_at });
        }
    }

    /// An agent is forgotten.
    pub(super) fn forget(&mut self, agent: AgentIndex) {
        self.events.remove(&agent);
    }

    /// Takes the messages that have not been written for so long.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Message> {
        let Some(after) = self.after else { return Vec::new() };
        let is_due = |last: &&mut LastEvent| now.since(last.written_at) >= after;
        let due = self.events.values_mut().filter(is_due).take(PORTION);
        due.map(|last| {
            last.written_at = now;
            last.message.clone()
        })
        .collect()
    }

    /// Returns an agent's message, to be written again.
    pub(super) fn message(&self, agent: AgentIndex) -> Option<Message> {
        self.events.get(&agent).map(|last| last.message.clone())
    }

    /// Returns an agent's message, for the store.
    pub(super) fn stored(&self, agent: AgentIndex) -> Option<StoredMessage> {
        self.events.get(&agent).map(|last| row::stored(&last.message))
    }
}

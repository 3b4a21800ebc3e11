//! What the store has, or should have, of an integration's agents: the table, and their last messages.

use std::collections::VecDeque;

use crate::journal::lane::Lane;
use crate::journal::message::Message;
use crate::journal::store::AgentKey;
use crate::kafka::comparison::Again;
use crate::time::Timestamp;
use crate::tracker::table::{AgentIndex, AgentTable};

use super::checkpoint::CheckpointWriter;
use super::refresh::LastEvents;
use super::standing::Accepted;

/// Agents who are written to `current` again at a time.
const PORTION: usize = 1_000;

/// The agents in the store, and those who are to be written again.
#[derive(Debug)]
pub(super) struct SavedAgents {
    checkpoint: CheckpointWriter,
    last_events: LastEvents,
    to_be_written: VecDeque<AgentIndex>,
}

impl SavedAgents {
    /// Creates it as it was restored.
    pub(super) const fn new(checkpoint: CheckpointWriter, last_events: LastEvents) -> Self {
        Self { checkpoint, last_events, to_be_written: VecDeque::new() }
    }

    /// Returns the last event of each agent.
    pub(super) const fn last_events_mut(&mut self) -> &mut LastEvents {
        &mut self.last_events
    }

    /// Whether the table in the store is known to be whole.
    pub(super) const fn is_recovered(&self) -> bool {
        self.checkpoint.is_recovered()
    }

    /// Writes a portion of the table if one is due.
    pub(super) fn write_portion(&mut self, mut table: Accepted<'_>, lane: &Lane, at: Timestamp) {
        let last_event = |agent| self.last_events.stored(agent);
        self.checkpoint.tick(&mut table, lane, at, last_event);
    }

    /// Writes the table, all at once.
    pub(super) fn write_whole(&mut self, mut table: Accepted<'_>, lane: &Lane, at: Timestamp) {
        let last_event = |agent| self.last_events.stored(agent);
        self.checkpoint.finish(&mut table, lane, at, last_event);
    }

    /// Writes what the journal's rows say, while the engine is ahead of the journal: rows that are never covered would never
    /// leave it.
    pub(super) fn cover(&mut self, integration: &str, lane: &Lane, at: Timestamp) {
        let keeps_events_of = self.last_events.are_kept().then_some(integration);
        self.checkpoint.cover(lane, at, keeps_events_of);
    }

    /// Does the same for an integration whose table is not known to be whole, and must not be marked so.
    pub(super) fn cover_incomplete(&mut self, lane: &Lane, at: Timestamp) {
        self.checkpoint.cover(lane, at, None);
    }

    /// Returns the messages that have not been written to `current` for long.
    pub(super) fn due_again(&mut self, at: Timestamp) -> Vec<Message> {
        self.last_events.due(at)
    }

    /// Returns an agent's last message, where it is remembered.
    pub(super) fn last_message(&self, agent: AgentIndex) -> Option<Message> {
        self.last_events.message(agent)
    }

    /// Remembers whom the topic `current` lacks.
    pub(super) fn note_again(&mut self, again: Again, table: &AgentTable) {
        match again {
            Again::Nobody => {}
            Again::Of(agents) => {
                self.to_be_written.extend(agents.iter().filter_map(|(acd, login_id)| table.find(*acd, login_id)));
            }
            Again::All => self.to_be_written = table.indices().collect(),
        }
    }

    /// Whether nobody is to be written again.
    pub(super) fn is_nobody_due(&self) -> bool {
        self.to_be_written.is_empty()
    }

    /// Takes a portion of those who are to be written again.
    pub(super) fn take_portion(&mut self) -> Vec<AgentIndex> {
        self.to_be_written.drain(..self.to_be_written.len().min(PORTION)).collect()
    }

    /// Puts a portion back that found no room.
    pub(super) fn put_back(&mut self, portion: Vec<AgentIndex>) {
        portion.into_iter().rev().for_each(|agent| self.to_be_written.push_front(agent));
    }

    /// An agent of the table is forgotten: their number may be somebody else's from now on.
    pub(super) fn forget_number(&mut self, agent: AgentIndex) {
        self.last_events.forget(agent);
        self.checkpoint.forget_number(agent);
    }

    /// Somebody is forgotten, with a tombstone that ends there.
    pub(super) fn forget(&mut self, key: AgentKey, end: u64) {
        self.checkpoint.forget(key, end);
    }

    /// Returns the ends of a login id's tombstones that Kafka may not have yet, with their ACDs.
    pub(super) fn tombstones(&self, login_id: &str, lane: &Lane) -> impl Iterator<Item = (u32, u64)> {
        self.checkpoint.tombstones(login_id, lane)
    }
}

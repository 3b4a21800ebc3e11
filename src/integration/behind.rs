//! Continues after what Kafka has, where the store is older than that, and writes to the topic `current` what it lacks
//! ([`crate::kafka::comparison`]).
//!
//! The agent's last event is written again: the same message where it is remembered (`refresh_after`), else a new one with
//! its sequence, made from what is known of the agent, with an id of its own. This happens in portions, so that events do not
//! wait for it.

use std::collections::VecDeque;

use crate::journal::message::{Batch, Message, Route};
use crate::kafka::comparison::Again;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::tracker::table::AgentIndex;
use crate::views::model::Update;

use super::worker::Charge;

/// Agents who are written again at a time.
const PORTION: usize = 1_000;

/// Agents who are to be written again.
pub(super) type ToBeWritten = VecDeque<AgentIndex>;

impl Charge {
    /// Takes the agents whom the topic lacks, and writes a portion of them.
    pub(super) fn write_again(&mut self) {
        let table = self.engine.tracker().table();
        match self.publish.comparison().take_again() {
            Again::Nobody => {}
            Again::Of(agents) => {
                self.to_be_written.extend(agents.iter().filter_map(|(acd, login_id)| table.find(*acd, login_id)));
            }
            Again::All => self.to_be_written = table.indices().collect(),
        }
        if self.to_be_written.is_empty() || !self.publish.lane().is_below_half() {
            return;
        }
        let portion: Vec<AgentIndex> = self.to_be_written.drain(..self.to_be_written.len().min(PORTION)).collect();
        let mut messages = Vec::new();
        for agent in &portion {
            if let Some(message) = self.last_events.message(*agent) {
                messages.push(message);
            } else if let Some((event, annotation)) = self.engine.current_of(*agent) {
                let message = self.encoder.event_message(&event, &annotation, None);
                let again = message.map(|message| Message { route: Route::Refresh, ..message });
                self.collect(&mut messages, again);
            }
        }
        if messages.is_empty() {
            return;
        }
        if let Err(refused) = self.publish.submit(Batch { messages, ..Batch::default() }) {
            tracing::debug!(target: INTEGRATION, integration = %self.id, %refused, "not written again yet");
            portion.into_iter().rev().for_each(|agent| self.to_be_written.push_front(agent));
        }
    }

    /// Answers what is known to a comparison that asks, even while the journal is full: nothing leaves it before.
    pub(super) fn answer_comparison(&self) {
        let comparison = self.publish.comparison();
        if comparison.asks() {
            comparison.tell(self.engine.sequences());
        }
    }

    /// Takes the agents of whom Kafka knew more.
    pub(super) fn compare(&mut self, at: Timestamp) {
        self.answer_comparison();
        let found = self.publish.comparison().take_found();
        if found.is_empty() {
            return;
        }
        if self.engine.go_on_behind(found, at, &mut self.findings) {
            let restored = self.engine.current();
            self.tell_model(Update::Restored(restored));
        }
        self.conclude(None);
    }
}

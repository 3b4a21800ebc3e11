//! Continues after what Kafka has, where the store is older than that, and writes to the topic `current` what it lacks
//! ([`crate::kafka::comparison`]).
//!
//! The agent's last event is written again: the same message where it is remembered (`refresh_after`), else a new one with
//! its sequence, made from what is known of the agent, with an id of its own. This happens in portions, so that events do not
//! wait for it.

use crate::journal::message::{Batch, Message, Route};
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::tracker::table::AgentIndex;
use crate::views::model::Update;

use super::integration_worker::IntegrationWorker;

impl IntegrationWorker {
    /// Takes the agents whom the topic lacks, and writes a portion of them.
    pub(super) fn write_again(&mut self) {
        let again = self.publishing.handle().comparison().take_again();
        self.saved.note_again(again, self.engine.tracker().table());
        if self.saved.is_nobody_due() || !self.publishing.lane().is_below_half() {
            return;
        }
        let portion = self.saved.take_portion();
        let messages: Vec<Message> = portion.iter().filter_map(|agent| self.message_again(*agent)).collect();
        if messages.is_empty() {
            return;
        }
        if let Err(refused) = self.publishing.handle().submit(Batch { messages, ..Batch::default() }) {
            tracing::debug!(target: INTEGRATION, integration = %self.id, %refused, "not written again yet");
            self.saved.put_back(portion);
        }
    }

    fn message_again(&mut self, agent: AgentIndex) -> Option<Message> {
        if let Some(message) = self.saved.last_message(agent) {
            return Some(message);
        }
        let (event, annotation) = self.engine.current_of(agent)?;
        let message = self.publishing.event_message(&event, &annotation, None)?;
        Some(Message { route: Route::Refresh, ..message })
    }

    /// Answers what is known to a comparison that asks, even while the journal is full: nothing leaves it before.
    pub(super) fn answer_comparison(&self) {
        let comparison = self.publishing.handle().comparison();
        if comparison.asks() {
            comparison.answer(self.engine.sequences());
        }
    }

    /// Takes the agents of whom Kafka knew more.
    pub(super) fn compare(&mut self, at: Timestamp) {
        self.answer_comparison();
        let found = self.publishing.handle().comparison().take_found();
        if found.is_empty() {
            return;
        }
        if self.engine.go_on_behind(found, at, self.findings.found_mut()) {
            let restored = self.engine.current();
            self.reporting.update_model(Update::Restored(restored));
        }
        self.conclude(None);
    }
}

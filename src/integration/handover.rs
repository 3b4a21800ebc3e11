//! Hands a worker's findings to the journal, in order, and keeps what there is no room for.

use std::sync::atomic::Ordering;

use crate::contract::saved;
use crate::fail_point;
use crate::journal::Refused;
use crate::journal::message::{Batch, Message, Route};
use crate::telemetry::metrics::Dropped;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::tracker::event::StatusKind;
use crate::tracker::table::AgentIndex;
use crate::views::model::Published;

use super::standing::Standing;
use super::worker::{Charge, SHARE_FINDINGS};

impl Charge {
    pub(super) fn collect(&self, messages: &mut Vec<Message>, encoded: Result<Message, crate::contract::JsonError>) {
        match encoded {
            Ok(message) => messages.push(message),
            Err(error) => {
                tracing::error!(target: INTEGRATION, integration = %self.id, %error, "an event cannot be encoded and is lost")
            }
        }
    }

    /// Gives messages to the journal, with the agents as they are after the events; while it has no room, keeps the latest
    /// states. Returns the events.
    pub(super) fn hand_over(&mut self, messages: Vec<Message>, events: Vec<Published>) -> Vec<Published> {
        if self.standing.is_behind() {
            self.keep(messages, &events);
        } else if let Err(messages) = self.submit(messages, &events) {
            tracing::error!(
                target: INTEGRATION, integration = %self.id,
                stored_bytes = self.publish.lane().stored_bytes(),
                pending = self.publish.pending(),
                "the journal is full: of each agent only the latest state is kept until there is room"
            );
            self.standing = Standing::behind(self.now);
            self.keep(messages, &events);
        }
        events
    }

    /// Gives messages to the journal, which returns them when it is full.
    fn submit(&mut self, messages: Vec<Message>, events: &[Published]) -> Result<(), Vec<Message>> {
        if messages.is_empty() {
            return Ok(());
        }
        let agents = self.after_images(events);
        let of_events: Vec<Message> = if self.last_events.are_kept() {
            messages.iter().filter(|message| message.route == Route::AgentState).cloned().collect()
        } else {
            Vec::new()
        };
        fail_point::reach(fail_point::STATE_CHANGED);
        match self.publish.submit(Batch { messages, agents, ..Batch::default() }) {
            Ok(_) => {
                let noted = events.iter().zip(of_events);
                noted.for_each(|((event, _), message)| self.last_events.note(event, message));
                fail_point::reach(fail_point::SUBMITTED);
            }
            Err(Refused::Closed(batch)) => self.lose(batch.messages.len()),
            Err(Refused::Full(batch)) => return Err(batch.messages),
        }
        Ok(())
    }

    fn after_images(&self, events: &[Published]) -> Vec<crate::contract::store::AgentMemory> {
        let mut agents: Vec<AgentIndex> = events.iter().map(|(event, _)| event.agent).collect();
        agents.sort_unstable();
        agents.dedup();
        let after_image = |index| {
            let (agent, published) = self.engine.saved(index);
            // The message of their last event is in the same row.
            saved::agent_message(&agent, published.as_ref(), None)
        };
        agents.into_iter().map(after_image).collect()
    }

    fn keep(&mut self, messages: Vec<Message>, events: &[Published]) {
        let (statuses, others): (Vec<Message>, Vec<Message>) =
            messages.into_iter().partition(|message| message.route == Route::FeedStatus);
        let dead_letters = others.iter().filter(|message| message.route == Route::DeadLetter).count();
        self.metrics.dropped(Dropped::DeadLetter, dead_letters);
        self.submit_urgent(statuses);
        let Some(overflow) = self.standing.overflow() else { return self.lose(events.len()) };
        let merged = events.iter().map(|(event, annotation)| overflow.keep(event.clone(), annotation.clone())).sum();
        self.metrics.dropped(Dropped::Event, merged);
    }

    /// Submits feed statuses, which have a reserve.
    pub(super) fn submit_urgent(&mut self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        match self.publish.submit(Batch { messages, is_urgent: true, ..Batch::default() }) {
            Ok(_) => {}
            Err(Refused::Closed(batch)) => self.lose(batch.messages.len()),
            Err(Refused::Full(batch)) => self.metrics.dropped(Dropped::FeedStatus, batch.messages.len()),
        }
    }

    /// The journal is closed and has refused this: from now on it does not know what the engine knows.
    fn lose(&mut self, count: usize) {
        self.drop_kept();
        self.standing = Standing::Lost;
        self.refused.fetch_add(count, Ordering::Relaxed);
        tracing::error!(
            target: INTEGRATION, integration = %self.id, count, "the publisher is closed: messages are lost"
        );
    }

    /// Publishes a share of what was kept once there is room for it.
    pub(super) fn end_overflow(&mut self) {
        if self.publish.lane().has_room() {
            self.publish_kept();
        } else if let Some(overflow) = self.standing.overflow() {
            overflow.goes_on = false;
        }
    }

    /// Publishes a share of what was kept, if there is room; with the last one announces the gap.
    pub(super) fn publish_kept(&mut self) {
        let Some(overflow) = self.standing.overflow() else { return };
        overflow.goes_on = false;
        let gap_from = overflow.since;
        let share = overflow.take(SHARE_FINDINGS);
        let mut messages = Vec::new();
        for (event, annotation) in &share {
            self.collect(&mut messages, self.encoder.event_message(event, annotation, None));
        }
        if self.submit(messages, &share).is_err() {
            // No room after all: it keeps waiting.
            if let Some(overflow) = self.standing.overflow() {
                for (event, annotation) in share {
                    overflow.keep(event, annotation);
                }
            }
            return;
        }
        let Some(overflow) = self.standing.overflow() else { return };
        overflow.written += share.len();
        overflow.goes_on = !overflow.is_empty();
        if overflow.goes_on {
            return;
        }
        let kept = overflow.written;
        self.standing = Standing::Level;
        let status = self.status_now(StatusKind::Restored { gap_from, gap_to: self.now }, self.now);
        tracing::warn!(
            target: INTEGRATION, integration = %self.id, kept, %gap_from, gap_to = %self.now, "the journal has room again: latest states published"
        );
        self.metrics.status(status.event.kind);
        let mut messages = Vec::new();
        self.collect(&mut messages, self.encoder.status_message(&status));
        self.submit_urgent(messages);
    }

    /// Writes again what has not been written for long; what there is no room for is written another time.
    pub(super) fn refresh(&mut self, at: Timestamp) {
        let messages = self.last_events.due(at);
        if messages.is_empty() {
            return;
        }
        if let Err(refused) = self.publish.submit(Batch { messages, ..Batch::default() }) {
            tracing::debug!(target: INTEGRATION, integration = %self.id, %refused, "not written again");
        }
    }
}

//! Hands an integration's messages to the journal, in order, and keeps what there is no room for.
//!
//! Invariant: the standing says at any time whether the journal has everything that the engine has said. What it refuses
//! while it is full is kept per agent (`overflow`), and published once there is room; what it refuses when it is closed is
//! lost, counted, and never reaches a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;

use crate::contract::JsonError;
use crate::engine::{DeadLetter, Engine, Finding};
use crate::fail_point;
use crate::journal::Refused;
use crate::journal::lane::Lane;
use crate::journal::message::{AgentImages, Batch, Message, Route};
use crate::kafka::PublishHandle;
use crate::kafka::dead_letter::{self, Limiter};
use crate::kafka::encode::Encoder;
use crate::mapping::annotate::Annotation;
use crate::telemetry::feed_metrics::{Dropped, FeedMetrics};
use crate::telemetry::targets::{AGENTS, INTEGRATION};
use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, StatusEvent, StatusKind};
use crate::tracker::status::FeedStatus;
use crate::tracker::table::AgentIndex;
use crate::views::model::AnnotatedEvent;
use crate::wire::escape::escape;

use super::pace::SHARE_FINDINGS;
use super::refresh::LastEvents;
use super::standing::{Accepted, Standing};

/// What an integration publishes with.
#[derive(Debug)]
pub(super) struct Publishing {
    id: Arc<str>,
    encoder: Encoder,
    handle: PublishHandle,
    metrics: FeedMetrics,
    /// Messages that the closed publisher did not take, of all integrations.
    refused: Arc<AtomicUsize>,
    limiter: Limiter,
    /// Whether names may be published: if not, only the headers of a dead letter are, since nobody knows what its bytes hold.
    event_names: bool,
    /// Whether the journal has all of it.
    standing: Standing,
}

/// What events are handed over with: what is known of their agents, and where their messages are remembered.
#[derive(Debug)]
pub(super) struct Background<'a> {
    pub(super) engine: &'a Engine,
    pub(super) last_events: &'a mut LastEvents,
    pub(super) now: Timestamp,
}

/// Returns the state of the feed as it is.
pub(super) fn status_now(engine: &Engine, kind: StatusKind, at: Timestamp) -> FeedStatus {
    FeedStatus { event: StatusEvent { kind, at, affected: 0 }, figures: engine.figures(), no_valid_record: false }
}

impl Publishing {
    /// Creates it with a journal that has everything.
    pub(super) fn new(
        id: Arc<str>,
        encoder: Encoder,
        handle: PublishHandle,
        metrics: FeedMetrics,
        refused: Arc<AtomicUsize>,
        event_names: bool,
    ) -> Self {
        let (limiter, standing) = (Limiter::default(), Standing::default());
        Self { id, encoder, handle, metrics, refused, limiter, event_names, standing }
    }

    /// Returns the way to Kafka.
    pub(super) const fn handle(&self) -> &PublishHandle {
        &self.handle
    }

    /// Returns the integration's part of the journal.
    pub(super) const fn lane(&self) -> &Lane {
        self.handle.lane()
    }

    /// Whether the journal is full: of each agent only the latest state is kept.
    pub(super) const fn is_behind(&self) -> bool {
        self.standing.is_behind()
    }

    /// Whether the journal has refused something for good.
    pub(super) const fn is_lost(&self) -> bool {
        self.standing.is_lost()
    }

    /// Whether there seems to be room for more of what is kept.
    pub(super) const fn goes_on(&self) -> bool {
        self.standing.goes_on()
    }

    /// Returns the engine's table, where the journal has accepted all of it: see [`Standing::accepted`].
    pub(super) fn accepted<'a>(&self, engine: &'a mut Engine, to_be_handed_over: &[Finding]) -> Option<Accepted<'a>> {
        self.standing.accepted(engine, to_be_handed_over)
    }

    /// Sets the gauges of what waits for Kafka.
    pub(super) fn record_waiting(&self) {
        #[allow(clippy::cast_precision_loss)] // bounded by the queue
        self.metrics.pending.set(self.handle.pending() as f64);
        self.metrics.oldest.set(self.handle.oldest_age().as_secs_f64());
    }

    /// Encodes an event.
    pub(super) fn event_message(
        &mut self,
        event: &AgentEvent,
        annotation: &Annotation,
        read_at: Option<Instant>,
    ) -> Option<Message> {
        let encoded = self.encoder.event_message(event, annotation, read_at);
        self.encoded(encoded)
    }

    /// Encodes a feed status.
    pub(super) fn status_message(&self, status: &FeedStatus) -> Option<Message> {
        self.encoded(self.encoder.status_message(status))
    }

    fn encoded(&self, encoded: Result<Message, JsonError>) -> Option<Message> {
        match encoded {
            Ok(message) => Some(message),
            Err(error) => {
                tracing::error!(target: INTEGRATION, integration = %self.id, %error, "an event cannot be encoded and is lost");
                None
            }
        }
    }

    /// Logs and counts an invalid record, and returns what is published of it.
    pub(super) fn dead_letter(&mut self, letter: DeadLetter) -> Option<Message> {
        let DeadLetter { reason, offset, raw, received_at } = letter;
        let raw = if self.event_names { raw } else { Vec::new() };
        self.metrics.dead_letter(reason);
        tracing::warn!(
            target: INTEGRATION, integration = %self.id, reason = reason.label(), offset, "invalid record: {reason}"
        );
        tracing::debug!(
            target: AGENTS, integration = %self.id, offset, raw = %escape(&raw), "an invalid record as it was read"
        );
        if !self.limiter.admit(received_at) {
            return None;
        }
        // While Kafka is away, garbage must not take the room of transitions.
        let has_room = self.lane().is_below_half();
        if !has_room {
            self.metrics.dropped(Dropped::DeadLetter, 1);
        }
        has_room.then(|| dead_letter::dead_letter(&self.id, reason.label(), offset, received_at, Bytes::from(raw)))
    }

    /// Publishes a heartbeat. It matters only for a moment, so it does not go through the journal.
    pub(super) fn beat(&self, engine: &Engine, at: Timestamp) {
        if self.handle.is_paused() {
            return;
        }
        match self.encoder.status_message(&status_now(engine, StatusKind::Heartbeat, at)) {
            Ok(message) => self.handle.send_untracked(message),
            Err(error) => {
                tracing::error!(target: INTEGRATION, integration = %self.id, %error, "a heartbeat cannot be encoded")
            }
        }
    }

    /// Gives messages to the journal, with the agents as they are after the events; while it has no room, keeps the latest
    /// states.
    pub(super) fn hand_over(
        &mut self,
        messages: Vec<Message>,
        events: &[AnnotatedEvent],
        background: &mut Background<'_>,
    ) {
        if self.standing.is_behind() {
            self.keep(messages, events);
        } else if let Err(messages) = self.submit(messages, events, background) {
            tracing::error!(
                target: INTEGRATION, integration = %self.id,
                stored_bytes = self.lane().stored_bytes(),
                pending = self.handle.pending(),
                "the journal is full: of each agent only the latest state is kept until there is room"
            );
            self.standing = Standing::behind(background.now);
            self.keep(messages, events);
        }
    }

    /// Gives messages to the journal, which returns them when it is full.
    fn submit(
        &mut self,
        messages: Vec<Message>,
        events: &[AnnotatedEvent],
        background: &mut Background<'_>,
    ) -> Result<(), Vec<Message>> {
        if messages.is_empty() {
            return Ok(());
        }
        let agents = after_images(background.engine, events);
        let of_events: Vec<Message> = if background.last_events.are_kept() {
            messages.iter().filter(|message| message.route == Route::AgentState).cloned().collect()
        } else {
            Vec::new()
        };
        fail_point::reach(fail_point::STATE_CHANGED);
        match self.handle.submit(Batch { messages, agents, ..Batch::default() }) {
            Ok(_) => {
                let noted = events.iter().zip(of_events);
                noted.for_each(|((event, _), message)| background.last_events.note(event, message));
                fail_point::reach(fail_point::SUBMITTED);
            }
            Err(Refused::Closed(batch)) => self.lose(batch.messages.len()),
            Err(Refused::Full(batch)) => return Err(batch.messages),
        }
        Ok(())
    }

    fn keep(&mut self, messages: Vec<Message>, events: &[AnnotatedEvent]) {
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
        match self.handle.submit(Batch { messages, is_urgent: true, ..Batch::default() }) {
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

    /// Drops what is kept for a full journal, which will not be written any more. Those states are news again after the next
    /// start: the store does not know them.
    pub(super) fn drop_kept(&mut self) {
        let Some(overflow) = self.standing.overflow() else { return };
        let kept = overflow.take(usize::MAX).len();
        self.metrics.dropped(Dropped::Event, kept);
        tracing::error!(
            target: INTEGRATION, integration = %self.id, kept, "the journal is still full: the latest states of these agents are not written"
        );
    }

    /// An agent is forgotten: what is kept of them is never published.
    pub(super) fn forget_kept(&mut self, agent: AgentIndex) {
        if self.standing.overflow().is_some_and(|overflow| overflow.forget(agent)) {
            self.metrics.dropped(Dropped::Event, 1);
        }
    }

    /// Publishes a share of what was kept once there is room for it.
    pub(super) fn end_overflow(&mut self, background: &mut Background<'_>) {
        if self.lane().has_room() {
            self.publish_kept(background);
        } else if let Some(overflow) = self.standing.overflow() {
            overflow.goes_on = false;
        }
    }

    /// Publishes a share of what was kept, if there is room; with the last one announces the gap.
    pub(super) fn publish_kept(&mut self, background: &mut Background<'_>) {
        let Some(overflow) = self.standing.overflow() else { return };
        overflow.goes_on = false;
        let gap_from = overflow.since;
        let share = overflow.take(SHARE_FINDINGS);
        let encoded = share.iter().filter_map(|(event, annotation)| self.event_message(event, annotation, None));
        let messages = encoded.collect();
        if self.submit(messages, &share, background).is_err() {
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
        if !overflow.goes_on {
            let kept = overflow.written;
            self.announce_gap(kept, gap_from, background);
        }
    }

    /// Everything that was kept is published: the journal has all of it again.
    fn announce_gap(&mut self, kept: usize, gap_from: Timestamp, background: &Background<'_>) {
        let gap_to = background.now;
        self.standing = Standing::Level;
        let status = status_now(background.engine, StatusKind::Restored { gap_from, gap_to }, gap_to);
        tracing::warn!(
            target: INTEGRATION, integration = %self.id, kept, %gap_from, %gap_to, "the journal has room again: latest states published"
        );
        self.metrics.status(&status);
        let message = self.status_message(&status);
        self.submit_urgent(message.into_iter().collect());
    }

    /// Writes again what has not been written for long; what there is no room for is written another time.
    pub(super) fn refresh(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        if let Err(refused) = self.handle.submit(Batch { messages, ..Batch::default() }) {
            tracing::debug!(target: INTEGRATION, integration = %self.id, %refused, "not written again");
        }
    }
}

#[cfg(test)]
impl Publishing {
    /// Behaves as after a message that found no room.
    pub(super) fn fall_behind(&mut self, since: Timestamp) {
        self.standing = Standing::behind(since);
    }

    /// Returns how many messages were lost.
    pub(super) fn lost(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Returns the agents of these events as they are now, each once.
fn after_images(engine: &Engine, events: &[AnnotatedEvent]) -> AgentImages {
    let mut agents: Vec<AgentIndex> = events.iter().map(|(event, _)| event.agent).collect();
    agents.sort_unstable();
    agents.dedup();
    let mut images = AgentImages::with_capacity(agents.len());
    for index in agents {
        let (agent, published) = engine.saved(index);
        images.add(&agent, published.as_ref());
    }
    images
}

//! One integration, as its worker owns it: drives the engine from messages and timers, and concludes what it finds.
//!
//! It is made of parts that own their rules: how far time is (`pace`), what was found and is not concluded (`findings`), the
//! way to the journal (`publishing`), what is shown (`reporting`), the agents in the store (`saved_agents`), and how long
//! people are kept (`retention`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::engine::session::ConnectionId;
use crate::engine::{Begun, Engine};
use crate::fail_point;
use crate::kafka::PublishHandle;
use crate::kafka::encode::Encoder;
use crate::mapping::tables::MappingTables;
use crate::sources::rta::forward::relay::Relay;
use crate::sources::rta::worker_channel::{FeedEvent, FromFeed};
use crate::telemetry::feed_metrics::{FeedMetrics, RemovedMetrics};
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::tracker::event::StatusKind;
use crate::views::model::{IntegrationIndex, Update, Updates};
use crate::wire::framing::Piece;

use super::checkpoint::CheckpointWriter;
use super::command::Control;
use super::findings::Findings;
use super::pace::Pace;
use super::pace::{SHARE, SHARE_FINDINGS, TICK};
use super::publishing::{Background, Publishing, status_now};
use super::refresh::LastEvents;
use super::reporting::Reporting;
use super::retention::Retention;
use super::saved_agents::SavedAgents;

/// While messages wait for Kafka for longer than this, nothing is written again.
const REFRESH_WAIT: Duration = Duration::from_secs(10);

/// One integration, as its worker owns it.
#[derive(Debug)]
pub struct IntegrationWorker {
    pub(super) id: Arc<str>,
    pub(super) engine: Engine,
    pub(super) metrics: FeedMetrics,
    pub(super) connections: HashMap<ConnectionId, CancellationToken>,
    pub(super) pace: Pace,
    pub(super) findings: Findings,
    pub(super) publishing: Publishing,
    pub(super) reporting: Reporting,
    pub(super) saved: SavedAgents,
    pub(super) retention: Retention,
    pub(super) has_feed: bool,
    removed: Option<RemovedMetrics>,
    /// Absent where nothing can be forwarded, because there is no feed.
    forward: Option<Arc<Relay>>,
    /// What it was told last.
    told: Option<Begun>,
    /// Pieces that were not decoded, because the journal accepts nothing any more.
    unread: u64,
}

/// What an integration's worker is made of.
#[derive(Debug)]
pub struct WorkerParts {
    /// Its id.
    pub id: Arc<str>,
    /// Position in the model.
    pub index: IntegrationIndex,
    /// Its engine.
    pub engine: Engine,
    /// Its encoder.
    pub encoder: Encoder,
    /// Its handle for publishing.
    pub publish: PublishHandle,
    /// Its metrics.
    pub metrics: FeedMetrics,
    /// Sends updates to the read model.
    pub model: Updates,
    /// Counts messages that the closed publisher did not take.
    pub refused: Arc<AtomicUsize>,
    /// Writes its agent table to the store.
    pub checkpoint: CheckpointWriter,
    /// The last event of each agent, where they are written again.
    pub last_events: LastEvents,
    /// Whether CMS can dial in. An integration without a feed reports nothing but that people are forgotten.
    pub has_feed: bool,
    /// For one that is no longer in the configuration.
    pub removed: Option<RemovedMetrics>,
    /// Passes the feed on.
    pub forward: Option<Arc<Relay>>,
    /// Agents are forgotten after so long.
    pub forget_after: Option<Duration>,
    /// Whether names may be published: if not, only the headers of a dead letter are, since nobody knows what its bytes hold.
    pub event_names: bool,
}

impl IntegrationWorker {
    /// Creates the worker of an integration as it was restored.
    pub fn new(parts: WorkerParts) -> Self {
        let WorkerParts { id, index, mut engine, encoder, publish, metrics, model, refused, .. } = parts;
        let WorkerParts { checkpoint, last_events, forget_after, event_names, has_feed, removed, forward, .. } = parts;
        engine.set_most_findings(SHARE_FINDINGS);
        metrics.paused.set(if publish.is_paused() { 1.0 } else { 0.0 });
        let now = Timestamp::now();
        let publishing = Publishing::new(Arc::clone(&id), encoder, publish, metrics.clone(), refused, event_names);
        Self {
            connections: HashMap::new(),
            pace: Pace::new(now),
            findings: Findings::default(),
            publishing,
            reporting: Reporting::new(Arc::clone(&id), index, model, metrics.clone()),
            saved: SavedAgents::new(checkpoint, last_events),
            retention: if has_feed { Retention::new(forget_after) } else { Retention::later(forget_after, now) },
            has_feed,
            removed,
            forward,
            told: None,
            unread: 0,
            id,
            engine,
            metrics,
        }
    }

    /// Returns whether CMS can dial in.
    pub const fn has_feed(&self) -> bool {
        self.has_feed
    }

    /// Returns the time that it has reached.
    pub(super) const fn now(&self) -> Timestamp {
        self.pace.now()
    }

    /// Whether messages that found no room may still be missing.
    pub(super) fn is_behind(&self) -> bool {
        self.pace.is_behind()
    }

    /// Whether its part of the journal would not make it wait for long.
    pub(super) fn takes_more(&self) -> bool {
        self.publishing.lane().takes_more()
    }

    /// Whether something is left that can be handed over in its next turn.
    pub(super) const fn goes_on(&self) -> bool {
        self.findings.has_rest() || self.publishing.goes_on()
    }

    /// Returns the time until the next timer, which waits while the integration is behind.
    pub(super) fn until_due(&self) -> Duration {
        if !self.has_feed {
            return TICK;
        }
        let due = self.engine.next_deadline().map_or(TICK, |deadline| deadline.since(Timestamp::now()));
        due.max(self.pace.until_caught_up())
    }

    /// Returns the way to the journal, and what goes along with events there.
    pub(super) const fn publishing_with(&mut self) -> (&mut Publishing, Background<'_>) {
        let now = self.pace.now();
        let background = Background { engine: &self.engine, last_events: self.saved.last_events_mut(), now };
        (&mut self.publishing, background)
    }

    /// Does what the service asks for.
    pub(super) fn control(&mut self, control: Control) {
        match control {
            Control::Mapping(tables) => self.set_mapping(tables),
            Control::Thresholds(thresholds) => self.engine.set_thresholds(thresholds),
            Control::Publishing { pause, done } => self.set_publishing(pause, done),
            Control::Forget(forget) => self.forget_requested(forget),
            Control::ForgetAfter(after) => self.retention.set(after),
            Control::GoOn => self.conclude_share(None),
            Control::Stop { .. } => {}
        }
    }

    /// Processes a message; returns what is left of it when its turn is over.
    pub(super) fn feed(&mut self, from_feed: FromFeed) -> Option<FromFeed> {
        self.pace.note_lateness(from_feed.at);
        if self.publishing.is_lost() {
            // Nobody would accept what it says, and the shutdown has no time to decode it.
            self.unread += u64::from(matches!(from_feed.event, FeedEvent::Piece { .. }));
            return None;
        }
        if self.findings.has_rest() {
            self.conclude_share(None);
            return Some(from_feed);
        }
        let at = self.pace.advance(from_feed.at);
        // Whatever was due before these bytes were read happens before them.
        self.engine.tick(at, self.findings.found_mut());
        if self.engine.has_more() {
            self.conclude_share(None);
            return Some(from_feed);
        }
        self.pass_on(from_feed, at)
    }

    /// Passes it to the engine, and concludes what that finds.
    fn pass_on(&mut self, from_feed: FromFeed, at: Timestamp) -> Option<FromFeed> {
        let FromFeed { connection, at: received_at, event } = from_feed;
        let found = self.findings.found_mut();
        match event {
            FeedEvent::Open { peer, close } => {
                self.connections.insert(connection, close);
                self.engine.open(connection, &peer, at, found);
            }
            FeedEvent::Piece { plan, piece, read_at, in_flight } => {
                let begin = Instant::now();
                let rest = self.engine.receive_share(connection, &plan, &piece, at, &SHARE, found);
                self.record_stages(begin);
                self.tell_relay(at);
                self.conclude_share(Some(read_at));
                return rest.map(|rest| {
                    let event = FeedEvent::Piece { plan, piece: Piece::Records(rest), read_at, in_flight };
                    FromFeed { connection, at: received_at, event }
                });
            }
            FeedEvent::Idle => self.engine.idle(connection, at, found),
            FeedEvent::Torn(run) => self.engine.torn(connection, &run, at, found),
            FeedEvent::Close => {
                self.connections.remove(&connection);
                self.engine.close(connection, at, found);
            }
        }
        self.tell_relay(at);
        self.conclude_share(None);
        None
    }

    /// Tells which connection is to be forwarded, and where its last snapshot began.
    fn tell_relay(&mut self, at: Timestamp) {
        let begun = self.engine.begun();
        let (Some(forward), true) = (&self.forward, begun != self.told) else { return };
        if let Some(Begun { connection, offset }) = begun {
            forward.speaks(connection);
            forward.snapshot_begins(connection, offset, at);
        }
        self.told = begun;
    }

    fn record_stages(&mut self, begin: Instant) {
        let stages = self.engine.take_stage_times();
        let decode = begin.elapsed().saturating_sub(stages.track + stages.map);
        self.metrics.decode.record(decode.as_secs_f64());
        self.metrics.track.record(stages.track.as_secs_f64());
        self.metrics.map.record(stages.map.as_secs_f64());
    }

    /// Begins: a mapping that changed while the service was down is news.
    pub(super) fn begin(&mut self) {
        let at = self.now();
        if !self.has_feed {
            return;
        }
        self.engine.remap_outdated(at, self.findings.found_mut());
        let restored = self.engine.current();
        self.reporting.update_model(Update::Restored(restored));
        self.conclude(None);
        fail_point::reach(fail_point::FIRST_CHECKPOINT);
        // What was not in the store is written before anything is added to it.
        self.write_checkpoint(at);
    }

    /// Writes a portion, where the journal has everything.
    fn write_checkpoint(&mut self, at: Timestamp) {
        if let Some(table) = self.publishing.accepted(&mut self.engine, self.findings.found()) {
            self.saved.write_portion(table, self.publishing.lane(), at);
        }
    }

    /// Does the same, all at once.
    pub(super) fn write_whole_checkpoint(&mut self, at: Timestamp) {
        if !self.has_feed && !self.saved.is_recovered() {
            return self.saved.cover_incomplete(self.publishing.lane(), at);
        }
        if let Some(table) = self.publishing.accepted(&mut self.engine, self.findings.found()) {
            self.saved.write_whole(table, self.publishing.lane(), at);
        }
    }

    fn set_publishing(&mut self, pause: bool, done: oneshot::Sender<bool>) {
        let at = self.pace.advance(Timestamp::now());
        // A superseded instance wants the integration back, paused or not.
        let is_taken_back = !pause && self.publishing.handle().claim();
        if self.publishing.handle().is_paused() == pause && !is_taken_back {
            // The caller may have stopped waiting.
            let _ = done.send(false);
            return;
        }
        let kind = if pause { StatusKind::Paused } else { StatusKind::Resumed };
        self.conclude(None);
        let status = status_now(&self.engine, kind, at);
        self.reporting.note_status(&status);
        let message = self.publishing.status_message(&status);
        self.publishing.submit_urgent(message.into_iter().collect());
        let lane = self.publishing.lane();
        let notify = move || {
            // Whoever asked may have stopped waiting.
            let _ = done.send(true);
        };
        lane.pause(pause.then(|| lane.next()), Box::new(notify));
        self.metrics.paused.set(if pause { 1.0 } else { 0.0 });
        self.reporting.report(&self.engine, true, true);
    }

    fn set_mapping(&mut self, tables: Arc<MappingTables>) {
        let at = self.pace.advance(Timestamp::now());
        self.engine.set_mapping(Arc::clone(&tables), at, self.findings.found_mut());
        self.reporting.update_model(Update::Mapping(tables));
        self.conclude_share(None);
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Timestamp) {
        if self.findings.has_rest() {
            return self.conclude_share(None);
        }
        let at = self.pace.advance(now);
        if !self.has_feed {
            return self.tick_without_feed(at);
        }
        self.engine.tick(at, self.findings.found_mut());
        self.conclude_share(None);
        self.publishing.record_waiting();
        if self.pace.takes_heartbeat(at) {
            self.publishing.beat(&self.engine, at);
        }
        self.answer_comparison();
        if self.publishing.is_behind() {
            self.saved.cover(&self.id, self.publishing.lane(), at);
        } else if !self.findings.has_rest() {
            self.refresh(at);
            self.forget_old(at);
            self.compare(at);
            self.write_again();
            self.write_checkpoint(at);
        }
    }

    /// Writes again what is due, unless much waits for Kafka: that need not be sent twice.
    fn refresh(&mut self, at: Timestamp) {
        let handle = self.publishing.handle();
        if !handle.is_paused() && handle.oldest_age() < REFRESH_WAIT {
            self.publishing.refresh(self.saved.due_again(at));
        }
    }

    /// Without a feed agents are only forgotten, and nobody waits for news of the feed.
    fn tick_without_feed(&mut self, at: Timestamp) {
        if let Some(removed) = &self.removed {
            removed.left(self.publishing.handle().pending(), self.engine.tracker().table().iter().count());
        }
        self.forget_old(at);
        self.compare(at);
        self.write_again();
        if self.saved.is_recovered() {
            self.write_checkpoint(at);
        } else {
            self.saved.cover_incomplete(self.publishing.lane(), at);
        }
    }

    /// Ends: hands over everything that can be.
    pub(super) fn end(&mut self) {
        let at = self.pace.advance(Timestamp::now());
        let mut open: Vec<ConnectionId> = self.connections.keys().copied().collect();
        open.sort_unstable();
        for connection in open {
            self.engine.close(connection, at, self.findings.found_mut());
        }
        self.conclude(None);
        // Whatever room there is: the journal makes its callers wait for the disk.
        self.publish_kept();
        while self.goes_on() {
            self.publish_kept();
        }
        if self.unread > 0 {
            let reads = self.unread;
            tracing::error!(
                target: INTEGRATION, integration = %self.id, reads, "the publisher is closed: what was read last is lost unread"
            );
        }
        self.publishing.drop_kept();
        self.write_whole_checkpoint(at);
    }

    fn publish_kept(&mut self) {
        let (publishing, mut background) = self.publishing_with();
        publishing.publish_kept(&mut background);
    }
}

#[cfg(test)]
#[path = "integration_worker_tests.rs"]
mod tests;

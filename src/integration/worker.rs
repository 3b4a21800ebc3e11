//! A worker: one OS thread that owns its integrations.
//!
//! Nothing here is shared, so nothing is locked. A worker takes letters from its inbox, from each integration in turn and no
//! more than a share at a time. It runs the engine of the letter's integration, encodes what comes out and hands it to the
//! journal. While the store is slow, an integration's part of the journal accepts nothing for a while: then its channel
//! fills, and its sockets wait. When the journal has no room the feed is still read, and each agent's latest state is kept
//! (`overflow`). Timers of an integration run when none of its letters waits.
//!
//! Time is [`Timestamp::now`] at the edges, which never goes back and never stands still: a wall clock that is set back, here
//! or while no process ran, makes timers late by a factor of two at most until it has caught up. Letters carry times of the
//! same clock, but may come out of order: the time that a charge passes to the engine never goes back either.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::engine::session::ConnectionId;
use crate::engine::{Engine, Finding, Share};
use crate::fail_point;
use crate::integration::command::Forget;
use crate::kafka::PublishHandle;
use crate::kafka::dead_letter::Limiter;
use crate::kafka::encode::Encoder;
use crate::mapping::tables::MappingTables;
use crate::sources::rta::inbox::{FeedEvent, FromFeed, Inbox, Letter, Received};
use crate::telemetry::metrics::{Dropped, FeedMetrics, RemovedMetrics};
use crate::telemetry::targets::INTEGRATION;
use crate::time::{ClockNews, Timestamp};
use crate::tracker::event::{StatusEvent, StatusKind};
use crate::tracker::settings::Thresholds;
use crate::tracker::status::{FeedStatus, Totals};
use crate::views::model::{FeedView, IntegrationIndex, Update, Updates};
use crate::wire::framing::Piece;

use super::ageing::{Ageing, Unerased};
use super::behind::ToBeWritten;
use super::checkpoint::Checkpoint;
use super::conclusion::{Rest, Shown};
use super::conditions::Conditions;
use super::refresh::LastEvents;
use super::staleness::Staleness;
use super::standing::Standing;

/// Letters of an integration that may wait for its worker.
pub const INBOX: usize = 64;

/// How long an integration may keep its worker busy before the others have their turn.
const SHARE_TIME: Duration = Duration::from_millis(2);
/// How much may be found, and handed over, in that turn.
pub(super) const SHARE_FINDINGS: usize = 256;
const SHARE: Share = Share { time: SHARE_TIME, findings: SHARE_FINDINGS };

/// How often to check for room where an integration's part of the journal has none.
const NO_ROOM: Duration = Duration::from_millis(5);

/// Longest time without a look at the timers and gauges.
const TICK: Duration = Duration::from_secs(1);

/// How often a feed reports that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// What the service sends to a worker about one of its integrations.
#[derive(Debug)]
pub enum Control {
    /// Another version of an integration's mapping.
    Mapping(Arc<MappingTables>),
    /// Other thresholds.
    Thresholds(Thresholds),
    /// Stops publishing or resumes it; reports when that is on disk.
    Publishing {
        /// Whether it is to stop.
        pause: bool,
        /// Notified when it is done; `false`: it was so before.
        done: tokio::sync::oneshot::Sender<bool>,
    },
    /// Forgets somebody.
    Forget(Forget),
    /// How long after they were last seen agents are forgotten.
    ForgetAfter(Option<Duration>),
    /// Not everything that was found, or kept while the journal was full, has been handed over. Sent by the worker to itself,
    /// so that others have their turn in between.
    GoOn,
    /// All letters that will ever come are before this one: the integration ends, and the worker goes on with the others.
    Stop {
        /// Notified when everything is handed over that can be.
        done: tokio::sync::oneshot::Sender<()>,
    },
}

/// One integration, as its worker owns it.
#[derive(Debug)]
pub struct Charge {
    pub(super) id: Arc<str>,
    /// Position in the model.
    pub(super) index: IntegrationIndex,
    pub(super) engine: Engine,
    pub(super) encoder: Encoder,
    pub(super) publish: PublishHandle,
    pub(super) metrics: FeedMetrics,
    pub(super) model: Updates,
    pub(super) refused: Arc<AtomicUsize>,
    pub(super) limiter: Limiter,
    pub(super) connections: HashMap<ConnectionId, CancellationToken>,
    pub(super) findings: Vec<Finding>,
    /// What was left of them when the turn was over, each of another agent, and when it was read.
    pub(super) rest: Option<Rest>,
    /// Time never goes back, in whatever order letters come.
    pub(super) now: Timestamp,
    /// Its last letter came late: until then more may be on their way.
    behind_until: Option<Instant>,
    pub(super) reported: Totals,
    pub(super) view: FeedView,
    pub(super) shown: Shown,
    pub(super) staleness: Staleness,
    pub(super) conditions: Conditions,
    pub(super) heartbeat_due: Timestamp,
    pub(super) checkpoint: Checkpoint,
    pub(super) last_events: LastEvents,
    pub(super) event_names: bool,
    /// Pieces that were not looked at, because the journal accepts nothing any more.
    pub(super) unread: u64,
    /// Whether the journal has all of it.
    pub(super) standing: Standing,
    pub(super) ageing: Ageing,
    pub(super) unerased: Vec<Unerased>,
    pub(super) to_be_written: ToBeWritten,
    pub(super) has_feed: bool,
    removed: Option<RemovedMetrics>,
}

/// What a charge is made of.
#[derive(Debug)]
pub struct ChargeParts {
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
    pub checkpoint: Checkpoint,
    /// The last event of each agent, where they are written again.
    pub last_events: LastEvents,
    /// Whether CMS can dial in. An integration without a feed reports nothing but that people are forgotten.
    pub has_feed: bool,
    /// For one that is no longer in the configuration.
    pub removed: Option<RemovedMetrics>,
    /// Agents are forgotten after so long.
    pub forget_after: Option<Duration>,
    /// Whether names may be published: if not, only the headers of a dead letter are, since nobody knows what its bytes hold.
    pub event_names: bool,
}

impl Charge {
    /// Returns whether CMS can dial in.
    pub const fn has_feed(&self) -> bool {
        self.has_feed
    }

    /// Creates the charge of an integration as it was restored.
    pub fn new(parts: ChargeParts) -> Self {
        let ChargeParts { id, index, mut engine, encoder, publish, metrics, model, refused, .. } = parts;
        engine.set_most_findings(SHARE_FINDINGS);
        let ChargeParts { checkpoint, last_events, forget_after, event_names, has_feed, removed, .. } = parts;
        metrics.paused.set(if publish.is_held() { 1.0 } else { 0.0 });
        let now = Timestamp::now();
        Self {
            id,
            index,
            engine,
            encoder,
            publish,
            metrics,
            model,
            refused,
            limiter: Limiter::default(),
            connections: HashMap::new(),
            findings: Vec::new(),
            rest: None,
            now,
            behind_until: None,
            reported: Totals::default(),
            view: FeedView::default(),
            shown: Shown::default(),
            staleness: Staleness::default(),
            conditions: Conditions::default(),
            heartbeat_due: now.plus(HEARTBEAT),
            checkpoint,
            last_events,
            event_names,
            unread: 0,
            standing: Standing::default(),
            ageing: if has_feed { Ageing::new(forget_after) } else { Ageing::later(forget_after, now) },
            unerased: Vec::new(),
            to_be_written: ToBeWritten::new(),
            has_feed,
            removed,
        }
    }
}

/// Letters that arrive later than this after their time show that the worker is behind.
const BEHIND: Duration = Duration::from_millis(50);

/// How long a worker that was behind waits for letters that found no room before it assumes that none came.
const CATCH_UP: Duration = Duration::from_millis(200);

/// Runs until it is stopped. Integrations come with a channel of `inbox` each, and leave with [`Control::Stop`].
///
/// Timers must not overtake letters: what was received before a deadline is processed before it, however late the worker is.
/// So the clock counts for an integration only while none of its letters waits and it is not behind; otherwise its letters
/// set the time.
pub fn run(mut inbox: Inbox<Control, Box<Charge>>) {
    let mut ticked = Instant::now();
    // In the order of the channels.
    let mut charges: Vec<Box<Charge>> = Vec::new();
    loop {
        let rooms: Vec<bool> = charges.iter().map(|charge| charge.publish.lane().takes_more()).collect();
        let idle = charges.iter().enumerate().filter(|(index, _)| inbox.is_empty(*index));
        let due = idle.map(|(_, charge)| charge.until_due()).min().unwrap_or(TICK);
        let wait = if rooms.contains(&false) { due.min(NO_ROOM) } else { due };
        let received = inbox.receive(wait.min(TICK.saturating_sub(ticked.elapsed())), |index| rooms[index]);
        match received {
            Received::Newcomer(mut charge) => {
                charge.begin();
                charges.push(charge);
            }
            Received::Letter(index, Letter::Control(Control::Stop { done })) => {
                inbox.remove(index);
                charges.swap_remove(index).end();
                // The caller may have stopped waiting.
                let _ = done.send(());
            }
            Received::Letter(index, Letter::Control(control)) => {
                if let Some(charge) = charges.get_mut(index) {
                    charge.control(control);
                }
            }
            Received::Letter(index, Letter::Feed(from_feed)) => {
                let Some(charge) = charges.get_mut(index) else { continue };
                charge.note_lateness(from_feed.at);
                if let Some(rest) = charge.feed(from_feed) {
                    inbox.put_back(index, Letter::Feed(rest));
                }
            }
            Received::TimedOut => {
                let now = Timestamp::now();
                for (index, charge) in charges.iter_mut().enumerate() {
                    if inbox.is_empty(index) && charge.until_due().is_zero() {
                        charge.tick(now);
                    }
                }
            }
            Received::Ended => break,
        }
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            tell_clock_news();
            let now = Timestamp::now();
            for (index, charge) in charges.iter_mut().enumerate() {
                // A feed that never pauses must not keep its own timers waiting, nor those of the others.
                let is_current = inbox.is_empty(index) && !charge.is_behind();
                charge.tick(if is_current { now } else { charge.now });
            }
        }
        for (index, charge) in charges.iter().enumerate() {
            if charge.goes_on() && !inbox.has_rest(index) {
                inbox.put_back(index, Letter::Control(Control::GoOn));
            }
        }
    }
    charges.iter_mut().for_each(|charge| charge.end());
}

fn tell_clock_news() {
    match Timestamp::clock_news() {
        None => {}
        Some(ClockNews::WentBack(ahead)) => {
            let ahead_s = ahead.as_secs();
            tracing::warn!(
                target: INTEGRATION, ahead_s, "the wall clock was set back: time goes on at half speed until it has caught up"
            );
        }
        Some(ClockNews::CaughtUp) => tracing::info!(target: INTEGRATION, "the wall clock has caught up"),
    }
}

impl Charge {
    /// Returns the time until the next timer, which waits while the integration is behind.
    fn until_due(&self) -> Duration {
        if !self.has_feed {
            return TICK;
        }
        let due = self.engine.next_deadline().map_or(TICK, |deadline| deadline.since(Timestamp::now()));
        let caught_up =
            self.behind_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        due.max(caught_up)
    }

    /// Notes whether a letter of that time came late.
    fn note_lateness(&mut self, at: Timestamp) {
        let is_late = Timestamp::now().since(at) > BEHIND;
        self.behind_until = is_late.then(|| Instant::now() + CATCH_UP);
    }

    /// Whether something is left that can be handed over in its next turn.
    const fn goes_on(&self) -> bool {
        self.rest.is_some() || self.standing.goes_on()
    }

    /// Whether letters that found no room may still be missing.
    fn is_behind(&self) -> bool {
        self.behind_until.is_some_and(|until| Instant::now() < until)
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Mapping(tables) => self.set_mapping(tables),
            Control::Thresholds(thresholds) => self.engine.set_thresholds(thresholds),
            Control::Publishing { pause, done } => self.set_publishing(pause, done),
            Control::Forget(forget) => self.forget_requested(forget),
            Control::ForgetAfter(after) => self.ageing.set(after),
            Control::GoOn => self.conclude_share(None),
            Control::Stop { .. } => {}
        }
    }

    pub(super) fn advance(&mut self, to: Timestamp) -> Timestamp {
        self.now = self.now.max(to);
        self.now
    }

    /// Processes a letter; returns what is left of it when its turn is over.
    fn feed(&mut self, from_feed: FromFeed) -> Option<FromFeed> {
        if self.standing.is_lost() {
            // Nobody would accept what it says, and the shutdown has no time to decode it.
            self.unread += u64::from(matches!(from_feed.event, FeedEvent::Piece { .. }));
            return None;
        }
        if self.rest.is_some() {
            self.conclude_share(None);
            return Some(from_feed);
        }
        let at = self.advance(from_feed.at);
        // Whatever was due before these bytes were read happens before them.
        self.engine.tick(at, &mut self.findings);
        if self.engine.has_more() {
            self.conclude_share(None);
            return Some(from_feed);
        }
        let FromFeed { connection, at: received_at, event } = from_feed;
        match event {
            FeedEvent::Open { peer, close } => {
                self.connections.insert(connection, close);
                self.engine.open(connection, &peer, at, &mut self.findings);
                self.conclude_share(None);
            }
            FeedEvent::Piece { plan, piece, read_at, in_flight } => {
                let begin = Instant::now();
                let rest = self.engine.receive_share(connection, &plan, &piece, at, &SHARE, &mut self.findings);
                let stages = self.engine.take_stage_times();
                let decode = begin.elapsed().saturating_sub(stages.track + stages.map);
                self.metrics.decode.record(decode.as_secs_f64());
                self.metrics.track.record(stages.track.as_secs_f64());
                self.metrics.map.record(stages.map.as_secs_f64());
                self.conclude_share(Some(read_at));
                if let Some(rest) = rest {
                    let event = FeedEvent::Piece { plan, piece: Piece::Records(rest), read_at, in_flight };
                    return Some(FromFeed { connection, at: received_at, event });
                }
            }
            FeedEvent::Idle => {
                self.engine.idle(connection, at, &mut self.findings);
                self.conclude_share(None);
            }
            FeedEvent::Torn(run) => {
                self.engine.torn(connection, &run, at, &mut self.findings);
                self.conclude_share(None);
            }
            FeedEvent::Close => {
                self.connections.remove(&connection);
                self.engine.close(connection, at, &mut self.findings);
                self.conclude_share(None);
            }
        }
        None
    }

    /// Begins: a mapping that changed while the service was down is news.
    fn begin(&mut self) {
        let at = self.now;
        if !self.has_feed {
            return;
        }
        self.engine.remap_outdated(at, &mut self.findings);
        let restored = self.engine.current();
        self.tell_model(Update::Restored(restored));
        self.conclude(None);
        fail_point::reach(fail_point::FIRST_CHECKPOINT);
        // What was not in the store is written before anything is added to it.
        self.write_checkpoint(at);
    }

    /// Writes a portion, where the journal has everything.
    fn write_checkpoint(&mut self, at: Timestamp) {
        let Some(mut table) = self.standing.accepted(&mut self.engine, &self.findings) else { return };
        let last_event = |agent| self.last_events.stored(agent);
        self.checkpoint.tick(&mut table, self.publish.lane(), at, last_event);
    }

    /// Does the same, all at once.
    pub(super) fn write_whole_checkpoint(&mut self, at: Timestamp) {
        if !self.has_feed && !self.checkpoint.is_recovered() {
            return self.checkpoint.cover(self.publish.lane(), at, None);
        }
        let Some(mut table) = self.standing.accepted(&mut self.engine, &self.findings) else { return };
        let last_event = |agent| self.last_events.stored(agent);
        self.checkpoint.finish(&mut table, self.publish.lane(), at, last_event);
    }

    fn set_publishing(&mut self, pause: bool, done: tokio::sync::oneshot::Sender<bool>) {
        let at = self.advance(Timestamp::now());
        // A superseded instance wants the integration back, held or not.
        let is_taken_back = !pause && self.publish.claim();
        if self.publish.is_held() == pause && !is_taken_back {
            // The caller may have stopped waiting.
            let _ = done.send(false);
            return;
        }
        let kind = if pause { StatusKind::Paused } else { StatusKind::Resumed };
        self.conclude(None);
        let status = self.status_now(kind, at);
        self.tell_status(&status);
        let mut messages = Vec::new();
        self.collect(&mut messages, self.encoder.status_message(&status));
        self.submit_urgent(messages);
        self.view.status = Some(status);
        let lane = self.publish.lane();
        let tell = move || {
            // Whoever asked may have stopped waiting.
            let _ = done.send(true);
        };
        lane.hold(pause.then(|| lane.next()), Box::new(tell));
        self.metrics.paused.set(if pause { 1.0 } else { 0.0 });
        self.report(true, true);
    }

    pub(super) fn status_now(&self, kind: StatusKind, at: Timestamp) -> FeedStatus {
        FeedStatus {
            event: StatusEvent { kind, at, affected: 0 },
            figures: self.engine.figures(),
            no_valid_record: false,
        }
    }

    fn set_mapping(&mut self, tables: Arc<MappingTables>) {
        let at = self.advance(Timestamp::now());
        self.engine.set_mapping(Arc::clone(&tables), at, &mut self.findings);
        self.tell_model(Update::Mapping(tables));
        self.conclude_share(None);
    }

    fn tick(&mut self, now: Timestamp) {
        if self.rest.is_some() {
            return self.conclude_share(None);
        }
        let at = self.advance(now);
        if !self.has_feed {
            return self.tick_without_feed(at);
        }
        self.engine.tick(at, &mut self.findings);
        self.conclude_share(None);
        #[allow(clippy::cast_precision_loss)] // bounded by the queue
        self.metrics.pending.set(self.publish.pending() as f64);
        self.metrics.oldest.set(self.publish.oldest_age().as_secs_f64());
        if at >= self.heartbeat_due {
            self.heartbeat_due = at.plus(HEARTBEAT);
            self.beat(at);
        }
        self.answer_comparison();
        if self.standing.is_behind() {
            // The engine is ahead of the journal; rows that are never covered would never leave it.
            let keeps_events_of = self.last_events.are_kept().then_some(&*self.id);
            self.checkpoint.cover(self.publish.lane(), at, keeps_events_of);
        } else if self.rest.is_none() {
            // What waits for Kafka need not be sent twice.
            if !self.publish.is_held() && self.publish.oldest_age() < TICK * 10 {
                self.refresh(at);
            }
            self.forget_old(at);
            self.compare(at);
            self.write_again();
            self.write_checkpoint(at);
        }
    }

    /// Without a feed agents are only forgotten, and nobody waits for news of the feed.
    fn tick_without_feed(&mut self, at: Timestamp) {
        if let Some(removed) = &self.removed {
            removed.left(self.publish.pending(), self.engine.tracker().table().iter().count());
        }
        self.forget_old(at);
        self.compare(at);
        self.write_again();
        if self.checkpoint.is_recovered() {
            self.write_checkpoint(at);
        } else {
            // The table is not known to be whole, and must not be marked so.
            self.checkpoint.cover(self.publish.lane(), at, None);
        }
    }

    /// Publishes a heartbeat. It matters only for a moment, so it does not go through the journal.
    fn beat(&self, at: Timestamp) {
        if self.publish.is_held() {
            return;
        }
        match self.encoder.status_message(&self.status_now(StatusKind::Heartbeat, at)) {
            Ok(message) => self.publish.send_aside(message),
            Err(error) => {
                tracing::error!(target: INTEGRATION, integration = %self.id, %error, "a heartbeat cannot be encoded")
            }
        }
    }

    fn end(&mut self) {
        let at = self.advance(Timestamp::now());
        let mut open: Vec<ConnectionId> = self.connections.keys().copied().collect();
        open.sort_unstable();
        for connection in open {
            self.engine.close(connection, at, &mut self.findings);
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
        self.drop_kept();
        self.write_whole_checkpoint(at);
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
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;

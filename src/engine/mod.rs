//! One integration from bytes to annotated events: wire, session, state and mapping, wired together.
//!
//! No I/O and no waiting: a worker drives it from sockets, `replay` from a capture, and both get the same findings for the
//! same input. The engine belongs to one thread.

pub mod behind;
#[cfg(test)]
mod clock_tests;
mod finding;
mod remapping;
pub mod replay;
pub mod session;
pub mod survey;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::mapping::annotate::{Annotation, Annotator, Published};
use crate::mapping::tables::MappingTables;
use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Output, SnapshotEvent, StatusEvent, StatusKind};
use crate::tracker::memory::{AgentMemory, FeedMemory};
use crate::tracker::settings::{Settings, Thresholds};
use crate::tracker::status::{FeedFigures, FeedStatus, Totals};
use crate::tracker::table::AgentIndex;
use crate::tracker::{NoRoom, Tracker};
use crate::wire::decode::{Decoder, Identity};
use crate::wire::framing::{Frame, Piece, Run};
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;
use crate::wire::reason::Reason;

use self::session::{Admission, Closed, ConnectionId, Ended, Session, Successor};

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

/// Time spent in a batch, by stage. The rest is decoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// In the tracker, for records that had to be decoded.
    pub track: Duration,
    /// In the mapping.
    pub map: Duration,
}

/// How much of a batch may be done before others have their turn.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// At most so long.
    pub time: Duration,
    /// At most so many findings.
    pub findings: usize,
}

/// Records between two looks at the clock.
const LOOK_EVERY: u32 = 64;

/// Turns the bytes of one integration into annotated events.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    decoder: Decoder,
    session: Session,
    tracker: Tracker,
    annotator: Annotator,
    totals: Totals,
    outputs: Vec<Output>,
    /// What the tracker has reported and nobody has taken yet, and since when.
    waiting: VecDeque<Output>,
    waiting_since: Timestamp,
    /// Agents for whom the mapping may have changed, and since when.
    affected: VecDeque<AgentIndex>,
    /// About how much is found in one call.
    most_findings: usize,
    /// Agents who are published anew with the mapping, whatever it says about them.
    owed: Vec<AgentIndex>,
    clock: quanta::Clock,
    stages: StageTimes,
    decodes_everything: bool,
}

impl Engine {
    /// Creates an engine for one integration.
    pub fn new(settings: Settings, plan: Arc<Plan>, mapping: Arc<MappingTables>) -> Self {
        Self {
            decoder: Decoder::default(),
            session: Session::new(settings.thresholds.stale_after),
            tracker: Tracker::new(settings, &plan),
            annotator: Annotator::new(mapping),
            totals: Totals::default(),
            outputs: Vec::new(),
            waiting: VecDeque::new(),
            waiting_since: Timestamp::default(),
            affected: VecDeque::new(),
            most_findings: usize::MAX,
            owed: Vec::new(),
            clock: quanta::Clock::new(),
            stages: StageTimes::default(),
            decodes_everything: false,
            plan,
        }
    }

    /// Decodes every record from now on, even those that say nothing new. For tests: nothing else may change.
    pub const fn decode_everything(&mut self) {
        self.decodes_everything = true;
    }

    /// Continues where another process ended: agents with what was last published of them, and their feed. Into a fresh
    /// engine only; if a source key comes twice, the later memory counts. [`Self::remap_outdated`] comes next.
    pub fn restore(&mut self, agents: impl IntoIterator<Item = (AgentMemory, Option<Published>)>, feed: &FeedMemory) {
        let mut last = Vec::new();
        let agents = agents.into_iter().map(|(memory, published)| {
            last.push((memory.acd, memory.login_id.clone(), published));
            memory
        });
        self.tracker.restore(agents, feed);
        for (acd, login_id, published) in last {
            if let Some(index) = self.tracker.table().find(acd, &login_id) {
                self.annotator.restore(index, published);
            }
        }
        self.index_names();
    }

    /// Returns what is to be remembered of an agent.
    pub fn memory(&self, index: AgentIndex) -> (AgentMemory, Option<Published>) {
        (self.tracker.agent_memory(index), self.annotator.published(index).cloned())
    }

    /// Returns what is to be remembered of the feed.
    pub fn feed_memory(&self) -> FeedMemory {
        self.tracker.feed_memory()
    }

    /// Takes the agents whose memory has changed since the last call, each once.
    pub fn take_changed(&mut self) -> Vec<AgentIndex> {
        self.tracker.take_changed()
    }

    /// Marks everybody as changed.
    pub fn mark_all_changed(&mut self) {
        self.tracker.mark_all_changed();
    }

    /// Marks an agent as changed: the store does not have everything about them.
    pub fn mark_changed(&mut self, acd: u32, login_id: &str) {
        if let Some(index) = self.tracker.table().find(acd, login_id) {
            self.tracker.mark_changed(index);
        }
    }

    /// An agent's last event says something that it may no longer say: if they are logged in, [`Self::remap_outdated`]
    /// publishes another.
    pub fn owe(&mut self, acd: u32, login_id: &str) {
        self.owed.extend(self.tracker.table().find(acd, login_id));
    }

    /// The sequence of an agent's last event.
    fn sequence(&self, index: AgentIndex) -> u64 {
        self.tracker.table().get(index).sequence
    }

    const fn tracker_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// The last event of an agent is another instance's.
    fn published_elsewhere(&mut self, index: AgentIndex, published: Option<Published>) {
        debug_assert!(!self.has_more());
        self.annotator.restore(index, published);
    }

    /// The tracker, for figures about agents.
    pub const fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Returns agents who were not seen for so long while the feed was listened to, and are not in it; at most so many.
    pub fn not_seen_for(&mut self, age: Duration, now: Timestamp, most: usize) -> Vec<AgentIndex> {
        self.tracker.not_seen_for(age, now, most)
    }

    /// The connections.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Figures since the start.
    pub fn totals(&self) -> Totals {
        let impossible_times = self.tracker.impossible_times();
        Totals { records: self.tracker.counts(), impossible_times, probes: self.session.probes(), ..self.totals }
    }

    /// Time spent since the last call, by stage.
    pub fn take_stage_times(&mut self) -> StageTimes {
        std::mem::take(&mut self.stages)
    }

    /// A connection has been accepted.
    pub fn open(&mut self, id: ConnectionId, peer: &Arc<str>, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        match self.session.open(id, peer, at) {
            Admission::Speaks => self.speaks(peer, at, out),
            Admission::Waits => {}
            Admission::Refused => out.push(Finding::Close(id, CloseReason::TooManyWaiting)),
        }
    }

    /// A connection has ended.
    pub fn close(&mut self, id: ConnectionId, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        let Some(Closed { ended, successor }) = self.session.closed(id, at) else { return };
        self.falls_silent(ended, at, out);
        if let Some(successor) = successor {
            self.follow(&successor, at, out);
        }
    }

    fn speaks(&mut self, peer: &Arc<str>, at: Timestamp, out: &mut Vec<Finding>) {
        self.tracker.connected(at, &mut self.outputs);
        self.drain(at, out);
        if self.session.is_told() {
            self.status(StatusKind::Connected, Some(peer.clone()), at, out);
        }
    }

    fn falls_silent(&mut self, ended: Ended, at: Timestamp, out: &mut Vec<Finding>) {
        self.tracker.disconnected(at, &mut self.outputs);
        self.drain(at, out);
        if !ended.is_told {
            out.push(Finding::Probe(ended.peer));
            return;
        }
        let event = StatusEvent { kind: StatusKind::Disconnected, at, affected: 0 };
        let figures = FeedFigures { peer: Some(ended.peer), ..self.figures() };
        out.push(Finding::Status(Box::new(FeedStatus { event, figures, no_valid_record: !ended.has_spoken })));
    }

    fn follow(&mut self, successor: &Successor, at: Timestamp, out: &mut Vec<Finding>) {
        self.speaks(&successor.peer, at, out);
        for bad in &successor.bad_records {
            let identity = bad.agent.as_ref().map(|(acd, login_id)| Identity { login_id, acd: *acd });
            self.tracker.invalid(identity, at, &mut self.outputs);
        }
        self.drain(at, out);
    }

    /// Takes bytes of a connection, cut by the framing of `plan`.
    pub fn receive(
        &mut self,
        id: ConnectionId,
        plan: &Arc<Plan>,
        piece: &Piece,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        let all = Share { time: Duration::MAX, findings: usize::MAX };
        let mut rest = self.receive_share(id, plan, piece, at, &all, out);
        while let Some(run) = rest {
            rest = self.receive_share(id, plan, &Piece::Records(run), at, &all, out);
        }
    }

    /// Does the same, until a share is used up. Returns what is left, which comes next.
    pub fn receive_share(
        &mut self,
        id: ConnectionId,
        plan: &Arc<Plan>,
        piece: &Piece,
        at: Timestamp,
        share: &Share,
        out: &mut Vec<Finding>,
    ) -> Option<Run> {
        if !self.session.speaks(id) && !self.session.waits(id) {
            // This was on its way when the connection was closed; the plan that it was framed with does not count either.
            return None;
        }
        self.settle(out);
        self.set_plan(plan, at, out);
        let plan = Arc::clone(&self.plan);
        match piece {
            Piece::Records(run) => {
                let begin = self.clock.raw();
                let mut records = plan.ends().records(run);
                let mut count = 0_u32;
                while let Some(frame) = records.next() {
                    self.frame(id, &plan, frame, at, out);
                    count = count.wrapping_add(1);
                    let is_late = || self.clock.delta(begin, self.clock.raw()) >= share.time;
                    if out.len() >= share.findings || self.has_more() || (count.is_multiple_of(LOOK_EVERY) && is_late())
                    {
                        return records.rest_of(run);
                    }
                }
            }
            Piece::TooLong(run) => {
                let frame = Frame { bytes: &run.bytes, offset: run.offset, too_long: true };
                self.frame(id, &plan, frame, at, out);
            }
        }
        None
    }

    /// Takes what a connection left of a record without an end.
    pub fn torn(&mut self, id: ConnectionId, run: &Run, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        let plan = Arc::clone(&self.plan);
        let most = run.bytes.len().min(plan.ends().max_record());
        let frame = Frame { bytes: &run.bytes[..most], offset: run.offset, too_long: false };
        if self.session.speaks(id) || self.session.was_replaced(id) {
            self.totals.invalid += 1;
            self.tracker.half_record(self.decoder.identify(&plan, frame.bytes, false));
            dead_letter(frame, Reason::Truncated, at, out);
        } else {
            self.invalid(id, &plan, frame, Reason::Truncated, at, out);
        }
    }

    /// Reports that no byte came on a connection for `snapshot_idle` while it was read, and no record is half read.
    pub fn idle(&mut self, id: ConnectionId, at: Timestamp, out: &mut Vec<Finding>) {
        if self.session.speaks(id) {
            self.settle(out);
            self.tracker.idle(at, &mut self.outputs);
            self.drain_share(at, out);
        }
    }

    /// Returns when [`Self::tick`] has to be called if nothing happens first.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        [self.tracker.next_deadline(), self.session.next_deadline()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        for id in self.session.give_up(now) {
            out.push(Finding::Close(id, CloseReason::NoValidRecord));
        }
        self.tracker.tick(now, &mut self.outputs);
        while self.tracker.has_crowd() {
            self.drain_share(now, out);
            if self.has_more() {
                return;
            }
            // Everything else that was due comes after the crowd.
            self.tracker.do_what_is_due(now, &mut self.outputs);
        }
        self.drain_share(now, out);
    }

    /// The input has ended for good.
    pub fn end_of_input(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        self.tracker.end_of_input(at, &mut self.outputs);
        self.drain(at, out);
    }

    /// Takes new thresholds.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        debug_assert!(!self.has_more());
        self.tracker.set_thresholds(thresholds);
        self.session.set_patience(thresholds.stale_after);
    }

    /// A batch carries the plan it was framed with: a different one begins another snapshot.
    fn set_plan(&mut self, plan: &Arc<Plan>, at: Timestamp, out: &mut Vec<Finding>) {
        if Arc::ptr_eq(&self.plan, plan) {
            return;
        }
        self.plan = Arc::clone(plan);
        self.tracker.set_layout(plan, at, &mut self.outputs);
        self.drain(at, out);
    }

    #[inline]
    fn frame(&mut self, id: ConnectionId, plan: &Plan, frame: Frame<'_>, at: Timestamp, out: &mut Vec<Finding>) {
        if frame.too_long {
            self.invalid(id, plan, frame, Reason::TooLong, at, out);
            return;
        }
        let speaks = self.session.speaks(id);
        match plan.lines().classify(frame.bytes) {
            LineKind::Skipped => {
                self.totals.skipped += 1;
                if speaks {
                    self.tracker.skipped(at, &mut self.outputs);
                    self.drain(at, out);
                }
            }
            LineKind::Marker if speaks => {
                self.totals.markers += 1;
                self.tell_speaker(at, out);
                self.tracker.marker(at, &mut self.outputs);
                self.drain_share(at, out);
            }
            LineKind::Marker => {}
            LineKind::Record if speaks && self.session.has_spoken() => self.record(id, plan, frame, at, out),
            LineKind::Record if speaks => self.record_of_newcomer(id, plan, frame, at, out),
            LineKind::Record if self.session.waits(id) => self.record_of_waiting(id, plan, frame, at, out),
            LineKind::Record => {}
        }
    }

    #[inline]
    fn record(&mut self, id: ConnectionId, plan: &Plan, frame: Frame<'_>, at: Timestamp, out: &mut Vec<Finding>) {
        if !plan.merges_rows() && !self.decodes_everything && self.is_same(plan, frame.bytes, at) {
            if !self.outputs.is_empty() {
                self.drain_share(at, out);
            }
            return;
        }
        let reason = match self.decoder.decode(plan, frame.bytes, at) {
            Ok(decoded) => {
                let begin = self.clock.raw();
                let taken = self.tracker.record(&decoded, frame.bytes, at, &mut self.outputs);
                self.stages.track += self.clock.delta(begin, self.clock.raw());
                taken.err().map(|no_room| match no_room {
                    NoRoom::Table => Reason::TooManyAgents,
                    NoRoom::Rows => Reason::TooManySkills,
                })
            }
            Err(reason) => Some(reason),
        };
        match reason {
            None => self.drain_share(at, out),
            Some(reason) => self.invalid(id, plan, frame, reason, at, out),
        }
    }

    /// Takes a record that says nothing new, without decoding it; true if it was one.
    #[inline]
    fn is_same(&mut self, plan: &Plan, frame: &[u8], at: Timestamp) -> bool {
        self.tracker.same_as_expected(plan, frame, at, &mut self.outputs)
            || self
                .decoder
                .identify(plan, frame, true)
                .is_some_and(|identity| self.tracker.same_record(identity, plan, frame, at, &mut self.outputs))
    }

    /// Reports that there is a feed before anything else of it is reported.
    fn tell_speaker(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        if self.session.tell(at) {
            self.status(StatusKind::Connected, self.session.peer().cloned(), at, out);
        }
    }

    /// Takes what the speaking connection sends up to and including its first valid record.
    fn record_of_newcomer(
        &mut self,
        id: ConnectionId,
        plan: &Plan,
        frame: Frame<'_>,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        if let Err(reason) = self.decoder.decode(plan, frame.bytes, at) {
            self.invalid(id, plan, frame, reason, at, out);
            return;
        }
        self.tell_speaker(at, out);
        self.session.note_spoken();
        self.record(id, plan, frame, at, out);
    }

    /// The first valid record of a waiting connection takes over.
    fn record_of_waiting(
        &mut self,
        id: ConnectionId,
        plan: &Plan,
        frame: Frame<'_>,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        if let Err(reason) = self.decoder.decode(plan, frame.bytes, at) {
            self.invalid(id, plan, frame, reason, at, out);
            return;
        }
        let Some(takeover) = self.session.take_over(id, at) else { return };
        if let Some(ended) = takeover.replaced {
            let replaced = ended.id;
            self.falls_silent(ended, at, out);
            out.push(Finding::Close(replaced, CloseReason::Replaced));
        }
        self.follow(&takeover.successor, at, out);
        if takeover.is_flapping {
            self.status(StatusKind::Flapping, Some(takeover.successor.peer), at, out);
        }
        self.record(id, plan, frame, at, out);
    }

    fn invalid(
        &mut self,
        id: ConnectionId,
        plan: &Plan,
        frame: Frame<'_>,
        reason: Reason,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        let speaks = self.session.speaks(id);
        if !speaks && !self.session.waits(id) {
            return;
        }
        self.totals.invalid += 1;
        let identity = self.decoder.identify(plan, frame.bytes, false);
        if speaks {
            self.tracker.invalid(identity, at, &mut self.outputs);
            self.drain(at, out);
        } else if self.session.bad_record(id, identity) {
            out.push(Finding::Close(id, CloseReason::NoValidRecord));
        }
        dead_letter(frame, reason, at, out);
    }

    /// Returns the state of the feed.
    pub fn figures(&self) -> FeedFigures {
        FeedFigures {
            peer: self.session.peer().cloned(),
            last_record_at: self.tracker.last_valid(),
            totals: self.totals(),
            logged_in: u32::try_from(self.tracker.table().logged_in()).unwrap_or(u32::MAX),
        }
    }
}

fn dead_letter(frame: Frame<'_>, reason: Reason, received_at: Timestamp, out: &mut Vec<Finding>) {
    let raw = frame.bytes.to_vec();
    out.push(Finding::DeadLetter(DeadLetter { reason, offset: frame.offset, raw, received_at }));
}

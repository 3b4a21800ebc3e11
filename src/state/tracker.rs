//! From records to transitions: the entry points, and what happens at once.
//!
//! One tracker per integration. The driver calls it in the order of the feed, with the time of receipt, and calls
//! [`Tracker::tick`] whenever [`Tracker::next_deadline`] has passed before anything later. A changed record is an
//! event at once; what has to wait for the end of its snapshot is in `ending`. Nothing here fails: a record that
//! decodes is taken, and one that does not can only keep agents from being thought absent.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::time::Timestamp;
use crate::wire::decode::{Decoded, Identity};
use crate::wire::plan::Plan;
use crate::wire::states::Mode;

use super::agent::{Absence, AgentState, Known, LastMode};
use super::event::{AgentEvent, Cause, Evidence, Output, Previous, StatusEvent, StatusKind};
use super::held::{Held, HeldState, Rows};
use super::settings::{FeedMode, Settings, SnapshotEnd};
use super::since::{self, Beginning, Context, Quality, RecordTime};
use super::snapshot::{End, Snapshots};
use super::table::{AgentIndex, AgentTable};

/// Most login ids that are remembered from invalid records alone. Beyond, a snapshot proves nobody absent.
const MAX_STRANGERS: usize = 4_096;

/// How many valid records led to an event, and how many did not. Every valid record is counted once, when it is clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// An event followed.
    pub changed: u64,
    /// None did.
    pub unchanged: u64,
}

impl RecordCounts {
    /// All of them.
    pub const fn all(&self) -> u64 {
        self.changed + self.unchanged
    }
}

/// The agent table is full: a record of an agent who is not in it was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent table is full")]
pub struct TableFull;

/// Somebody of whom only invalid records came so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranger {
    pub(super) present_in: u64,
    pub(super) was_absent: bool,
}

/// Silences and disconnects.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// Counts the gaps; 0 until there was one.
    pub(super) number: u32,
    /// No complete snapshot that is not down has ended since.
    pub(super) is_recent: bool,
    /// Last valid record before the first gap that RESTORED has not been said of.
    pub(super) from: Option<Timestamp>,
}

/// When something was last heard.
#[derive(Debug, Default)]
struct Liveness {
    connected_at: Option<Timestamp>,
    last_valid: Option<Timestamp>,
    /// Valid record or marker.
    last_sign: Option<Timestamp>,
    is_stale: bool,
}

/// Of the connection that speaks.
#[derive(Debug, Default)]
struct Connection {
    has_records: bool,
    last_valid: Option<(AgentIndex, Timestamp)>,
    /// Silence cut a snapshot off whose marker is still to come.
    owes_marker: bool,
}

/// The tracker of one integration.
#[derive(Debug)]
pub struct Tracker {
    pub(super) settings: Settings,
    pub(super) merges_rows: bool,
    pub(super) computes_start: bool,
    pub(super) table: AgentTable,
    pub(super) strangers: HashMap<(u32, Box<str>), Stranger, FixedState>,
    pub(super) snapshots: Snapshots,
    pub(super) gap: Gap,
    pub(super) link_is_down: bool,
    pub(super) is_unreadable: bool,
    /// A complete snapshot of this run has proved who was absent.
    pub(super) has_proof: bool,
    /// How late the last complete snapshot was, and when it began.
    pub(super) delay: std::time::Duration,
    pub(super) last_began: Option<Timestamp>,
    pub(super) counts: RecordCounts,
    pub(super) shifts: Vec<i64>,
    pub(super) renamed: Vec<AgentIndex>,
    liveness: Liveness,
    connection: Connection,
    clock_skew_seconds: Option<f64>,
}

impl Tracker {
    /// For a feed of the layout `plan`.
    pub fn new(settings: Settings, plan: &Plan) -> Self {
        Self {
            settings,
            merges_rows: plan.merges_rows(),
            computes_start: plan.computes_start(),
            table: AgentTable::default(),
            strangers: HashMap::with_hasher(FixedState::with_seed(1)),
            snapshots: Snapshots::default(),
            gap: Gap::default(),
            link_is_down: false,
            is_unreadable: false,
            has_proof: false,
            delay: std::time::Duration::ZERO,
            last_began: None,
            counts: RecordCounts::default(),
            shifts: Vec::new(),
            renamed: Vec::new(),
            liveness: Liveness::default(),
            connection: Connection::default(),
            clock_skew_seconds: None,
        }
    }

    /// The agents.
    pub const fn table(&self) -> &AgentTable {
        &self.table
    }

    /// Outcomes of the valid records so far.
    pub const fn counts(&self) -> RecordCounts {
        self.counts
    }

    /// Timestamp less receipt of the last record with a timestamp.
    pub const fn clock_skew_seconds(&self) -> Option<f64> {
        self.clock_skew_seconds
    }

    /// Agents whose name has changed since the last call.
    pub fn take_renamed(&mut self) -> Vec<AgentIndex> {
        std::mem::take(&mut self.renamed)
    }

    /// Receipt of the last valid record.
    pub const fn last_valid(&self) -> Option<Timestamp> {
        self.liveness.last_valid
    }

    /// Whether nearly everybody is UNKNOWN.
    pub const fn link_is_down(&self) -> bool {
        self.link_is_down
    }

    /// Takes new thresholds. What makes another feed (mode, end of snapshots, details, ACD) needs a new tracker.
    pub fn set_thresholds(&mut self, settings: &Settings) {
        self.settings.logout_after = settings.logout_after;
        self.settings.restart_tolerance = settings.restart_tolerance;
        self.settings.stale_after = settings.stale_after;
        self.settings.snapshot_idle = settings.snapshot_idle;
    }

    /// Another layout from here on: the open snapshot is cut off and remembered bytes are worth nothing.
    pub fn set_layout(&mut self, plan: &Plan, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(End::Incomplete, at, out);
        self.merges_rows = plan.merges_rows();
        self.computes_start = plan.computes_start();
        for index in self.table.indices() {
            let agent = self.table.get_mut(index);
            agent.last_record.forget();
            agent.settled = false;
        }
    }

    /// A connection is the one that speaks from now on.
    pub fn connected(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.begin_gap(at, out);
        self.connection = Connection::default();
        self.liveness.connected_at = Some(at);
        self.liveness.is_stale = false;
    }

    /// It ended, by itself or because another took over.
    pub fn disconnected(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.begin_gap(at, out);
        self.liveness.connected_at = None;
    }

    fn begin_gap(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(End::Incomplete, at, out);
        if self.liveness.last_valid.is_some() {
            self.open_gap();
            self.gap.from = self.gap.from.or(self.liveness.last_valid);
        }
    }

    pub(super) const fn open_gap(&mut self) {
        self.gap.number += 1;
        self.gap.is_recent = true;
    }

    /// When [`Self::tick`] has to be called if nothing happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let connected_at = self.liveness.connected_at?;
        if self.liveness.is_stale || self.settings.mode != FeedMode::Snapshot {
            return None;
        }
        let last_sign = self.liveness.last_sign.map_or(connected_at, |sign| sign.max(connected_at));
        Some(last_sign.plus(self.settings.stale_after).plus(Timestamp::STEP))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let Some(deadline) = self.next_deadline().filter(|deadline| *deadline <= now) else { return };
        // Before the first valid record silence is no gap: what is open stays open.
        if self.liveness.last_valid.is_some() {
            if self.settings.snapshot_end == SnapshotEnd::Repeat {
                self.end_snapshot(End::Complete, deadline, out);
            }
            self.connection.owes_marker |= self.snapshots.is_open();
            self.begin_gap(deadline, out);
        }
        self.liveness.is_stale = true;
        out.push(Output::Status(StatusEvent { kind: StatusKind::Stale, at: deadline, affected: 0 }));
    }

    /// No byte came for `snapshot_idle` while the feed was being read, and no record is half read.
    pub fn idle(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        if self.settings.snapshot_end == SnapshotEnd::Idle {
            self.end_snapshot(End::Complete, at, out);
        }
    }

    /// A marker line.
    pub fn marker(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.liveness.last_sign = Some(at);
        self.liveness.is_stale = false;
        let ends_snapshots = self.settings.snapshot_end == SnapshotEnd::Marker && self.settings.mode != FeedMode::Event;
        // A marker that only ends what silence has cut off shows nobody absent.
        let is_late = std::mem::take(&mut self.connection.owes_marker) && !self.snapshots.is_open();
        if ends_snapshots && self.connection.has_records && !is_late {
            self.snapshots.enter(at, self.gap.is_recent);
            self.end_snapshot(End::Complete, at, out);
        }
    }

    /// The input has ended for good (a capture, not a connection).
    pub fn end_of_input(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(End::OfInput, at, out);
    }

    /// An invalid record; `identity` where it can be read whose it is.
    pub fn invalid(&mut self, identity: Option<Identity<'_>>, at: Timestamp) {
        self.connection.has_records = true;
        if self.settings.mode == FeedMode::Event {
            return;
        }
        let snapshot = self.snapshots.enter(at, self.gap.is_recent);
        snapshot.last_at = at;
        let Some(Identity { login_id, acd }) = identity else {
            snapshot.proves_absence = false;
            return;
        };
        let number = snapshot.number;
        let acd = acd.unwrap_or(self.settings.acd);
        if let Some(index) = self.table.find(acd, login_id) {
            let agent = self.table.get_mut(index);
            agent.present_in = number;
            agent.bad_in = number;
            agent.absence = Absence::default();
        } else if let Some(stranger) = self.strangers.get_mut(&(acd, Box::from(login_id))) {
            stranger.present_in = number;
        } else if self.strangers.len() < MAX_STRANGERS {
            let stranger = Stranger { present_in: number, was_absent: self.has_proof };
            self.strangers.insert((acd, login_id.into()), stranger);
        } else {
            snapshot.proves_absence = false;
        }
    }

    /// Takes `frame` without decoding it if it is the last record again of the agent who came next the last time. Most
    /// feeds keep their order, so this finds nearly all unchanged records without reading whose they are: bytes that are
    /// equal have equal login ids. False: ask [`Self::same_record`].
    #[inline]
    pub fn same_as_expected(&mut self, plan: &Plan, frame: &[u8], at: Timestamp, out: &mut Vec<Output>) -> bool {
        let Some((before, _)) = self.connection.last_valid else { return false };
        let expected = self.table.get(before).follower;
        self.table.has(expected) && self.take_if_same(expected, plan, frame, at, out)
    }

    /// Takes `frame` without decoding it if it is the agent's last record again. False: decode it.
    #[inline]
    pub fn same_record(
        &mut self,
        identity: Identity<'_>,
        plan: &Plan,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> bool {
        match self.table.find(identity.acd.unwrap_or(self.settings.acd), identity.login_id) {
            Some(index) => self.take_if_same(index, plan, frame, at, out),
            None => false,
        }
    }

    #[inline]
    fn take_if_same(
        &mut self,
        index: AgentIndex,
        plan: &Plan,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> bool {
        let agent = self.table.get(index);
        if !agent.settled {
            return false;
        }
        let Some(times) = agent.last_record.times_if_same(plan, frame) else { return false };
        self.enter(index, at, out);
        let time = RecordTime { received_at: at, times };
        self.note_skew(&time);
        let after_gap = self.note_taken(index, self.is_first_after_gap(), at);
        let taken = self.same_state(index, time, after_gap, out);
        self.count(taken);
        true
    }

    /// Takes a valid record.
    ///
    /// # Errors
    /// When it would be a new agent and the table is full.
    pub fn record(
        &mut self,
        decoded: &Decoded<'_>,
        frame: &[u8],
        at: Timestamp,
        out: &mut Vec<Output>,
    ) -> Result<(), TableFull> {
        let record = &decoded.record;
        let acd = record.acd.unwrap_or(self.settings.acd);
        let index = match self.table.find(acd, record.login_id) {
            Some(index) => index,
            None => self.add_agent(acd, record.login_id, at).ok_or(TableFull)?,
        };
        self.enter(index, at, out);
        let details = self.settings.details;
        let waits = self.settings.mode != FeedMode::Event;
        let agent = self.table.get_mut(index);
        agent.last_mode = LastMode::of(record.mode, record.recognised);
        if self.merges_rows && waits {
            match &mut agent.held {
                Held::Rows(rows) => rows.add(record, at, details),
                held => *held = Held::Rows(Box::new(Rows::first(record, at, details, &agent.ride_along))),
            }
            self.count(Taken::Undecided);
            return Ok(());
        }
        if agent.ride_along.update(record) {
            self.renamed.push(index);
        }
        agent.last_record.remember(frame, decoded);
        let time = RecordTime { received_at: at, times: record.times };
        let state = AgentState::of(record, details);
        if record.mode == Mode::Unknown && waits {
            agent.settled = false;
            agent.open_start = None;
            agent.held = Held::Unknown(Box::new(HeldState { state, time }));
            self.count(Taken::Undecided);
            return Ok(());
        }
        agent.held = Held::Nothing;
        let taken = self.take(index, state, time, self.is_first_after_gap(), out);
        self.count(taken);
        Ok(())
    }

    fn add_agent(&mut self, acd: u32, login_id: &str, at: Timestamp) -> Option<AgentIndex> {
        let index = self.table.add(acd, login_id, at)?;
        let stranger = self.strangers.remove(&(acd, Box::from(login_id)));
        self.table.get_mut(index).was_absent = stranger.map_or(self.has_proof, |stranger| stranger.was_absent);
        Some(index)
    }

    fn count(&mut self, taken: Taken) {
        match (taken, self.snapshots.open_mut()) {
            (Taken::Event, _) => self.counts.changed += 1,
            (Taken::Undecided, Some(snapshot)) => snapshot.undecided += 1,
            (Taken::Same | Taken::Undecided, _) => self.counts.unchanged += 1,
        }
    }

    fn note_skew(&mut self, time: &RecordTime) {
        self.clock_skew_seconds = time.clock_skew_seconds().or(self.clock_skew_seconds);
    }

    fn is_first_after_gap(&self) -> bool {
        self.snapshots.open().is_some_and(|snapshot| snapshot.first_after_gap)
    }

    /// A valid record of this agent: liveness, the end of the snapshot before, presence in this one.
    #[inline]
    fn enter(&mut self, index: AgentIndex, at: Timestamp, out: &mut Vec<Output>) {
        self.connection.has_records = true;
        let before = self.connection.last_valid.replace((index, at));
        if let Some((before, _)) = before
            && self.table.get(before).follower != index
        {
            self.table.get_mut(before).follower = index;
        }
        if self.settings.mode == FeedMode::Event {
            self.heard(at);
            if let Some(gap_from) = self.gap.from.take() {
                let kind = StatusKind::Restored { gap_from, gap_to: at };
                out.push(Output::Status(StatusEvent { kind, at, affected: 0 }));
            }
            return;
        }
        let is_repeat = self.snapshots.is_open() && self.table.get(index).seen_in == self.snapshots.number();
        if is_repeat && self.settings.snapshot_end == SnapshotEnd::Repeat {
            let is_change_of_the_same = before
                .is_some_and(|(agent, received)| agent == index && at.since(received) < self.settings.snapshot_idle);
            if !is_change_of_the_same {
                self.end_snapshot(End::Complete, at, out);
            }
        }
        self.heard(at);
        let snapshot = self.snapshots.enter(at, self.gap.is_recent);
        snapshot.last_at = at;
        let agent = self.table.get_mut(index);
        if agent.seen_in != snapshot.number {
            snapshot.members.push(index);
        }
        agent.seen_in = snapshot.number;
        agent.present_in = snapshot.number;
        agent.absence = Absence::default();
    }

    const fn heard(&mut self, at: Timestamp) {
        self.liveness.last_valid = Some(at);
        self.liveness.last_sign = Some(at);
        self.liveness.is_stale = false;
    }

    /// Whether what is taken from this agent now is the first news after a gap; from here on it is not. `first_snapshot`
    /// says whether the record's snapshot is the first one after a gap.
    fn note_taken(&mut self, index: AgentIndex, first_snapshot: bool, at: Timestamp) -> bool {
        let is_snapshot_mode = self.settings.mode == FeedMode::Snapshot;
        let gap = self.gap.number;
        let agent = self.table.get_mut(index);
        let is_first = agent.gap < gap;
        if is_first {
            agent.was_logged_in = agent.is_logged_in();
            agent.gap = gap;
        }
        agent.seen_before = agent.last_seen;
        agent.last_seen = at;
        if agent.was_logged_in || !is_snapshot_mode { is_first } else { gap > 0 && first_snapshot }
    }

    /// Takes a state that need not wait (any more).
    pub(super) fn take(
        &mut self,
        index: AgentIndex,
        state: AgentState,
        time: RecordTime,
        first_snapshot: bool,
        out: &mut Vec<Output>,
    ) -> Taken {
        self.note_skew(&time);
        let after_gap = self.note_taken(index, first_snapshot, time.received_at);
        let is_snapshot_mode = self.settings.mode == FeedMode::Snapshot;
        let agent = self.table.get_mut(index);
        agent.settled = true;
        let is_logged_out = state.mode.is_logged_out();
        let (cause, beginning) = match &agent.known {
            Some(known) if !known.is_logged_in() && is_logged_out => {
                return self.same_state(index, time, after_gap, out);
            }
            Some(known) if known.state.is_same(&state) => {
                // The same set of skills in another order, or another spelling that is not part of the state.
                return self.same_state(index, time, after_gap, out);
            }
            None if is_logged_out => {
                self.remember_logged_out(index, &state, time);
                return Taken::Same;
            }
            None if state.mode == Mode::Logon || (is_snapshot_mode && agent.was_absent) => {
                (Cause::LoggedIn, Beginning::FirstSight)
            }
            None => (Cause::Observed, Beginning::FirstSight),
            Some(known) if !known.is_logged_in() => (Cause::LoggedIn, Beginning::FirstSight),
            Some(_) if is_logged_out => (Cause::LoggedOut, Beginning::NewMode),
            Some(known) => {
                let before = &known.state;
                let is_new_mode = before.mode != state.mode || before.direction != state.direction;
                let beginning = if is_new_mode { Beginning::NewMode } else { Beginning::SameMode };
                (if state.mode == Mode::Logon { Cause::LoggedIn } else { Cause::Changed }, beginning)
            }
        };
        let not_before = agent.known.as_ref().map(|known| known.since);
        let context = Context { beginning, not_before, after_gap, observed: cause == Cause::Observed };
        let (since, quality) = since::since(&state, &time, &context);
        agent.start = None;
        agent.open_start = time.computed_start();
        let (state, evidence) = match cause {
            Cause::LoggedOut => (AgentState::logged_out(&state.raw_state), Some(Evidence::Row)),
            _ => (state, None),
        };
        if self.settings.mode == FeedMode::Event {
            let agent = self.table.get_mut(index);
            agent.start = agent.open_start.take().map(|start| start.at);
        }
        let known = Known { state, since, quality };
        self.emit(index, Transition { cause, evidence, known, after_gap, observed_at: time.received_at }, out);
        Taken::Event
    }

    /// The known state again: was it left in between? That shows at the end of the snapshot, in event mode at once.
    fn same_state(&mut self, index: AgentIndex, time: RecordTime, after_gap: bool, out: &mut Vec<Output>) -> Taken {
        let start = if self.computes_start { time.computed_start() } else { None };
        let agent = self.table.get_mut(index);
        if start.is_none() || !agent.is_logged_in() {
            return Taken::Same;
        }
        // What waits stays the first news after a gap when another record of the snapshot replaces it.
        agent.open_after_gap = after_gap || (agent.open_start.is_some() && agent.open_after_gap);
        agent.open_start = start;
        if self.settings.mode != FeedMode::Event {
            return Taken::Undecided;
        }
        let is_reentered = self.reenter(index, std::time::Duration::ZERO, out);
        if is_reentered { Taken::Event } else { Taken::Same }
    }

    fn remember_logged_out(&mut self, index: AgentIndex, state: &AgentState, time: RecordTime) {
        let context = Context { beginning: Beginning::FirstSight, not_before: None, after_gap: false, observed: true };
        let (since, quality) = since::since(state, &time, &context);
        let agent = self.table.get_mut(index);
        agent.known = Some(Known { state: AgentState::logged_out(&state.raw_state), since, quality });
    }

    /// The agent's known state under a new mapping.
    pub fn remapped(&mut self, index: AgentIndex, at: Timestamp) -> Option<AgentEvent> {
        let agent = self.table.get_mut(index);
        let known = agent.known.clone()?;
        agent.sequence += 1;
        let previous = Previous { state: known.state.clone(), since: known.since, last_seen: agent.last_seen };
        Some(AgentEvent {
            agent: index,
            acd: agent.acd,
            login_id: agent.login_id.clone(),
            ride_along: agent.ride_along.clone(),
            sequence: agent.sequence,
            cause: Cause::Remapped,
            evidence: None,
            state: known.state,
            since: known.since,
            quality: known.quality,
            previous: Some(previous),
            after_gap: false,
            observed_at: at,
        })
    }

    /// Makes the transition and tells it.
    pub(super) fn emit(&mut self, index: AgentIndex, transition: Transition, out: &mut Vec<Output>) {
        let Transition { cause, evidence, known, after_gap, observed_at } = transition;
        let agent = self.table.get_mut(index);
        agent.sequence += 1;
        let was_logged_in = agent.is_logged_in();
        let is_logged_in = known.is_logged_in();
        let last_seen = if evidence == Some(Evidence::Absence) { agent.last_seen } else { agent.seen_before };
        let mut known = known;
        known.state.extension = agent.ride_along.extension.clone();
        let before = agent.known.replace(known.clone());
        let previous = before.map(|before| Previous { state: before.state, since: before.since, last_seen });
        let event = AgentEvent {
            agent: index,
            acd: agent.acd,
            login_id: agent.login_id.clone(),
            ride_along: agent.ride_along.clone(),
            sequence: agent.sequence,
            cause,
            evidence,
            state: known.state,
            since: known.since,
            quality: known.quality,
            previous,
            after_gap,
            observed_at,
        };
        self.table.count_login(was_logged_in, is_logged_in);
        out.push(Output::Agent(Box::new(event)));
    }
}

/// A transition that is about to be made.
#[derive(Debug)]
pub(super) struct Transition {
    pub(super) cause: Cause,
    pub(super) evidence: Option<Evidence>,
    pub(super) known: Known,
    pub(super) after_gap: bool,
    pub(super) observed_at: Timestamp,
}

/// What became of a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is an event.
    Event,
    /// It is none.
    Same,
    /// That shows at the end of its snapshot.
    Undecided,
}

/// Quality of a beginning that nothing tells exactly.
pub(super) const fn inferred(after_gap: bool) -> Quality {
    if after_gap { Quality::AfterGap } else { Quality::WithinRefresh }
}

//! Records to events: the agent table, the ends of snapshots and the rules of the tracker.
//!
//! Pure: time is an argument, nothing here reads a clock, logs or waits. [`Tracker`] is the way in; what it finds
//! out is in [`event`]. The rules, to the letter, are in `docs/tracker.md`; scenarios for each are in `tests/scenarios`.
//!
//! The driver calls it in the order of the feed, with the time of receipt, and calls [`Tracker::tick`] whenever
//! [`Tracker::next_deadline`] has passed before anything later. Records come in through `records`, and what they make of
//! an agent is in `transition`: a changed record is an event at once. What has to wait for the end of its snapshot is in
//! `ending`, and what it means that nothing comes is in `silence`. Nothing here fails: a record that decodes is taken, and one that does not can only keep agents from being
//! thought absent.
#![forbid(unsafe_code)]

pub mod agent;
pub mod agent_state;
pub mod behind;
mod blind;
mod crowd;
mod ending;
pub mod event;
mod forget;
mod held;
mod link;
pub mod listening;
pub mod memory;
mod presence;
mod records;
mod reentry;
mod remember;
pub mod settings;
mod silence;
pub mod since;
mod snapshot;
pub mod status;
pub mod table;
mod transition;

use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::time::Timestamp;
use crate::wire::plan::Plan;

use self::agent::REPEATING;
use self::blind::Blind;
use self::crowd::Crowd;
use self::event::Output;
use self::link::Counts;
use self::listening::Listening;
use self::presence::Presence;
use self::settings::{FeedMode, Settings, SnapshotEnd, Thresholds};
use self::snapshot::{End, Snapshots};
use self::table::{AgentIndex, AgentTable};

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

/// Why a record that decodes was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The agent table is full, and this is a new agent, or more of a known one.
    #[error("the agent table is full")]
    Table,
    /// The rows of the agent have as many skills as there may be.
    #[error("too many rows of one agent")]
    Rows,
}

/// Somebody of whom only invalid records came so far.
#[derive(Clone, Copy, Debug)]
struct Stranger {
    /// Number of the last snapshot that had them, and how many in a row have had them.
    present_in: u64,
    in_a_row: u32,
    was_absent: bool,
}

/// Who appears in invalid records only is believed to be somebody after so many snapshots in a row. Until then it may be an
/// error message, or a login id that lost a digit: somebody else is missing then.
const STRANGE: u32 = 3;

impl Stranger {
    /// They are in the snapshot of that number. Whether that was not known, and they may be somebody else in it.
    const fn show(&mut self, snapshot: u64) -> bool {
        if self.present_in == snapshot {
            return false;
        }
        self.in_a_row = if self.present_in > 0 && self.present_in + 1 == snapshot { self.in_a_row + 1 } else { 1 };
        self.present_in = snapshot;
        self.are_doubtful_in(snapshot)
    }

    /// Whether they may be somebody else in the snapshot of that number.
    const fn are_doubtful_in(self, snapshot: u64) -> bool {
        self.present_in == snapshot && self.in_a_row <= STRANGE
    }
}

/// Silences and disconnects.
#[derive(Debug, Default)]
struct Gap {
    /// Counts the gaps; 0 until there was one.
    number: u32,
    /// No complete snapshot that is not down has ended since.
    is_recent: bool,
    /// No snapshot that proves who is absent has ended since.
    is_unproven: bool,
    /// Last valid record before the first gap that RESTORED has not been said of.
    from: Option<Timestamp>,
}

/// When something was last heard.
#[derive(Debug, Default)]
struct Liveness {
    connected_at: Option<Timestamp>,
    last_valid: Option<Timestamp>,
    /// Valid record or marker.
    last_sign: Option<Timestamp>,
    is_stale: bool,
    /// Nothing came for `unknown_after`, and that was said of everybody.
    is_given_up: bool,
    /// When the last connection ended that had told something; the first moment of a process that has had none yet. Who only
    /// dials in and goes changes nothing in that.
    disconnected_at: Option<Timestamp>,
}

impl Liveness {
    /// Whether there is a connection, and it has told something.
    fn has_spoken(&self) -> bool {
        self.connected_at.zip(self.last_sign).is_some_and(|(connected_at, last_sign)| last_sign >= connected_at)
    }
}

/// Of the connection that speaks.
#[derive(Debug, Default)]
struct Connection {
    has_records: bool,
    last_valid: Option<(AgentIndex, Timestamp)>,
    last_invalid: Option<Timestamp>,
    /// The last record, or marker, is an invalid record.
    ends_invalid: bool,
    /// No byte came for `snapshot_idle` at some time since the last record.
    is_silent: bool,
    /// Silence cut a snapshot off whose marker is still to come.
    owes_marker: bool,
}

/// The tracker of one integration.
#[derive(Debug)]
pub struct Tracker {
    settings: Settings,
    merges_rows: bool,
    computes_start: bool,
    tells_time: bool,
    table: AgentTable,
    strangers: HashMap<(u32, Box<str>), Stranger, FixedState>,
    snapshots: Snapshots,
    presence: Presence,
    link_counts: Counts,
    gap: Gap,
    link_is_down: bool,
    is_unreadable: bool,
    blind: Blind,
    /// How many complete snapshots in a row have listed many agents more than once; no more than [`REPEATING`].
    repeating: u32,
    /// Whom the last complete snapshot has listed more than once.
    listed_again: Vec<AgentIndex>,
    /// Snapshots that begin before are too close to the suspect one to confirm it.
    suspect_until: Option<Timestamp>,
    /// A complete snapshot of this run has proved who was absent.
    has_proof: bool,
    /// How late the last complete snapshot was, and when it began; `None` where something came between.
    delay: Duration,
    last_began: Option<Timestamp>,
    /// When the last snapshot began that has ended and was not down, over gaps too.
    ended_began: Option<Timestamp>,
    /// Between the last two complete snapshots that nothing came between.
    period: Option<Duration>,
    /// First record of the last complete snapshot that lacked nobody unnoticed (mode `snapshot`).
    seen_at: Option<Timestamp>,
    /// Whose memory has changed, each once.
    changed: Vec<AgentIndex>,
    crowd: Crowd,
    counts: RecordCounts,
    renamed: Vec<AgentIndex>,
    liveness: Liveness,
    listening: Listening,
    connection: Connection,
    clock_skew_seconds: Option<f64>,
    impossible_times: u64,
}

impl Tracker {
    /// For a feed of the layout `plan`.
    pub fn new(settings: Settings, plan: &Plan) -> Self {
        Self {
            settings,
            merges_rows: plan.merges_rows(),
            computes_start: plan.computes_start(),
            tells_time: plan.tells_time(),
            table: AgentTable::default(),
            strangers: HashMap::with_hasher(FixedState::with_seed(1)),
            snapshots: Snapshots::default(),
            presence: Presence::default(),
            link_counts: Counts::default(),
            gap: Gap::default(),
            link_is_down: false,
            is_unreadable: false,
            blind: Blind::default(),
            repeating: 0,
            listed_again: Vec::new(),
            suspect_until: None,
            has_proof: false,
            delay: Duration::ZERO,
            last_began: None,
            ended_began: None,
            period: None,
            seen_at: None,
            changed: Vec::new(),
            crowd: Crowd::default(),
            counts: RecordCounts::default(),
            renamed: Vec::new(),
            liveness: Liveness::default(),
            listening: Listening::default(),
            connection: Connection::default(),
            clock_skew_seconds: None,
            impossible_times: 0,
        }
    }

    /// The agents.
    pub const fn table(&self) -> &AgentTable {
        &self.table
    }

    /// How the feed is read.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether more than half of the agents have codes that the table of states lacks.
    pub const fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// Outcomes of the valid records so far.
    pub const fn counts(&self) -> RecordCounts {
        self.counts
    }

    /// Timestamp less receipt of the last record with a timestamp.
    pub const fn clock_skew_seconds(&self) -> Option<f64> {
        self.clock_skew_seconds
    }

    /// How many login ids are known from invalid records alone.
    pub fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// Local times so far that do not occur.
    pub const fn impossible_times(&self) -> u64 {
        self.impossible_times
    }

    /// Whether bytes come, and for long no valid record.
    pub const fn is_garbled(&self) -> bool {
        self.blind.is_unreadable()
    }

    /// Whether valid records come, and for long no snapshot has ended.
    pub const fn has_no_snapshot(&self) -> bool {
        self.blind.has_no_snapshot()
    }

    /// Whether refreshes list many agents more than once.
    pub const fn repeats_rows(&self) -> bool {
        self.repeating >= REPEATING
    }

    /// Time between the last two complete snapshots that nothing came between.
    pub const fn period(&self) -> Option<Duration> {
        self.period
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

    /// Takes new thresholds.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        if thresholds.restart_tolerance != self.settings.thresholds.restart_tolerance {
            self.mark_changed_where(|agent| agent.open.is_some());
        }
        self.settings.thresholds = thresholds;
    }

    /// Another layout from here on: the open snapshot is cut off and remembered bytes are worth nothing.
    pub fn set_layout(&mut self, plan: &Plan, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(End::Incomplete, at, out);
        self.merges_rows = plan.merges_rows();
        self.tells_time = plan.tells_time();
        self.computes_start = plan.computes_start();
        for index in self.table.indices() {
            let agent = self.table.get_mut(index);
            agent.last_record.forget();
            agent.settled = false;
            // Of a layout that tells no starts, records are never concluded.
            let waited = agent.open.take().is_some();
            if agent.told_start.take().is_some() || waited {
                self.mark_changed(index);
            }
        }
    }

    /// A connection is the one that speaks from now on.
    pub fn connected(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.begin_gap(at, out);
        self.connection = Connection::default();
        self.blind.connection_changed();
        self.liveness.connected_at = Some(at);
        self.liveness.disconnected_at.get_or_insert(at);
        self.liveness.is_stale = false;
    }

    /// It ended, by itself or because another took over.
    pub fn disconnected(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.begin_gap(at, out);
        if self.liveness.has_spoken() {
            self.liveness.disconnected_at = Some(at);
        }
        self.liveness.connected_at = None;
    }

    fn begin_gap(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(End::Incomplete, at, out);
        self.last_began = None;
        if self.liveness.last_valid.is_some() {
            self.open_gap();
            self.gap.from = self.gap.from.or(self.liveness.last_valid);
        }
    }

    const fn open_gap(&mut self) {
        self.gap.number += 1;
        self.gap.is_recent = true;
        self.gap.is_unproven = true;
        self.blind.gap_began();
    }

    /// No byte came for `snapshot_idle` while the feed was being read, and no record is half read.
    pub fn idle(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.connection.is_silent = true;
        if self.settings.fixed.snapshot_end == SnapshotEnd::Idle {
            self.end_snapshot(End::Complete, at, out);
        }
    }

    /// A marker line.
    pub fn marker(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.liveness.last_sign = Some(at);
        self.liveness.is_stale = false;
        self.liveness.is_given_up = false;
        self.connection.ends_invalid = false;
        self.blind.marker_came();
        let ends_snapshots =
            self.settings.fixed.snapshot_end == SnapshotEnd::Marker && self.settings.fixed.mode != FeedMode::Event;
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
}

//! Records to events: the agent table, the ends of snapshots and the rules of the tracker.
//!
//! Pure: time is an argument, nothing here reads a clock, logs or waits. [`Tracker`] is the way in; what it finds
//! out is in [`event`]. The rules, to the letter, are in `docs/tracker.md`; scenarios for each are in `tests/scenarios`.
//!
//! The driver calls it in the order of the feed, with the time of receipt, and calls [`Tracker::tick`] whenever
//! [`Tracker::next_deadline`] has passed before anything later. Records come in through `records`, and what they make of
//! an agent is in `transition`: a changed record is an event at once. What has to wait for the end of its snapshot is in
//! `snapshot_end`, and what it means that nothing comes is in `silence`. Nothing here fails: a record that decodes is taken,
//! and one that does not can only keep agents from being thought absent.
//!
//! ```
//! use rtalink::config;
//! use rtalink::time::Timestamp;
//! use rtalink::tracker::Tracker;
//! use rtalink::tracker::event::Output;
//! use rtalink::wire::decode::Decoder;
//! use rtalink::wire::plan::Plan;
//!
//! let file = r#"
//!     [kafka]
//!     bootstrap_servers = "localhost:9092"
//!     [[integration]]
//!     id = "berlin"
//!     kind = "avaya-cms"
//!     acd = 1
//!     realtime = { port = 7001, bind = "127.0.0.1", layout = "short", mode = "event" }
//!     [layout.short]
//!     separator = " "
//!     columns = ["login_id", "state"]
//!     states = "cms-names"
//! "#;
//! let config = config::parse(file, "rtalink.toml".as_ref(), []).config.expect("a valid file");
//! let integration = &config.integrations[0];
//! let layout = &integration.realtime.as_ref().expect("a feed").layout;
//!
//! let plan = Plan::compile(layout, "UTC")?;
//! let mut tracker = Tracker::new(integration.settings.clone(), &plan);
//! let (mut decoder, mut out) = (Decoder::default(), Vec::new());
//! tracker.connected(Timestamp::from_millis(0), &mut out);
//! for (millis, line) in [(1_000, "4711 AVAIL"), (2_000, "4711 AVAIL"), (3_000, "4711 AUX")] {
//!     let at = Timestamp::from_millis(millis);
//!     let decoded = decoder.decode(&plan, line.as_bytes(), at)?;
//!     tracker.record(&decoded, line.as_bytes(), at, &mut out)?;
//! }
//! let events = out.iter().filter_map(|output| match output {
//!     Output::Agent(event) => Some((event.sequence, event.cause.name(), event.state.mode.name())),
//!     _ => None,
//! });
//! assert!(events.eq([(1, "OBSERVED", "AVAIL"), (2, "CHANGED", "AUX")]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod agent;
pub mod agent_state;
pub mod behind;
mod blind;
mod brief;
mod connection;
mod crowd;
pub mod event;
mod forget;
mod gap;
mod held;
mod invalid;
mod layout_facts;
mod link;
pub mod listening;
mod liveness;
mod news;
mod presence;
mod records;
mod reentry;
mod remember;
mod repeats;
mod rhythm;
pub mod saved;
pub mod settings;
pub(crate) mod shared_texts;
mod silence;
pub mod since;
mod skill_list;
mod snapshot;
mod snapshot_end;
pub mod status;
mod strangers;
pub mod table;
mod tally;
mod transition;

use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::plan::Plan;

pub use self::brief::BriefCounts;
pub use self::tally::RecordCounts;

use self::blind::Blind;
use self::brief::Brevity;
use self::connection::SpeakingConnection;
use self::crowd::Crowd;
use self::event::Output;
use self::gap::Gap;
use self::layout_facts::LayoutFacts;
use self::link::Link;
use self::listening::Listening;
use self::liveness::Liveness;
use self::news::ChangedAgents;
use self::presence::Presence;
use self::repeats::Repeats;
use self::rhythm::Rhythm;
use self::settings::{FeedMode, SnapshotEnd, Thresholds, TrackerSettings};
use self::shared_texts::SharedTexts;
use self::snapshot::{SnapshotEnding, Snapshots};
use self::strangers::Strangers;
use self::table::{AgentIndex, AgentTable};
use self::tally::Tally;

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

/// The tracker of one integration.
///
/// Each part has its state to itself, and the rules that need nothing else. What takes several parts is a method of the
/// tracker, in the file whose idea it is.
#[derive(Debug)]
pub struct Tracker {
    settings: TrackerSettings,
    layout: LayoutFacts,
    table: AgentTable,
    strangers: Strangers,
    connection: SpeakingConnection,
    liveness: Liveness,
    listening: Listening,
    blind: Blind,
    gap: Gap,
    snapshots: Snapshots,
    rhythm: Rhythm,
    repeats: Repeats,
    presence: Presence,
    link: Link,
    crowd: Crowd,
    brevity: Brevity,
    tally: Tally,
    news: ChangedAgents,
    texts: SharedTexts,
}

impl Tracker {
    /// For a feed of the layout `plan`.
    pub fn new(settings: TrackerSettings, plan: &Plan) -> Self {
        Self {
            settings,
            layout: LayoutFacts::of(plan),
            table: AgentTable::default(),
            strangers: Strangers::default(),
            connection: SpeakingConnection::default(),
            liveness: Liveness::default(),
            listening: Listening::default(),
            blind: Blind::default(),
            gap: Gap::default(),
            snapshots: Snapshots::default(),
            rhythm: Rhythm::default(),
            repeats: Repeats::default(),
            presence: Presence::default(),
            link: Link::default(),
            crowd: Crowd::default(),
            brevity: Brevity::default(),
            tally: Tally::default(),
            news: ChangedAgents::default(),
            texts: SharedTexts::default(),
        }
    }

    /// The agents.
    pub const fn table(&self) -> &AgentTable {
        &self.table
    }

    /// How the feed is read.
    pub const fn settings(&self) -> &TrackerSettings {
        &self.settings
    }

    /// Whether more than half of the agents have codes that the table of states lacks.
    pub const fn is_unreadable(&self) -> bool {
        self.link.is_unreadable()
    }

    /// Outcomes of the valid records so far.
    pub const fn counts(&self) -> RecordCounts {
        self.tally.counts()
    }

    /// Timestamp less receipt of the last record with a timestamp.
    pub const fn clock_skew_seconds(&self) -> Option<f64> {
        self.tally.clock_skew_seconds()
    }

    /// How many login ids are known from invalid records alone.
    pub fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// Local times so far that do not occur.
    pub const fn impossible_times(&self) -> u64 {
        self.tally.impossible_times()
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
        self.repeats.are_many()
    }

    /// Time between the last two complete snapshots that nothing came between.
    pub const fn period(&self) -> Option<Duration> {
        self.rhythm.period()
    }

    /// Agents whose name has changed since the last call.
    pub fn take_renamed(&mut self) -> Vec<AgentIndex> {
        self.news.take_renamed()
    }

    /// Receipt of the last valid record.
    pub const fn last_valid(&self) -> Option<Timestamp> {
        self.liveness.last_valid()
    }

    /// Whether nearly everybody is UNKNOWN.
    pub const fn link_is_down(&self) -> bool {
        self.link.is_down()
    }

    /// Takes new thresholds.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        if thresholds.restart_tolerance != self.settings.thresholds.restart_tolerance {
            self.mark_changed_where(|agent| agent.open.is_some());
        }
        self.settings.thresholds = thresholds;
    }

    /// Returns the number of the last snapshot that began where another one ended, or with its connection; `None` where there
    /// are no snapshots.
    #[inline]
    pub const fn seam(&self) -> Option<u64> {
        match self.settings.fixed.mode {
            FeedMode::Event => None,
            FeedMode::Snapshot | FeedMode::Delta => Some(self.snapshots.seam()),
        }
    }

    /// Another layout from here on: the open snapshot is cut off and remembered bytes are worth nothing.
    pub fn set_layout(&mut self, plan: &Plan, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(SnapshotEnding::Incomplete, at, out);
        self.layout = LayoutFacts::of(plan);
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
        self.connection = SpeakingConnection::default();
        self.snapshots.begin_at_seam(true);
        self.blind.connection_changed();
        self.liveness.connected(at);
    }

    /// It ended, by itself or because another took over.
    pub fn disconnected(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.begin_gap(at, out);
        self.liveness.disconnected(at);
    }

    fn begin_gap(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(SnapshotEnding::Incomplete, at, out);
        self.rhythm.interrupt();
        if let Some(last_valid) = self.liveness.last_valid() {
            self.open_gap();
            self.gap.note_from(last_valid);
        }
    }

    const fn open_gap(&mut self) {
        self.gap.begin();
        self.blind.gap_began();
    }

    /// No byte came for `snapshot_idle` while the feed was being read, and no record is half read.
    pub fn idle(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.connection.fall_silent();
        if self.settings.fixed.snapshot_end == SnapshotEnd::Idle {
            self.end_snapshot(SnapshotEnding::Complete, at, out);
        }
    }

    /// A marker line.
    pub fn marker(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.liveness.sign_came(at);
        let was_owed = self.connection.marker_came();
        self.blind.marker_came();
        let ends_snapshots =
            self.settings.fixed.snapshot_end == SnapshotEnd::Marker && self.settings.fixed.mode != FeedMode::Event;
        // A marker that only ends what silence has cut off shows nobody absent.
        let is_late = was_owed && !self.snapshots.is_open();
        if ends_snapshots && self.connection.has_records() && !is_late {
            self.snapshots.enter(at, self.gap.is_recent());
            self.end_snapshot(SnapshotEnding::Complete, at, out);
        }
    }

    /// The input has ended for good (a capture, not a connection).
    pub fn end_of_input(&mut self, at: Timestamp, out: &mut Vec<Output>) {
        self.end_snapshot(SnapshotEnding::OfInput, at, out);
    }
}

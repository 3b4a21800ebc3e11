//! What the tracker finds out.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;

use super::agent_state::{AgentState, RideAlong};
use super::since::Quality;
use super::table::AgentIndex;

/// Why an event is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// First sight of somebody, with no sign that they have just logged in.
    Observed,
    /// The agent has logged in.
    LoggedIn,
    /// Another state.
    Changed,
    /// The same state, left and entered again between two snapshots.
    Reentered,
    /// The agent has logged out.
    LoggedOut,
    /// The same state under a new mapping.
    Remapped,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 6] =
        [Self::Observed, Self::LoggedIn, Self::Changed, Self::Reentered, Self::LoggedOut, Self::Remapped];

    /// Returns the name in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observed => "OBSERVED",
            Self::LoggedIn => "LOGGED_IN",
            Self::Changed => "CHANGED",
            Self::Reentered => "REENTERED",
            Self::LoggedOut => "LOGGED_OUT",
            Self::Remapped => "REMAPPED",
        }
    }
}

/// What a log-out was inferred from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A row that says so.
    Row,
    /// Absence from complete snapshots.
    Absence,
}

/// A state that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// The state.
    pub state: AgentState,
    /// Since when it lasted.
    pub state_since: Timestamp,
    /// Last valid record in it.
    pub last_seen: Timestamp,
}

/// A real transition of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEvent {
    /// The agent's number in the table.
    pub agent: AgentIndex,
    /// ACD number.
    pub acd: u32,
    /// Login id.
    pub login_id: Arc<str>,
    /// Details without influence.
    pub ride_along: RideAlong,
    /// Per agent, from 1.
    pub sequence: u64,
    /// Why.
    pub cause: Cause,
    /// With a log-out.
    pub evidence: Option<Evidence>,
    /// The new state.
    pub state: AgentState,
    /// Since when.
    pub state_since: Timestamp,
    /// How good that is.
    pub quality: Quality,
    /// The last known state.
    pub previous: Option<Previous>,
    /// First news after a gap.
    pub after_gap: bool,
    /// Receipt of the bytes that showed it.
    pub observed_at: Timestamp,
}

/// What a feed status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusKind {
    /// A connection became the one that speaks.
    Connected,
    /// The connection that speaks ended.
    Disconnected,
    /// Nothing valid for longer than `stale_after`.
    Stale,
    /// The first complete snapshot after a gap.
    Restored {
        /// Last valid record before the gap.
        gap_from: Timestamp,
        /// Last record of the first complete snapshot after it.
        gap_to: Timestamp,
    },
    /// The link between switch and CMS is down.
    LinkDown,
    /// The link is up again.
    LinkUp,
    /// A snapshot would log out too many.
    Suspect,
    /// More than half of the agents carry codes that the state table does not have, or bytes come but no valid record.
    Unreadable,
    /// Refreshes list many agents more than once.
    RepeatedRows,
    /// Records come but no snapshot ends.
    NoSnapshot,
    /// Three takeovers within a minute.
    Flapping,
    /// Publishing stops after this.
    Paused,
    /// Publishing has resumed; what was missed has been published.
    Resumed,
    /// The service is there; every minute.
    Heartbeat,
}

impl StatusKind {
    /// Names of the kinds that report that something has happened: all but HEARTBEAT.
    pub const NAMES: [&'static str; 13] = [
        "CONNECTED",
        "DISCONNECTED",
        "STALE",
        "RESTORED",
        "LINK_DOWN",
        "LINK_UP",
        "SUSPECT",
        "UNREADABLE",
        "REPEATED_ROWS",
        "NO_SNAPSHOT",
        "FLAPPING",
        "PAUSED",
        "RESUMED",
    ];

    /// Returns the name in feed statuses and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "CONNECTED",
            Self::Disconnected => "DISCONNECTED",
            Self::Stale => "STALE",
            Self::Restored { .. } => "RESTORED",
            Self::LinkDown => "LINK_DOWN",
            Self::LinkUp => "LINK_UP",
            Self::Suspect => "SUSPECT",
            Self::Unreadable => "UNREADABLE",
            Self::RepeatedRows => "REPEATED_ROWS",
            Self::NoSnapshot => "NO_SNAPSHOT",
            Self::Flapping => "FLAPPING",
            Self::Paused => "PAUSED",
            Self::Resumed => "RESUMED",
            Self::Heartbeat => "HEARTBEAT",
        }
    }
}

/// Something happened to the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusEvent {
    /// What.
    pub kind: StatusKind,
    /// When.
    pub at: Timestamp,
    /// How many agents it is about, where it is about agents.
    pub affected: u32,
}

/// A snapshot has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEvent {
    /// It is whole; otherwise a disconnect, a silence or a new layout ended it.
    pub complete: bool,
    /// Time from the first record of the previous snapshot to that of this one, where that was whole too.
    pub period: Option<Duration>,
}

/// What the tracker reports, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A transition.
    Agent(Box<AgentEvent>),
    /// A feed status.
    Status(StatusEvent),
    /// The end of a snapshot.
    Snapshot(SnapshotEvent),
    /// The events of a crowd belong here; [`Tracker::carry_out`](super::Tracker::carry_out) makes them.
    Crowd,
}

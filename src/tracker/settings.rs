//! What configuration says about how a feed is read.

use std::time::Duration;

/// How an integration's records become states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerSettings {
    /// What makes a feed what it is.
    pub fixed: Fixed,
    /// What can change while a feed is read.
    pub thresholds: Thresholds,
}

/// What makes a feed what it is: with another one it is another feed, for another tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The integration's ACD number; a column `acd` wins over it.
    pub acd: u32,
    /// Whether work split and skills are part of the state.
    pub details: bool,
    /// What absence means.
    pub mode: FeedMode,
    /// What ends a snapshot.
    pub snapshot_end: SnapshotEnd,
}

/// What can change while a feed is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Silence that ends a snapshot under [`SnapshotEnd::Idle`]; under [`SnapshotEnd::Repeat`], how close together two
    /// records of one agent are changes of one snapshot.
    pub snapshot_idle: Duration,
    /// No refresh of the report is shorter: rows of one agent that are closer together than the first record of the
    /// snapshot and this are rows of one refresh.
    pub shortest_refresh: Duration,
    /// Complete snapshots in a row without an agent that log them out.
    pub logout_after: u32,
    /// How much later a computed start must be to prove that a state was left and entered again.
    pub restart_tolerance: Duration,
    /// Time without a valid record after which a feed is stale.
    pub stale_after: Duration,
    /// What silence on an open connection means.
    pub when_silent: WhenSilent,
    /// Most agents logged in with whom silence may mean that nobody is left.
    pub empty_below: u32,
    /// Time without a feed after which its agents are in mode UNKNOWN; `None`: never.
    pub unknown_after: Option<Duration>,
}

impl Thresholds {
    /// Whether refreshes that take `period` are too close to `shortest_refresh` for it: a bit of jitter, and two are merged.
    pub fn shortest_refresh_is_too_long_for(&self, period: Duration) -> bool {
        self.shortest_refresh > period / 2
    }
}

/// What absence from a snapshot means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedMode {
    /// Every refresh carries all agents: absence logs out.
    Snapshot,
    /// A refresh carries the changed ones: absence means unchanged.
    Delta,
    /// Records come as they happen, without boundaries.
    Event,
}

/// What silence on an open connection means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenSilent {
    /// The feed is stale.
    Stale,
    /// While few are logged in: the report is empty, and nothing is sent for it.
    Empty,
}

/// What ends a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotEnd {
    /// A source key seen again.
    Repeat,
    /// Silence.
    Idle,
    /// A line of its own.
    Marker,
}

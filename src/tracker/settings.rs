//! What configuration says about how a feed is read.

use std::fmt;
use std::time::Duration;

use crate::wire::states::Mode;

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
    /// For how long states of some modes have to last to be published.
    pub short_states: ShortStates,
    /// Who logs in again so soon after a log-out has not logged out.
    pub logout_hold: Duration,
}

/// For how long a state has to last to be published, by its mode; zero: not at all. In milliseconds, which is small enough
/// to be copied, and 49 days at most.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ShortStates([u32; Mode::ALL.len()]);

impl ShortStates {
    /// Returns the same with another duration for a mode.
    #[must_use]
    pub fn with(mut self, mode: Mode, least: Duration) -> Self {
        self.0[mode as usize] = u32::try_from(least.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// Returns the duration of a mode.
    pub const fn of(&self, mode: Mode) -> Duration {
        Duration::from_millis(self.0[mode as usize] as u64)
    }
}

impl fmt::Debug for ShortStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked_for = Mode::ALL.into_iter().filter(|mode| !self.of(*mode).is_zero());
        f.debug_map().entries(asked_for.map(|mode| (mode.name(), self.of(mode)))).finish()
    }
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

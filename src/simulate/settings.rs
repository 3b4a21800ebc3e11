//! What a simulated feed is made from.

use std::sync::Arc;
use std::time::Duration;

use crate::tracker::settings::{SnapshotEnd, TrackerSettings};
use crate::wire::layout::{Column, LayoutSpec};

use super::error::SimulateError;
use super::manner::Manner;
use super::render::Renderer;
use super::scenario::Scenario;
use super::script::Script;
use super::shift::Drive;

/// What a simulated feed is made from; the same settings and the same start make the same bytes.
#[derive(Clone, Debug)]
pub struct SimulatedFeedSettings {
    /// How records look.
    pub layout: Arc<LayoutSpec>,
    /// How the report is printed, beyond the layout.
    pub manner: Manner,
    /// Number of agents, logged in or not.
    pub agents: usize,
    /// Time from one snapshot to the next.
    pub refresh: Duration,
    /// The same seed makes the same shift.
    pub seed: u64,
    /// What happens besides an ordinary shift.
    pub scenario: Scenario,
    /// How fast agents change.
    pub drive: Drive,
    /// ACD number, for layouts that show it.
    pub acd: u32,
    /// IANA name of the zone of local times, for layouts that show them.
    pub time_zone: String,
    /// Whether a log-out is reported as a row once, where the layout has a code for it, before the agent is absent.
    pub logout_rows: bool,
    /// What the last agent of the roster does on purpose, instead of working.
    pub script: Option<Script>,
    /// How the listener reads the feed; only the truth depends on it.
    pub listener: Listener,
}

/// How a listener reads the feed: decides which transitions it can know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Work split and skills are part of the state.
    pub details: bool,
    /// What ends a snapshot.
    pub snapshot_end: SnapshotEnd,
    /// How many complete snapshots in a row without an agent log them out.
    pub logout_after: u32,
    /// How much later a state must begin to count as entered again.
    pub restart_tolerance: Duration,
}

impl Default for Listener {
    /// The defaults of an integration.
    fn default() -> Self {
        Self {
            details: false,
            snapshot_end: SnapshotEnd::Repeat,
            logout_after: 2,
            restart_tolerance: Duration::from_secs(2),
        }
    }
}

impl From<&TrackerSettings> for Listener {
    /// The integration that will read the feed.
    fn from(settings: &TrackerSettings) -> Self {
        Self {
            details: settings.fixed.details,
            snapshot_end: settings.fixed.snapshot_end,
            logout_after: settings.thresholds.logout_after,
            restart_tolerance: settings.thresholds.restart_tolerance,
        }
    }
}

impl SimulatedFeedSettings {
    /// Returns a feed of that layout with the defaults of the command `simulate`: 500 agents, a refresh of 3 s, an ordinary
    /// shift at the pace of real life.
    pub fn new(layout: Arc<LayoutSpec>) -> Self {
        Self {
            layout,
            manner: Manner::default(),
            agents: 500,
            refresh: Duration::from_secs(3),
            seed: 1,
            scenario: Scenario::Shift,
            drive: Drive::Pace(1.0),
            acd: 1,
            time_zone: "UTC".to_owned(),
            logout_rows: false,
            script: None,
            listener: Listener::default(),
        }
    }

    /// Returns the renderer of the feed.
    ///
    /// # Errors
    /// No agents, no refresh, a drive out of range, or an error of the layout's renderer.
    pub(super) fn renderer(&self) -> Result<Renderer, SimulateError> {
        let is_sound = match self.drive {
            Drive::Pace(pace) => pace.is_finite() && pace > 0.0,
            Drive::ChangeShare(share) => (0.0..=1.0).contains(&share),
        };
        if self.agents == 0 {
            return Err(SimulateError::NoAgents);
        }
        if self.refresh.is_zero() {
            return Err(SimulateError::NoRefresh);
        }
        if !is_sound {
            return Err(SimulateError::Drive(self.drive));
        }
        let shows_acd = self.layout.columns.iter().any(|spec| spec.column == Column::Acd);
        if self.scenario == Scenario::TwoAcds && !shows_acd {
            return Err(SimulateError::NoAcdColumn);
        }
        let renderer = Renderer::new(Arc::clone(&self.layout), self.acd, &self.time_zone)?;
        Ok(renderer.in_manner(&self.manner))
    }
}

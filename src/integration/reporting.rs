//! What is shown of a feed: to the read model, in metrics, and in the log.
//!
//! Figures alone reach the read model at most every [`SHOW_EVERY`]: in a flood, not every message wakes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::session::ConnectionId;
use crate::engine::{CloseReason, Engine};
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::event::{SnapshotEvent, StatusKind};
use crate::tracker::status::{FeedStatus, Totals};
use crate::views::model::{FeedView, IntegrationIndex, Update, Updates};

use super::conditions::{Conditions, advice};
use super::staleness::Staleness;

/// The shortest time between two updates of the read model with figures alone.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// What the read model knows of a feed.
#[derive(Debug, Default)]
struct Shown {
    at: Option<Instant>,
    is_behind: bool,
}

impl Shown {
    /// Whether the model is to be updated now: for a feed status at once, for anything else now or at a later call.
    fn is_due(&mut self, has_changed: bool, has_status: bool, now: Instant) -> bool {
        self.is_behind |= has_changed || has_status;
        let is_quiet = self.at.is_none_or(|at| now.saturating_duration_since(at) >= SHOW_EVERY);
        let is_due = has_status || self.is_behind && is_quiet;
        if is_due {
            *self = Self { at: Some(now), is_behind: false };
        }
        is_due
    }
}

/// What is shown of a feed.
#[derive(Debug)]
pub(super) struct Reporting {
    id: Arc<str>,
    /// Position in the model.
    index: IntegrationIndex,
    model: Updates,
    metrics: FeedMetrics,
    /// What is in the counters.
    reported: Totals,
    view: FeedView,
    shown: Shown,
    staleness: Staleness,
    conditions: Conditions,
}

impl Reporting {
    /// Creates it with nothing shown yet.
    pub(super) fn new(id: Arc<str>, index: IntegrationIndex, model: Updates, metrics: FeedMetrics) -> Self {
        Self {
            id,
            index,
            model,
            metrics,
            reported: Totals::default(),
            view: FeedView::default(),
            shown: Shown::default(),
            staleness: Staleness::default(),
            conditions: Conditions::default(),
        }
    }

    /// Sends an update to the read model.
    pub(super) fn update_model(&self, update: Update) {
        // The model outlives its senders except at shutdown, when nobody reads it any more.
        let _ = self.model.send((self.index, update));
    }

    /// Logs and counts a feed status, which is shown from now on.
    pub(super) fn note_status(&mut self, status: &FeedStatus) {
        self.metrics.status(status);
        self.log_status(status);
        self.staleness.status(status);
        let at = Some(status.event.at);
        match status.event.kind {
            StatusKind::Disconnected => self.view.disconnected_at = at,
            StatusKind::Suspect => self.view.suspect_at = at,
            StatusKind::Flapping => self.view.flapping_at = at,
            _ => {}
        }
        self.view.status = Some(status.clone());
    }

    fn log_status(&self, status: &FeedStatus) {
        let kind = status.event.kind;
        let peer = status.figures.peer.as_deref().unwrap_or_default();
        let affected = status.event.affected;
        let kind_name = kind.name();
        match kind {
            StatusKind::Connected | StatusKind::Restored { .. } | StatusKind::LinkUp | StatusKind::Resumed => {
                tracing::info!(
                    target: INTEGRATION, integration = %self.id, kind = kind_name, peer, affected, "feed status"
                );
            }
            StatusKind::Disconnected if status.no_valid_record => {
                let advice = "a port scan, a health check, or a layout that does not fit";
                tracing::warn!(
                    target: INTEGRATION, integration = %self.id, kind = kind_name, peer, no_valid_record = true, advice, "feed status"
                );
            }
            _ => {
                let advice = advice(kind, affected);
                tracing::warn!(
                    target: INTEGRATION, integration = %self.id, kind = kind_name, peer, affected, advice, "feed status"
                );
            }
        }
    }

    /// A snapshot has ended.
    pub(super) fn note_snapshot(&mut self, snapshot: &SnapshotEvent, tracker: &Tracker, at: Timestamp) {
        if let Some(period) = snapshot.period {
            self.metrics.period.set(period.as_secs_f64());
            self.view.period = Some(period);
            self.watch_refresh(tracker, period);
        }
        if snapshot.complete {
            self.staleness.complete_snapshot();
            self.view.last_snapshot_at = Some(at);
        }
    }

    fn watch_refresh(&mut self, tracker: &Tracker, period: Duration) {
        let settings = tracker.settings();
        if self.conditions.refreshed(settings, period) {
            let (shortest_refresh_ms, period_ms) =
                (settings.thresholds.shortest_refresh.as_millis(), period.as_millis());
            tracing::warn!(
                target: INTEGRATION, integration = %self.id, shortest_refresh_ms, period_ms,
                "shortest_refresh is more than half of the time between two refreshes, which may be merged: set it to a \
                 third of the report's refresh at most"
            );
        }
    }

    /// Logs and counts that a connection is closed.
    pub(super) fn record_close(&self, connection: ConnectionId, reason: CloseReason) {
        self.metrics.refused(reason.label());
        tracing::info!(
            target: INTEGRATION, integration = %self.id, connection, reason = reason.label(), "connection closed"
        );
    }

    /// Logs a connection that ended without a valid record, one of many.
    pub(super) fn log_probe(&self, peer: &str) {
        let advice = "a port scan or a health check; no feed status tells of it, for there were many";
        tracing::info!(
            target: INTEGRATION, integration = %self.id, %peer, advice, "a connection ended without a valid record"
        );
    }

    /// Takes whether the journal is full, to be shown with the next report.
    pub(super) fn note_journal(&mut self, is_full: bool) {
        self.shown.is_behind |= self.view.is_journal_full != is_full;
        self.view.is_journal_full = is_full;
    }

    /// Counts what has come since the last time, and shows it.
    pub(super) fn report(&mut self, engine: &Engine, has_findings: bool, has_status: bool) {
        let impossible_times = self.count_totals(engine.totals());
        self.set_gauges(engine);
        self.count_impossible_times(impossible_times);
        let figures = engine.figures();
        let has_changed = has_findings || figures != self.view.figures;
        self.view.figures = figures;
        self.view.connections = engine.session().connections();
        self.view.connected_at = engine.session().peer_since();
        self.view.clock_skew_seconds = engine.tracker().clock_skew_seconds();
        self.view.is_link_down = engine.tracker().link_is_down();
        self.view.stale_agents = self.staleness.agents();
        if self.shown.is_due(has_changed, has_status, Instant::now()) {
            self.update_model(Update::Feed(Box::new(self.view.clone())));
        }
    }

    /// Returns how many local times were new that do not occur.
    fn count_totals(&mut self, totals: Totals) -> u64 {
        let before = std::mem::replace(&mut self.reported, totals);
        self.metrics.changed.increment(totals.records.changed - before.records.changed);
        self.metrics.unchanged.increment(totals.records.unchanged - before.records.unchanged);
        self.metrics.invalid.increment(totals.invalid - before.invalid);
        self.metrics.probes.increment(totals.probes - before.probes);
        self.metrics.complete.increment(totals.complete_snapshots - before.complete_snapshots);
        self.metrics.incomplete.increment(totals.incomplete_snapshots - before.incomplete_snapshots);
        self.metrics.absorbed_states.increment(totals.absorbed.states - before.absorbed.states);
        self.metrics.absorbed_logouts.increment(totals.absorbed.logouts - before.absorbed.logouts);
        totals.impossible_times - before.impossible_times
    }

    fn set_gauges(&mut self, engine: &Engine) {
        let (session, tracker) = (engine.session(), engine.tracker());
        if let Some(at) = tracker.last_valid() {
            #[allow(clippy::cast_precision_loss)] // microseconds fit until the year 2255
            self.metrics.last_record.set(at.as_micros() as f64 / 1e6);
        }
        if let Some(skew) = tracker.clock_skew_seconds() {
            self.metrics.clock_skew(skew);
        }
        self.metrics.up.set(if session.peer().is_some() { 1.0 } else { 0.0 });
        #[allow(clippy::cast_precision_loss)] // at most five
        self.metrics.connections.set(session.connections() as f64);
        self.metrics.link_down.set(if tracker.link_is_down() { 1.0 } else { 0.0 });
        self.metrics.stale(self.staleness.agents());
        self.view.conditions = self.conditions.report(tracker, &self.metrics);
    }

    fn count_impossible_times(&self, count: u64) {
        self.metrics.impossible_times.increment(count);
        if count > 0 {
            tracing::warn!(
                target: INTEGRATION, integration = %self.id, count,
                "local times that do not occur, as in the hour that is left out in spring, are taken as missing: is \
                 `time_zone` that of the feed's clock?"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_told_of_a_status_at_once_and_of_figures_in_the_end() {
        let begin = Instant::now();
        let mut shown = Shown::default();
        // After so many milliseconds: something has changed, a status came, the model is updated.
        let looks = [
            (0, true, false, true),
            (1, true, false, false),
            (2, false, false, false),
            (50, false, true, true),
            (149, true, false, false),
            (150, false, false, true),
            (400, false, false, false),
            (401, true, false, true),
        ];
        for (after, has_changed, has_status, expected) in looks {
            let now = begin + Duration::from_millis(after);
            assert_eq!(shown.is_due(has_changed, has_status, now), expected, "after {after} ms");
        }
    }
}

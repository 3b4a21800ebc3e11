//! What is wrong with a feed for longer than a moment: gauges, and advice for the log.
//!
//! The tracker finds most of it. Whether `shortest_refresh` fits the report only shows from one refresh to the next, and one
//! that is late, or comes right after a late one, says nothing: so several in a row have to agree.

use std::time::Duration;

use crate::telemetry::feed_metrics::{FeedCondition, FeedMetrics};
use crate::tracker::Tracker;
use crate::tracker::event::StatusKind;
use crate::tracker::settings::TrackerSettings;

/// So many refreshes in a row are convincing.
const CONVINCING: u8 = 3;

/// What is known of a feed besides what its tracker says.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    refresh: RefreshWatch,
}

impl Conditions {
    /// A refresh has come `period` after the one before. True where that makes it clear that `shortest_refresh` is too long.
    pub(super) fn refreshed(&mut self, settings: &TrackerSettings, period: Duration) -> bool {
        self.refresh.take(settings.thresholds.shortest_refresh_is_too_long_for(period))
    }

    /// Sets the gauges; returns what lasts, in the order of [`FeedCondition::ALL`].
    pub(super) fn report(&self, tracker: &Tracker, metrics: &FeedMetrics) -> [bool; FeedCondition::ALL.len()] {
        FeedCondition::ALL.map(|condition| {
            let lasts = match condition {
                FeedCondition::NoSnapshot => tracker.has_no_snapshot(),
                FeedCondition::RepeatedRows => tracker.repeats_rows(),
                FeedCondition::UnreadableRecords => tracker.is_garbled(),
                FeedCondition::UnreadableStates => tracker.is_unreadable(),
                FeedCondition::ShortestRefreshTooLong => self.refresh.is_too_long,
            };
            metrics.condition(condition, lasts);
            lasts
        })
    }
}

/// Whether `shortest_refresh` is too long for the report.
#[derive(Debug, Default)]
struct RefreshWatch {
    is_too_long: bool,
    /// Refreshes in a row that contradict it.
    against: u8,
}

impl RefreshWatch {
    /// Takes what a refresh says. True where it is now certain that `shortest_refresh` is too long.
    const fn take(&mut self, is_too_long: bool) -> bool {
        if is_too_long == self.is_too_long {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.against < CONVINCING {
            return false;
        }
        *self = Self { is_too_long, against: 0 };
        is_too_long
    }
}

/// Returns what to try, where the name of a feed status does not say it.
pub(super) const fn advice(kind: StatusKind, affected: u32) -> Option<&'static str> {
    match kind {
        StatusKind::Unreadable if affected > 0 => Some(
            "more than half of the agents have codes that `states` of the layout lacks, /api/v1/unmapped lists them: add \
             them, or is the state another column?",
        ),
        StatusKind::Unreadable => Some(
            "bytes come and no valid record: do columns, separator and encoding of the layout fit, and does `skip` match \
             too much? try `rtalink capture` and `rtalink decode`",
        ),
        StatusKind::NoSnapshot => Some(
            "valid records come and no snapshot ends, so nobody is found to have left: does `snapshot_end` fit the feed, \
             and `marker` its last line? try `rtalink capture` and `rtalink replay`, which counts markers and snapshots",
        ),
        StatusKind::RepeatedRows => Some(
            "refreshes list many agents more than once, and their rows are merged: sort the report by agent, or use a \
             layout with the columns skill and level, and a marker; or is `shortest_refresh` longer than the refresh?",
        ),
        StatusKind::Connected
        | StatusKind::Disconnected
        | StatusKind::Stale
        | StatusKind::Restored { .. }
        | StatusKind::LinkDown
        | StatusKind::LinkUp
        | StatusKind::Suspect
        | StatusKind::Flapping
        | StatusKind::Paused
        | StatusKind::Resumed
        | StatusKind::Heartbeat => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_refreshes_in_a_row_say_whether_shortest_refresh_is_too_long() {
        // Refreshes that say so; after which it is said, and which are reported.
        let cases = [
            ("no no no", "no no no"),
            ("yes yes no yes yes no", "no no no no no no"),
            ("yes yes yes yes", "no no TOLD yes"),
            // Its end needs as many; then it is reported again.
            ("yes yes yes no no yes no no no", "no no TOLD yes yes yes yes yes no"),
            ("yes yes yes no no no yes yes yes", "no no TOLD yes yes no no no TOLD"),
        ];
        for (refreshes, expected) in cases {
            let mut watch = RefreshWatch::default();
            let mut take = |said: &str| match (watch.take(said == "yes"), watch.is_too_long) {
                (true, _) => "TOLD",
                (false, true) => "yes",
                (false, false) => "no",
            };
            let told: Vec<&str> = refreshes.split(' ').map(&mut take).collect();
            assert_eq!(told.join(" "), expected, "{refreshes}");
        }
    }

    #[test]
    fn what_lasts_comes_with_advice() {
        let of = |kind, affected| advice(kind, affected).unwrap_or_default();
        assert!(of(StatusKind::Unreadable, 40).contains("codes"));
        assert!(of(StatusKind::Unreadable, 0).contains("rtalink decode"));
        assert!(of(StatusKind::NoSnapshot, 0).contains("`marker`"));
        assert!(of(StatusKind::RepeatedRows, 60).contains("sort the report by agent"));
        assert_eq!(advice(StatusKind::Stale, 3), None);
    }
}

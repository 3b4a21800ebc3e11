//! A feed that sends data but says nothing: bytes without a valid record, or records without the end of a snapshot (rule 7).
//!
//! Policy: what lasts for three periods, and for 30 s at least, is reported once, and again only after it was over. Both are
//! reported at the line at which the time is reached, and not by a timer: silence is something else (`silence`).

use std::time::Duration;

use crate::time::Timestamp;

/// Lines so far apart are not a stream of bytes. Across two connections it is lines further apart than the patience: one may
/// be a scanner.
const APART: Duration = Duration::from_secs(300);

/// However short the period is, nothing is reported sooner.
const LEAST: Duration = Duration::from_secs(30);

/// How long to wait for snapshots without a known period.
const WITHOUT_PERIOD: Duration = Duration::from_secs(90);

/// How many periods.
const PERIODS: u32 = 3;

/// What a feed that sends data lacks.
#[derive(Debug, Default)]
pub(super) struct Blind {
    /// First and last line that was not a valid record, since the last one that was.
    unreadable: Option<(Timestamp, Timestamp)>,
    unreadable_told: bool,
    /// The connection has ended since that line.
    is_other_connection: bool,
    /// Since the last marker an invalid record came: what a marker ends then is not an empty report.
    has_invalid: bool,
    /// When it will have been too long without the end of a snapshot, counted from the first valid record since.
    no_snapshot_at: Option<Timestamp>,
    no_snapshot_told: bool,
}

impl Blind {
    /// A line came that is not a valid record: an invalid one, or skipped. True where that has lasted too long, and that is
    /// news.
    pub(super) fn line_came(&mut self, is_invalid: bool, at: Timestamp, period: Option<Duration>) -> bool {
        let patience = patience(period).unwrap_or(LEAST);
        let is_other_connection = std::mem::take(&mut self.is_other_connection);
        let apart = if is_other_connection { patience } else { APART.max(patience) };
        let going_on = self.unreadable.filter(|(_, last)| at.since(*last) < apart);
        let since = going_on.map_or(at, |(since, _)| since);
        self.has_invalid |= is_invalid;
        self.unreadable = Some((since, at));
        at.since(since) >= patience && !std::mem::replace(&mut self.unreadable_told, true)
    }

    /// A valid record came of a feed that has ends of snapshots. True where none has ended for too long, and that is news.
    #[inline]
    pub(super) fn has_waited_too_long(&mut self, at: Timestamp, period: Option<Duration>) -> bool {
        let patience = || patience(period).unwrap_or(WITHOUT_PERIOD);
        let due = *self.no_snapshot_at.get_or_insert_with(|| at.plus(patience()));
        at >= due && !std::mem::replace(&mut self.no_snapshot_told, true)
    }

    /// A valid record came.
    #[inline]
    pub(super) const fn record_came(&mut self) {
        self.unreadable = None;
        self.unreadable_told = false;
        self.has_invalid = false;
    }

    /// A marker came: an empty report can be read, too.
    pub(super) const fn marker_came(&mut self) {
        if self.has_invalid {
            self.has_invalid = false;
        } else {
            self.record_came();
        }
    }

    /// A snapshot ended as configured.
    pub(super) const fn snapshot_ended(&mut self) {
        self.no_snapshot_at = None;
        self.no_snapshot_told = false;
    }

    /// A connection has ended, or begun.
    pub(super) const fn connection_changed(&mut self) {
        self.is_other_connection = true;
    }

    /// After a gap the waiting begins anew.
    pub(super) const fn gap_began(&mut self) {
        self.no_snapshot_at = None;
    }

    /// Whether bytes come, but no valid record for long.
    pub(super) const fn is_unreadable(&self) -> bool {
        self.unreadable_told
    }

    /// Whether valid records come, but no snapshot has ended for long.
    pub(super) const fn has_no_snapshot(&self) -> bool {
        self.no_snapshot_told
    }
}

fn patience(period: Option<Duration>) -> Option<Duration> {
    period.map(|period| period.saturating_mul(PERIODS).max(LEAST))
}

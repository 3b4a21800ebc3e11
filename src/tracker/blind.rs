//! A feed that comes and says nothing: bytes without a valid record, or records without the end of a snapshot (rule 7).
//!
//! Policy: what lasts for three periods, and for 30 s at least, is told once, and again only after it was over. Both are told
//! at the line at which the time is reached, and not by a timer: silence is something else (`silence`).

use std::time::Duration;

use crate::time::Timestamp;

/// Lines so far apart are no stream of bytes. Of two connections it is those beyond the patience: one may be a scanner.
const APART: Duration = Duration::from_secs(300);

/// However short the period is, nothing is told sooner.
const LEAST: Duration = Duration::from_secs(30);

/// Without a known period snapshots are waited for so long.
const WITHOUT_PERIOD: Duration = Duration::from_secs(90);

/// So many periods.
const PERIODS: u32 = 3;

/// What a feed that comes does not bring.
#[derive(Debug, Default)]
pub(super) struct Blind {
    /// First and last line that was no valid record, since the last one that was.
    unreadable: Option<(Timestamp, Timestamp)>,
    unreadable_told: bool,
    /// The connection has ended since that line.
    is_other_connection: bool,
    /// Since the last marker an invalid record came: what a marker ends then is not an empty report.
    has_invalid: bool,
    /// When it will be too long that no snapshot has ended, counted from the first valid record since.
    no_snapshot_at: Option<Timestamp>,
    no_snapshot_told: bool,
}

impl Blind {
    /// A line came that is no valid record: an invalid one, or skipped. True where it has been too long, and that is news.
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

    /// A valid record came of a feed that has ends of snapshots. True where it has been too long that one ended, and that is
    /// news.
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

    /// A marker came: a report that is empty can be read, too.
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

    /// What comes after a gap is waited for anew.
    pub(super) const fn gap_began(&mut self) {
        self.no_snapshot_at = None;
    }

    /// Bytes come, and for long no valid record.
    pub(super) const fn is_unreadable(&self) -> bool {
        self.unreadable_told
    }

    /// Valid records come, and for long no snapshot has ended.
    pub(super) const fn has_no_snapshot(&self) -> bool {
        self.no_snapshot_told
    }
}

fn patience(period: Option<Duration>) -> Option<Duration> {
    period.map(|period| period.saturating_mul(PERIODS).max(LEAST))
}

//! Figures about the records of a feed.

use super::since::RecordTime;
use super::snapshot::Snapshot;
use super::transition::RecordOutcome;

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

/// What is counted and measured of records.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: RecordCounts,
    clock_skew_seconds: Option<f64>,
    impossible_times: u64,
}

impl Tally {
    pub(super) const fn counts(&self) -> RecordCounts {
        self.counts
    }

    /// Timestamp less receipt of the last record with a timestamp.
    pub(super) const fn clock_skew_seconds(&self) -> Option<f64> {
        self.clock_skew_seconds
    }

    /// Local times so far that do not occur.
    pub(super) const fn impossible_times(&self) -> u64 {
        self.impossible_times
    }

    /// Counts a valid record; what the end of the open snapshot decides is counted then.
    #[inline]
    pub(super) const fn count(&mut self, taken: RecordOutcome, open: Option<&mut Snapshot>) {
        match (taken, open) {
            (RecordOutcome::Event, _) => self.counts.changed += 1,
            (RecordOutcome::Undecided, Some(snapshot)) => snapshot.undecided += 1,
            (RecordOutcome::Same | RecordOutcome::Undecided, _) => self.counts.unchanged += 1,
        }
    }

    /// Counts what the end of a snapshot has decided, with so many events that come from records.
    pub(super) const fn settle(&mut self, snapshot: &Snapshot, events: u64) {
        self.counts.changed += events;
        self.counts.unchanged += snapshot.undecided.saturating_sub(events);
    }

    /// Notes how far the feed's clock is from ours, and times that do not occur.
    #[inline]
    pub(super) fn note_time(&mut self, time: &RecordTime) {
        self.clock_skew_seconds = time.clock_skew_seconds().or(self.clock_skew_seconds);
        self.impossible_times += u64::from(time.times.impossible);
    }
}

//! When snapshots begin: how often the report runs, and how late it is.

use std::time::Duration;

use crate::time::Timestamp;

use super::saved::SavedFeed;
use super::snapshot::Snapshot;

/// A snapshot that begins later than so many periods after the previous one comes after a stall: durations in it are not exact.
const PERIODS: u32 = 2;

/// What the beginnings of snapshots tell.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When the last complete snapshot began; `None` where something came between.
    last_began: Option<Timestamp>,
    /// When the last snapshot began that has ended and was not down, over gaps too.
    ended_began: Option<Timestamp>,
    /// Between the last two complete snapshots that nothing came between.
    period: Option<Duration>,
    /// How late the last complete snapshot was.
    delay: Duration,
}

impl Rhythm {
    pub(super) fn restore(&mut self, feed: &SavedFeed) {
        self.delay = feed.delay;
        self.period = feed.period;
        // An older version has saved only when everybody was last seen, which is nearly the same.
        self.ended_began = feed.ended_began.or(feed.seen_at);
    }

    pub(super) const fn last_began(&self) -> Option<Timestamp> {
        self.last_began
    }

    pub(super) const fn ended_began(&self) -> Option<Timestamp> {
        self.ended_began
    }

    #[inline]
    pub(super) const fn period(&self) -> Option<Duration> {
        self.period
    }

    #[inline]
    pub(super) const fn delay(&self) -> Duration {
        self.delay
    }

    /// Something comes between the last snapshot and the next one.
    pub(super) const fn interrupt(&mut self) {
        self.last_began = None;
    }

    /// A snapshot has ended, and the link was not down.
    pub(super) const fn ended(&mut self, snapshot: &Snapshot) {
        self.ended_began = Some(snapshot.began_at);
    }

    /// A complete snapshot has ended. Returns the time since the previous one, where nothing came between.
    pub(super) fn completed(&mut self, snapshot: &Snapshot, shortest_refresh: Duration) -> Option<Duration> {
        let began_at = snapshot.began_at;
        let between = self.last_began.replace(began_at).map(|last| began_at.since(last));
        self.period = between.filter(|between| is_period(*between, shortest_refresh)).or(self.period);
        between
    }

    /// Returns the period as it will be when the open snapshot is complete.
    pub(super) fn period_with(&self, open: Option<&Snapshot>, shortest_refresh: Duration) -> Option<Duration> {
        let between = open.zip(self.last_began).map(|(open, last_began)| open.began_at.since(last_began));
        between.filter(|between| is_period(*between, shortest_refresh)).or(self.period)
    }

    /// Whether the snapshot came when it was expected.
    pub(super) fn is_in_time(&self, snapshot: &Snapshot) -> bool {
        match (self.ended_began, self.period) {
            (Some(before), Some(period)) => snapshot.began_at.since(before) <= period.saturating_mul(PERIODS),
            _ => true,
        }
    }

    /// Notes by how much all states of the snapshot that continue look later at least; `None` where they are too few to tell.
    /// A feed falls behind no faster than time passes.
    pub(super) fn note_lateness(&mut self, snapshot: &Snapshot, least: Option<Duration>) {
        let grown = match self.ended_began {
            Some(before) if !snapshot.first_after_gap => snapshot.began_at.since(before),
            _ => Duration::ZERO,
        };
        self.delay = least.map_or(Duration::ZERO, |least| least.min(self.delay + grown));
    }
}

/// Whether that is a period: what waited in a socket is read at once, and so short a time says nothing about how often the
/// report runs.
fn is_period(between: Duration, shortest_refresh: Duration) -> bool {
    between >= shortest_refresh && !between.is_zero()
}

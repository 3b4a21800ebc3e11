//! How far the time of an integration is, and whether its messages come late.
//!
//! The time that is passed to the engine never goes back, in whatever order messages come. Timers must not overtake messages:
//! while messages come late, more of them may be on their way, and the clock does not count.

use std::time::{Duration, Instant};

use crate::engine::Share;
use crate::time::Timestamp;

/// How long an integration may keep its worker busy before the others have their turn.
const SHARE_TIME: Duration = Duration::from_millis(2);
/// How much may be found, and handed over, in that turn.
pub(super) const SHARE_FINDINGS: usize = 256;
pub(super) const SHARE: Share = Share { time: SHARE_TIME, findings: SHARE_FINDINGS };

/// Longest time without a look at the timers and gauges.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Messages that arrive later than this after their time show that the worker is behind.
const BEHIND: Duration = Duration::from_millis(50);

/// How long a worker that was behind waits for messages that found no room before it assumes that none came.
const CATCH_UP: Duration = Duration::from_millis(200);

/// How often a feed reports that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// How far the time of an integration is.
#[derive(Debug)]
pub(super) struct Pace {
    now: Timestamp,
    /// Its last message came late: until then more may be on their way.
    behind_until: Option<Instant>,
    heartbeat_due: Timestamp,
}

impl Pace {
    /// Begins now.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, behind_until: None, heartbeat_due: now.plus(HEARTBEAT) }
    }

    /// Returns the time that was reached.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Goes on to that time, unless a later one was reached; returns the time that is reached.
    pub(super) fn advance(&mut self, to: Timestamp) -> Timestamp {
        self.now = self.now.max(to);
        self.now
    }

    /// Notes whether a message of that time came late.
    pub(super) fn note_lateness(&mut self, at: Timestamp) {
        let is_late = Timestamp::now().since(at) > BEHIND;
        self.behind_until = is_late.then(|| Instant::now() + CATCH_UP);
    }

    /// Whether messages that found no room may still be missing.
    pub(super) fn is_behind(&self) -> bool {
        self.behind_until.is_some_and(|until| Instant::now() < until)
    }

    /// Returns how long they may still be missing.
    pub(super) fn until_caught_up(&self) -> Duration {
        self.behind_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether a heartbeat is due, for which the next one is set.
    pub(super) fn takes_heartbeat(&mut self, at: Timestamp) -> bool {
        let is_due = at >= self.heartbeat_due;
        if is_due {
            self.heartbeat_due = at.plus(HEARTBEAT);
        }
        is_due
    }
}

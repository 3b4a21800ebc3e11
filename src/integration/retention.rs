//! How long agents are kept: when to look for those who have not been seen for long, and who was forgotten and is not erased
//! yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::journal::store::AgentKey;
use crate::mapping::spelling;
use crate::time::Timestamp;

/// The time between two rounds of forgetting agents who have not been seen for long.
const EVERY: Duration = Duration::from_hours(1);

/// What is remembered of forgetting between two rounds.
#[derive(Debug)]
pub(super) struct Retention {
    after: Option<Duration>,
    /// `None`: now.
    due: Option<Timestamp>,
    /// How many were forgotten since the round began.
    count: usize,
    unerased: Vec<Unerased>,
}

/// Somebody who was forgotten on request, until nothing of them is left in the store: another request for them waits for that
/// too.
#[derive(Debug)]
struct Unerased {
    key: AgentKey,
    end: u64,
    is_done: Arc<AtomicBool>,
}

impl Retention {
    /// Creates it with the first round due at once.
    pub(super) const fn new(after: Option<Duration>) -> Self {
        Self { after, due: None, count: 0, unerased: Vec::new() }
    }

    /// Creates it with the first round due later: without a feed only the clock says how long it has been, and that may just
    /// have been set.
    pub(super) fn later(after: Option<Duration>, now: Timestamp) -> Self {
        Self { due: Some(now.plus(EVERY)), ..Self::new(after) }
    }

    /// Sets another age, which applies at once.
    pub(super) fn set(&mut self, after: Option<Duration>) {
        if self.after != after {
            (self.after, self.due) = (after, None);
        }
    }

    /// Returns the age beyond which agents are forgotten, while a round is due.
    pub(super) fn due(&self, at: Timestamp) -> Option<Duration> {
        self.after.filter(|_| self.due.is_none_or(|due| at >= due))
    }

    /// So many were forgotten in this round.
    pub(super) const fn add(&mut self, count: usize) {
        self.count += count;
    }

    /// Ends a round; returns how many were forgotten in it.
    pub(super) fn end_round(&mut self, at: Timestamp) -> usize {
        self.due = Some(at.plus(EVERY));
        std::mem::take(&mut self.count)
    }

    /// Returns the ACDs on which a login id was forgotten on request and is not erased yet, and the ends of its tombstones.
    pub(super) fn unerased(&mut self, login_id: &str) -> impl Iterator<Item = (u32, u64)> {
        self.unerased.retain(|unerased| !unerased.is_done.load(Ordering::Acquire));
        let asked_for = self.unerased.iter().filter(move |unerased| spelling::is_same(&unerased.key.1, login_id));
        asked_for.map(|unerased| (unerased.key.0, unerased.end))
    }

    /// Remembers people who were forgotten on request, with tombstones that end there, until what is returned becomes true.
    pub(super) fn add_unerased(&mut self, keys: Vec<AgentKey>, end: u64) -> Arc<AtomicBool> {
        let is_done = Arc::new(AtomicBool::new(false));
        let unerased = |key| Unerased { key, end, is_done: Arc::clone(&is_done) };
        self.unerased.extend(keys.into_iter().map(unerased));
        is_done
    }
}

//! What forgetting remembers between two rounds: when the next one is due, and who is not erased yet.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::journal::store::AgentKey;
use crate::time::Timestamp;

/// The time between two rounds of forgetting agents who have not been seen for long.
pub(super) const EVERY: Duration = Duration::from_hours(1);

/// When to look for agents who have not been seen for long.
#[derive(Debug)]
pub(super) struct Ageing {
    pub(super) after: Option<Duration>,
    /// `None`: now.
    pub(super) due: Option<Timestamp>,
    /// How many were forgotten since the round began.
    pub(super) count: usize,
}

impl Ageing {
    /// Creates it with the first round due at once.
    pub(super) const fn new(after: Option<Duration>) -> Self {
        Self { after, due: None, count: 0 }
    }

    /// Creates it with the first round due later: without a feed only the clock says how long it has been, and that may just
    /// have been set.
    pub(super) fn later(after: Option<Duration>, now: Timestamp) -> Self {
        Self { due: Some(now.plus(EVERY)), ..Self::new(after) }
    }

    /// Sets another age, which applies at once.
    pub(super) fn set(&mut self, after: Option<Duration>) {
        if self.after != after {
            *self = Self { after, due: None, count: self.count };
        }
    }
}

/// Somebody who was forgotten on request, until nothing of them is left in the store: another request for them waits for that
/// too.
#[derive(Debug)]
pub(super) struct Unerased {
    pub(super) key: AgentKey,
    pub(super) end: u64,
    pub(super) is_done: Arc<AtomicBool>,
}

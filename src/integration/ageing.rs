//! What is remembered of forgetting between two looks: when the next one is due, and who is not erased yet.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::journal::store::AgentKey;
use crate::time::Timestamp;

/// Between two looks for those who have not been seen for long.
pub(super) const EVERY: Duration = Duration::from_hours(1);

/// When to look for those who have not been seen for long.
#[derive(Debug)]
pub(super) struct Ageing {
    pub(super) after: Option<Duration>,
    /// `None`: now.
    pub(super) due: Option<Timestamp>,
    /// Forgotten since the look began.
    pub(super) count: usize,
}

impl Ageing {
    /// The first look is due at once.
    pub(super) const fn new(after: Option<Duration>) -> Self {
        Self { after, due: None, count: 0 }
    }

    /// The first look is due later: without a feed only the clock says how long it was, and that may just have been set.
    pub(super) fn later(after: Option<Duration>, now: Timestamp) -> Self {
        Self { due: Some(now.plus(EVERY)), ..Self::new(after) }
    }

    /// Another age: it counts at once.
    pub(super) fn set(&mut self, after: Option<Duration>) {
        if self.after != after {
            *self = Self { after, due: None, count: self.count };
        }
    }
}

/// Somebody who was forgotten on request, until nothing of him is left in the store: who asks again waits for that too.
#[derive(Debug)]
pub(super) struct Unerased {
    pub(super) key: AgentKey,
    pub(super) end: u64,
    pub(super) is_done: Arc<AtomicBool>,
}

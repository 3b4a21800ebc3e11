//! What waits to be erased from the store, and when that is done.
//!
//! Somebody who is forgotten stays in rows of the journal until Kafka has them and the agent table is written down without
//! him: only then are his bytes nobody's, and a sweep can erase them (`store::erase`). A request is waited for, and
//! erased for at once; who was forgotten because of his age, after a minute at the latest, together with all the others of
//! that minute. Whoever comes while a sweep is on its way waits for the next one. What cannot be erased yet (a reader of the log)
//! is tried again. Of a restart only that something is due is known.

use std::time::{Duration, Instant};

use super::journal_queue::Done;
use crate::store::Sweep;

/// Between two times for which nobody waits.
const EVERY: Duration = Duration::from_secs(60);
/// Until the next attempt.
const AGAIN: Duration = Duration::from_secs(1);
/// So long an integration waits for what the others have: one of them may be unable to publish.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(60);

/// Somebody's traces.
pub(super) struct Pending {
    /// Integrations, by their number, and the positions below which everything must have left the store; his own first.
    until: Vec<(usize, u64)>,
    since: Instant,
    /// Told when it is erased.
    pub(super) done: Option<Done>,
}

impl Pending {
    fn is_ready(&self, left_to: &impl Fn(usize) -> u64) -> bool {
        let has_left = |(lane, until): &(usize, u64)| left_to(*lane) >= *until;
        let count = if self.since.elapsed() < PATIENCE_WITH_OTHERS { self.until.len() } else { 1 };
        self.until.iter().take(count).all(has_left)
    }
}

/// A sweep, and whom it is for.
pub(super) struct Sweeping {
    pub(super) sweep: Sweep,
    pub(super) ready: Vec<Pending>,
    pub(super) begun_at: Instant,
}

/// See the module.
#[derive(Default)]
pub(super) struct Erasing {
    pending: Vec<Pending>,
    sweeping: Option<Sweeping>,
    erased_at: Option<Instant>,
    failed_at: Option<Instant>,
}

impl Erasing {
    /// One more.
    pub(super) fn add(&mut self, until: Vec<(usize, u64)>, done: Option<Done>) {
        self.pending.push(Pending { until, since: Instant::now(), done });
    }

    /// Whether nothing waits, beside what a sweep is for that was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.sweeping.is_none()
    }

    /// Whether something can be erased, and it is time for it. `left_to`: the position below which everything of the integration
    /// of that number has left the store.
    pub(super) fn is_due(&self, left_to: impl Fn(usize) -> u64) -> bool {
        if self.failed_at.is_some_and(|at| at.elapsed() < AGAIN) {
            return false;
        }
        if self.sweeping.is_some() {
            return true;
        }
        let is_time = self.erased_at.is_none_or(|at| at.elapsed() >= EVERY);
        self.pending.iter().any(|pending| (is_time || pending.done.is_some()) && pending.is_ready(&left_to))
    }

    /// The sweep that is on its way, or a new one for what can be erased; the rest waits on. `left_to` as above.
    pub(super) fn take(&mut self, left_to: impl Fn(usize) -> u64) -> Sweeping {
        if let Some(sweeping) = self.sweeping.take() {
            return sweeping;
        }
        let (ready, waiting) =
            std::mem::take(&mut self.pending).into_iter().partition(|pending: &Pending| pending.is_ready(&left_to));
        self.pending = waiting;
        Sweeping { sweep: Sweep::default(), ready, begun_at: Instant::now() }
    }

    /// It goes on later; at once, or after a while where it did not get on.
    pub(super) fn put_back(&mut self, sweeping: Sweeping, is_stuck: bool) {
        self.sweeping = Some(sweeping);
        self.failed_at = is_stuck.then(Instant::now);
    }

    /// A sweep is over.
    pub(super) fn ended(&mut self) {
        self.erased_at = Some(Instant::now());
        self.failed_at = None;
    }
}

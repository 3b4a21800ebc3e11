//! What waits to be erased from the store, and when that is done.
//!
//! Somebody who is forgotten stays in rows of the journal until Kafka has these and the agent table is written without them:
//! only then are their bytes unused, and a sweep can erase them (`store::erase`). For a request, which somebody waits for,
//! that is done at once; for people forgotten by age after a minute at the latest, together with all the others of that
//! minute. An erasure that is due during a sweep waits for the next one. What cannot be erased yet (a reader of the log) is
//! tried again a second later; where the store cannot be read or written, at growing intervals up to a minute, and that is
//! logged once a minute at most: retrying does not fix a damaged page. After a restart it is only known that something is
//! due.

use std::time::{Duration, Instant};

use crate::telemetry::repeats::RepeatLimiter;
use crate::time::Timestamp;

use super::queue::Done;
use super::store::{StoreNumber, Sweep};

/// The time between two sweeps for which nobody waits.
const EVERY: Duration = Duration::from_secs(60);
/// The time until the next attempt; doubled with each failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// The shortest time between two log lines about a failure.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// How long an integration waits for the messages of the others: one of them may be unable to publish.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(60);

/// Somebody's traces.
pub(super) struct Pending {
    /// Integrations, by their number in the store, and the positions below which everything must have left it; their own
    /// first.
    until: Vec<(StoreNumber, u64)>,
    since: Instant,
    /// Called when it is erased.
    pub(super) done: Option<Done>,
}

impl Pending {
    fn is_ready(&self, left_to: &impl Fn(StoreNumber) -> u64) -> bool {
        let has_left = |(number, until): &(StoreNumber, u64)| left_to(*number) >= *until;
        let count = if self.since.elapsed() < PATIENCE_WITH_OTHERS { self.until.len() } else { 1 };
        self.until.iter().take(count).all(has_left)
    }
}

/// A sweep, and the people it is for.
pub(super) struct Sweeping {
    pub(super) sweep: Sweep,
    pub(super) ready: Vec<Pending>,
    pub(super) begun_at: Instant,
}

/// Decides when what was forgotten is erased from the store.
pub(super) struct Erasing {
    pending: Vec<Pending>,
    sweeping: Option<Sweeping>,
    erased_at: Option<Instant>,
    /// Not tried before.
    again_at: Option<Instant>,
    backoff: Duration,
    told: RepeatLimiter,
}

impl Default for Erasing {
    fn default() -> Self {
        Self {
            pending: Vec::new(),
            sweeping: None,
            erased_at: None,
            again_at: None,
            backoff: FIRST_BACKOFF,
            told: RepeatLimiter::new(LOG_INTERVAL),
        }
    }
}

impl Erasing {
    /// Adds one more.
    pub(super) fn add(&mut self, until: Vec<(StoreNumber, u64)>, done: Option<Done>) {
        self.pending.push(Pending { until, since: Instant::now(), done });
    }

    /// Whether nothing waits, apart from what a sweep in progress is for.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.sweeping.is_none()
    }

    /// Whether something can be erased, and is due. `left_to`: the position below which everything of the integration with
    /// that number has left the store.
    pub(super) fn is_due(&self, now: Instant, left_to: impl Fn(StoreNumber) -> u64) -> bool {
        if self.again_at.is_some_and(|again_at| now < again_at) {
            return false;
        }
        if self.sweeping.is_some() {
            return true;
        }
        let is_time = self.erased_at.is_none_or(|at| at.elapsed() >= EVERY);
        self.pending.iter().any(|pending| (is_time || pending.done.is_some()) && pending.is_ready(&left_to))
    }

    /// Takes the sweep in progress, or a new one for what can be erased; the rest keeps waiting. `left_to` as above.
    pub(super) fn take(&mut self, left_to: impl Fn(StoreNumber) -> u64) -> Sweeping {
        if let Some(sweeping) = self.sweeping.take() {
            return sweeping;
        }
        let (ready, waiting) =
            std::mem::take(&mut self.pending).into_iter().partition(|pending: &Pending| pending.is_ready(&left_to));
        self.pending = waiting;
        Sweeping { sweep: Sweep::default(), ready, begun_at: Instant::now() }
    }

    /// Lets the sweep go on at once.
    pub(super) fn go_on(&mut self, sweeping: Sweeping) {
        self.sweeping = Some(sweeping);
        self.again_at = None;
        self.backoff = FIRST_BACKOFF;
    }

    /// Lets the sweep go on when the reader of the log has finished.
    pub(super) fn wait(&mut self, sweeping: Sweeping, now: Instant) {
        self.sweeping = Some(sweeping);
        self.again_at = Some(now + FIRST_BACKOFF);
    }

    /// The sweep made no progress, for a reason that may last. Says whether that is to be logged; if so, how many times it
    /// was not.
    pub(super) fn failed(&mut self, sweeping: Sweeping, now: Instant, at: Timestamp) -> Option<u64> {
        self.sweeping = Some(sweeping);
        self.again_at = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
        self.told.admit(at)
    }

    /// A sweep is over.
    pub(super) fn ended(&mut self) {
        self.erased_at = Some(Instant::now());
        self.again_at = None;
        self.backoff = FIRST_BACKOFF;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Comes {
        On,
        Waits,
        Fails,
    }

    /// Returns the seconds at which a sweep with these outcomes is tried, and at which its failures are logged.
    fn tried(outcomes: &[Comes]) -> (Vec<u64>, Vec<(u64, u64)>) {
        let begin = Instant::now();
        let mut erasing = Erasing::default();
        erasing.add(vec![(StoreNumber::FIRST, 1)], Some(Box::new(|| {})));
        let (mut tried, mut logged) = (Vec::new(), Vec::new());
        let mut outcomes = outcomes.iter();
        for second in 0..1_000 {
            let now = begin + Duration::from_secs(second);
            if !erasing.is_due(now, |_| 1) {
                continue;
            }
            let Some(outcome) = outcomes.next() else { break };
            tried.push(second);
            let sweeping = erasing.take(|_| 1);
            match outcome {
                Comes::On => erasing.go_on(sweeping),
                Comes::Waits => erasing.wait(sweeping, now),
                Comes::Fails => {
                    let at = Timestamp::from_millis(i64::try_from(second).unwrap() * 1_000);
                    logged.extend(erasing.failed(sweeping, now, at).map(|suppressed| (second, suppressed)));
                }
            }
        }
        (tried, logged)
    }

    #[test]
    fn what_fails_for_ever_is_tried_less_and_less_often_and_logged_once_a_minute() {
        use Comes::{Fails, On, Waits};
        let cases = [
            (vec![On, On, On], vec![0, 1, 2], vec![]),
            (vec![Waits, Waits, Waits, On], vec![0, 1, 2, 3], vec![]),
            (vec![Fails; 9], vec![0, 1, 3, 7, 15, 31, 63, 123, 183], vec![(0, 0), (63, 5), (123, 0), (183, 0)]),
            // After progress the intervals begin anew; the log's does not.
            (vec![Fails, Fails, Fails, On, Fails, Fails], vec![0, 1, 3, 7, 8, 9], vec![(0, 0)]),
        ];
        for (outcomes, seconds, lines) in cases {
            assert_eq!(tried(&outcomes), (seconds, lines), "{outcomes:?}");
        }
    }
}

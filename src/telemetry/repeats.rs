//! Bounded repetition: a log line of one kind at most once in a while, with the number of those that were left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::Timestamp;

/// The count of the process.
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of log lines that were left out since the start of the process, of all kinds.
pub fn suppressed_total() -> u64 {
    SUPPRESSED.load(Ordering::Relaxed)
}

/// Counts one more line that is left out.
pub(super) fn count_suppressed() {
    SUPPRESSED.fetch_add(1, Ordering::Relaxed);
}

/// Lets one line through per interval.
#[derive(Debug)]
pub struct RepeatLimiter {
    every: Duration,
    last: Option<Timestamp>,
    suppressed: u64,
}

impl RepeatLimiter {
    /// Lets one line through per `every`.
    pub const fn new(every: Duration) -> Self {
        Self { every, last: None, suppressed: 0 }
    }

    /// Whether a line may be written now; if so, how many were not since the last one.
    pub fn admit(&mut self, now: Timestamp) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < self.every && now >= last) {
            self.suppressed += 1;
            count_suppressed();
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_counts_the_others() {
        let mut repeats = RepeatLimiter::new(Duration::from_secs(1));
        let before = suppressed_total();
        let admitted: Vec<_> = [0, 10, 999, 1_000, 1_001, 5_000]
            .map(|millis| repeats.admit(Timestamp::from_millis(millis)))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(admitted, [0, 2, 1]);
        assert!(suppressed_total() >= before + 3, "other tests of this process may have counted too");
    }
}

//! How many messages of a transaction are on their way: a commit waits until none is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How many messages of a transaction are on their way. Counting takes no lock; whoever counts the last one wakes whoever waits.
#[derive(Default)]
pub(crate) struct OnTheWay {
    count: AtomicUsize,
    waiting: Mutex<()>,
    none: Condvar,
}

impl OnTheWay {
    /// Counts one more; called before it is handed to librdkafka, whose report may be quick.
    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one less: it was reported, or not accepted.
    pub(crate) fn remove(&self) {
        let before = self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| count.checked_sub(1));
        if before == Ok(1) {
            // Not between the look at the count and the wait of the other thread, which are under the lock.
            let _waiting = self.waiting.lock();
            self.none.notify_all();
        }
    }

    /// Waits until there is none; true if that happened in time.
    pub(crate) fn wait_none(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut waiting = self.waiting.lock();
        while self.count.load(Ordering::Acquire) > 0 {
            if self.none.wait_until(&mut waiting, deadline).timed_out() {
                break;
            }
        }
        self.count.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_woken_by_the_last_one() {
        let on_the_way = OnTheWay::default();
        // A report too many, after a producer was given up, does not count below zero.
        on_the_way.remove();
        assert!(on_the_way.wait_none(Duration::ZERO));
        (0..1_000).for_each(|_| on_the_way.add());
        assert!(!on_the_way.wait_none(Duration::ZERO));
        std::thread::scope(|scope| {
            (0..4).for_each(|_| {
                scope.spawn(|| (0..250).for_each(|_| on_the_way.remove()));
            });
            assert!(on_the_way.wait_none(Duration::from_secs(60)));
        });
    }
}

//! How many messages of a transaction are on their way: a commit waits until none is.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How many messages of a transaction are on their way.
#[derive(Default)]
pub(crate) struct OnTheWay {
    count: Mutex<usize>,
    none: Condvar,
}

impl OnTheWay {
    /// Counts one more; called before it is handed to librdkafka, whose report may be quick.
    pub(crate) fn add(&self) {
        *self.count.lock() += 1;
    }

    /// Counts one less: it was reported, or not accepted.
    pub(crate) fn remove(&self) {
        let mut count = self.count.lock();
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.none.notify_all();
        }
    }

    /// Waits until there is none; true if that happened in time.
    pub(crate) fn wait_none(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut count = self.count.lock();
        while *count > 0 {
            if self.none.wait_until(&mut count, deadline).timed_out() {
                break;
            }
        }
        *count == 0
    }
}

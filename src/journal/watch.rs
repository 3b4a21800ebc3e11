//! Watches the journal's thread: a hanging disk reports nothing.
//!
//! A commit that fails returns, and its caller reports it. One that does not return would be reported by nobody, and nothing
//! is published for as long as it lasts. So another thread checks every second whether the journal's thread has waited for
//! the disk for more than [`HANGS`]: that counts as a failure. It is counted every few seconds while it lasts, logged once a
//! minute, and callers that wait for room are refused. Cost: a lock a second.

use std::time::{Duration, Instant};

use crate::telemetry::targets::JOURNAL;

use super::queue::{HANGS, Phase, SLOW, Shared};

const LOOK: Duration = Duration::from_secs(1);
/// As often as a commit that fails is tried again.
const COUNT_EVERY: Duration = HANGS;
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Runs until the journal ends.
pub(super) fn run(shared: &Shared) {
    let mut counted: Option<Instant> = None;
    let mut logged: Option<Instant> = None;
    let is_due = |at: Option<Instant>, every| at.is_none_or(|at| at.elapsed() >= every);
    let mut queue = shared.queue.lock();
    while !matches!(queue.phase, Phase::Ending(_)) {
        match queue.hanging() {
            None => (counted, logged) = (None, None),
            Some(since) => {
                queue.is_told_to_hang = true;
                if is_due(counted, COUNT_EVERY) {
                    shared.observer.failed(SLOW);
                    counted = Some(Instant::now());
                }
                if is_due(logged, LOG_INTERVAL) {
                    let since_s = since.as_secs();
                    tracing::error!(
                        target: JOURNAL, kind = SLOW,
                        since_s,
                        "the disk of the store hangs: until it comes back nothing new is published, and of what comes each \
                         agent's latest state is kept; check the disk and the system's log, and do not restart before it is \
                         mended"
                    );
                    logged = Some(Instant::now());
                }
                shared.room.notify_all();
            }
        }
        shared.ended.wait_for(&mut queue, LOOK);
    }
}

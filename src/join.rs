//! Threads that are waited for until a deadline, and no longer.
//!
//! A thread may hang on a disk or a peer for as long as these do. The end of the process must not: the work of such a thread
//! is abandoned, and the thread ends with the process. Cost: a check every two milliseconds, at the end of the process only.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::telemetry::targets::SERVICE;

const LOOK: Duration = Duration::from_millis(2);

/// Returns the result of a thread, or `None` where it had not ended by the deadline. Its panic is in the log.
pub(crate) fn until<T>(thread: JoinHandle<T>, deadline: Instant) -> Option<thread::Result<T>> {
    while !thread.is_finished() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(LOOK.min(left));
    }
    Some(thread.join())
}

/// Waits for a thread whose result is reported elsewhere; returns its name where it had not ended by the deadline.
pub(crate) fn by(thread: JoinHandle<()>, deadline: Option<Instant>) -> Option<String> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    let ended = match deadline {
        None => Some(thread.join()),
        Some(deadline) => until(thread, deadline),
    };
    match ended {
        Some(Ok(())) => None,
        Some(Err(_)) => {
            tracing::error!(target: SERVICE, name, "a thread has panicked: what it had not handed over is lost");
            None
        }
        None => {
            tracing::warn!(
                target: SERVICE, name, "a thread has not ended in time: it is left to the end of the process"
            );
            Some(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_is_joined_and_who_hangs_is_left() {
        let soon = || Instant::now() + Duration::from_secs(60);
        assert_eq!(until(thread::spawn(|| 7), soon()).unwrap().unwrap(), 7);
        let (release, hanging) = std::sync::mpsc::channel::<()>();
        let thread = thread::spawn(move || hanging.recv().is_err());
        assert!(until(thread, Instant::now()).is_none());
        drop(release);
    }
}

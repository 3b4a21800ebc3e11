//! Handles of the metrics of one target of a feed, registered once.

use metrics::{Counter, Gauge};

use super::metrics::Metrics;
use super::names;

/// Reasons of `rtalink_feed_forward_dropped_bytes_total`, in the order of [`ForwardMetrics::dropped`].
pub const DROP_REASONS: [&str; 2] = ["too_slow", "not_connected"];

/// Handles of one target.
#[derive(Clone)]
pub struct ForwardMetrics {
    given: Counter,
    dropped: [Counter; DROP_REASONS.len()],
    up: Gauge,
}

impl std::fmt::Debug for ForwardMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForwardMetrics").finish_non_exhaustive()
    }
}

impl ForwardMetrics {
    /// Registers them: each is exported from now on, at 0.
    pub fn new(metrics: &Metrics, integration: &str, target: &str) -> Self {
        let labels = [integration, target];
        let dropped = |reason| metrics.counter(names::FEED_FORWARD_DROPPED, &[integration, target, reason]);
        Self {
            given: metrics.counter(names::FEED_FORWARDED, &labels),
            dropped: DROP_REASONS.map(dropped),
            up: metrics.gauge(names::FEED_FORWARD_UP, &labels),
        }
    }

    /// Returns handles that count nothing.
    pub fn noop() -> Self {
        Self { given: Counter::noop(), dropped: DROP_REASONS.map(|_| Counter::noop()), up: Gauge::noop() }
    }

    /// Counts bytes that it has taken.
    pub fn given(&self, bytes: usize) {
        self.given.increment(bytes as u64);
    }

    /// Counts bytes that it was not given, by reason.
    pub fn dropped(&self, bytes: [u64; DROP_REASONS.len()]) {
        self.dropped.iter().zip(bytes).for_each(|(counter, bytes)| counter.increment(bytes));
    }

    /// Sets whether it has a connection.
    pub fn up(&self, is_up: bool) {
        self.up.set(if is_up { 1.0 } else { 0.0 });
    }

    /// It is a target no more: nothing can be wrong with it.
    pub fn removed(&self) {
        self.up.set(f64::NAN);
    }
}

//! Latencies of the demo's events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::integration::metrics_bridge::LatencySink;

/// Latencies of events, from the socket read to the broker's acknowledgement.
///
/// Those of the first snapshot are kept apart: everybody's state is an event then, all at once, and the producer has yet
/// to connect.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Arc<Mutex<Histograms>>);

#[derive(Debug)]
struct Histograms {
    first: Histogram<u64>,
    later: Histogram<u64>,
    is_later: bool,
}

impl Latencies {
    pub(super) fn new() -> anyhow::Result<Self> {
        let first = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        let later = first.clone();
        Ok(Self(Arc::new(Mutex::new(Histograms { first, later, is_later: false }))))
    }

    pub(super) fn sink(&self) -> LatencySink {
        let histograms = Arc::clone(&self.0);
        LatencySink(Arc::new(move |_, latency| {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            let mut histograms = histograms.lock();
            let Histograms { first, later, is_later } = &mut *histograms;
            if *is_later { later } else { first }.saturating_record(micros);
        }))
    }

    /// The first snapshot is over.
    pub(super) fn first_is_over(&self) {
        self.0.lock().is_later = true;
    }

    pub(super) fn first(&self, quantile: f64) -> Milliseconds {
        Milliseconds::of(&self.0.lock().first, quantile)
    }

    pub(super) fn later(&self, quantile: f64) -> Milliseconds {
        Milliseconds::of(&self.0.lock().later, quantile)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Milliseconds(pub(super) Option<Duration>);

impl Milliseconds {
    fn of(histogram: &Histogram<u64>, quantile: f64) -> Self {
        let duration = Duration::from_micros(histogram.value_at_quantile(quantile));
        Self((!histogram.is_empty()).then_some(duration))
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => write!(f, "{:.2} ms", duration.as_secs_f64() * 1e3),
            None => f.write_str("-"),
        }
    }
}

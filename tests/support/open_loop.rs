//! How late the events of a feed are that sends at fixed times, whatever becomes of them: an open loop.
//!
//! A record every [`EVERY`]; its latency is that from the moment when it was to be sent to the acknowledgement of its event.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtalink::integration::metrics_bridge::LatencySink;

/// Records of a round.
pub(crate) const RECORDS: usize = 2_000;
pub(crate) const EVERY: Duration = Duration::from_millis(5);

/// Until the last event of a round is acknowledged.
const PATIENCE: Duration = Duration::from_secs(180);

/// One agent who changes with every record.
#[derive(Default)]
pub(crate) struct Loop {
    acknowledged: Arc<Mutex<Vec<Instant>>>,
    /// Changes over all rounds.
    number: usize,
}

impl Loop {
    /// Where the service tells of acknowledged events; those of other integrations do not count.
    pub(crate) fn sink(&self, counts: impl Fn(&str) -> bool + Send + Sync + 'static) -> LatencySink {
        let acknowledged = Arc::clone(&self.acknowledged);
        LatencySink(Arc::new(move |integration: &str, _| {
            if counts(integration) {
                acknowledged.lock().unwrap().push(Instant::now());
            }
        }))
    }

    /// A round of rows that begin with login id and state, and end with `rest`.
    pub(crate) fn round(&mut self, feed: &mut TcpStream, rest: &str) -> Latencies {
        self.acknowledged.lock().unwrap().clear();
        let begin = Instant::now() + EVERY;
        let due = |record: usize| begin + EVERY * u32::try_from(record).unwrap();
        for record in 0..RECORDS {
            while let Some(left) = due(record).checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                std::thread::park_timeout(left);
            }
            self.number += 1;
            writeln!(feed, "4711|{}{rest}", if self.number.is_multiple_of(2) { 20 } else { 30 }).unwrap();
        }
        while self.acknowledged.lock().unwrap().len() < RECORDS {
            assert!(begin.elapsed() < PATIENCE, "not everything came through");
            std::thread::park_timeout(EVERY);
        }
        // Events of a feed are acknowledged in their order.
        let acknowledged = self.acknowledged.lock().unwrap();
        let late = acknowledged.iter().enumerate().map(|(record, at)| at.saturating_duration_since(due(record)));
        let mut sorted: Vec<Duration> = late.collect();
        sorted.sort();
        Latencies { sorted }
    }
}

/// Of a round.
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    /// So many of one are no later than this.
    pub(crate) fn at(&self, share: f64) -> Duration {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a position in the list
        let position = (self.sorted.len() as f64 * share) as usize;
        self.sorted[position.min(self.sorted.len() - 1)]
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.at(share));
        write!(f, "p50 {p50:>10.1?}  p99 {p99:>10.1?}  max {max:>10.1?}")
    }
}

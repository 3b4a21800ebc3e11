//! What is checked every few seconds: buffers of histograms, how long agents have been in AUX, room on the disk, and the size
//! of SQLite's log next to the database.
//!
//! On a thread of its own each time: a hanging disk keeps no socket waiting, only the next check.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::model::StoreConfig;
use crate::journal::store::{self, Space};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::names;
use crate::telemetry::targets::SERVICE;
use crate::time::Timestamp;
use crate::views::model::ReadModel;
use crate::views::service::{DiskView, ServiceView};

const INTERVAL: Duration = Duration::from_secs(5);
/// Twice the size at which the log is emptied.
const LARGE_LOG: u64 = 2 * store::MOST_LOG;
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Checks what has to be watched every few seconds.
#[derive(Debug)]
pub(super) struct Upkeep {
    metrics: Metrics,
    model: ReadModel,
    view: ServiceView,
    directory: PathBuf,
    free: Gauge,
    size: Gauge,
    log: Gauge,
    /// When its growth was last logged.
    told: Mutex<Option<Timestamp>>,
}

impl Upkeep {
    /// Registers what it reports.
    pub(super) fn new(metrics: &Metrics, model: &ReadModel, view: &ServiceView, store: &StoreConfig) -> Self {
        #[allow(clippy::cast_precision_loss)] // bytes of a disk
        metrics.gauge(names::JOURNAL_MAX_BYTES, &[]).set(store.journal_max_size as f64);
        let upkeep = Self {
            metrics: metrics.clone(),
            model: model.clone(),
            view: view.clone(),
            directory: store.directory.clone(),
            free: metrics.gauge(names::STORE_DISK_FREE, &[]),
            size: metrics.gauge(names::STORE_DISK_SIZE, &[]),
            log: metrics.gauge(names::STORE_LOG, &[]),
            told: Mutex::default(),
        };
        // A scrape that comes first must not see a full disk.
        upkeep.sample(Timestamp::now());
        upkeep
    }

    /// Runs until it is stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        let upkeep = Arc::new(self);
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let upkeep = Arc::clone(&upkeep);
            let sampled = tokio::task::spawn_blocking(move || upkeep.sample(Timestamp::now())).await;
            if let Err(error) = sampled {
                tracing::error!(target: SERVICE, %error, "figures of the disk and of times are not told any more");
                break;
            }
        }
    }

    fn sample(&self, now: Timestamp) {
        self.metrics.upkeep();
        self.model.read().iter().for_each(|integration| integration.record_times(now));
        let space = Space::of(&self.directory);
        #[allow(clippy::cast_precision_loss)] // bytes of a disk
        let bytes = |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64);
        self.free.set(bytes(space.map(|space| space.free)));
        self.size.set(bytes(space.map(|space| space.size)));
        let log = store::log_bytes(&self.directory);
        self.log.set(bytes(Some(log)));
        self.view.set_disk(DiskView { free: space.map(|space| space.free), size: space.map(|space| space.size), log });
        if is_to_be_logged(&mut self.told.lock(), log, now) {
            let advice = "another program, such as an sqlite3 shell, has a transaction open on journal.db: end it, before the \
                          disk is full";
            tracing::warn!(
                target: SERVICE, log_mib = log >> 20,
                advice,
                "the log of the store grows, because somebody reads in it all the time"
            );
        }
    }
}

/// Whether the log is larger than it normally gets, and that was not logged for a while.
fn is_to_be_logged(told: &mut Option<Timestamp>, log: u64, now: Timestamp) -> bool {
    if log <= LARGE_LOG {
        *told = None;
        return false;
    }
    let is_due = told.is_none_or(|told| now.since(told) >= LOG_EVERY);
    if is_due {
        *told = Some(now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grows_is_told_once_a_minute_until_it_is_small_again() {
        let at = |seconds: i64| Timestamp::from_millis(1_767_600_000_000 + seconds * 1_000);
        let mut told = None;
        let steps = [
            (0, LARGE_LOG, false),
            (5, LARGE_LOG + 1, true),
            (10, 2 * LARGE_LOG, false),
            (64, 3 * LARGE_LOG, false),
            (65, 3 * LARGE_LOG, true),
            (70, 0, false),
            (75, LARGE_LOG + 1, true),
        ];
        for (seconds, log, expected) in steps {
            assert_eq!(is_to_be_logged(&mut told, log, at(seconds)), expected, "after {seconds} s");
        }
    }
}

//! What is looked at every few seconds: buffers of histograms, how long agents have been in AUX, room on the disk.
//!
//! On a thread of its own each time: a disk that hangs keeps no socket waiting, only the next look.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;
use tokio_util::sync::CancellationToken;

use crate::config::model::Store;
use crate::http::model::ReadModel;
use crate::store::Space;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::names;
use crate::time::Timestamp;

const INTERVAL: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Upkeep {
    metrics: Metrics,
    model: ReadModel,
    directory: PathBuf,
    free: Gauge,
    size: Gauge,
}

impl Upkeep {
    /// Registers what it tells.
    pub(super) fn new(metrics: &Metrics, model: &ReadModel, store: &Store) -> Self {
        #[allow(clippy::cast_precision_loss)] // bytes of a disk
        metrics.gauge(names::JOURNAL_MAX_BYTES, &[]).set(store.journal_max_size as f64);
        let upkeep = Self {
            metrics: metrics.clone(),
            model: model.clone(),
            directory: store.directory.clone(),
            free: metrics.gauge(names::STORE_DISK_FREE, &[]),
            size: metrics.gauge(names::STORE_DISK_SIZE, &[]),
        };
        // A scrape that comes first must not see a full disk.
        upkeep.look(Timestamp::now());
        upkeep
    }

    /// Until it is stopped.
    pub(super) async fn run(self, stop: CancellationToken) {
        let upkeep = Arc::new(self);
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let upkeep = Arc::clone(&upkeep);
            let looked = tokio::task::spawn_blocking(move || upkeep.look(Timestamp::now())).await;
            if let Err(error) = looked {
                tracing::error!(%error, "figures of the disk and of times are not told any more");
                break;
            }
        }
    }

    fn look(&self, now: Timestamp) {
        self.metrics.upkeep();
        self.model.read().iter().for_each(|integration| integration.tell_times(now));
        let space = Space::of(&self.directory);
        #[allow(clippy::cast_precision_loss)] // bytes of a disk
        let bytes = |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64);
        self.free.set(bytes(space.map(|space| space.free)));
        self.size.set(bytes(space.map(|space| space.size)));
    }
}

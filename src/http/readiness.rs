//! Whether the service is ready: CMS can dial in, the agent table is there, the store is on disk and takes what comes.
//!
//! `/health/ready` answers it, and `rtalink_ready` tells it to Prometheus. The gauge is set with each look: those of requests,
//! one as soon as everything is there, and one every five seconds. A scrape never waits for the disk: a look that takes
//! longer than that counts as not ready, and is waited for before the next one. Cost: a file that is made and removed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::Gauge;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::model::Store;
use crate::publish::PublishHandle;
use crate::publish::journal::StoreHealth;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::names;

const INTERVAL: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Readiness {
    /// The ways to Kafka, once the agent table is there; their journal tells how the store is doing.
    handles: OnceLock<Vec<PublishHandle>>,
    /// CMS can dial in.
    is_listening: AtomicBool,
    /// Of the store; `None` where it is in memory by somebody's wish.
    directory: Option<PathBuf>,
    gauge: Gauge,
    /// Something has changed that is worth a look.
    news: Notify,
}

/// What a look has found.
#[derive(Debug)]
pub(super) struct Look {
    /// The agents are there, and CMS can dial in.
    pub(super) is_recovered: bool,
    /// How the store is, or what is wrong with it.
    pub(super) store: Result<&'static str, String>,
}

impl Look {
    pub(super) const fn is_ready(&self) -> bool {
        self.is_recovered && self.store.is_ok()
    }
}

impl Readiness {
    /// Of a service that is starting: not ready, and told so from here on.
    pub fn new(store: &Store, metrics: &Metrics) -> Self {
        let directory = (!store.in_memory).then(|| store.directory.clone());
        let gauge = metrics.gauge(names::READY, &[]);
        gauge.set(0.0);
        Self { handles: OnceLock::new(), is_listening: AtomicBool::new(false), directory, gauge, news: Notify::new() }
    }

    /// The agents are restored, and CMS can dial in.
    pub fn all_is_there(&self, handles: &[PublishHandle]) {
        // Said once.
        let _ = self.handles.set(handles.to_vec());
        self.is_listening.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// The ways to Kafka, none before the agents are restored.
    pub(super) fn handles(&self) -> &[PublishHandle] {
        self.handles.get().map_or(&[], Vec::as_slice)
    }

    /// Of the store.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    pub(super) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Acquire)
    }

    /// Looks until it is stopped.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let look = self.look();
            tokio::pin!(look);
            if timeout(INTERVAL, &mut look).await.is_err() {
                self.gauge.set(0.0);
                if stop.run_until_cancelled(look).await.is_none() {
                    break;
                }
            }
            // Over with the news, with the time, or with the end.
            let _ = stop.run_until_cancelled(timeout(INTERVAL, self.news.notified())).await;
        }
    }

    pub(super) async fn look(&self) -> Look {
        let handles = self.handles();
        // The ways to Kafka are there when the table is, and listeners are next.
        let is_recovered = !handles.is_empty() && self.is_listening();
        // A disk that hangs would keep whoever asks waiting.
        if let Some(StoreHealth { is_durable: true, trouble: Some(trouble) }) =
            handles.first().map(PublishHandle::store_health)
        {
            self.gauge.set(0.0);
            return Look { is_recovered, store: Err(trouble) };
        }
        let directory = self.directory.clone();
        let is_volatile = directory.is_none();
        let written = tokio::task::spawn_blocking(move || directory.map_or(Ok(()), |found| is_writable(&found))).await;
        let store = match (handles.first().map(PublishHandle::store_health), written) {
            (Some(StoreHealth { trouble: None, .. }), _) if is_volatile => Ok("in memory, as configured"),
            (Some(StoreHealth { trouble: Some(trouble), .. }), _) if is_volatile => Err(trouble),
            // What is in the directory says nothing about a store that is not there.
            (Some(StoreHealth { is_durable: false, .. }), _) => {
                Err("in memory: it could not be opened on disk".to_owned())
            }
            (_, Ok(Err(error))) => Err(error.to_string()),
            (_, Err(error)) => Err(error.to_string()),
            (None, _) => Ok("opened"),
            (Some(StoreHealth { trouble: Some(trouble), .. }), _) => Err(trouble),
            (Some(StoreHealth { .. }), _) => Ok("writable"),
        };
        let look = Look { is_recovered, store };
        self.gauge.set(if look.is_ready() { 1.0 } else { 0.0 });
        look
    }
}

/// The files that are open stay writable when their directory is gone, but nobody would find them after a restart.
fn is_writable(directory: &Path) -> std::io::Result<()> {
    if !directory.join(crate::store::DATABASE).exists() {
        return Err(std::io::Error::other(
            "its file is gone from its directory: restart, and give it the directory back",
        ));
    }
    tempfile::Builder::new().prefix(".writable-").tempfile_in(directory).map(drop)
}

//! Whether the service is ready: CMS can dial in, the agent table is there, the store is on disk and accepts writes.
//!
//! `/health/ready` answers with it, and `rtalink_ready` reports it to Prometheus. The service itself checks whether the
//! directory takes a file, every five seconds and as soon as everything is there: a request neither makes it write one nor
//! waits for the disk. A check that takes longer than five seconds counts as not ready, and ends before the next one begins.
//! Cost: a file that is created and removed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::model::StoreConfig;
use crate::integration::handles::Handles;
use crate::journal::StoreHealth;
use crate::kafka::PublishHandle;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::names;

const INTERVAL: Duration = Duration::from_secs(5);

/// Whether the service is ready, checked periodically.
#[derive(Debug)]
pub struct Readiness {
    /// The ways to Kafka; their journal knows how the store is doing.
    handles: Handles,
    /// CMS can dial in.
    is_listening: AtomicBool,
    /// The store's directory; `None` where the store is in memory on purpose.
    directory: Option<PathBuf>,
    gauge: Gauge,
    /// What the last check of the directory found.
    directory_trouble: Mutex<Option<Trouble>>,
    /// Something has changed that is worth a check.
    news: Notify,
}

/// What is known.
#[derive(Debug)]
pub(super) struct Sample {
    /// The agents are there, and CMS can dial in.
    pub(super) is_recovered: bool,
    /// The state of the store, or what is wrong with it.
    pub(super) store: Result<&'static str, Trouble>,
}

/// What is wrong with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In fixed words, for everybody.
    pub(super) state: &'static str,
    /// What the system or SQLite says, with names of files; `None` where there is nothing more to say.
    pub(super) said: Option<String>,
}

impl Trouble {
    const fn of(state: &'static str) -> Self {
        Self { state, said: None }
    }
}

impl Sample {
    pub(super) const fn is_ready(&self) -> bool {
        self.is_recovered && self.store.is_ok()
    }
}

impl Readiness {
    /// Creates it for a service that is starting: not ready, and reported so from now on.
    pub fn new(store: &StoreConfig, metrics: &Metrics, handles: Handles) -> Self {
        let directory = (!store.in_memory).then(|| store.directory.clone());
        let gauge = metrics.gauge(names::READY, &[]);
        gauge.set(0.0);
        Self {
            handles,
            is_listening: AtomicBool::new(false),
            directory,
            gauge,
            directory_trouble: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// The agents are restored, and CMS can dial in.
    pub fn all_is_there(&self) {
        self.is_listening.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Returns the ways to Kafka; none of an integration before its agents are restored.
    pub(super) const fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Returns the store's directory.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    pub(super) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Acquire)
    }

    /// Checks until it is stopped.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let probe = self.probe_directory();
            tokio::pin!(probe);
            if timeout(INTERVAL, &mut probe).await.is_err() {
                *self.directory_trouble.lock() = Some(Trouble::of(SILENT));
                self.sample();
                if stop.run_until_cancelled(probe).await.is_none() {
                    break;
                }
            }
            self.sample();
            // Ends with news, after the interval, or when stopped.
            let _ = stop.run_until_cancelled(timeout(INTERVAL, self.news.notified())).await;
        }
    }

    async fn probe_directory(&self) {
        let Some(directory) = self.directory.clone() else { return };
        let probed = tokio::task::spawn_blocking(move || trouble_of(&directory)).await;
        let failed = |error: tokio::task::JoinError| Some(Trouble { state: NO_FILE, said: Some(error.to_string()) });
        *self.directory_trouble.lock() = probed.unwrap_or_else(failed);
    }

    /// Returns what is known now, without access to the disk.
    pub(super) fn sample(&self) -> Sample {
        let any = self.handles.any();
        let is_recovered = any.is_some() && self.is_listening();
        let store = match (any.as_ref().map(PublishHandle::store_health), self.directory_trouble.lock().clone()) {
            (Some(StoreHealth { trouble: Some(said), .. }), _) => Err(Trouble { state: REFUSES, said: Some(said) }),
            (Some(_), _) if self.directory.is_none() => Ok("in memory, as configured"),
            // The content of the directory says nothing about a store that is not there.
            (Some(StoreHealth { is_durable: false, .. }), _) => Err(Trouble::of(IN_MEMORY)),
            (_, Some(trouble)) => Err(trouble),
            (None, None) => Ok("opened"),
            (Some(_), None) => Ok("writable"),
        };
        let sample = Sample { is_recovered, store };
        self.gauge.set(if sample.is_ready() { 1.0 } else { 0.0 });
        sample
    }
}

/// What everybody may know of a store that does not accept writes; `docs/http.md` lists them.
const REFUSES: &str = "cannot be written";
const IN_MEMORY: &str = "in memory: it could not be opened on disk";
const GONE: &str = "its file is gone from its directory: restart, and give it the directory back";
const NO_FILE: &str = "its directory takes no file";
const SILENT: &str = "its disk does not answer";

/// Open files stay writable when their directory is gone, but nobody would find them after a restart.
fn trouble_of(directory: &Path) -> Option<Trouble> {
    if !directory.join(crate::journal::store::DATABASE).exists() {
        return Some(Trouble::of(GONE));
    }
    let error = tempfile::Builder::new().prefix(".writable-").tempfile_in(directory).err()?;
    Some(Trouble { state: NO_FILE, said: Some(error.to_string()) })
}

//! What is shown of the service as a whole: since when it runs, its configuration, how its last reload went, the room on its disk, and what its
//! start waits for.
//!
//! Written by those who find it out, read by requests; each is a small value under a lock that nobody holds for long.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::redacted::Redacted;
use crate::time::Timestamp;

/// The facts; cheap to clone, all clones are the same.
#[derive(Clone, Debug)]
pub struct ServiceView(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    started_at: Timestamp,
    journal_max_size: u64,
    configuration: Mutex<Arc<Redacted>>,
    /// When the last reload was refused; `None` where it was not.
    reload_refused_at: Mutex<Option<Timestamp>>,
    disk: Mutex<DiskView>,
    /// By integration.
    starts: Mutex<BTreeMap<Arc<str>, AwaitedStart>>,
}

/// The disk of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskView {
    /// Bytes that can still be written; `None` where the file system does not say.
    pub free: Option<u64>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Bytes of SQLite's log.
    pub log: u64,
}

/// Why an integration has not been started yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitedStart {
    /// Since when it waits.
    pub since: Timestamp,
    /// What Kafka, or the way to it, says.
    pub reason: String,
}

impl ServiceView {
    /// Creates the facts of a service that starts now. `journal_max_size`: bytes that an integration may have in the journal.
    pub fn new(started_at: Timestamp, journal_max_size: u64) -> Self {
        Self(Arc::new(Facts {
            started_at,
            journal_max_size,
            configuration: Mutex::default(),
            reload_refused_at: Mutex::default(),
            disk: Mutex::default(),
            starts: Mutex::default(),
        }))
    }

    /// Returns when the service was started.
    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// Returns the bytes that an integration may have in the journal.
    pub fn journal_max_size(&self) -> u64 {
        self.0.journal_max_size
    }

    /// Sets the configuration that was read last. What the former ones withheld is withheld from now on too.
    pub fn set_configuration(&self, configuration: Redacted) {
        let mut held = self.0.configuration.lock();
        *held = Arc::new(configuration.after(&held));
    }

    /// Withholds what another configuration withholds too: one that is refused is named in the log all the same.
    pub fn withhold(&self, other: &Redacted) {
        let mut held = self.0.configuration.lock();
        *held = Arc::new(held.also_without(other));
    }

    /// Returns the configuration that was read last, as it may be handed to others.
    pub fn configuration(&self) -> Arc<Redacted> {
        Arc::clone(&self.0.configuration.lock())
    }

    /// Sets whether something that is written is refused. `now` counts where it was not before.
    pub fn set_reload_refused(&self, is_refused: bool, now: Timestamp) {
        let mut since = self.0.reload_refused_at.lock();
        *since = is_refused.then(|| since.unwrap_or(now));
    }

    /// Returns since when something that is written is refused; `None` where all of it is in force.
    pub fn reload_refused_at(&self) -> Option<Timestamp> {
        *self.0.reload_refused_at.lock()
    }

    /// Sets the room on the disk.
    pub fn set_disk(&self, disk: DiskView) {
        *self.0.disk.lock() = disk;
    }

    /// Returns the room on the disk, as it was some seconds ago.
    pub fn disk(&self) -> DiskView {
        *self.0.disk.lock()
    }

    /// The starts of these integrations wait, for that reason.
    pub fn starts_wait(&self, integrations: &[Arc<str>], reason: &str, now: Timestamp) {
        let mut starts = self.0.starts.lock();
        for integration in integrations {
            let since = starts.get(integration).map_or(now, |awaited| awaited.since);
            starts.insert(Arc::clone(integration), AwaitedStart { since, reason: reason.to_owned() });
        }
    }

    /// The starts of these integrations wait no longer, or have been given up.
    pub fn starts_go_on(&self, integrations: &[Arc<str>]) {
        self.0.starts.lock().retain(|integration, _| !integrations.contains(integration));
    }

    /// Returns what the start of an integration waits for.
    pub fn awaited_by(&self, integration: &str) -> Option<AwaitedStart> {
        self.0.starts.lock().get(integration).cloned()
    }

    /// Returns what any start waits for, the one that has waited longest.
    pub fn awaited(&self) -> Option<AwaitedStart> {
        self.0.starts.lock().values().min_by_key(|awaited| awaited.since).cloned()
    }
}

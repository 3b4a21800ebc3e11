//! The facade: everything that publishes, from startup to drain.
//!
//! Policy: starting needs no Kafka; only settings that librdkafka does not accept are a startup error. Order of shutdown:
//! [`Publisher::close`] refuses further batches and releases blocked workers, [`Publisher::drain`] waits for the store and
//! for acknowledgements until a deadline: what is not acknowledged by then stays in the journal for the next start, and only
//! what the store could not take is lost. A hanging disk does not prolong any of it. Dropping a publisher ends it as a kill
//! does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use crate::config::model::{Bootstrap, Kafka};
use crate::join;
use crate::journal::lane::Lane;
use crate::journal::message::{Batch, Message};
use crate::journal::store::MappingVersion;
use crate::journal::{Journal, Refused, StoreHealth};

use super::comparison::{Compared, Comparer, Comparison, Comparisons, KnownAgents};
use super::delivery::Monitor;
use super::driver::{self, SpawnError};
use super::embedded::{Embedded, EmbeddedError};
use super::observer::{KafkaHealth, Observer};
use super::topic_keeper::{Told, TopicKeeper};
use super::topics::plan;

/// How long the store has at shutdown, at least.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// How long to wait for the store to answer.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::journal::store::StoreError),
    /// The store does not answer, see its metric and the log.
    #[error("the store does not answer")]
    NoAnswer,
}

/// Why publishing could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// librdkafka does not accept the settings.
    #[error("kafka settings are not accepted, see kafka.properties: {0}")]
    Settings(KafkaError),
    /// The embedded cluster could not be started.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The system provides no thread.
    #[error("no thread for publishing: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<SpawnError> for StartError {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Settings(error) => Self::Settings(error),
            SpawnError::Thread(error) => Self::Thread(error),
        }
    }
}

/// One integration's handle for publishing. Cheap to clone.
#[derive(Clone)]
pub struct PublishHandle {
    lane: Lane,
    monitor: Arc<Monitor>,
    comparison: Arc<Comparison>,
    has_feed: bool,
}

impl PublishHandle {
    /// Returns the same for an integration without real time: no worker writes its agents to the store.
    #[must_use]
    pub fn without_feed(self) -> Self {
        Self { has_feed: false, ..self }
    }

    /// Whether a worker writes the integration's agents to the store. Only then do its rows leave the journal.
    pub const fn has_feed(&self) -> bool {
        self.has_feed
    }

    /// Hands a batch over. See [`Lane::submit`].
    ///
    /// # Errors
    /// [`Refused`], with the batch.
    pub fn submit(&self, batch: Batch) -> Result<u64, Refused> {
        self.lane.submit(batch)
    }

    /// Returns the comparison of what Kafka knows with what the store knows.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// Returns its part of the journal.
    pub const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Returns the position below which every message is in Kafka.
    pub fn acknowledged_to(&self) -> u64 {
        self.lane.outbox().acknowledged_to()
    }

    /// Returns the number of messages that wait for the store or for Kafka.
    pub fn pending(&self) -> usize {
        let waiting = self.lane.next().saturating_sub(self.lane.outbox().end());
        self.lane.outbox().pending() + usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    /// Returns how long the oldest of them has been waiting for the disk or for Kafka.
    pub fn oldest_age(&self) -> Duration {
        self.lane.outbox().oldest_age().max(self.lane.oldest_age())
    }

    /// Sends a message once, bypassing the journal; not while publishing is held.
    pub fn send_aside(&self, message: Message) {
        self.lane.outbox().send_aside(message);
    }

    /// Whether publishing is held.
    pub fn is_held(&self) -> bool {
        self.lane.outbox().held_at().is_some()
    }

    /// Returns how the store is doing.
    pub fn store_health(&self) -> StoreHealth {
        self.lane.health()
    }

    /// Takes the integration back from the store that [`KafkaHealth::superseded_by`] names; false where it names none.
    pub fn claim(&self) -> bool {
        let is_superseded = self.monitor.health().superseded_by.is_some();
        if is_superseded {
            self.monitor.claim();
        }
        is_superseded
    }

    /// Returns the state of Kafka as this integration's producer sees it.
    pub fn health(&self) -> KafkaHealth {
        self.monitor.health()
    }
}

struct Way {
    handle: PublishHandle,
    thread: Option<JoinHandle<()>>,
}

/// Publishes for all integrations. Fields are dropped in their order: threads before the cluster they talk to.
pub struct Publisher {
    ways: BTreeMap<Arc<str>, Way>,
    comparer: Option<Comparer>,
    journal: Option<Journal>,
    _topics: Option<TopicKeeper>,
    _embedded: Option<Embedded>,
    servers: String,
}

impl Publisher {
    /// Starts the embedded cluster where the configuration asks for one; it must exist before anything is read from it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn embedded(kafka: &Kafka) -> Result<Option<Embedded>, StartError> {
        match &kafka.bootstrap {
            Bootstrap::Embedded => Ok(Some(Embedded::start(plan(kafka))?)),
            Bootstrap::Servers(_) => Ok(None),
        }
    }

    /// Starts publishing what is in the journal and what comes into it, each integration with the observer that `observe`
    /// returns for it.
    ///
    /// # Errors
    /// When the settings are not accepted, or a thread cannot be started. Never because Kafka is away.
    pub fn start(
        kafka: &Kafka,
        embedded: Option<Embedded>,
        journal: Journal,
        observe: impl Fn(&Arc<str>) -> Arc<dyn Observer>,
    ) -> Result<Self, StartError> {
        Self::start_comparing(kafka, embedded, journal, observe, |_| KnownAgents::Nobody)
    }

    /// Does the same, but before anything of an integration is published Kafka is compared with what is `known` of its agents.
    ///
    /// # Errors
    /// Those of [`Publisher::start`].
    pub fn start_comparing(
        kafka: &Kafka,
        embedded: Option<Embedded>,
        journal: Journal,
        observe: impl Fn(&Arc<str>) -> Arc<dyn Observer>,
        mut known: impl FnMut(&Arc<str>) -> KnownAgents,
    ) -> Result<Self, StartError> {
        let servers = match (&kafka.bootstrap, &embedded) {
            (_, Some(embedded)) => embedded.bootstrap_servers().to_owned(),
            (Bootstrap::Servers(servers), None) => servers.clone(),
            (Bootstrap::Embedded, None) => String::new(),
        };
        let owner = journal.store_id();
        let comparisons = Comparisons::new();
        let (mut compared, mut told) = (Vec::new(), Vec::new());
        let mut ways = BTreeMap::new();
        for (integration, lane) in journal.lanes() {
            let monitor = Arc::new(Monitor::new(Arc::clone(integration), kafka, observe(integration)));
            let comparison = comparisons.add(match known(integration) {
                // A cluster inside the process begins anew with it.
                KnownAgents::Sequences(_) if embedded.is_some() => KnownAgents::AsKafka,
                known => known,
            });
            let lane = lane.clone();
            let thread = driver::spawn(integration, &servers, kafka, owner, &lane, &comparison, &monitor)?;
            told.push(Told { monitor: Arc::clone(&monitor), comparison: Arc::clone(&comparison) });
            compared.push(Compared {
                integration: Arc::clone(integration),
                comparison: Arc::clone(&comparison),
                lane: lane.clone(),
                monitor: Arc::clone(&monitor),
            });
            let handle = PublishHandle { lane, monitor, comparison, has_feed: true };
            ways.insert(Arc::clone(integration), Way { handle, thread: Some(thread) });
        }
        let comparer = comparisons.spawn(&servers, kafka, compared)?;
        let topics = if embedded.is_none() { Some(TopicKeeper::spawn(&servers, kafka, told)?) } else { None };
        Ok(Self {
            ways,
            comparer: Some(comparer),
            journal: Some(journal),
            _topics: topics,
            _embedded: embedded,
            servers,
        })
    }

    /// Returns where Kafka is, even where it is embedded.
    pub fn bootstrap_servers(&self) -> &str {
        &self.servers
    }

    /// Returns an integration's handle; `None` for one that it was not started with.
    pub fn handle(&self, integration: &str) -> Option<PublishHandle> {
        self.ways.get(integration).map(|way| way.handle.clone())
    }

    /// Writes versions of mappings to the store, all of them or none.
    ///
    /// # Errors
    /// When the store cannot be written, or does not answer for some seconds.
    pub fn remember_mappings(&self, versions: Vec<MappingVersion>) -> Result<(), RememberError> {
        let way = self.ways.values().next().ok_or(RememberError::NoAnswer)?;
        let written = way.handle.lane.remember_mappings(versions);
        Ok(written.recv_timeout(STORE_PATIENCE).map_err(|_| RememberError::NoAnswer)??)
    }

    /// Returns the number of waiting messages of all integrations.
    pub fn pending(&self) -> usize {
        self.ways.values().map(|way| way.handle.pending()).sum()
    }

    /// Returns the state of Kafka: the worst of what the producers see.
    pub fn health(&self) -> KafkaHealth {
        self.ways.values().map(|way| way.handle.health()).reduce(KafkaHealth::merge).unwrap_or_default()
    }

    /// Refuses further batches, and returns those that wait for room.
    pub fn close(&self) {
        if let Some(journal) = &self.journal {
            journal.close();
        }
    }

    /// Closes, waits until everything that is not held is acknowledged or the deadline has come, and ends. Threads that hang
    /// on the disk or on Kafka end with the process.
    #[must_use]
    pub fn drain(mut self, deadline: Instant) -> Drained {
        self.close();
        // What Kafka has is worth recording: the last quarter is for that.
        let left = deadline.saturating_duration_since(Instant::now());
        let acknowledged_by = deadline.checked_sub(LAST_WRITE.min(left / 4)).unwrap_or(deadline);
        if let Some(journal) = &self.journal {
            journal.wait_written(acknowledged_by);
        }
        for way in self.ways.values() {
            way.handle.lane.outbox().wait_empty(acknowledged_by);
        }
        let at_least = |time| deadline.max(Instant::now() + time);
        self.end_threads(Some(at_least(LAST_WRITE / 2)));
        let unwritten = self.journal.take().map_or(0, |journal| journal.finish(at_least(LAST_WRITE)));
        let waiting =
            |(integration, way): (&Arc<str>, &Way)| (Arc::clone(integration), way.handle.lane.outbox().pending());
        let kept = self.ways.iter().map(waiting).filter(|(_, kept)| *kept > 0).collect();
        Drained { unwritten, kept, hanging: Vec::new() }
    }

    /// Ends the publishers; without a deadline, however long that takes. Nothing is lost with a hanging one: what it had to
    /// publish is in the journal.
    fn end_threads(&mut self, deadline: Option<Instant>) {
        for way in self.ways.values() {
            way.handle.lane.outbox().stop();
        }
        drop(self.comparer.take());
        for way in self.ways.values_mut() {
            if let Some(thread) = way.thread.take() {
                // It is in the log.
                let _ = join::by(thread, deadline);
            }
        }
    }
}

/// What was left at shutdown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Messages that the store did not take: they are lost.
    pub unwritten: usize,
    /// Messages that stay in the journal until the next start, by integration; those without any are not in it.
    pub kept: BTreeMap<Arc<str>, usize>,
    /// Workers that did not end in time: what they had read and not handed over is lost.
    pub hanging: Vec<String>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end_threads(None);
    }
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;

impl std::fmt::Debug for PublishHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishHandle").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("servers", &self.servers).finish_non_exhaustive()
    }
}

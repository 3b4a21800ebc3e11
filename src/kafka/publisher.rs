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

use parking_lot::Mutex;
use rdkafka::error::KafkaError;

use crate::config::model::{Bootstrap, Kafka};
use crate::join;
use crate::journal::lane::Lane;
use crate::journal::message::{Batch, Message};
use crate::journal::store::Store;
use crate::journal::{Journal, JournalError, LaneStart, Refused, StoreHealth};

use super::comparison::{Compared, Comparer, Comparison, KnownAgents};
use super::delivery::Monitor;
use super::driver::{self, SpawnError};
use super::mock_cluster::{MockCluster, MockClusterError};
use super::observer::{KafkaHealth, Observer};
use super::topic_keeper::{NotifiedIntegration, TopicKeeper};
use super::topics::plan;

/// How long the store has at shutdown, at least.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// Why publishing could not start.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// librdkafka does not accept the settings.
    #[error("kafka settings are not accepted, see kafka.properties: {0}")]
    Settings(KafkaError),
    /// The mock cluster could not be started.
    #[error(transparent)]
    MockCluster(#[from] MockClusterError),
    /// The system provides no thread.
    #[error("no thread for publishing: {0}")]
    Thread(#[from] std::io::Error),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Publishing has ended.
    #[error("publishing has ended")]
    Ended,
}

impl From<SpawnError> for PublisherError {
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
}

impl PublishHandle {
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
        self.lane.send_window().acknowledged_to()
    }

    /// Returns the number of messages that wait for the store or for Kafka.
    pub fn pending(&self) -> usize {
        let waiting = self.lane.next().saturating_sub(self.lane.send_window().end());
        self.lane.send_window().pending() + usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    /// Returns how long the oldest of them has been waiting for the disk or for Kafka.
    pub fn oldest_age(&self) -> Duration {
        self.lane.send_window().oldest_age().max(self.lane.oldest_age())
    }

    /// Sends a message once, bypassing the journal; not while publishing is paused.
    pub fn send_untracked(&self, message: Message) {
        self.lane.send_window().send_untracked(message);
    }

    /// Whether publishing is paused.
    pub fn is_paused(&self) -> bool {
        self.lane.send_window().paused_at().is_some()
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
    kafka: Kafka,
    ways: Mutex<BTreeMap<Arc<str>, Way>>,
    comparer: Comparer,
    journal: Journal,
    topics: Option<TopicKeeper>,
    mock_cluster: Option<MockCluster>,
    servers: String,
}

impl Publisher {
    /// Starts the mock cluster where the configuration asks for one; it must exist before anything is read from it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn mock_cluster(kafka: &Kafka) -> Result<Option<MockCluster>, PublisherError> {
        match &kafka.bootstrap {
            Bootstrap::Embedded => Ok(Some(MockCluster::start(plan(kafka))?)),
            Bootstrap::Servers(_) => Ok(None),
        }
    }

    /// Starts publishing what is in the lanes of the journal and what comes into them, each integration with the observer that
    /// `observe` returns for it.
    ///
    /// # Errors
    /// When the settings are not accepted, or a thread cannot be started. Never because Kafka is away.
    pub fn start(
        kafka: &Kafka,
        mock_cluster: Option<MockCluster>,
        journal: Journal,
        observe: impl Fn(&Arc<str>) -> Arc<dyn Observer>,
    ) -> Result<Self, PublisherError> {
        let lanes = journal.lanes();
        let publisher = Self::new(kafka, mock_cluster, journal)?;
        for (integration, lane) in lanes {
            publisher.publish(&integration, lane, observe(&integration), KnownAgents::Nobody)?;
        }
        Ok(publisher)
    }

    /// Creates one that publishes for no integration yet.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(kafka: &Kafka, mock_cluster: Option<MockCluster>, journal: Journal) -> Result<Self, PublisherError> {
        let servers = match (&kafka.bootstrap, &mock_cluster) {
            (_, Some(mock_cluster)) => mock_cluster.bootstrap_servers().to_owned(),
            (Bootstrap::Servers(servers), None) => servers.clone(),
            (Bootstrap::Embedded, None) => String::new(),
        };
        let comparer = Comparer::spawn(&servers, kafka)?;
        let topics = if mock_cluster.is_none() { Some(TopicKeeper::spawn(&servers, kafka)?) } else { None };
        Ok(Self { kafka: kafka.clone(), ways: Mutex::default(), comparer, journal, topics, mock_cluster, servers })
    }

    /// Opens the lane of an integration and publishes what is in it and what comes into it, while others go on. Before
    /// anything is published, Kafka is compared with what is `known` of its agents. Blocks for as long as the store takes.
    ///
    /// # Errors
    /// When the settings are not accepted, the store cannot be read, or a thread cannot be started. Never because Kafka is
    /// away.
    pub fn open(
        &self,
        lane: LaneStart,
        observer: Arc<dyn Observer>,
        known: KnownAgents,
    ) -> Result<PublishHandle, PublisherError> {
        let integration = Arc::clone(&lane.integration);
        let lane = self.journal.open(lane)?;
        self.publish(&integration, lane, observer, known)
    }

    fn publish(
        &self,
        integration: &Arc<str>,
        lane: Lane,
        observer: Arc<dyn Observer>,
        known: KnownAgents,
    ) -> Result<PublishHandle, PublisherError> {
        let monitor = Arc::new(Monitor::new(Arc::clone(integration), &self.kafka, observer));
        let comparison = self.comparer.comparison(match known {
            // A cluster inside the process begins anew with it.
            KnownAgents::Sequences(_) if self.mock_cluster.is_some() => KnownAgents::AsKafka,
            known => known,
        });
        let owner = self.journal.store_id();
        let thread = driver::spawn(integration, &self.servers, &self.kafka, owner, &lane, &comparison, &monitor)?;
        if let Some(topics) = &self.topics {
            topics.add(NotifiedIntegration { monitor: Arc::clone(&monitor), comparison: Arc::clone(&comparison) });
        }
        self.comparer.add(Compared {
            integration: Arc::clone(integration),
            comparison: Arc::clone(&comparison),
            lane: lane.clone(),
            monitor: Arc::clone(&monitor),
        });
        let handle = PublishHandle { lane, monitor, comparison };
        self.ways.lock().insert(Arc::clone(integration), Way { handle: handle.clone(), thread: Some(thread) });
        Ok(handle)
    }

    /// Ends publishing for an integration, while others go on: waits until everything before a pause is acknowledged, at
    /// most until the deadline, and closes the lane. What Kafka does not have stays in the store. Returns how many messages
    /// that is. Blocks.
    pub fn close(&self, integration: &str, deadline: Instant) -> usize {
        let Some(mut way) = self.ways.lock().remove(integration) else { return 0 };
        let send_window = way.handle.lane.send_window();
        way.handle.lane.wait_written(deadline);
        send_window.wait_empty(deadline);
        send_window.stop();
        if let Some(topics) = &self.topics {
            topics.remove(&way.handle.monitor);
        }
        self.comparer.remove(&way.handle.comparison);
        if let Some(thread) = way.thread.take() {
            // It is in the log.
            let _ = join::by(thread, Some(deadline.max(Instant::now() + LAST_WRITE)));
        }
        self.journal.close_lane(integration, deadline.max(Instant::now() + LAST_WRITE));
        send_window.pending()
    }

    /// Does something with the store on the thread that owns it; see [`Journal::with_store`].
    pub fn with_store<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> R + Send + 'static,
    ) -> crossbeam_channel::Receiver<R> {
        self.journal.with_store(work)
    }

    /// Returns where Kafka is, even where it is embedded.
    pub fn bootstrap_servers(&self) -> &str {
        &self.servers
    }

    /// Returns an integration's handle; `None` for one that it does not publish for.
    pub fn handle(&self, integration: &str) -> Option<PublishHandle> {
        self.ways.lock().get(integration).map(|way| way.handle.clone())
    }

    /// Returns the number of waiting messages of all integrations.
    pub fn pending(&self) -> usize {
        self.ways.lock().values().map(|way| way.handle.pending()).sum()
    }

    /// Returns the state of Kafka: the worst of what the producers see.
    pub fn health(&self) -> KafkaHealth {
        self.ways.lock().values().map(|way| way.handle.health()).reduce(KafkaHealth::merge).unwrap_or_default()
    }

    /// Refuses further batches, and returns those that wait for room.
    pub fn refuse(&self) {
        self.journal.close();
    }

    /// Closes, waits until everything before a pause is acknowledged or the deadline has come, and ends. Threads that hang
    /// on the disk or on Kafka end with the process.
    #[must_use]
    pub fn drain(&self, deadline: Instant) -> Drained {
        self.refuse();
        // What Kafka has is worth recording: the last quarter is for that.
        let left = deadline.saturating_duration_since(Instant::now());
        let acknowledged_by = deadline.checked_sub(LAST_WRITE.min(left / 4)).unwrap_or(deadline);
        self.journal.wait_written(acknowledged_by);
        for handle in self.handles() {
            handle.lane.send_window().wait_empty(acknowledged_by);
        }
        let at_least = |time| deadline.max(Instant::now() + time);
        self.end_threads(Some(at_least(LAST_WRITE / 2)));
        let unwritten = self.journal.finish(at_least(LAST_WRITE));
        let waiting =
            |(integration, way): (&Arc<str>, &Way)| (Arc::clone(integration), way.handle.lane.send_window().pending());
        let kept = self.ways.lock().iter().map(waiting).filter(|(_, kept)| *kept > 0).collect();
        Drained { unwritten, kept, hanging: Vec::new() }
    }

    fn handles(&self) -> Vec<PublishHandle> {
        self.ways.lock().values().map(|way| way.handle.clone()).collect()
    }

    /// Ends the publishers; without a deadline, however long that takes. Nothing is lost with a hanging one: what it had to
    /// publish is in the journal.
    fn end_threads(&self, deadline: Option<Instant>) {
        for handle in self.handles() {
            handle.lane.send_window().stop();
        }
        self.comparer.end();
        let threads: Vec<_> = self.ways.lock().values_mut().filter_map(|way| way.thread.take()).collect();
        for thread in threads {
            // It is in the log.
            let _ = join::by(thread, deadline);
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

//! The facade: everything that publishes, from start to drain.
//!
//! Policy: starting needs no Kafka; only settings that librdkafka does not accept are an error of the start. Order of the
//! end: [`Publisher::close`] refuses further batches and releases blocked workers, [`Publisher::drain`] waits for
//! acknowledgements until a deadline and says what is lost. Dropping a publisher ends it without waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use uuid::Uuid;

use super::delivery::Monitor;
use super::embedded::{Embedded, EmbeddedError};
use super::message::Batch;
use super::observer::{KafkaHealth, Observer};
use super::outbox::{Closed, Limits, Outbox};
use super::producer::{PublisherThread, SpawnError};
use super::topics::{TopicKeeper, plan};
use super::transactions::TransactionThread;
use crate::config::model::{Bootstrap, Delivery, Kafka};

/// Why publishing could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// librdkafka does not accept the settings.
    #[error("kafka settings are not accepted, see kafka.properties: {0}")]
    Settings(KafkaError),
    /// No embedded cluster.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The system gives no thread.
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

/// One integration's way to Kafka. Cheap to clone.
#[derive(Clone)]
pub struct PublishHandle {
    outbox: Arc<Outbox>,
    monitor: Arc<Monitor>,
}

impl PublishHandle {
    /// Hands a batch over; blocks while too much waits for Kafka. See [`Outbox::submit`].
    ///
    /// # Errors
    /// [`Closed`], with the batch, once the publisher was closed.
    pub fn submit(&self, batch: Batch) -> Result<u64, Closed> {
        self.outbox.submit(batch)
    }

    /// Every message below this position is in Kafka.
    pub fn acknowledged_to(&self) -> u64 {
        self.outbox.acknowledged_to()
    }

    /// Messages that wait for Kafka.
    pub fn pending(&self) -> usize {
        self.outbox.pending()
    }

    /// For how long the oldest of them has been waiting.
    pub fn oldest_age(&self) -> Duration {
        self.outbox.oldest_age()
    }

    /// Takes the integration back from the store that [`KafkaHealth::superseded_by`] names. Does nothing otherwise.
    pub fn claim(&self) {
        self.monitor.claim();
    }

    /// How things stand with Kafka, as this integration's producer sees it.
    pub fn health(&self) -> KafkaHealth {
        self.monitor.health()
    }
}

struct Lane {
    handle: PublishHandle,
    thread: Option<JoinHandle<()>>,
}

/// All integrations' ways to Kafka. Fields are dropped in their order: threads before the cluster they talk to.
pub struct Publisher {
    lanes: BTreeMap<Arc<str>, Lane>,
    _topics: Option<TopicKeeper>,
    embedded: Option<Embedded>,
    servers: String,
}

impl Publisher {
    /// Starts publishing for these integrations, each with the observer that `observe` gives it. `owner` is the id of the
    /// store that counts the positions; exactly-once delivery tells by it who has published an integration.
    ///
    /// # Errors
    /// When the settings are not accepted, or the embedded cluster or a thread cannot be started. Never because Kafka
    /// is away.
    pub fn start(
        kafka: &Kafka,
        integrations: impl IntoIterator<Item = Arc<str>>,
        owner: Uuid,
        observe: impl Fn(&Arc<str>) -> Arc<dyn Observer>,
    ) -> Result<Self, StartError> {
        let embedded = match &kafka.bootstrap {
            Bootstrap::Embedded => Some(Embedded::start(plan(kafka))?),
            Bootstrap::Servers(_) => None,
        };
        let servers = match (&kafka.bootstrap, &embedded) {
            (Bootstrap::Servers(servers), _) => servers.clone(),
            (Bootstrap::Embedded, Some(embedded)) => embedded.bootstrap_servers().to_owned(),
            (Bootstrap::Embedded, None) => String::new(),
        };
        let mut publisher = Self { lanes: BTreeMap::new(), _topics: None, embedded, servers };
        for integration in integrations {
            let limits = Limits { messages: kafka.queue_events, bytes: Limits::DEFAULT_BYTES };
            let outbox = Arc::new(Outbox::new(limits));
            let monitor = Arc::new(Monitor::new(Arc::clone(&integration), observe(&integration)));
            let (id, servers) = (Arc::clone(&integration), &publisher.servers);
            let shared = (Arc::clone(&outbox), Arc::clone(&monitor));
            let thread = match kafka.delivery {
                Delivery::AtLeastOnce => PublisherThread::spawn(id, servers, kafka, shared.0, shared.1)?,
                Delivery::ExactlyOnce => TransactionThread::spawn(id, servers, kafka, owner, shared.0, shared.1)?,
            };
            let lane = Lane { handle: PublishHandle { outbox, monitor }, thread: Some(thread) };
            publisher.lanes.insert(integration, lane);
        }
        if publisher.embedded.is_none() {
            publisher._topics = Some(TopicKeeper::spawn(&publisher.servers, kafka)?);
        }
        Ok(publisher)
    }

    /// Where Kafka is, also where it is embedded.
    pub fn bootstrap_servers(&self) -> &str {
        &self.servers
    }

    /// An integration's way to Kafka; `None` for one that it was not started with.
    pub fn handle(&self, integration: &str) -> Option<PublishHandle> {
        self.lanes.get(integration).map(|lane| lane.handle.clone())
    }

    /// Messages of all integrations that wait for Kafka.
    pub fn pending(&self) -> usize {
        self.lanes.values().map(|lane| lane.handle.pending()).sum()
    }

    /// How things stand with Kafka: the worst of what the producers see.
    pub fn health(&self) -> KafkaHealth {
        self.lanes.values().map(|lane| lane.handle.health()).reduce(KafkaHealth::merge).unwrap_or_default()
    }

    /// Refuses further batches, and gives those back that wait for room.
    pub fn close(&self) {
        for lane in self.lanes.values() {
            lane.handle.outbox.close();
        }
    }

    /// Closes, waits until everything is acknowledged or the deadline has come, and ends. Returns the messages that are
    /// lost, by integration; integrations without a loss are not in it.
    #[must_use]
    pub fn drain(mut self, deadline: Instant) -> BTreeMap<Arc<str>, usize> {
        self.close();
        for lane in self.lanes.values() {
            lane.handle.outbox.wait_empty(deadline);
        }
        self.end();
        self.lanes
            .iter()
            .map(|(integration, lane)| (Arc::clone(integration), lane.handle.pending()))
            .filter(|(_, lost)| *lost > 0)
            .collect()
    }

    fn end(&mut self) {
        for lane in self.lanes.values() {
            lane.handle.outbox.stop();
        }
        for lane in self.lanes.values_mut() {
            if let Some(thread) = lane.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.end();
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

//! One reading of the checkpoint topic, until it is done, stopped or late.
//!
//! Two clients: one sees what is committed and where the first open transaction begins, the other where a partition ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::config::topics::Topic;
use crate::kafka::client::{self, Quiet, settings};
use crate::kafka::diagnosis::{KnownAs, Right, is_about_groups};
use crate::kafka::partition;

use super::{Checkpoint, Found, Ours, ReadError};

/// How long a request continues after it was stopped.
const STEP: Duration = Duration::from_millis(500);
/// The time between two checks of open transactions.
const OPEN_WAIT: Duration = Duration::from_millis(10);
/// How much of a partition is read: its end first.
const SPANS: [i64; 3] = [1_000, 50_000, i64::MAX];

/// Reads the topic once.
pub(super) struct CheckpointReader<'a> {
    committed: BaseConsumer<Quiet>,
    uncommitted: BaseConsumer<Quiet>,
    topic: &'a str,
    known: KnownAs,
    begun: Instant,
    timeout: Duration,
    is_stopped: &'a dyn Fn() -> bool,
}

impl<'a> CheckpointReader<'a> {
    /// Creates the clients; Kafka itself need not be reachable.
    pub(super) fn open(
        servers: &str,
        kafka: &'a Kafka,
        timeout: Duration,
        is_stopped: &'a dyn Fn() -> bool,
    ) -> Result<Self, ReadError> {
        let topic = &kafka.topics[Topic::Checkpoint];
        let failed = |error: KafkaError| ReadError::Kafka { topic: topic.to_owned(), reason: error.to_string() };
        Ok(Self {
            committed: consumer(servers, &kafka.properties, "read_committed").map_err(failed)?,
            uncommitted: consumer(servers, &kafka.properties, "read_uncommitted").map_err(failed)?,
            topic,
            known: KnownAs::by(&kafka.properties),
            begun: Instant::now(),
            timeout,
            is_stopped,
        })
    }

    /// Returns what the topic has about an integration; `settled`: once no transaction is open.
    pub(super) fn find(&self, integration: &str, ours: Option<Ours<'_>>, settled: bool) -> Result<Found, ReadError> {
        let mut found = Found::default();
        for partition in partition::ever_of(integration.as_bytes(), self.partitions()?) {
            found = found.later(self.find_in(partition, integration, ours, settled)?);
        }
        Ok(found)
    }

    fn find_in(
        &self,
        partition: i32,
        integration: &str,
        ours: Option<Ours<'_>>,
        settled: bool,
    ) -> Result<Found, ReadError> {
        let (low, end) =
            if settled { self.settled_bounds(partition)? } else { self.bounds(&self.committed, partition)? };
        for span in SPANS {
            let from = low.max(end.saturating_sub(span));
            if from >= end {
                break;
            }
            let found = self.scan(partition, from, integration, ours)?;
            if found.last.is_some() || from == low {
                return Ok(found);
            }
        }
        Ok(Found::default())
    }

    /// Returns the integration's checkpoint with which a never-ending transaction begins; `None` where that is another
    /// integration's.
    pub(super) fn hanging(&self, integration: &str, ours: Ours<'_>) -> Result<Option<Found>, ReadError> {
        for partition in partition::ever_of(integration.as_bytes(), self.partitions()?) {
            if let Some(found) = self.hanging_in(partition, integration, ours)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn hanging_in(&self, partition: i32, integration: &str, ours: Ours<'_>) -> Result<Option<Found>, ReadError> {
        let (_, stable) = self.bounds(&self.committed, partition)?;
        self.assign(&self.uncommitted, partition, stable)?;
        let Some(message) = self.next(&self.uncommitted)? else { return Ok(None) };
        let is_ours = message.offset() == stable && message.key() == Some(integration.as_bytes());
        let last = Checkpoint::parse(&message).filter(|_| is_ours);
        let committed = last.as_ref().and_then(|last| ours.committed(last));
        Ok(last.map(|last| Found { last: Some(last), committed, is_hanging: true }))
    }

    /// Returns how many partitions the topic has; 0 where it does not exist.
    fn partitions(&self) -> Result<usize, ReadError> {
        let metadata = self.insist(|| self.committed.fetch_metadata(Some(self.topic), STEP))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == self.topic) else { return Ok(0) };
        match topic.error().map(RDKafkaErrorCode::from) {
            None | Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(topic.partitions().len()),
            Some(code) => Err(self.failed(KafkaError::MetadataFetch(code))),
        }
    }

    /// Returns the first offset, and the one after the last: with an open transaction, the one at which it begins.
    fn bounds(&self, consumer: &BaseConsumer<Quiet>, partition: i32) -> Result<(i64, i64), ReadError> {
        self.insist(|| consumer.fetch_watermarks(self.topic, partition, STEP))
    }

    fn settled_bounds(&self, partition: i32) -> Result<(i64, i64), ReadError> {
        let (_, wanted) = self.bounds(&self.uncommitted, partition)?;
        loop {
            let (low, end) = self.bounds(&self.committed, partition)?;
            if end >= wanted {
                return Ok((low, end));
            }
            self.go_on("").map_err(|error| match error {
                ReadError::Late { topic, waited, .. } => ReadError::Unsettled { topic, waited },
                error => error,
            })?;
            self.wait();
        }
    }

    fn scan(&self, partition: i32, from: i64, key: &str, ours: Option<Ours<'_>>) -> Result<Found, ReadError> {
        self.assign(&self.committed, partition, from)?;
        let mut found = Found::default();
        while let Some(message) = self.next(&self.committed)? {
            if message.key() != Some(key.as_bytes()) {
                continue;
            }
            let Some(checkpoint) = Checkpoint::parse(&message) else {
                let (topic, offset) = (self.topic.to_owned(), message.offset());
                return Err(ReadError::Unreadable { topic, partition, offset });
            };
            found.committed = found.committed.max(ours.and_then(|ours| ours.committed(&checkpoint)));
            found.last = Some(checkpoint);
        }
        Ok(found)
    }

    /// Begins to read a partition at an offset.
    fn assign(&self, consumer: &BaseConsumer<Quiet>, partition: i32, from: i64) -> Result<(), ReadError> {
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(self.topic, partition, Offset::Offset(from))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| self.failed(error))
    }

    /// Returns the next message of that partition; `None` at its end.
    fn next<'c>(&self, consumer: &'c BaseConsumer<Quiet>) -> Result<Option<BorrowedMessage<'c>>, ReadError> {
        loop {
            match consumer.poll(STEP) {
                None => self.go_on("no answer")?,
                Some(Ok(message)) => return Ok(Some(message)),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) if is_about_groups(&error) => {}
                Some(Err(error)) if is_passing(&error) => self.go_on("no broker")?,
                Some(Err(error)) => return Err(self.failed(error)),
            }
        }
    }

    /// Repeats a request until it is answered.
    fn insist<T>(&self, request: impl Fn() -> KafkaResult<T>) -> Result<T, ReadError> {
        loop {
            match request() {
                Ok(answer) => return Ok(answer),
                Err(error) if is_passing(&error) => self.go_on("no broker")?,
                Err(error) => return Err(self.failed(error)),
            }
            self.wait();
        }
    }

    /// Waits for events. Nothing is assigned yet: only errors come, which the requests report as well.
    fn wait(&self) {
        let _ = self.committed.poll(OPEN_WAIT);
    }

    fn go_on(&self, reason: &'static str) -> Result<(), ReadError> {
        if (self.is_stopped)() {
            return Err(ReadError::Stopped);
        }
        if self.begun.elapsed() < self.timeout {
            return Ok(());
        }
        Err(ReadError::Late { topic: self.topic.to_owned(), waited: self.timeout, reason })
    }

    fn failed(&self, source: KafkaError) -> ReadError {
        let topic = self.topic.to_owned();
        ReadError::Kafka { reason: self.known.explain(&source, Right::Read(&topic)), topic }
    }
}

/// Whether the error may pass by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::TimedOutQueue
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}

fn consumer(
    servers: &str,
    properties: &BTreeMap<String, String>,
    isolation_level: &str,
) -> KafkaResult<BaseConsumer<Quiet>> {
    let mut settings = settings(servers, properties, "rtalink-checkpoint");
    settings
        // librdkafka wants a name even from clients that join no group.
        .set("group.id", "rtalink-checkpoint")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation_level)
        // An answer without records marks the end; the broker would hold it back for half a second.
        .set("fetch.wait.max.ms", "10")
        .set("allow.auto.create.topics", "false");
    client::open(&settings, Quiet::default())
}

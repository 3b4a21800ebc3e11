//! Checkpoints: how far an integration's messages are committed, and by whom.
//!
//! Purpose: the last message of every transaction is a record on the topic `checkpoint`: key the integration, value the
//! position behind the transaction's messages, header `owner` the store whose journal counts these positions. It is
//! committed with the messages or not at all, so that whoever owns the journal knows what of it is in Kafka, and
//! everybody knows who published last.
//!
//! Policy: only committed records count. [`read`] takes those that are committed now. [`read_settled`] waits until no
//! transaction is open below the end of the partition, be it of another integration: its answer is the last word at the
//! time of the call. A topic that does not exist has no checkpoint. Cost: two short-lived clients; the end of the partition
//! is read first, more of it only if the integration is not there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use super::client::{self, Quiet, settings};
use super::message::header;
use super::partition;
use super::trouble::{Known, Right, is_about_groups};
use crate::config::model::Kafka;
use crate::time::Timestamp;

/// How long a request goes on after it was to stop.
const STEP: Duration = Duration::from_millis(500);
/// Between two looks at open transactions.
const OPEN_WAIT: Duration = Duration::from_millis(10);
/// The time-out of transactions unless configured, and how much longer than that an open one is waited for.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
const SETTLED_MARGIN: Duration = Duration::from_secs(5);
/// How much of a partition is read: its end first.
const SPANS: [i64; 3] = [1_000, 50_000, i64::MAX];

/// Everything below `position` of the journal of store `owner` is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The store whose journal counts the positions.
    pub owner: Uuid,
    /// The position behind the last committed message.
    pub position: u64,
    /// When its transaction was about to be ended.
    pub committed_at: Timestamp,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Settings are not accepted, no broker answers, or a right is missing.
    #[error("checkpoint topic {topic:?} could not be read: {reason}")]
    Kafka {
        /// The topic.
        topic: String,
        /// What librdkafka said, or which right is missing.
        reason: String,
    },
    /// The time was up.
    #[error("checkpoint topic {topic:?} could not be read to its end in {waited:?}: {reason}")]
    Late {
        /// The topic.
        topic: String,
        /// How long it was tried.
        waited: Duration,
        /// What was waited for.
        reason: &'static str,
    },
    /// A transaction stays open.
    #[error(
        "checkpoint topic {topic:?}: another integration's transaction is open there for {waited:?}: look for a hanging one \
         with kafka-transactions find-hanging"
    )]
    Unsettled {
        /// The topic.
        topic: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Somebody else writes to the topic.
    #[error(
        "checkpoint topic {topic:?}, partition {partition}, offset {offset}: expected a position and the header \
             \"owner\", found something else: nobody but rtalink may write to it"
    )]
    Unreadable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
    },
    /// The caller is being stopped.
    #[error("stopped")]
    Stopped,
}

/// What is on the topic about one integration.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// The last checkpoint.
    pub(super) last: Option<Checkpoint>,
    /// The last one of the owner asked for; not looked for far behind `last`.
    pub(super) own: Option<Checkpoint>,
    /// It is in a transaction that nobody ends; see [`read_settled`].
    pub(super) is_hanging: bool,
}

impl Checkpoint {
    /// Kafka value.
    pub(super) fn value(&self) -> String {
        self.position.to_string()
    }

    /// Kafka headers.
    pub(super) fn headers(&self) -> [(&'static str, Bytes); 3] {
        [
            (header::OWNER, Bytes::from(self.owner.to_string())),
            (header::COMMITTED_AT, Bytes::from(self.committed_at.to_string())),
            (header::CONTENT_TYPE, Bytes::from_static(header::TEXT.as_bytes())),
        ]
    }

    fn parse(message: &BorrowedMessage<'_>) -> Option<Self> {
        let header = |name: &str| {
            let found = message.headers()?.iter().find(|header| header.key == name)?;
            std::str::from_utf8(found.value?).ok()
        };
        Some(Self {
            owner: Uuid::parse_str(header(header::OWNER)?).ok()?,
            position: std::str::from_utf8(message.payload()?).ok()?.parse().ok()?,
            committed_at: Timestamp::parse_rfc3339(header(header::COMMITTED_AT)?).ok()?,
        })
    }
}

/// An integration's last committed checkpoint; `None` where it has none. A transaction that is open is not waited for: it
/// may be committed, or the answer may be outdated, as soon as this returns.
///
/// # Errors
/// See [`ReadError`]: when Kafka does not answer within the time above all.
pub fn read(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    timeout: Duration,
) -> Result<Option<Checkpoint>, ReadError> {
    let reader = Reader::open(servers, kafka, timeout, &|| false)?;
    Ok(reader.find(integration, None, false)?.last)
}

/// The same when no transaction is open any more, and beside the last checkpoint the owner's last.
///
/// A broker that was killed may have decided to commit and never write the marker that says so to a partition: it takes
/// partitions without a leader, as all are while it starts, for deleted. Such a transaction is open for ever, for readers and
/// for nobody else. Whoever has taken the integration over knows that the coordinator has ended every transaction of it. So
/// when one stays open for longer than any may, and it is the integration's own, it is taken for committed; the marker of the
/// next transaction on that partition ends it.
pub(super) fn read_settled(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    owner: Uuid,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Found, ReadError> {
    let configured = kafka.properties.get("transaction.timeout.ms").and_then(|value| value.parse().ok());
    let patience = configured.map_or(TRANSACTION_TIMEOUT, Duration::from_millis) + SETTLED_MARGIN;
    let reader = Reader::open(servers, kafka, patience, is_stopped)?;
    match reader.find(integration, Some(owner), true) {
        Err(ReadError::Unsettled { topic, waited }) => {
            let reader = Reader::open(servers, kafka, patience, is_stopped)?;
            reader.hanging(integration, owner)?.ok_or(ReadError::Unsettled { topic, waited })
        }
        found => found,
    }
}

/// Reads the topic once.
struct Reader<'a> {
    committed: BaseConsumer<Quiet>,
    uncommitted: BaseConsumer<Quiet>,
    topic: &'a str,
    known: Known,
    begun: Instant,
    timeout: Duration,
    is_stopped: &'a dyn Fn() -> bool,
}

impl<'a> Reader<'a> {
    fn open(
        servers: &str,
        kafka: &'a Kafka,
        timeout: Duration,
        is_stopped: &'a dyn Fn() -> bool,
    ) -> Result<Self, ReadError> {
        let topic = &kafka.topics.checkpoint;
        let failed = |error: KafkaError| ReadError::Kafka { topic: topic.clone(), reason: error.to_string() };
        Ok(Self {
            committed: consumer(servers, &kafka.properties, "read_committed").map_err(failed)?,
            uncommitted: consumer(servers, &kafka.properties, "read_uncommitted").map_err(failed)?,
            topic,
            known: Known::by(&kafka.properties),
            begun: Instant::now(),
            timeout,
            is_stopped,
        })
    }

    fn find(&self, integration: &str, owner: Option<Uuid>, settled: bool) -> Result<Found, ReadError> {
        let Some(partition) = partition::of(integration.as_bytes(), self.partitions()?) else {
            return Ok(Found::default());
        };
        let (low, end) =
            if settled { self.settled_bounds(partition)? } else { self.bounds(&self.committed, partition)? };
        for span in SPANS {
            let from = low.max(end.saturating_sub(span));
            if from >= end {
                break;
            }
            let found = self.scan(partition, from, integration, owner)?;
            if found.last.is_some() || from == low {
                return Ok(found);
            }
        }
        Ok(Found::default())
    }

    /// The integration's checkpoint with which a transaction that nobody ends begins; `None` where that is another one's.
    fn hanging(&self, integration: &str, owner: Uuid) -> Result<Option<Found>, ReadError> {
        let Some(partition) = partition::of(integration.as_bytes(), self.partitions()?) else { return Ok(None) };
        let (_, stable) = self.bounds(&self.committed, partition)?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(self.topic, partition, Offset::Offset(stable))
            .and_then(|()| self.uncommitted.assign(&assignment))
            .map_err(|error| self.failed(error))?;
        loop {
            match self.uncommitted.poll(STEP) {
                None => self.go_on("no answer")?,
                Some(Ok(message)) => {
                    let is_ours = message.offset() == stable && message.key() == Some(integration.as_bytes());
                    let last = Checkpoint::parse(&message).filter(|_| is_ours);
                    let own = last.filter(|last| last.owner == owner);
                    return Ok(last.map(|_| Found { last, own, is_hanging: true }));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) if is_about_groups(&error) => {}
                Some(Err(error)) if is_passing(&error) => self.go_on("no broker")?,
                Some(Err(error)) => return Err(self.failed(error)),
            }
        }
    }

    /// How many partitions the topic has; 0 where it does not exist.
    fn partitions(&self) -> Result<usize, ReadError> {
        let metadata = self.insist(|| self.committed.fetch_metadata(Some(self.topic), STEP))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == self.topic) else { return Ok(0) };
        match topic.error().map(RDKafkaErrorCode::from) {
            None | Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(topic.partitions().len()),
            Some(code) => Err(self.failed(KafkaError::MetadataFetch(code))),
        }
    }

    /// The first offset, and the one behind the last: with an open transaction, the one that it begins at.
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

    fn scan(&self, partition: i32, from: i64, key: &str, owner: Option<Uuid>) -> Result<Found, ReadError> {
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(self.topic, partition, Offset::Offset(from))
            .and_then(|()| self.committed.assign(&assignment))
            .map_err(|error| self.failed(error))?;
        let mut found = Found::default();
        loop {
            match self.committed.poll(STEP) {
                None => self.go_on("no answer")?,
                Some(Ok(message)) if message.key() == Some(key.as_bytes()) => {
                    let Some(checkpoint) = Checkpoint::parse(&message) else {
                        let (topic, offset) = (self.topic.to_owned(), message.offset());
                        return Err(ReadError::Unreadable { topic, partition, offset });
                    };
                    found.last = Some(checkpoint);
                    if owner == Some(checkpoint.owner) {
                        found.own = found.last;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(found),
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

    /// Nothing is assigned yet: what comes are errors, which the requests tell as well.
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

/// Whether it may go away by itself.
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
        // librdkafka wants a name even of those who join no group.
        .set("group.id", "rtalink-checkpoint")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation_level)
        // The end is told by an answer without records, which the broker would hold back for half a second.
        .set("fetch.wait.max.ms", "10")
        .set("allow.auto.create.topics", "false");
    client::open(&settings, Quiet::default())
}

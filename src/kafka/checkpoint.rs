//! Checkpoints: how far an integration's messages are committed, and by whom.
//!
//! Purpose: the last message of every transaction is a record on the topic `checkpoint`: key the integration, value the
//! position after the transaction's messages, header `owner` the store whose journal counts these positions, header `runs`
//! the runs that counted them. It is committed with the messages or not at all, so that the owner of the journal knows how
//! much of it is in Kafka, and everybody knows who published last.
//!
//! A store may be a copy, with the same id and with positions that another copy has used for other messages. So a position is
//! trusted up to where the journals are the same by their [`Lineage`]s ([`Ours`]).
//!
//! Policy: only committed records count. [`read`] takes those that are committed now. [`read_settled`] waits until no
//! transaction is open below the end of the partition, even of another integration: its answer is final at the time of the
//! call. A topic that does not exist has no checkpoint; where partitions were added, all are read that may have one. Cost:
//! two short-lived clients; the end of the partition is read first, more of it only if the integration is not there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use crate::config::model::Kafka;
use crate::contract::header;
use crate::journal::store::Lineage;
use crate::time::Timestamp;

use super::client::{self, Quiet, settings};
use super::partition;
use super::trouble::{Known, Right, is_about_groups};

/// How long a request continues after it was stopped.
const STEP: Duration = Duration::from_millis(500);
/// The time between two checks of open transactions.
const OPEN_WAIT: Duration = Duration::from_millis(10);
/// How much longer than a transaction may last to wait for an open one.
pub(super) const SETTLED_MARGIN: Duration = Duration::from_secs(5);
/// How much of a partition is read: its end first.
const SPANS: [i64; 3] = [1_000, 50_000, i64::MAX];

/// Everything below `position` of the journal of store `owner` is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The store whose journal counts the positions.
    pub owner: Uuid,
    /// The position after the last committed message.
    pub position: u64,
    /// When its transaction was about to be ended.
    pub committed_at: Timestamp,
    /// The runs that counted the positions, ending with the one that committed it. Empty from an older version.
    pub runs: Lineage,
}

/// A journal, as it is compared with checkpoints.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// Its store.
    pub owner: Uuid,
    /// The runs that counted it.
    pub runs: &'a Lineage,
}

impl Ours<'_> {
    /// Returns up to where the checkpoint proves that the journal is committed; `None` where it proves nothing about it.
    pub fn committed(&self, checkpoint: &Checkpoint) -> Option<u64> {
        self.same_to(checkpoint).map(|same_to| same_to.min(checkpoint.position))
    }

    /// Whether the checkpoint proves that another copy of the store has published what this journal does not have.
    pub fn is_behind(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.owner == self.owner && self.same_to(checkpoint).is_none_or(|same_to| checkpoint.position > same_to)
    }

    /// Whether this very run has committed it.
    pub fn is_by_this_run(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.owner == self.owner && checkpoint.runs.run() == self.runs.run()
    }

    fn same_to(&self, checkpoint: &Checkpoint) -> Option<u64> {
        if checkpoint.owner != self.owner {
            return None;
        }
        match checkpoint.runs.run() {
            Some(_) => self.runs.same_to(&checkpoint.runs),
            // An older version knew no runs: it has committed nothing that this one counted.
            None => Some(self.runs.first()),
        }
    }
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
    /// The deadline passed.
    #[error("checkpoint topic {topic:?} could not be read to its end in {waited:?}: {reason}")]
    Late {
        /// The topic.
        topic: String,
        /// How long it was attempted.
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
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The last checkpoint.
    pub(super) last: Option<Checkpoint>,
    /// Up to where the journal asked for is committed; not searched for far before `last`.
    pub(super) committed: Option<u64>,
    /// It is in a transaction that never ends; see [`read_settled`].
    pub(super) is_hanging: bool,
}

impl Found {
    /// Returns the later one of two partitions, one of which was added.
    fn later(self, other: Self) -> Self {
        let at = |found: &Self| found.last.as_ref().map(|last| last.committed_at);
        let committed = self.committed.max(other.committed);
        let last = if at(&other) > at(&self) { other } else { self };
        Self { committed, ..last }
    }
}

impl Checkpoint {
    /// Kafka value.
    pub(super) fn value(&self) -> String {
        self.position.to_string()
    }

    /// Kafka headers.
    pub(super) fn headers(&self) -> [(&'static str, Bytes); 4] {
        [
            (header::OWNER, Bytes::from(self.owner.to_string())),
            (header::RUNS, Bytes::from(self.runs.to_string())),
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
            runs: header(header::RUNS).map_or_else(|| Some(Lineage::default()), Lineage::parse)?,
        })
    }
}

/// An integration's last committed checkpoint; `None` where it has none. A transaction that is open is not waited for: it
/// may be committed, or the answer may be outdated, as soon as this returns.
///
/// # Errors
/// See [`ReadError`]: above all when Kafka does not answer in time.
pub fn read(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    timeout: Duration,
) -> Result<Option<Checkpoint>, ReadError> {
    let reader = Reader::open(servers, kafka, timeout, &|| false)?;
    Ok(reader.find(integration, None, false)?.last)
}

/// Does the same when no transaction is open any more, and also returns up to where our journal is committed.
///
/// A broker that was killed may have decided to commit but never write the marker to a partition: it takes partitions without
/// a leader, as all are while it starts, for deleted. Such a transaction stays open for ever, but only for readers. An
/// instance that has taken the integration over knows that the coordinator has ended every transaction of it. So when one
/// stays open for longer than any may, and it is the integration's own, it counts as committed; the marker of the next
/// transaction on that partition ends it.
pub(super) fn read_settled(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    ours: Ours<'_>,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Found, ReadError> {
    let patience = client::longest_transaction(kafka) + SETTLED_MARGIN;
    let reader = Reader::open(servers, kafka, patience, is_stopped)?;
    match reader.find(integration, Some(ours), true) {
        Err(ReadError::Unsettled { topic, waited }) => {
            let reader = Reader::open(servers, kafka, patience, is_stopped)?;
            reader.hanging(integration, ours)?.ok_or(ReadError::Unsettled { topic, waited })
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

    fn find(&self, integration: &str, ours: Option<Ours<'_>>, settled: bool) -> Result<Found, ReadError> {
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
    fn hanging(&self, integration: &str, ours: Ours<'_>) -> Result<Option<Found>, ReadError> {
        for partition in partition::ever_of(integration.as_bytes(), self.partitions()?) {
            if let Some(found) = self.hanging_in(partition, integration, ours)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn hanging_in(&self, partition: i32, integration: &str, ours: Ours<'_>) -> Result<Option<Found>, ReadError> {
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
                    let committed = last.as_ref().and_then(|last| ours.committed(last));
                    return Ok(last.map(|last| Found { last: Some(last), committed, is_hanging: true }));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) if is_about_groups(&error) => {}
                Some(Err(error)) if is_passing(&error) => self.go_on("no broker")?,
                Some(Err(error)) => return Err(self.failed(error)),
            }
        }
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
                    found.committed = found.committed.max(ours.and_then(|ours| ours.committed(&checkpoint)));
                    found.last = Some(checkpoint);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_believed_up_to_where_the_journals_are_the_same() {
        let runs = |runs: &[(u128, u64)]| {
            let begun = |runs: Lineage, (run, first): &(u128, u64)| runs.followed_by(Uuid::from_u128(*run), *first);
            runs.iter().fold(Lineage::default(), begun)
        };
        let (store, another) = (Uuid::from_u128(1), Uuid::from_u128(2));
        // The last checkpoint, and whose it is; what is committed of ours, where run 7 followed run 5 at 100 and run 9
        // followed that at 150; and whether somebody else is ahead.
        let cases = [
            (store, 180, vec![(5, 0), (7, 100), (9, 150)], Some(180), false),
            (store, 120, vec![(5, 0), (7, 100)], Some(120), false),
            (store, 170, vec![(5, 0), (7, 100)], Some(150), true),
            // A copy of run 5 continued as run 6, or run 5 itself continued.
            (store, 300, vec![(5, 0), (6, 100)], Some(100), true),
            (store, 300, vec![(5, 0), (6, 60)], Some(60), true),
            (store, 40, vec![(5, 0), (6, 60)], Some(40), false),
            (store, 300, vec![(5, 0)], Some(100), true),
            (store, 300, vec![(8, 0)], None, true),
            // An older version.
            (store, 120, vec![], Some(120), false),
            (store, 170, vec![], Some(150), true),
            (another, 300, vec![(5, 0)], None, false),
        ];
        let ours = runs(&[(5, 0), (7, 100), (9, 150)]);
        let ours = Ours { owner: store, runs: &ours };
        for (owner, position, theirs, committed, is_behind) in cases {
            let checkpoint =
                Checkpoint { owner, position, committed_at: Timestamp::from_millis(0), runs: runs(&theirs) };
            let found = (ours.committed(&checkpoint), ours.is_behind(&checkpoint));
            assert_eq!(found, (committed, is_behind), "{position} of {theirs:?}");
        }
    }
}

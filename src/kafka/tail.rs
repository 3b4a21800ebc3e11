//! Reads a topic, for the `tail` command and for tests.
//!
//! Purpose: all partitions of one topic, from the beginning or the end, as lines of JSON (see `contract::lines`). Policy: joins no
//! consumer group and commits nothing, so that it disturbs nobody; reads committed messages only; an outage is reported
//! as [`Tailed::Trouble`] and waited out. Prints nothing.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::contract::lines::{MessageParts, json_line};

use super::client::{self, Quiet, explain, settings};
use super::diagnosis::{KnownAs, Right, is_about_groups, is_for_somebody, is_refusal, refuses};

const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
const METADATA_STEP: Duration = Duration::from_secs(1);

/// Where reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message that is kept.
    Beginning,
    /// With the next one.
    End,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Partition that it is in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Kafka key.
    pub key: String,
    /// One line of JSON, without its end.
    pub json: String,
}

/// What [`Tail::next`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tailed {
    /// A message.
    Line(Line),
    /// Everything currently in the topic has been read. Comes once, and again after further messages.
    End,
    /// The time is up, nothing came.
    Nothing,
    /// Something is wrong; reading goes on by itself where it can.
    Trouble(String),
    /// Kafka refuses to let us read, and says so once.
    Refused(String),
}

/// Why a topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// A setting is not accepted, or no broker answers.
    #[error("kafka at {servers}: {reason}")]
    Kafka {
        /// The servers that were tried.
        servers: String,
        /// What librdkafka said, or which right is missing.
        reason: String,
    },
    /// There is no such topic.
    #[error("no topic {topic:?} at {servers}: has anything been published yet?")]
    NoTopic {
        /// The topic.
        topic: String,
        /// The servers that were tried.
        servers: String,
    },
}

/// A topic that is being read.
pub struct Tail {
    consumer: BaseConsumer<Quiet>,
    partitions: usize,
    at_end: HashSet<i32>,
    /// What to say when we may not read.
    lacking: String,
}

impl Tail {
    /// Starts to read.
    ///
    /// # Errors
    /// When the properties are not accepted, no broker answers within 10 s, or the topic does not exist.
    pub fn open(
        servers: &str,
        properties: &BTreeMap<String, String>,
        topic: &str,
        start: Start,
    ) -> Result<Self, TailError> {
        let because = |reason| TailError::Kafka { servers: servers.to_owned(), reason };
        let failed = |error: KafkaError| because(error.to_string());
        let known = KnownAs::by(properties);
        let mut settings = settings(servers, properties, "rtalink-tail");
        settings
            // librdkafka wants a name even from clients that join no group.
            .set("group.id", "rtalink-tail")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("allow.auto.create.topics", "false");
        let consumer: BaseConsumer<Quiet> = client::open(&settings, Quiet::default()).map_err(failed)?;
        let deadline = Instant::now() + METADATA_TIMEOUT;
        let metadata = loop {
            let error = match consumer.fetch_metadata(Some(topic), METADATA_STEP) {
                Ok(metadata) => break metadata,
                Err(error) => explain(&consumer, &error),
            };
            // Waiting helps only against errors that may pass.
            if is_for_somebody(&error) || Instant::now() >= deadline {
                return Err(because(error));
            }
        };
        let errors = metadata.topics().iter().filter(|found| found.name() == topic).filter_map(|found| found.error());
        if errors.map(RDKafkaErrorCode::from).any(is_refusal) {
            return Err(because(known.lacks(Right::Read(topic))));
        }
        let partitions: Vec<i32> = metadata
            .topics()
            .iter()
            .filter(|found| found.name() == topic && found.error().is_none())
            .flat_map(|found| found.partitions().iter().map(|partition| partition.id()))
            .collect();
        if partitions.is_empty() {
            return Err(TailError::NoTopic { topic: topic.to_owned(), servers: servers.to_owned() });
        }
        let offset = match start {
            Start::Beginning => Offset::Beginning,
            Start::End => Offset::End,
        };
        let mut assignment = TopicPartitionList::new();
        for &partition in &partitions {
            assignment.add_partition_offset(topic, partition, offset).map_err(failed)?;
        }
        consumer.assign(&assignment).map_err(failed)?;
        let lacking = known.lacks(Right::Read(topic));
        Ok(Self { consumer, partitions: partitions.len(), at_end: HashSet::new(), lacking })
    }

    /// Returns what comes next, waiting at most so long.
    pub fn next(&mut self, wait: Duration) -> Tailed {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.consumer.poll(left) {
                None if left.is_zero() => return Tailed::Nothing,
                None => {}
                Some(Ok(message)) => {
                    let line = line(&message);
                    self.at_end.remove(&line.partition);
                    return Tailed::Line(line);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let news = self.at_end.insert(partition);
                    if news && self.at_end.len() == self.partitions {
                        return Tailed::End;
                    }
                }
                Some(Err(error)) if is_about_groups(&error) => {}
                Some(Err(error)) if refuses(&error) => return Tailed::Refused(self.lacking.clone()),
                Some(Err(error)) => return Tailed::Trouble(self.consumer.context().explain(&error)),
            }
        }
    }
}

fn line(message: &BorrowedMessage<'_>) -> Line {
    let headers: Vec<(String, Vec<u8>)> = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
    let json = json_line(&MessageParts { headers: &headers, key: &key, value: message.payload() });
    Line { partition: message.partition(), offset: message.offset(), key, json }
}

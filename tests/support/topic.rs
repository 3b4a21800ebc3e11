//! What is on a topic, read with a bare consumer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rtalink::contract::v1;

const DEADLINE: Duration = Duration::from_secs(60);

/// A message as it lies there.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Vec<u8>,
    /// It has no value: what was at the key is to be forgotten.
    pub(crate) is_tombstone: bool,
}

impl Received {
    pub(crate) fn event(&self) -> v1::AgentStateEvent {
        v1::AgentStateEvent::decode(&*self.value).expect("an event")
    }

    pub(crate) fn feed_status(&self) -> v1::FeedStatus {
        v1::FeedStatus::decode(&*self.value).expect("a feed status")
    }
}

/// Everything committed on `topic` up to its end, in the order of offsets within a partition.
///
/// A transaction is committed when its coordinator has written that down; its messages can be read a moment later. So this
/// waits until whatever lies on the topic now is committed or undone.
pub(crate) fn read(bootstrap: &str, topic: &str) -> Vec<Received> {
    let ends = |isolation_level: &str| {
        let consumer = consumer(bootstrap, isolation_level);
        let end = |partition: &i32| {
            insist("the end of a partition", topic, || consumer.fetch_watermarks(topic, *partition, DEADLINE)).1
        };
        partitions(&consumer, topic).iter().map(end).collect::<Vec<i64>>()
    };
    let written = ends("read_uncommitted");
    let deadline = Instant::now() + DEADLINE;
    while ends("read_committed").iter().zip(&written).any(|(committed, written)| committed < written) {
        assert!(Instant::now() < deadline, "topic {topic}: a transaction stays open");
    }
    read_at(bootstrap, topic, "read_committed")
}

/// The same with what was undone, or is not committed yet.
pub(crate) fn read_uncommitted(bootstrap: &str, topic: &str) -> Vec<Received> {
    read_at(bootstrap, topic, "read_uncommitted")
}

fn consumer(bootstrap: &str, isolation_level: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "rtalink-tests")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation_level);
    config.create().expect("a consumer")
}

/// Asks until there is an answer: a topic that has just been made has no leader for a moment.
fn insist<T>(wanted: &str, topic: &str, ask: impl Fn() -> Result<T, KafkaError>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline, "topic {topic}, {wanted}: {error}"),
        }
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = insist("metadata", topic, || consumer.fetch_metadata(Some(topic), DEADLINE));
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    partitions.map(rdkafka::metadata::MetadataPartition::id).collect()
}

fn read_at(bootstrap: &str, topic: &str, isolation_level: &str) -> Vec<Received> {
    let consumer = consumer(bootstrap, isolation_level);
    let mut assignment = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    let mut unfinished = assignment.count();
    assert!(unfinished > 0, "there is no topic {topic}");
    consumer.assign(&assignment).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut received = Vec::new();
    let mut trouble = None;
    while unfinished > 0 {
        let count = received.len();
        assert!(Instant::now() < deadline, "topic {topic}: {count} messages, then nothing more, {trouble:?}");
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => unfinished -= 1,
            // librdkafka asks again by itself.
            Some(Err(error)) => trouble = Some(error),
            Some(Ok(message)) => received.push(Received {
                partition: message.partition(),
                offset: message.offset(),
                key: text(message.key().unwrap_or_default()),
                headers: message.headers().map_or_else(BTreeMap::new, |headers| {
                    let header = |header: rdkafka::message::Header<'_, &[u8]>| {
                        (header.key.to_owned(), text(header.value.unwrap_or_default()))
                    };
                    headers.iter().map(header).collect()
                }),
                is_tombstone: message.payload().is_none(),
                value: message.payload().unwrap_or_default().to_vec(),
            }),
        }
    }
    received
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("keys and headers are text")
}

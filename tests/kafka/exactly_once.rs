//! Exactly-once delivery on a real Kafka: whoever reads what is committed sees every message once and in order, whatever
//! happens to producers and brokers.
//!
//! `RTALINK_TEST_OUTAGE` is the length of the outage in seconds; longer than 60, and the broker gives up transactions.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
#![allow(clippy::disallowed_methods)] // sleeping is the load's pace here, and an outage's length

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rtalink::config::model::{Bootstrap, Delivery, Kafka};
use rtalink::config::topics::Topic;
use rtalink::journal::message::{Message, Route};
use rtalink::kafka::publisher::Drained;
use rtalink::kafka::{PublishHandle, Publisher, checkpoint};
use rtalink::time::Timestamp;
use tempfile::TempDir;

use crate::support;

use support::kafka::{Broker, InterruptedBroker, unique};
use support::topic::{self, Received};
use support::wait::until_true;
use support::{publishing, sections};

const KEYS: usize = 7;
const LONG: Duration = Duration::from_secs(60);

/// An integration with topics of its own.
struct Site {
    integration: Arc<str>,
    kafka: Kafka,
    bootstrap: String,
}

impl Site {
    fn new(bootstrap: &str, commit_interval: &str) -> Self {
        Self::with(bootstrap, commit_interval, "")
    }

    /// With more properties of librdkafka.
    fn with(bootstrap: &str, commit_interval: &str, properties: &str) -> Self {
        let name = unique("once");
        let topics = sections::topics(&name);
        let kafka = publishing::kafka(&format!(
            r#"bootstrap_servers = "{bootstrap}"
            delivery = "exactly-once"
            commit_interval = "{commit_interval}"
            {topics}
            [kafka.properties]
            "compression.type" = "none"
            {properties}"#
        ));
        Self { integration: name.into(), kafka, bootstrap: bootstrap.to_owned() }
    }

    fn start(&self, store: &Path) -> (Publisher, PublishHandle) {
        let publisher = publishing::publisher_in(store, &self.kafka, &self.integration);
        let handle = publisher.handle(&self.integration).unwrap();
        (publisher, handle)
    }

    /// Starts it and has it publish the first numbers.
    fn begin(&self, store: &Path, count: usize) -> (Publisher, PublishHandle) {
        let (publisher, handle) = self.start(store);
        submit(&handle, 0..count);
        until_true("it publishes", || handle.acknowledged_to() == count as u64);
        (publisher, handle)
    }

    fn checkpoint(&self) -> checkpoint::Checkpoint {
        checkpoint::read(&self.bootstrap, &self.kafka, &self.integration, LONG).unwrap().unwrap()
    }

    fn numbers(&self, messages: &[Received]) -> BTreeMap<String, Vec<usize>> {
        let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for message in messages {
            let number = String::from_utf8_lossy(&message.value).parse().unwrap();
            by_key.entry(message.key.clone()).or_default().push(number);
        }
        by_key
    }

    /// Every number is there once, those of each key in order, on both topics.
    fn assert_exactly(&self, expected: impl Iterator<Item = usize>) {
        let expected: Vec<usize> = expected.collect();
        for topic in [&self.kafka.topics[Topic::Events], &self.kafka.topics[Topic::Current]] {
            let by_key = self.numbers(&topic::read(&self.bootstrap, topic));
            for (key, numbers) in &by_key {
                assert!(numbers.is_sorted(), "{topic} {key}: {numbers:?}");
            }
            let mut all: Vec<usize> = by_key.into_values().flatten().collect();
            all.sort_unstable();
            assert!(all == expected, "{topic}: {} instead of {} messages: {all:?}", all.len(), expected.len());
        }
    }
}

fn message(number: usize, size: usize) -> Message {
    let payload = format!("{number:0>20}");
    let payload = "0".repeat(size.saturating_sub(payload.len())) + &payload;
    Message {
        route: Route::AgentState,
        key: format!("avaya-1/1/{}", number % KEYS).into(),
        payload: Bytes::from(payload),
        headers: Vec::new(),
        read_at: Some(Instant::now()),
    }
}

/// Submits the numbers in batches of 1 to 50, of sizes as if at random.
fn submit(handle: &PublishHandle, numbers: std::ops::Range<usize>) {
    let mut random = numbers.start;
    let mut next = numbers.start;
    while next < numbers.end {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let end = numbers.end.min(next + 1 + (random >> 33) % 50);
        handle.submit(publishing::batch((next..end).map(|number| message(number, 1)).collect())).unwrap();
        next = end;
    }
}

fn drain(publisher: Publisher) {
    assert_eq!(publisher.drain(Instant::now() + LONG), Drained::default());
}

#[test]
fn every_message_arrives_once_and_in_order() {
    const MESSAGES: usize = 20_000;
    let site = Site::new(Broker::shared().bootstrap(), "5ms");
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.start(store.path());
    submit(&handle, 0..MESSAGES / 2);
    until_true("the first transactions", || handle.acknowledged_to() > 0);
    submit(&handle, MESSAGES / 2..MESSAGES);
    drain(publisher);
    assert_eq!(handle.acknowledged_to(), MESSAGES as u64);
    site.assert_exactly(0..MESSAGES);
    let checkpoint = site.checkpoint();
    assert_eq!((checkpoint.owner, checkpoint.position), (publishing::store_id(store.path()), MESSAGES as u64));
    let records = topic::read(&site.bootstrap, &site.kafka.topics[Topic::Checkpoint]);
    let (first, last) = (records.first().unwrap(), records.last().unwrap());
    assert_eq!((&*first.value, &*last.value), (&b"0"[..], MESSAGES.to_string().as_bytes()), "the claim comes first");
    assert_eq!((&*last.key, &*last.headers["content-type"]), (&*site.integration, "text/plain"));
    let config = Broker::shared().topic_config(&site.kafka.topics[Topic::Checkpoint]);
    assert_eq!(config["cleanup.policy"], "compact");
}

/// An open transaction of somebody else on the checkpoint topic: whoever starts waits for its end, since what is behind
/// it cannot be seen.
fn hold_up(site: &Site) -> BaseProducer {
    let other: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &site.bootstrap)
        .set("transactional.id", unique("other"))
        .create()
        .unwrap();
    other.init_transactions(LONG).unwrap();
    other.begin_transaction().unwrap();
    for partition in 0..site.kafka.partitions {
        let record =
            BaseRecord::to(&site.kafka.topics[Topic::Checkpoint]).key("other").payload("x").partition(partition);
        other.send(record).map_err(|(error, _)| error).unwrap();
    }
    other.flush(LONG).unwrap();
    other
}

/// As a broker leaves one that was killed before it wrote a marker: a transaction with our checkpoint that nobody ends.
#[test]
fn a_transaction_of_ours_that_hangs_is_taken_for_committed() {
    let mut site = Site::new(Broker::shared().bootstrap(), "1ms");
    site.kafka.properties.insert("transaction.timeout.ms".to_owned(), "1000".to_owned());
    let store = TempDir::new().unwrap();
    let (publisher, _) = site.begin(store.path(), 100);
    drain(publisher);
    // A run that reached Kafka no more for all that is known here: the store does not know that they were committed.
    let mut away = site.kafka.clone();
    away.bootstrap = Bootstrap::Servers("127.0.0.1:1".to_owned());
    let publisher = publishing::publisher_in(store.path(), &away, &site.integration);
    submit(&publisher.handle(&site.integration).unwrap(), 100..150);
    let kept = BTreeMap::from([(Arc::clone(&site.integration), 50)]);
    assert_eq!(publisher.drain(Instant::now()), Drained { unwritten: 0, kept, hanging: Vec::new() });
    let (owner, runs) = publishing::runs(store.path(), &site.integration);
    let other: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &site.bootstrap)
        .set("transactional.id", unique("hanging"))
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    other.init_transactions(LONG).unwrap();
    other.begin_transaction().unwrap();
    let (owner, committed_at) = (owner.to_string(), Timestamp::now().to_string());
    let headers = OwnedHeaders::new()
        .insert(Header { key: "owner", value: Some(&owner) })
        .insert(Header { key: "runs", value: Some(&runs) })
        .insert(Header { key: "committed_at", value: Some(&committed_at) });
    let record =
        BaseRecord::to(&site.kafka.topics[Topic::Checkpoint]).key(&*site.integration).payload("150").headers(headers);
    other.send(record).map_err(|(error, _)| error).unwrap();
    other.flush(LONG).unwrap();

    let (publisher, handle) = site.start(store.path());
    submit(&handle, 150..200);
    until_true("it goes on behind them", || handle.acknowledged_to() == 200);
    drop(other);
    drain(publisher);
    let kept = topic::read_uncommitted(&site.bootstrap, &site.kafka.topics[Topic::Events]);
    let mut numbers: Vec<usize> = site.numbers(&kept).into_values().flatten().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).chain(150..200).collect::<Vec<_>>());
}

#[test]
fn an_ended_producer_is_continued_without_a_gap_or_a_copy() {
    const MESSAGES: usize = 40_000;
    let site = Site::new(Broker::shared().bootstrap(), "1ms");
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.begin(store.path(), 50);
    submit(&handle, 50..MESSAGES);
    until_true("some of many transactions", || handle.acknowledged_to() >= 1_000);
    drop(publisher);
    let acknowledged = handle.acknowledged_to();
    assert!(acknowledged < MESSAGES as u64, "nothing was left to continue");

    let other = hold_up(&site);
    let (publisher, handle) = site.start(store.path());
    assert!(handle.pending() > 0);
    other.abort_transaction(LONG).unwrap();
    drain(publisher);
    site.assert_exactly(0..MESSAGES);
    let written = topic::read_uncommitted(&site.bootstrap, &site.kafka.topics[Topic::Events]).len();
    println!("{acknowledged} acknowledged before, {} undone", written - MESSAGES);
}

#[test]
fn an_outage_of_the_broker_is_survived_in_the_middle_of_a_stream() {
    const MESSAGES: usize = 6_000;
    let outage = std::env::var("RTALINK_TEST_OUTAGE").map_or(1, |seconds| seconds.parse().unwrap());
    let mut broker = InterruptedBroker::start();
    let site = Site::new(&broker.bootstrap(), "1ms");
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.begin(store.path(), 1_000);
    // For the markers: a single broker that dies while it writes them may forget one, and no consumer gets past that.
    std::thread::sleep(Duration::from_millis(500));
    submit(&handle, 1_000..3_000);
    std::thread::sleep(Duration::from_millis(15));
    broker.kill();
    submit(&handle, 3_000..4_000);
    std::thread::sleep(Duration::from_secs(outage));
    broker.start_again();
    let back = Instant::now();
    submit(&handle, 4_000..MESSAGES);
    until_true("everything committed", || handle.acknowledged_to() == MESSAGES as u64);
    println!("everything committed {:?} after the broker came back", back.elapsed());
    assert_eq!(handle.health().superseded_by, None);
    drain(publisher);
    site.assert_exactly(0..MESSAGES);
}

#[test]
fn an_outage_that_is_twice_as_long_as_a_transaction_may_be_loses_and_copies_nothing() {
    const MESSAGES: usize = 3_000;
    const TIMEOUT: Duration = Duration::from_secs(4);
    let short = format!(
        r#"
        "transaction.timeout.ms" = "{}"
        "socket.timeout.ms" = "2000"
        "socket.connection.setup.timeout.ms" = "1000"
        "request.timeout.ms" = "1000"
        "metadata.max.age.ms" = "2000"
        "topic.metadata.refresh.interval.ms" = "1000"
        "#,
        TIMEOUT.as_millis()
    );
    let mut broker = InterruptedBroker::start();
    let site = Site::with(&broker.bootstrap(), "1ms", &short);
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.begin(store.path(), 1_000);
    std::thread::sleep(Duration::from_millis(500));
    submit(&handle, 1_000..2_000);
    std::thread::sleep(Duration::from_millis(15));
    broker.kill();
    std::thread::sleep(2 * TIMEOUT);
    broker.start_again();
    submit(&handle, 2_000..MESSAGES);
    until_true("everything committed", || handle.acknowledged_to() == MESSAGES as u64);
    assert_eq!(handle.health().superseded_by, None);
    drain(publisher);
    site.assert_exactly(0..MESSAGES);
}

#[test]
fn whoever_claims_goes_on_and_the_other_stops_and_says_so() {
    let site = Site::new(Broker::shared().bootstrap(), "1ms");
    let (store, other_store) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (one, other) = (publishing::store_id(store.path()), publishing::store_id(other_store.path()));
    let (first, first_handle) = site.begin(store.path(), 100);

    let (second, second_handle) = site.start(other_store.path());
    submit(&second_handle, 100..200);
    until_true("the second publishes", || second_handle.acknowledged_to() == 100);
    submit(&first_handle, 300..350);
    until_true("the first says so", || first_handle.health().superseded_by == Some(other));
    assert_eq!(first.health().superseded_by, Some(other));
    submit(&second_handle, 200..300);
    until_true("the second goes on", || second_handle.acknowledged_to() == 200);
    assert_eq!((first_handle.pending(), site.checkpoint().owner), (50, other));

    assert!(first_handle.claim());
    until_true("the first has it back", || first_handle.acknowledged_to() == 150);
    assert_eq!((first_handle.health().superseded_by, site.checkpoint().owner), (None, one));
    submit(&second_handle, 350..351);
    until_true("the second says so", || second_handle.health().superseded_by == Some(one));
    let asked = Instant::now();
    let kept = BTreeMap::from([(Arc::clone(&site.integration), 1)]);
    assert_eq!(second.drain(Instant::now()), Drained { unwritten: 0, kept, hanging: Vec::new() });
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    drain(first);
    site.assert_exactly(0..350);
}

fn foreign_producer(site: &Site) -> BaseProducer {
    let foreign: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &site.bootstrap)
        .set("transactional.id", format!("rtalink-{}", site.integration))
        .create()
        .unwrap();
    foreign.init_transactions(LONG).unwrap();
    foreign
}

fn leave_open(site: &Site, producer: &BaseProducer) {
    producer.begin_transaction().unwrap();
    let record = BaseRecord::to(&site.kafka.topics[Topic::Events]).key("avaya-1/1/0").payload("0");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LONG).unwrap();
}

#[test]
fn being_shut_out_without_a_claim_is_overcome_and_what_the_other_left_is_undone() {
    let site = Site::new(Broker::shared().bootstrap(), "1ms");
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.begin(store.path(), 100);
    let foreign = foreign_producer(&site);
    leave_open(&site, &foreign);
    submit(&handle, 100..200);
    until_true("it goes on", || handle.acknowledged_to() == 200);
    assert_eq!(handle.health().superseded_by, None);
    drain(publisher);
    site.assert_exactly(0..200);
    let undone = topic::read_uncommitted(&site.bootstrap, &site.kafka.topics[Topic::Events]).len();
    assert!(undone > 200, "the reader of committed messages left some out");
}

#[test]
fn a_transaction_that_a_crash_left_open_is_undone_after_the_broker_crashed_too() {
    let mut broker = InterruptedBroker::start();
    let site = Site::new(&broker.bootstrap(), "1ms");
    let store = TempDir::new().unwrap();
    let (publisher, _) = site.begin(store.path(), 100);
    drain(publisher);
    let foreign = foreign_producer(&site);
    std::thread::sleep(Duration::from_millis(500));
    leave_open(&site, &foreign);
    broker.kill();
    drop(foreign);

    let (publisher, handle) = site.start(store.path());
    submit(&handle, 100..200);
    broker.start_again();
    let back = Instant::now();
    until_true("it goes on", || handle.acknowledged_to() == 200);
    println!("went on {:?} after the broker came back", back.elapsed());
    drain(publisher);
    site.assert_exactly(0..200);
    assert!(topic::read_uncommitted(&site.bootstrap, &site.kafka.topics[Topic::Events]).len() > 200);
}

#[test]
fn a_message_that_is_too_large_becomes_a_dead_letter_between_the_others() {
    const MESSAGES: usize = 400;
    const LARGE: usize = MESSAGES / 2;
    let site = Site::new(Broker::shared().bootstrap(), "1ms");
    Broker::shared().create_topic(&site.kafka.topics[Topic::Events], 3, &[("max.message.bytes", "1000")]);
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.start(store.path());
    let size = |number| if number == LARGE { 2_000 } else { 20 };
    handle.submit(publishing::batch((0..MESSAGES).map(|number| message(number, size(number))).collect())).unwrap();
    // librdkafka itself refuses this one.
    handle.submit(publishing::batch(vec![message(MESSAGES, 2_000_000), message(MESSAGES + 1, 20)])).unwrap();
    drain(publisher);
    site.assert_exactly((0..MESSAGES).filter(|number| *number != LARGE).chain([MESSAGES + 1]));
    assert_eq!(topic::read(&site.bootstrap, &site.kafka.topics[Topic::DeadLetter]).len(), 2);
}

/// Feed statuses have nowhere to go, and nobody waits for them.
#[test]
fn a_topic_at_the_side_that_is_missing_stops_nobody() {
    for delivery in [Delivery::AtLeastOnce, Delivery::ExactlyOnce] {
        let mut site = Site::new(Broker::shared().bootstrap(), "1ms");
        site.kafka.delivery = delivery;
        site.kafka.create_topics = false;
        for topic in [
            &site.kafka.topics[Topic::Events],
            &site.kafka.topics[Topic::Current],
            &site.kafka.topics[Topic::Checkpoint],
        ] {
            Broker::shared().create_topic(topic, 3, &[]);
        }
        Broker::shared().create_topic(&site.kafka.topics[Topic::DeadLetter], 1, &[]);
        let store = TempDir::new().unwrap();
        let (publisher, handle) = site.start(store.path());
        submit(&handle, 0..50);
        let status = Message { route: Route::FeedStatus, payload: Bytes::from("a status"), ..message(0, 1) };
        handle.submit(publishing::batch(vec![status])).unwrap();
        submit(&handle, 50..100);
        until_true("the others go on", || handle.acknowledged_to() == 101);
        drain(publisher);
        site.assert_exactly(0..100);
        let dead = topic::read(&site.bootstrap, &site.kafka.topics[Topic::DeadLetter]);
        let told: Vec<_> = dead.iter().map(|dead| (&*dead.headers["reason"], &*dead.value)).collect();
        assert_eq!(told, [("feed_status_topic_missing", &b"a status"[..])], "{delivery:?}");
    }
}

#[test]
fn the_end_does_not_wait_for_a_kafka_that_is_away() {
    let site = Site::new("127.0.0.1:1", "50ms");
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.start(store.path());
    submit(&handle, 0..10);
    std::thread::sleep(Duration::from_secs(1));
    assert_ends_soon(publisher);

    let mut broker = InterruptedBroker::start();
    let site = Site::new(&broker.bootstrap(), "1ms");
    let store = TempDir::new().unwrap();
    let (publisher, handle) = site.begin(store.path(), 100);
    broker.kill();
    submit(&handle, 100..200);
    std::thread::sleep(Duration::from_secs(1));
    assert_ends_soon(publisher);
}

fn assert_ends_soon(publisher: Publisher) {
    let asked = Instant::now();
    drop(publisher);
    println!("ended within {:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

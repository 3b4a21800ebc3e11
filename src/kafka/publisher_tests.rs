//! Publishing against a mock cluster: the real protocol, with faults on demand.

use std::collections::HashSet;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use prost::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::contract::header;
use crate::contract::{self, v1};
use crate::journal::message::{Message, Route};
use crate::kafka::dead_letter::dead_letter;
use crate::kafka::testing::{self, LONG, Seen, batches, event, numbers_by_key, read_all};
use crate::time::Timestamp;

use super::*;

type Cluster = MockCluster<'static, DefaultProducerContext>;

const ID: &str = "avaya-1";
const EVENTS: &str = "rta.agent-state.events";
const CURRENT: &str = "rta.agent-state.current";
const DEAD_LETTER: &str = "rta.dead-letter";

fn start(kafka: &Kafka) -> (Publisher, PublishHandle, Receiver<Seen>, tempfile::TempDir) {
    let (journal, store) = testing::journal(kafka, &[ID]);
    let (observer, seen) = testing::recorder();
    let mock_cluster = Publisher::mock_cluster(kafka).unwrap();
    let publisher = Publisher::start(kafka, mock_cluster, journal, |_| Arc::clone(&observer)).unwrap();
    let handle = publisher.handle(ID).unwrap();
    (publisher, handle, seen, store)
}

fn submit(handle: &PublishHandle, numbers: std::ops::Range<usize>) {
    for batch in batches(numbers) {
        handle.submit(batch).unwrap();
    }
}

fn wait_for(seen: &Receiver<Seen>, expected: &Seen) {
    let deadline = Instant::now() + LONG;
    let mut others = Vec::new();
    loop {
        match seen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(found) if found == *expected => return,
            Ok(other) => others.push(other),
            Err(error) => panic!("{expected:?}: {error}, seen {others:?}"),
        }
    }
}

fn drain(publisher: Publisher) {
    assert_eq!(publisher.drain(Instant::now() + LONG), Drained::default());
}

/// Every number is there; of each key, the first copies are in order, so that nothing overtook, and so are the last.
fn assert_complete_and_in_order(cluster: &Cluster, topic: &str, count: usize) {
    let by_key = numbers_by_key(&read_all(&cluster.bootstrap_servers(), topic));
    let mut all = Vec::new();
    for (key, mut numbers) in by_key {
        let first_copies = first_copies(&numbers);
        assert!(first_copies.is_sorted(), "{topic} {key}: {numbers:?}");
        numbers.reverse();
        assert!(self::first_copies(&numbers).iter().rev().is_sorted(), "{topic} {key}, reversed: {numbers:?}");
        all.extend(first_copies);
    }
    all.sort_unstable();
    let missing: Vec<usize> = (0..count).filter(|number| all.binary_search(number).is_err()).collect();
    assert!(missing.is_empty() && all.len() == count, "{topic}: {} of {count}, {missing:?} missing", all.len());
}

fn first_copies(numbers: &[usize]) -> Vec<usize> {
    let mut seen = HashSet::new();
    numbers.iter().copied().filter(|number| seen.insert(*number)).collect()
}

#[test]
fn both_topics_get_every_event_once_in_order_and_partitioned_alike() {
    let cluster = testing::cluster();
    let (publisher, handle, seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    submit(&handle, 0..500);
    drain(publisher);
    assert_eq!((handle.acknowledged_to(), handle.pending()), (500, 0));
    assert!(handle.health().connected && handle.health().last_acknowledged.is_some());
    let acknowledged = seen.try_iter().filter(|seen| *seen == Seen::Acknowledged(Route::AgentState, true)).count();
    assert_eq!(acknowledged, 500, "once per event, not per topic");

    let events = read_all(&cluster.bootstrap_servers(), EVENTS);
    let current = read_all(&cluster.bootstrap_servers(), CURRENT);
    assert_eq!(events.len(), 500);
    for (key, numbers) in numbers_by_key(&events) {
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
    let sorted = |mut lines: Vec<crate::kafka::tail::Line>| {
        lines.sort_by_key(|line| (line.partition, line.offset));
        lines
    };
    assert_eq!(sorted(events), sorted(current));
}

#[test]
fn messages_wait_for_a_broker_that_is_down_at_the_start() {
    let cluster = testing::cluster();
    cluster.broker_down(-1).unwrap();
    let (publisher, handle, seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    submit(&handle, 0..100);
    wait_for(&seen, &Seen::Error("AllBrokersDown".to_owned()));
    assert_eq!(handle.pending(), 100);
    let deadline = Instant::now() + LONG;
    while handle.oldest_age() == Duration::ZERO {
        assert!(Instant::now() < deadline, "it comes to disk");
        std::thread::yield_now();
    }
    assert!(!publisher.health().connected);
    assert!(publisher.health().last_error.is_some());

    cluster.broker_up(-1).unwrap();
    wait_for(&seen, &Seen::Connected(true));
    drain(publisher);
    assert_complete_and_in_order(&cluster, EVENTS, 100);
}

#[test]
fn retriable_errors_are_retried_in_order() {
    let cluster = testing::cluster();
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    ];
    cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    let (publisher, handle, _seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    submit(&handle, 0..300);
    drain(publisher);
    assert_complete_and_in_order(&cluster, EVENTS, 300);
    assert_complete_and_in_order(&cluster, CURRENT, 300);
}

#[test]
fn after_a_permanent_error_a_new_producer_sends_everything_in_order() {
    let cluster = testing::cluster();
    let (publisher, handle, seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    submit(&handle, 0..20);
    wait_for(&seen, &Seen::Acknowledged(Route::AgentState, true));
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
    submit(&handle, 20..400);
    wait_for(&seen, &Seen::Error("TopicAuthorizationFailed".to_owned()));
    submit(&handle, 400..600);
    drain(publisher);
    assert!(!seen.try_iter().any(|seen| matches!(seen, Seen::Dropped(_))));
    assert_complete_and_in_order(&cluster, EVENTS, 600);
    assert_complete_and_in_order(&cluster, CURRENT, 600);
}

#[test]
fn a_refused_request_is_taken_apart_and_nothing_is_lost() {
    let cluster = testing::cluster();
    let mut kafka = testing::kafka(&cluster.bootstrap_servers());
    kafka.linger = Duration::from_millis(50);
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
    let (publisher, handle, seen, _store) = start(&kafka);
    submit(&handle, 0..100);
    drain(publisher);
    assert!(!seen.try_iter().any(|seen| matches!(seen, Seen::Dropped(_))), "none was refused alone");
    assert_complete_and_in_order(&cluster, EVENTS, 100);
    assert_complete_and_in_order(&cluster, CURRENT, 100);
}

#[test]
fn a_message_that_kafka_never_takes_becomes_a_dead_letter_and_the_rest_goes_on() {
    let cluster = testing::cluster();
    let (publisher, handle, seen, _store) = start(&testing::kafka(&cluster.bootstrap_servers()));
    let large = Message { payload: Bytes::from(vec![b'x'; 3_000_000]), ..event(1, 1) };
    handle.submit(testing::batch(vec![event(0, 0), large, event(1, 1)])).unwrap();
    drain(publisher);
    assert!(seen.try_iter().any(|seen| seen == Seen::Dropped("kafka_too_large".to_owned())));
    assert_complete_and_in_order(&cluster, EVENTS, 2);
    let dead_letters = read_all(&cluster.bootstrap_servers(), DEAD_LETTER);
    assert_eq!(dead_letters.len(), 1);
    assert!(dead_letters[0].json.starts_with(r#"{"integration":"avaya-1","reason":"kafka_too_large""#));
}

#[test]
fn what_does_not_fit_into_memory_comes_from_the_disk_in_order() {
    let cluster = testing::cluster();
    cluster.broker_down(-1).unwrap();
    let mut kafka = testing::kafka(&cluster.bootstrap_servers());
    kafka.queue_events = 20;
    let (publisher, handle, _seen, _store) = start(&kafka);
    submit(&handle, 0..500);
    assert_eq!(handle.pending(), 500);
    cluster.broker_up(-1).unwrap();
    drain(publisher);
    assert_complete_and_in_order(&cluster, EVENTS, 500);
    assert_complete_and_in_order(&cluster, CURRENT, 500);
}

#[test]
fn what_kafka_has_not_acknowledged_at_the_end_is_published_after_the_next_start() {
    let cluster = testing::cluster();
    cluster.broker_down(-1).unwrap();
    let kafka = testing::kafka(&cluster.bootstrap_servers());
    let folder = tempfile::TempDir::new().unwrap();
    let start = || {
        let (observer, _seen) = testing::recorder();
        let journal = testing::journal_in(folder.path(), &kafka, &[ID]);
        Publisher::start(&kafka, None, journal, |_| Arc::clone(&observer)).unwrap()
    };
    let publisher = start();
    let handle = publisher.handle(ID).unwrap();
    submit(&handle, 0..30);
    let drained = publisher.drain(Instant::now() + Duration::from_millis(50));
    assert_eq!(drained, Drained { kept: BTreeMap::from([(ID.into(), 30)]), ..Drained::default() });
    let Refused::Closed(refused) = handle.submit(testing::batch(vec![event(0, 0)])).unwrap_err() else {
        panic!("it is closed");
    };
    assert_eq!(refused.messages.len(), 1);

    cluster.broker_up(-1).unwrap();
    let publisher = start();
    let handle = publisher.handle(ID).unwrap();
    assert_eq!((handle.acknowledged_to(), handle.lane().next()), (0, 30), "positions go on");
    submit(&handle, 30..40);
    drain(publisher);
    assert_complete_and_in_order(&cluster, EVENTS, 40);

    let publisher = start();
    assert_eq!(publisher.handle(ID).unwrap().acknowledged_to(), 40);
    drain(publisher);
    assert_complete_and_in_order(&cluster, EVENTS, 40);
}

#[test]
fn a_damaged_row_is_given_up_and_the_others_are_published() {
    let cluster = testing::cluster();
    let mut kafka = testing::kafka(&cluster.bootstrap_servers());
    kafka.queue_events = 10;
    let folder = tempfile::TempDir::new().unwrap();
    cluster.broker_down(-1).unwrap();
    let start = || {
        let (observer, _seen) = testing::recorder();
        let journal = testing::journal_in(folder.path(), &kafka, &[ID]);
        Publisher::start(&kafka, None, journal, |_| Arc::clone(&observer)).unwrap()
    };
    let publisher = start();
    submit(&publisher.handle(ID).unwrap(), 0..60);
    assert_eq!(publisher.drain(Instant::now()).kept[ID], 60);
    let store = rusqlite::Connection::open(folder.path().join(crate::journal::store::DATABASE)).unwrap();
    // The checksums of the first row and of one in the middle no longer match.
    let damaged = store.execute("UPDATE journal SET checksum = checksum + 1 WHERE first IN (0, 30)", []).unwrap();
    assert!(damaged > 0 && store.close().is_ok());

    cluster.broker_up(-1).unwrap();
    let publisher = start();
    drain(publisher);
    let mut numbers: Vec<usize> =
        numbers_by_key(&read_all(&cluster.bootstrap_servers(), EVENTS)).into_values().flatten().collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.ends_with(&[59]) && !numbers.contains(&0) && !numbers.contains(&30), "{numbers:?}");
    assert!(numbers.len() >= 40, "{numbers:?}");
}

fn pause(handle: &PublishHandle, at: Option<u64>) {
    let (done, written) = std::sync::mpsc::channel();
    handle.lane().pause(at, Box::new(move || done.send(()).unwrap()));
    written.recv_timeout(LONG).unwrap();
}

#[test]
fn a_pause_survives_a_restart() {
    let cluster = testing::cluster();
    let kafka = testing::kafka(&cluster.bootstrap_servers());
    let folder = tempfile::TempDir::new().unwrap();
    let start = || {
        let (observer, _seen) = testing::recorder();
        let journal = testing::journal_in(folder.path(), &kafka, &[ID]);
        Publisher::start(&kafka, None, journal, |_| Arc::clone(&observer)).unwrap()
    };
    let publisher = start();
    let handle = publisher.handle(ID).unwrap();
    submit(&handle, 0..10);
    pause(&handle, Some(10));
    submit(&handle, 10..20);
    assert_eq!(publisher.drain(Instant::now() + LONG).kept, BTreeMap::from([(ID.into(), 10)]));
    assert_complete_and_in_order(&cluster, EVENTS, 10);

    let publisher = start();
    let handle = publisher.handle(ID).unwrap();
    assert!(handle.is_paused());
    submit(&handle, 20..30);
    pause(&handle, None);
    drain(publisher);
    assert_complete_and_in_order(&cluster, EVENTS, 30);
}

#[test]
fn settings_that_librdkafka_refuses_are_an_error_of_the_start() {
    let mut kafka = testing::kafka("127.0.0.1:1");
    kafka.properties.insert("no.such.property".to_owned(), "1".to_owned());
    let (observer, _seen) = testing::recorder();
    let (journal, _folder) = testing::journal(&kafka, &[ID]);
    let error = Publisher::start(&kafka, None, journal, |_| Arc::clone(&observer)).err().unwrap();
    assert!(error.to_string().contains("no.such.property"), "{error}");
}

#[test]
fn the_embedded_cluster_takes_and_gives_back_every_kind_of_message() {
    let mut kafka = testing::kafka("");
    kafka.bootstrap = Bootstrap::Embedded;
    let (publisher, handle, _seen, _store) = start(&kafka);
    let status = v1::FeedStatus { integration: ID.to_owned(), kind: 1, ..Default::default() };
    let feed_status = Message {
        route: Route::FeedStatus,
        key: ID.into(),
        payload: status.encode_to_vec().into(),
        headers: vec![
            (header::CONTENT_TYPE, Bytes::from_static(header::PROTOBUF.as_bytes())),
            (header::SCHEMA, Bytes::from_static(contract::FEED_STATUS.as_bytes())),
        ],
        read_at: None,
    };
    let raw = Bytes::from_static(b"30\\1\xff");
    let dead = dead_letter(&ID.into(), "fields", 7, Timestamp::from_millis(0), raw);
    let end = handle.submit(testing::batch(vec![feed_status, dead, event(3, 3)])).unwrap();
    while handle.pending() > 0 {
        handle.lane().send_window().wait_empty(Instant::now() + LONG);
        std::thread::yield_now();
    }
    assert_eq!(handle.acknowledged_to(), end);

    let servers = publisher.bootstrap_servers();
    let status = &read_all(servers, "rta.feed-status")[0];
    assert_eq!((&*status.key, status.json.contains(r#""kind":"CONNECTED""#)), (ID, true), "{}", status.json);
    let dead = &read_all(servers, DEAD_LETTER)[0];
    let expected = r#"{"integration":"avaya-1","reason":"fields","offset":7,"receivedAt":"1970-01-01T00:00:00.000Z","raw":"30\\x5c1\\xff"}"#;
    assert_eq!(dead.json, expected);
    assert_eq!(read_all(servers, EVENTS)[0].json, "3");
    drain(publisher);
}

#[path = "fault_tests.rs"]
mod faults;

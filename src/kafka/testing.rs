//! What the tests of publishing share: a mock cluster with the topics, messages, an observer that records.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tempfile::TempDir;

use crate::config::model::{Bootstrap, Delivery, Format, Kafka};
use crate::config::topics::{RetentionConfig, Topics};
use crate::journal::message::{Batch, Message, Route};
use crate::journal::send_window::WindowLimits;
use crate::journal::store;

use super::observer::Observer;
use super::tail::{Line, Start, Tail, Tailed};
pub(super) use crate::journal::testing::{batch, event};
use crate::journal::{self, Bounds, Journal, LaneStart};

#[path = "../../tests/support/certificates.rs"]
#[allow(dead_code)] // the tests of the service use more of it
pub(super) mod certificates;

/// Longer than anything takes on a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) fn kafka(servers: &str) -> Kafka {
    Kafka {
        retention: RetentionConfig::default(),
        bootstrap: Bootstrap::Servers(servers.to_owned()),
        format: Format::Json,
        delivery: Delivery::AtLeastOnce,
        commit_interval: Duration::from_millis(50),
        topics: Topics::default(),
        properties: BTreeMap::new(),
        create_topics: false,
        partitions: 3,
        replication_factor: None,
        linger: Duration::ZERO,
        queue_events: 10_000,
    }
}

pub(super) fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    for topic in super::topics::plan(&kafka("")) {
        cluster.create_topic(&topic.name, topic.partitions, 1).unwrap();
    }
    cluster
}

/// A journal of these integrations in a folder of its own.
pub(super) fn journal(kafka: &Kafka, ids: &[&str]) -> (Journal, TempDir) {
    let folder = TempDir::new().unwrap();
    (journal_in(folder.path(), kafka, ids), folder)
}

pub(super) fn journal_in(folder: &Path, kafka: &Kafka, ids: &[&str]) -> Journal {
    let settings = store::StoreSettings { directory: folder.to_owned(), sync: store::Sync::Normal };
    let mut store = store::open(&settings).unwrap().store;
    let mut lane =
        |id| LaneStart { integration: Arc::from(id), stored: store.integration(id).unwrap(), keeps_events: false };
    let lanes: Vec<_> = ids.iter().map(|id| lane(*id)).collect();
    let window = WindowLimits { messages: kafka.queue_events, bytes: WindowLimits::DEFAULT_BYTES };
    let bounds = Bounds { journal_bytes: 1 << 30, window };
    Journal::start(store, &lanes, bounds, Arc::new(journal::UnobservedStore)).unwrap()
}

/// Batches of ten: `count` events, spread over seven agents.
pub(super) fn batches(numbers: std::ops::Range<usize>) -> Vec<Batch> {
    let events: Vec<Message> = numbers.map(|number| event(number % 7, number)).collect();
    events.chunks(10).map(|chunk| batch(chunk.to_vec())).collect()
}

/// Everything in a topic.
pub(super) fn read_all(servers: &str, topic: &str) -> Vec<Line> {
    let mut tail = Tail::open(servers, &BTreeMap::new(), topic, Start::Beginning).unwrap();
    let mut lines = Vec::new();
    let deadline = Instant::now() + LONG;
    while Instant::now() < deadline {
        match tail.next(Duration::from_secs(1)) {
            Tailed::Line(line) => lines.push(line),
            Tailed::End => return lines,
            Tailed::Nothing => {}
            Tailed::Trouble(trouble) | Tailed::Refused(trouble) => panic!("{trouble}"),
        }
    }
    panic!("the end of {topic} was not reached: {} lines", lines.len());
}

/// The numbers in each key's lines, in their order.
pub(super) fn numbers_by_key(lines: &[Line]) -> BTreeMap<String, Vec<usize>> {
    let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for line in lines {
        by_key.entry(line.key.clone()).or_default().push(line.json.parse().unwrap());
    }
    by_key
}

/// What an observer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Acknowledged(Route, bool),
    Error(String),
    Dropped(String),
    Connected(bool),
}

pub(super) struct Recorder(Mutex<Sender<Seen>>);

/// An observer, and what it saw.
pub(super) fn recorder() -> (Arc<dyn Observer>, Receiver<Seen>) {
    let (sender, receiver) = mpsc::channel();
    (Arc::new(Recorder(Mutex::new(sender))), receiver)
}

impl Recorder {
    fn report(&self, seen: Seen) {
        let _ = self.0.lock().send(seen);
    }
}

impl Observer for Recorder {
    fn acknowledged(&self, route: Route, latency: Option<Duration>) {
        self.report(Seen::Acknowledged(route, latency.is_some()));
    }
    fn kafka_error(&self, kind: &str) {
        self.report(Seen::Error(kind.to_owned()));
    }
    fn dropped(&self, reason: &str) {
        self.report(Seen::Dropped(reason.to_owned()));
    }
    fn connected(&self, connected: bool) {
        self.report(Seen::Connected(connected));
    }
}

//! How long an event takes from its submission to the acknowledgement of a real Kafka: 1,000 events a second, open loop,
//! measured from the intended time of each, for every delivery and `sync`; and the floors of the same machine in the same
//! run: a bare idempotent producer without a journal, and a bare transactional producer that commits 100 messages.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]
#![allow(clippy::disallowed_methods)] // sleeping is the load's pace here

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rtalink::config::model::Kafka;
use rtalink::contract::header;
use rtalink::journal::message::{Batch, Message, Route};
use rtalink::journal::send_window::WindowLimits;
use rtalink::journal::store::{self, Sync};
use rtalink::journal::{self, Bounds, Journal, LaneStart};
use rtalink::kafka::observer::Observer;
use rtalink::kafka::{PublishHandle, Publisher};
use tempfile::TempDir;
use uuid::Uuid;

#[path = "support/bare.rs"]
#[allow(dead_code)] // what sends pairs is for another bench
mod bare;
#[path = "../tests/support/mod.rs"]
mod tests;

use tests::kafka::{Broker, unique};
use tests::sections;
use tests::wait::until_true;

const MESSAGES: u32 = 20_000;
const WARM_UP: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(1);
/// Of a typical event in protobuf.
const PAYLOAD: usize = 255;
const AGENTS: u32 = 500;

/// Latencies, in microseconds.
#[derive(Default)]
struct Stopwatch(Mutex<Vec<u128>>);

impl Observer for Stopwatch {
    fn acknowledged(&self, _route: Route, latency: Option<Duration>) {
        self.0.lock().extend(latency.map(|latency| latency.as_micros()));
    }
}

impl Stopwatch {
    fn report(&self, what: &str) {
        let mut latencies = std::mem::take(&mut *self.0.lock());
        latencies.sort_unstable();
        let at = |permille: usize| latencies[(latencies.len() - 1) * permille / 1_000] as f64 / 1_000.0;
        println!("{what:<46} p50 {:>7.2} ms  p99 {:>7.2} ms  p99.9 {:>7.2} ms", at(500), at(990), at(999));
    }
}

fn main() {
    let broker = Broker::shared();
    println!("{MESSAGES} events of {PAYLOAD} bytes, one every {PAUSE:?}, acknowledged by all replicas of one broker");
    one_by_one(broker.bootstrap());
    bare_transactions(broker.bootstrap());
    for (delivery, interval) in [("at-least-once", None), ("exactly-once", Some("50ms")), ("exactly-once", Some("5ms"))]
    {
        for sync in [Sync::Full, Sync::Normal] {
            journaled(broker.bootstrap(), delivery, interval, sync);
        }
    }
}

fn configuration(bootstrap: &str, delivery: &str, interval: Option<&str>) -> Kafka {
    let topics = sections::topics(&unique("bench"));
    let interval = interval.map_or(String::new(), |interval| format!("commit_interval = \"{interval}\""));
    tests::publishing::kafka(&format!(
        "bootstrap_servers = \"{bootstrap}\"\ndelivery = \"{delivery}\"\n{interval}\n{topics}"
    ))
}

fn message(number: u32, read_at: Instant) -> Message {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_DNS, &number.to_be_bytes());
    // As incompressible as names, numbers and times are.
    let payload: Vec<u8> =
        (0..PAYLOAD as u32).map(|at| (number.wrapping_mul(2_654_435_761) >> (at % 24)) as u8 ^ at as u8).collect();
    Message {
        route: Route::AgentState,
        key: format!("avaya-1/1/{}", number % AGENTS).into(),
        payload: Bytes::from(payload),
        headers: vec![
            (header::EVENT_ID, Bytes::from(id.to_string())),
            (header::CONTENT_TYPE, Bytes::from_static(header::PROTOBUF.as_bytes())),
            (header::SCHEMA, Bytes::from_static(b"rtalink.v1.AgentStateEvent")),
        ],
        read_at: Some(read_at),
    }
}

/// Calls `send` at the intended times.
fn open_loop(mut send: impl FnMut(u32, Instant)) {
    let begin = Instant::now();
    for number in 0..MESSAGES {
        let due = begin + PAUSE * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        send(number, due);
    }
}

fn publisher(
    store_folder: &Path,
    kafka: &Kafka,
    sync: Sync,
    observer: Arc<dyn Observer>,
) -> (Publisher, PublishHandle) {
    let mut store = store::open(&store::StoreSettings { directory: store_folder.to_owned(), sync }).unwrap().store;
    let stored = store.integration("avaya-1").unwrap();
    let lanes = [LaneStart { integration: "avaya-1".into(), stored, keeps_events: false }];
    let window = WindowLimits { messages: kafka.queue_events, bytes: WindowLimits::DEFAULT_BYTES };
    let bounds = Bounds { journal_bytes: 1 << 30, window };
    let journal = Journal::start(store, &lanes, bounds, Arc::new(journal::UnobservedStore)).unwrap();
    let publisher = Publisher::start(kafka, None, journal, |_| Arc::clone(&observer)).unwrap();
    let handle = publisher.handle("avaya-1").unwrap();
    (publisher, handle)
}

fn journaled(bootstrap: &str, delivery: &str, interval: Option<&str>, sync: Sync) {
    let kafka = configuration(bootstrap, delivery, interval);
    let stopwatch = Arc::new(Stopwatch::default());
    let folder = TempDir::new().unwrap();
    let (publisher, handle) = publisher(folder.path(), &kafka, sync, Arc::clone(&stopwatch) as Arc<dyn Observer>);
    let submit = |messages| handle.submit(Batch { messages, ..Batch::default() }).unwrap();
    submit((0..WARM_UP).map(|number| message(number, Instant::now())).collect());
    until_true("warm", || handle.acknowledged_to() == u64::from(WARM_UP));
    stopwatch.0.lock().clear();
    let stored = handle.lane().stored_bytes();
    let mut rows = 0;
    open_loop(|number, due| {
        submit(vec![message(number, due)]);
        rows = rows.max(handle.lane().stored_bytes());
    });
    until_true("everything acknowledged", || handle.pending() == 0);
    let _ = (stored, publisher.drain(Instant::now() + Duration::from_secs(30)));
    let interval = interval.map_or(String::new(), |interval| format!(", commit_interval {interval}"));
    stopwatch.report(&format!("{delivery}{interval}, sync {sync:?}"));
}

/// Reports of the bare producer.
struct Bare(Arc<Stopwatch>);

impl rdkafka::ClientContext for Bare {}

impl ProducerContext for Bare {
    type DeliveryOpaque = Box<Instant>;

    fn delivery(&self, result: &DeliveryResult<'_>, due: Box<Instant>) {
        assert!(result.is_ok());
        self.0.0.lock().push(due.elapsed().as_micros());
    }
}

fn one_by_one(bootstrap: &str) {
    let topic = unique("bench-bare");
    Broker::shared().create_topic(&topic, 6, &[]);
    let stopwatch = Arc::new(Stopwatch::default());
    let producer: ThreadedProducer<Bare> =
        bare::settings(bootstrap).create_with_context(Bare(Arc::clone(&stopwatch))).unwrap();
    let send = |number: u32, due: Instant| {
        let message = message(number, due);
        let record = BaseRecord::with_opaque_to(&topic, Box::new(due)).key(&*message.key).payload(&*message.payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    (0..WARM_UP).for_each(|number| send(number, Instant::now()));
    producer.flush(Duration::from_secs(30)).unwrap();
    stopwatch.0.lock().clear();
    open_loop(send);
    producer.flush(Duration::from_secs(30)).unwrap();
    stopwatch.report("floor: a bare producer, no journal, one topic");
}

fn bare_transactions(bootstrap: &str) {
    const TRANSACTIONS: usize = 200;
    let topic = unique("bench-transactions");
    Broker::shared().create_topic(&topic, 6, &[]);
    let mut settings = bare::settings(bootstrap);
    let producer: BaseProducer = settings.set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    let stopwatch = Stopwatch::default();
    for _ in 0..TRANSACTIONS {
        let begin = Instant::now();
        producer.begin_transaction().unwrap();
        for number in 0..100 {
            let message = message(number, begin);
            let record = BaseRecord::to(&topic).key(&*message.key).payload(&*message.payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(1));
        }
        producer.commit_transaction(Duration::from_secs(30)).unwrap();
        stopwatch.0.lock().push(begin.elapsed().as_micros());
        // Back to back it would wait for the markers of the transaction before.
        std::thread::sleep(Duration::from_millis(40));
    }
    stopwatch.report("floor: 100 messages in a bare transaction");
}

//! What a row costs of which 5 % are changes, beside Kafka Streams, which finds the same changes on the same broker: each in its own
//! process, CPU of that process alone. benches/peers/run.sh builds the peer and starts this.
//!
//! Kafka Streams gets the rows from a topic, keyed by login id, rtalink from its socket. Neither bringing them there nor the broker
//! counts. The first round is warm-up: the Java virtual machine has compiled what is hot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "support/bare.rs"]
#[allow(dead_code)] // nothing is sent in pairs here
mod bare;
#[path = "support/fed.rs"]
#[allow(dead_code)] // its rate is that of another bench
mod fed;
mod support;
#[path = "../tests/support/mod.rs"]
mod tests;

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fed::{Fed, Taken, median};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use support::cpu::Cpu;
use support::feeds::Feed;
use tempfile::TempDir;
use tests::engine;
use tests::kafka::{Broker, unique};
use tests::process::Process;
use tests::wait::within;

const CHANGES: usize = 5;
const ROUNDS: usize = 3;
/// Snapshots of a round.
const SNAPSHOTS: usize = 60;
const PARTITIONS: i32 = 6;
const PATIENCE: Duration = Duration::from_secs(180);

/// Kafka Streams at work.
struct Streams {
    process: Process,
    rows: ThreadedProducer<DefaultProducerContext>,
    results: BaseConsumer,
    topics: [String; 2],
    snapshots: Vec<Bytes>,
    sent: usize,
    _folder: TempDir,
}

impl Streams {
    fn start(broker: &Broker, classpath: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let topics = ["rows", "changes"].map(unique);
        topics.iter().for_each(|topic| broker.create_topic(topic, PARTITIONS, &[]));
        let mut command = Command::new("java");
        command.args(["-Xmx1g", "-cp", classpath, "LastState", broker.bootstrap(), &topics[0], &topics[1]]);
        command.arg(folder.path());
        let process = Process::spawn(command);
        process.line("running");
        let mut settings = bare::settings(broker.bootstrap());
        let rows = settings
            .set("queue.buffering.max.messages", "1000000")
            .set("partitioner", "murmur2_random")
            .create()
            .unwrap();
        let results = ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().unwrap();
        let snapshots = Feed { changes: CHANGES, ..Feed::USUAL }.snapshots();
        let mut streams = Self { process, rows, results, topics, snapshots, sent: 0, _folder: folder };
        streams.round(SNAPSHOTS);
        streams
    }

    /// Sends so many snapshots, and waits for all changes.
    fn round(&mut self, snapshots: usize) -> Taken {
        let (begin, before) = (Instant::now(), Cpu::of(self.process.id()));
        for _ in 0..snapshots {
            let snapshot = &self.snapshots[self.sent % 2];
            for row in snapshot.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
                let login_id = row.split(|byte| *byte == b' ').next().unwrap();
                self.rows
                    .send(BaseRecord::to(&self.topics[0]).key(login_id).payload(row))
                    .map_err(|(error, _)| error)
                    .unwrap();
            }
            self.rows.flush(PATIENCE).unwrap();
            self.sent += 1;
        }
        let expected = Feed::USUAL.agents * (100 + (self.sent - 1) * CHANGES) / 100;
        within(PATIENCE, "all changes", || {
            std::thread::park_timeout(Duration::from_millis(100));
            let end = |partition| self.results.fetch_watermarks(&self.topics[1], partition, PATIENCE).unwrap().1;
            let found: i64 = (0..PARTITIONS).map(end).sum();
            (usize::try_from(found).unwrap() >= expected).then_some(())
        });
        let cpu = Cpu::of(self.process.id()).since(&before);
        Taken { wall: begin.elapsed(), cpu, done: Feed::USUAL.agents * snapshots }
    }
}

fn main() {
    let Ok(classpath) = env::var("RTALINK_STREAMS") else {
        println!("RTALINK_STREAMS: not set; benches/peers/run.sh builds the peer and sets it");
        return;
    };
    let broker = Broker::shared();
    let mut streams = Streams::start(broker, &classpath);
    let this = PathBuf::from(env!("CARGO_BIN_EXE_rtalink"));
    let mut rtalink = Fed::start(&this, broker.bootstrap(), "", CHANGES);
    let mut taken: [Vec<Taken>; 2] = Default::default();
    for _ in 0..ROUNDS {
        taken[0].push(rtalink.round(SNAPSHOTS));
        taken[1].push(streams.round(SNAPSHOTS));
    }
    let [rtalink, streams] = taken.map(median);
    println!("{CHANGES} % changes, rows of some 118 bytes, CPU of the process alone");
    println!("  rtalink        {:>7.2} us a row", rtalink.micros());
    println!("  Kafka Streams  {:>7.2} us a row   {:.1} x", streams.micros(), streams.micros() / rtalink.micros());
}

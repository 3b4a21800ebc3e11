//! What a feed that floods does to the latency of a calm one that shares its worker: with and without the flood, in one run.
//!
//! Open loop: a record every 5 ms, and its latency is that from the moment when it was to be sent to the acknowledgement of
//! its event. The floods are what little input makes the worker do much: ends of snapshots without pause over a large table,
//! by markers and by two rows that alternate; one login id on so many ACDs; and everybody changing in every snapshot.
//! `cargo bench --bench floods -- NAME` plays one of them.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rtalink::config;
use rtalink::pipeline::observers::LatencySink;
use rtalink::pipeline::service::{Options, Service};
use rtalink::telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const RECORDS: usize = 2_000;
const EVERY: Duration = Duration::from_millis(5);
const CALM: &str = "calm";

const TOML: &str = r#"
[kafka]
bootstrap_servers = "embedded"
partitions = 1
linger = "0ms"
[http]
listen = "127.0.0.1:0"
[store]
sync = "normal"
[layout.short]
separator = "|"
marker = "^END$"
columns = ["login_id", "state", "acd", "name"]
states = "rta-codes"
[[integration]]
id = "calm"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
mode = "event"
[[integration]]
id = "marker"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
snapshot_end = "marker"
[[integration]]
id = "repeat"
kind = "avaya-cms"
acd = 1
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
shortest_refresh = "0s"
[[integration]]
id = "names"
kind = "avaya-cms"
acd = 1
mapping = { identify_by = "name" }
[integration.realtime]
port = 0
bind = "127.0.0.1"
layout = "short"
snapshot_end = "marker"
"#;

/// What is sent once, to begin with, and what is sent again and again.
struct Flood {
    name: &'static str,
    integration: &'static str,
    begin: String,
    again: Vec<u8>,
}

fn rows(agents: u32, row: impl Fn(u32) -> String) -> String {
    (0..agents).fold(String::new(), |mut rows, agent| {
        let _ = writeln!(rows, "{}", row(agent)); // into memory
        rows
    })
}

fn floods() -> Vec<Flood> {
    let everybody = |agents, state: u32| rows(agents, |agent| format!("{}|{state}|1|", 100_000 + agent)) + "END\n";
    let flood = |name, integration, begin, again: String| Flood { name, integration, begin, again: again.into_bytes() };
    vec![
        flood("markers-20k", "marker", everybody(20_000, 20), "END\n".repeat(16_384)),
        flood("markers-100k", "marker", everybody(100_000, 20), "END\n".repeat(16_384)),
        flood("two-rows-20k", "repeat", everybody(20_000, 20), "1|20|1|\n2|20|1|\n".repeat(4_096)),
        flood("two-rows-100k", "repeat", everybody(100_000, 20), "1|20|1|\n2|20|1|\n".repeat(4_096)),
        flood("names-60k", "names", String::new(), rows(60_000, |acd| format!("4711|20|{}|Ada", acd + 1)) + "END\n"),
        flood("changes-10k", "marker", String::new(), everybody(10_000, 20) + &everybody(10_000, 30)),
    ]
}

type Acknowledged = Arc<Mutex<Vec<Instant>>>;

/// Latencies of the calm feed, sorted. `number` counts its changes over all rounds.
fn round(feed: &mut TcpStream, number: &mut usize, acknowledged: &Acknowledged) -> Vec<Duration> {
    acknowledged.lock().unwrap().clear();
    let begin = Instant::now() + EVERY;
    let due = |record: usize| begin + EVERY * u32::try_from(record).unwrap();
    for record in 0..RECORDS {
        while let Some(left) = due(record).checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        *number += 1;
        writeln!(feed, "4711|{}|1|", if number.is_multiple_of(2) { 20 } else { 30 }).unwrap();
    }
    while acknowledged.lock().unwrap().len() < RECORDS {
        assert!(begin.elapsed() < Duration::from_secs(180), "not everything came through");
        std::thread::park_timeout(EVERY);
    }
    // Events of a feed are acknowledged in their order.
    let acknowledged = acknowledged.lock().unwrap();
    let mut latencies: Vec<Duration> =
        acknowledged.iter().enumerate().map(|(record, at)| at.saturating_duration_since(due(record))).collect();
    latencies.sort();
    latencies
}

fn at(latencies: &[Duration], share: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a position in the list
    let position = (latencies.len() as f64 * share) as usize;
    latencies[position.min(latencies.len() - 1)]
}

/// Sends until it is told to stop; counts the bytes.
fn send(flood: &Flood, feed: SocketAddr, stop: &AtomicBool, sent: &AtomicU64) {
    let mut feed = TcpStream::connect(feed).unwrap();
    feed.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    feed.write_all(flood.begin.as_bytes()).unwrap();
    while !stop.load(Ordering::Relaxed) {
        // Whoever is not read waits.
        if let Ok(count) =
            feed.write(&flood.again[(sent.load(Ordering::Relaxed) % flood.again.len() as u64) as usize..])
        {
            sent.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
    let _ = feed.shutdown(Shutdown::Both); // it may be closed already
}

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("{RECORDS} records, one every {EVERY:?}; embedded Kafka, sync normal, one worker");
    for flood in floods().iter().filter(|flood| wanted.as_ref().is_none_or(|wanted| flood.name == wanted)) {
        play(flood);
    }
}

fn play(flood: &Flood) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("rtalink.toml");
    let config = config::parse(TOML, &file, []).config.expect("a configuration");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let acknowledged = Acknowledged::default();
    let sink = Arc::clone(&acknowledged);
    let latencies = LatencySink(Arc::new(move |integration: &str, _| {
        if integration == CALM {
            sink.lock().unwrap().push(Instant::now());
        }
    }));
    let options = Options { file, latencies: Some(latencies), stop: CancellationToken::new() };
    let service = runtime.block_on(Service::start(config, options, Metrics::new().unwrap())).unwrap();
    let address =
        |id: &str| -> SocketAddr { service.feed_addresses().iter().find(|(known, _)| **known == *id).unwrap().1 };
    let mut feed = TcpStream::connect(address(CALM)).unwrap();
    feed.set_nodelay(true).unwrap();
    let mut number = 0;
    let mut p99 = Vec::new();
    // Before and after: what else the machine does is in both.
    for is_flooded in [false, true, false] {
        let stop = AtomicBool::new(!is_flooded);
        let sent = AtomicU64::new(0);
        let target = address(flood.integration);
        let begin = Instant::now();
        let latencies = std::thread::scope(|scope| {
            if is_flooded {
                scope.spawn(|| send(flood, target, &stop, &sent));
            }
            let latencies = round(&mut feed, &mut number, &acknowledged);
            stop.store(true, Ordering::Relaxed);
            latencies
        });
        let [p50, p99_now] = [0.5, 0.99].map(|share| at(&latencies, share));
        let rate = sent.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64() / 1e6;
        println!(
            "{:<14} {:<7}: p50 {p50:>10.1?}  p99 {p99_now:>10.1?}  max {:>10.1?}  {rate:.1} MB/s of the other",
            flood.name,
            if is_flooded { "flooded" } else { "calm" },
            latencies[latencies.len() - 1]
        );
        p99.push(p99_now.as_secs_f64());
    }
    println!("{:<14} p99 {:.1} times that without", flood.name, p99[1] / p99[0].max(p99[2]));
    runtime.block_on(service.drain(Duration::from_secs(10)));
}

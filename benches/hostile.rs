//! What strangers on the ports do to the latency of an honest feed: with and without them, in one run.
//!
//! Open loop: a record every 5 ms, and its latency is that from the moment when it was to be sent to the acknowledgement of
//! its event. First a feed on the port that the strangers are on, then one on another port.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/support/certificates.rs"]
#[allow(dead_code)]
mod certificates;
#[path = "../tests/support/hostile.rs"]
mod hostile;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use certificates::{Authority, DAY, NAME, Valid};
use hostile::Attack;
use rtalink::config;
use rtalink::pipeline::observers::LatencySink;
use rtalink::pipeline::service::{Options, Service};
use rtalink::telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const RECORDS: usize = 2_000;
const EVERY: Duration = Duration::from_millis(5);

fn toml(tls: &str) -> String {
    let integrations = [("same", ""), ("tls", tls), ("other", "")].map(|(id, tls)| {
        format!(
            "[[integration]]\nid = \"{id}\"\nkind = \"avaya-cms\"\nacd = 1\n[integration.realtime]\nport = 0\nbind = \"127.0.0.1\"\nlayout = \"short\"\nmode = \"event\"\nstale_after = \"1s\"\n{tls}\n"
        )
    });
    format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\npartitions = 1\nlinger = \"0ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n{}\n[layout.short]\nseparator = \"|\"\ncolumns = [\"login_id\", \"state\"]\nstates = \"rta-codes\"\n",
        integrations.join("\n")
    )
}

type Acknowledged = Arc<Mutex<Vec<Instant>>>;

/// Latencies of a feed, sorted. `number` counts its changes over all rounds.
fn round(feed: &mut TcpStream, number: &mut usize, acknowledged: &Acknowledged) -> Vec<Duration> {
    acknowledged.lock().unwrap().clear();
    let begin = Instant::now() + EVERY;
    let due = |record: usize| begin + EVERY * u32::try_from(record).unwrap();
    for record in 0..RECORDS {
        while let Some(left) = due(record).checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        *number += 1;
        writeln!(feed, "4711|{}", if number.is_multiple_of(2) { 20 } else { 30 }).unwrap();
    }
    while acknowledged.lock().unwrap().len() < RECORDS {
        assert!(begin.elapsed() < Duration::from_secs(60), "not everything came through");
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

fn main() {
    let folder = TempDir::new().unwrap();
    let ca = Authority::new(folder.path(), "ours");
    let section = ca.sign("rtalink", NAME, Valid::For(DAY)).section("");
    let file = folder.path().join("rtalink.toml");
    let config = config::parse(&toml(&section), &file, []).config.unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let acknowledged = Acknowledged::default();
    let sink = Arc::clone(&acknowledged);
    let latencies = LatencySink(Arc::new(move |_, _| sink.lock().unwrap().push(Instant::now())));
    let options = Options { file, latencies: Some(latencies), stop: CancellationToken::new() };
    let service = runtime.block_on(Service::start(config, options, Metrics::new().unwrap())).unwrap();
    let address =
        |id: &str| -> SocketAddr { service.feed_addresses().iter().find(|(known, _)| **known == *id).unwrap().1 };
    println!("{RECORDS} records, one every {EVERY:?}; embedded Kafka, sync full");
    for place in ["same", "other"] {
        let mut feed = TcpStream::connect(address(place)).unwrap();
        feed.set_nodelay(true).unwrap();
        let mut number = 0;
        let mut p99 = Vec::new();
        // Before and after: what else the machine does is in both.
        for strangers in [false, true, false] {
            let attack = strangers.then(|| Attack::start(address("same"), address("tls")));
            let latencies = round(&mut feed, &mut number, &acknowledged);
            let [p50, p99_now] = [0.5, 0.99].map(|share| at(&latencies, share));
            println!(
                "{place:<5} port, strangers {strangers:<5}: p50 {p50:>10.1?}  p99 {p99_now:>10.1?}  max {:>10.1?}",
                latencies[latencies.len() - 1]
            );
            if let Some(attack) = &attack {
                println!("  {:?}", attack.done());
            }
            p99.push(p99_now.as_secs_f64());
        }
        println!("{place:<5} port: p99 {:.1} times that without strangers", p99[1] / p99[0].max(p99[2]));
    }
    runtime.block_on(service.drain(Duration::from_secs(10)));
}

//! What a feed that floods does to the latency of a calm one that shares its worker: with and without the flood, in one run.
//!
//! The floods are what little input makes the worker do much: ends of snapshots without pause over a large table,
//! by markers and by two rows that alternate; one login id on so many ACDs; and everybody changing in every snapshot.
//! `cargo bench --bench floods -- NAME` plays one of them.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/support/open_loop.rs"]
mod open_loop;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use open_loop::{EVERY, Loop, RECORDS};
use rtalink::config;
use rtalink::service::{Options, Service};
use rtalink::telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const CALM: &str = "calm";

fn toml() -> String {
    let integrations = [
        (CALM, "", "mode = \"event\""),
        ("marker", "", "snapshot_end = \"marker\""),
        ("repeat", "", "shortest_refresh = \"0s\""),
        ("names", "mapping = { identify_by = \"name\" }", "snapshot_end = \"marker\""),
    ]
    .map(|(id, settings, realtime)| {
        format!(
            "[[integration]]\nid = \"{id}\"\nkind = \"avaya-cms\"\nacd = 1\n{settings}\n[integration.realtime]\nport = 0\nbind = \"127.0.0.1\"\nlayout = \"short\"\n{realtime}\n"
        )
    });
    format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\npartitions = 1\nlinger = \"0ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[store]\nsync = \"normal\"\n{}\n[layout.short]\nseparator = \"|\"\nmarker = \"^END$\"\ncolumns = [\"login_id\", \"state\", \"acd\", \"name\"]\nstates = \"rta-codes\"\n",
        integrations.join("\n")
    )
}

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

/// Everybody arrives, and Kafka has heard of it.
fn arrive(flood: &Flood, feed: &mut TcpStream, service: &Service, metrics: &Metrics) {
    feed.write_all(flood.begin.as_bytes()).unwrap();
    let agents = flood.begin.lines().filter(|line| *line != "END").count() as f64;
    let series = format!("rtalink_agents{{integration=\"{}\",mode=\"AVAIL\"}} ", flood.integration);
    let known = || -> f64 {
        let page = metrics.render();
        page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
    };
    while known() < agents || service.pending() > 0 {
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Sends until it is told to stop; counts the bytes.
fn send(flood: &Flood, mut feed: TcpStream, stop: &AtomicBool, sent: &AtomicU64) {
    feed.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
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
    let config = config::parse(&toml(), &file, []).config.expect("a configuration");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut calm = Loop::default();
    let latencies = calm.sink(|integration| integration == CALM);
    let options = Options { file, latencies: Some(latencies), stop: CancellationToken::new(), reloads: None };
    let metrics = Metrics::new().unwrap();
    let service = runtime.block_on(Service::start(config, options, metrics.clone())).unwrap();
    let address =
        |id: &str| -> SocketAddr { service.feed_addresses().iter().find(|(known, _)| **known == *id).unwrap().1 };
    let mut feed = TcpStream::connect(address(CALM)).unwrap();
    feed.set_nodelay(true).unwrap();
    let mut p99 = Vec::new();
    // Before and after: what else the machine does is in both.
    for is_flooded in [false, true, false] {
        let stop = AtomicBool::new(!is_flooded);
        let sent = AtomicU64::new(0);
        let mut other = TcpStream::connect(address(flood.integration)).unwrap();
        if is_flooded {
            arrive(flood, &mut other, &service, &metrics);
        }
        let begin = Instant::now();
        let latencies = std::thread::scope(|scope| {
            if is_flooded {
                scope.spawn(|| send(flood, other, &stop, &sent));
            }
            let latencies = calm.round(&mut feed, "|1|");
            stop.store(true, Ordering::Relaxed);
            latencies
        });
        let rate = sent.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64() / 1e6;
        let kind = if is_flooded { "flooded" } else { "calm" };
        println!("{:<14} {kind:<7}: {latencies}  {rate:.1} MB/s of the other", flood.name);
        p99.push(latencies.at(0.99).as_secs_f64());
    }
    println!("{:<14} p99 {:.1} times that without", flood.name, p99[1] / p99[0].max(p99[2]));
    runtime.block_on(service.drain(Duration::from_secs(10)));
}

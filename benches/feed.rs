//! How fast a port takes what a peer sends without a pause, beside the least that could tell what is new: a socket that is
//! drained, with a newline scan, a hash of each row and a lookup of the agent's last one.
//!
//! Work: snapshots of 10,000 rows of `cisco-icm-20` with up to 6 skills each (some 118 bytes a row), one connection over
//! loopback, one thread that sends, one that reads, one worker. First with a worker that drops what it gets, then with one
//! whose engine takes it (all of it unchanged). Rounds are interleaved and the median is shown: machines are shared, so only
//! the ratios say something.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/support/engine.rs"]
mod engine;
#[path = "../tests/support/port.rs"]
#[allow(dead_code)] // its metrics are for tests
mod port;
mod support;

use std::hint::black_box;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use port::Port;
use rtalink::sources::rta::worker_channel::{FeedEvent, FromFeed, Received, WorkerMessage, WorkerReceiver};
use rtalink::wire::framing::Piece;
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;
use support::feeds::Feed;
use support::floors::LastHashes;
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Runtime;

const AGENTS: usize = 10_000;
/// Snapshots of a round.
const SNAPSHOTS: usize = 40;
const ROUNDS: usize = 25;

/// Bytes that have come to the end of the way.
type Taken = Arc<AtomicUsize>;

struct Way {
    name: &'static str,
    peer: TcpStream,
    taken: Taken,
    times: Vec<Duration>,
    // It ends with this.
    _runtime: Runtime,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn way(name: &'static str, address: SocketAddr, taken: Taken, runtime: Runtime) -> Way {
    Way { name, peer: TcpStream::connect(address).unwrap(), taken, times: Vec::new(), _runtime: runtime }
}

/// Read and given to `take`.
fn socket(name: &'static str, mut take: impl FnMut(&[u8]) + Send + 'static) -> Way {
    let runtime = runtime();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Taken::default();
    let counted = Arc::clone(&taken);
    runtime.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(64 * 1024);
            let count = stream.read_buf(&mut buffer).await.unwrap();
            if count == 0 {
                return;
            }
            let whole = memchr::memrchr(b'\n', &buffer).map_or(0, |end| end + 1);
            take(&buffer.split_to(whole));
            counted.fetch_add(count, Ordering::Release);
        }
    });
    way(name, address, taken, runtime)
}

fn port(
    name: &'static str,
    plan: &Arc<Plan>,
    worker: impl FnOnce(WorkerReceiver<(), ()>, Taken) + Send + 'static,
) -> Way {
    let Port { runtime, address, receiver, .. } = Port::open(Arc::clone(plan));
    let taken = Taken::default();
    let counted = Arc::clone(&taken);
    std::thread::spawn(move || worker(receiver, counted));
    way(name, address, taken, runtime)
}

/// Gives each message with records to `take`, and counts them.
fn work(receiver: &mut WorkerReceiver<(), ()>, taken: &Taken, mut take: impl FnMut(&FromFeed)) {
    while let Received::Message(_, WorkerMessage::Feed(message)) = receiver.receive(Duration::from_secs(600), |_| true)
    {
        take(&message);
        if let FeedEvent::Piece { piece: Piece::Records(run) | Piece::TooLong(run), .. } = &message.event {
            taken.fetch_add(run.bytes.len(), Ordering::Release);
        }
    }
}

fn main() {
    let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
    let snapshot = Feed::USUAL.snapshot(0);
    let mut hashes = LastHashes::new();
    let mut engine = engine::engine(&plan, false);
    let mut ways = [
        socket("drain + scan + hash + lookup", move |rows| {
            hashes.take(rows, |row| {
                black_box(row);
            });
        }),
        socket("drain alone", |_| {}),
        port("a port, messages dropped", &plan, |mut receiver, taken| work(&mut receiver, &taken, |_| {})),
        port("a port and its engine", &plan, move |mut receiver, taken| {
            let mut findings = Vec::new();
            work(&mut receiver, &taken, |message| {
                match &message.event {
                    FeedEvent::Open { peer, .. } => engine.open(message.connection, peer, message.at, &mut findings),
                    FeedEvent::Piece { plan, piece, .. } => {
                        engine.receive(message.connection, plan, piece, message.at, &mut findings);
                    }
                    _ => {}
                }
                findings.clear();
            });
        }),
    ];
    let bytes = snapshot.len() * SNAPSHOTS;
    println!("{ROUNDS} rounds of {SNAPSHOTS} snapshots, {} MiB each, median", bytes >> 20);
    for round in 0..=ROUNDS {
        for way in &mut ways {
            let wanted = (round + 1) * bytes;
            let begin = Instant::now();
            (0..SNAPSHOTS).for_each(|_| way.peer.write_all(&snapshot).unwrap());
            while way.taken.load(Ordering::Acquire) < wanted {
                std::thread::yield_now();
            }
            // The first round fills tables and buffers.
            if round > 0 {
                way.times.push(begin.elapsed());
            }
        }
    }
    let mut floor = Duration::ZERO;
    for way in &mut ways {
        way.times.sort();
        let median = way.times[way.times.len() / 2];
        floor = if floor.is_zero() { median } else { floor };
        println!(
            "{:<30} {:>8.0} MiB/s {:>12.0} records/s   {:>5.2} times the floor",
            way.name,
            (bytes >> 20) as f64 / median.as_secs_f64(),
            (AGENTS * SNAPSHOTS) as f64 / median.as_secs_f64(),
            median.as_secs_f64() / floor.as_secs_f64(),
        );
    }
}

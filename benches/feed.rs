//! How fast a port takes what a peer sends without a pause, beside the least that could tell what is new: a socket that is
//! drained, with a newline scan, a hash of each row and a lookup of the agent's last one.
//!
//! Work: snapshots of 10,000 rows of `cisco-icm-20` with up to 6 skills each (some 118 bytes a row), one connection over
//! loopback, one thread that sends, one that reads, one worker. First with a worker that drops what it gets, then with one
//! whose engine takes it (all of it unchanged). Rounds are interleaved and the median is shown: machines are shared, so only
//! the ratios say something.
#![allow(clippy::unwrap_used, missing_docs)]

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
use std::time::Duration;

use bytes::BytesMut;
use port::Port;
use rtalink::sources::rta::worker_channel::{FeedEvent, FromFeed, Received, WorkerMessage, WorkerReceiver};
use rtalink::wire::framing::Piece;
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;
use support::feeds::Feed;
use support::floors::LastHashes;
use support::rounds::Cases;
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Runtime;

const AGENTS: usize = Feed::USUAL.agents;
/// Snapshots of a round.
const SNAPSHOTS: usize = 40;
const ROUNDS: usize = 25;

/// Bytes that have come to the end of the way.
type Taken = Arc<AtomicUsize>;

struct Way {
    peer: TcpStream,
    taken: Taken,
    sent: usize,
    // It ends with this.
    _runtime: Runtime,
}

impl Way {
    fn new(address: SocketAddr, taken: Taken, runtime: Runtime) -> Self {
        Self { peer: TcpStream::connect(address).unwrap(), taken, sent: 0, _runtime: runtime }
    }

    /// Sends the snapshots of a round, and waits until all of them are taken.
    fn round(&mut self, snapshot: &[u8]) {
        for _ in 0..SNAPSHOTS {
            self.peer.write_all(snapshot).unwrap();
            self.sent += snapshot.len();
        }
        while self.taken.load(Ordering::Acquire) < self.sent {
            std::thread::yield_now();
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Read and given to `take`.
fn socket(mut take: impl FnMut(&[u8]) + Send + 'static) -> Way {
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
    Way::new(address, taken, runtime)
}

fn port(plan: &Arc<Plan>, worker: impl FnOnce(WorkerReceiver<(), ()>, Taken) + Send + 'static) -> Way {
    let Port { runtime, address, receiver, .. } = Port::open(Arc::clone(plan));
    let taken = Taken::default();
    let counted = Arc::clone(&taken);
    std::thread::spawn(move || worker(receiver, counted));
    Way::new(address, taken, runtime)
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
    let mut hashed = socket(move |rows| {
        hashes.take(rows, |row| {
            black_box(row);
        });
    });
    let mut drained = socket(|_| {});
    let mut dropped = port(&plan, |mut receiver, taken| work(&mut receiver, &taken, |_| {}));
    let mut tracked = port(&plan, move |mut receiver, taken| {
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
    });
    let mut cases = Cases::default();
    cases.floor("drain + scan + hash + lookup", || hashed.round(&snapshot));
    cases.case("drain alone", || drained.round(&snapshot));
    cases.case("a port, messages dropped", || dropped.round(&snapshot));
    cases.case("a port and its engine", || tracked.round(&snapshot));
    let title = format!("feed: {} bytes a record, from the socket", snapshot.len() / AGENTS);
    cases.print(&title, ROUNDS, AGENTS * SNAPSHOTS);
}

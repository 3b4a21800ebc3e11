//! A port whose worker does not get on: how many connections, letters and bytes wait for it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rtalink::feed::inbox::{self, FeedEvent, FromFeed, Inbox, Letter, Received};
use rtalink::feed::listener::{self, Feed, MAX_CONNECTIONS};
use rtalink::feed::settings::FeedSettings;
use rtalink::pipeline::worker::INBOX;
use rtalink::telemetry::metrics::{FeedMetrics, Metrics};
use rtalink::time::Timestamp;
use rtalink::wire::framing::Piece;
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::support::http;
use crate::support::wait::until_true;

/// As in `src/feed/connection.rs`.
const MAX_IN_FLIGHT: usize = 8;

/// Long enough for whatever would come if it could.
const QUIET: Duration = Duration::from_millis(300);

struct Port {
    runtime: Runtime,
    metrics: Metrics,
    address: SocketAddr,
    inbox: Inbox<()>,
}

impl Port {
    /// Its letters go to nobody but the test.
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = Metrics::new().unwrap();
        let (outlet, inbox) = inbox::channel(INBOX);
        let id: Arc<str> = "a".into();
        let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
        let settings = FeedSettings { plan, allow: Vec::new(), idle_after: None, tls: None };
        let feed = Feed {
            integration: 0,
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            outlet,
            metrics: FeedMetrics::new(&metrics, &id),
            id,
            stop: CancellationToken::new(),
        };
        let bound = listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = bound.local_addr().unwrap();
        let listener = {
            let _inside = runtime.enter();
            bound.listen().unwrap()
        };
        runtime.spawn(feed.listen(listener));
        Self { runtime, metrics, address, inbox }
    }

    fn metric(&self, series: &str) -> f64 {
        http::series(&self.metrics.render()).get(series).copied().unwrap_or_default()
    }

    /// The next letter of a connection; `None` when none comes.
    fn letter(&self, patience: Duration) -> Option<FeedEvent> {
        match self.inbox.receive(patience) {
            Received::Letter(Letter::Feed(FromFeed { event, .. })) => Some(event),
            _ => None,
        }
    }
}

#[test]
fn a_port_has_so_many_connections() {
    let port = Port::open();
    let mut connections: Vec<TcpStream> =
        (0..MAX_CONNECTIONS + 4).map(|_| TcpStream::connect(port.address).unwrap()).collect();
    let refused = "rtalink_feed_refused_total{integration=\"a\",reason=\"too_many_connections\"}";
    until_true("four are refused", || port.metric(refused) >= 4.0);
    // They are accepted in order: the last ones are closed, the others open.
    for beyond in &mut connections[MAX_CONNECTIONS..] {
        assert_eq!(beyond.read(&mut [0]).unwrap_or(0), 0);
    }
    connections.truncate(MAX_CONNECTIONS);
    for open in &mut connections {
        open.set_nonblocking(true).unwrap();
        assert_eq!(open.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    let count = port.metric(refused);
    assert_eq!(count, 4.0);
    println!("{} connections to a port, limit {MAX_CONNECTIONS}: {count} closed", MAX_CONNECTIONS + 4);
    drop(connections);
    until_true("there is room again", || {
        let mut newcomer = TcpStream::connect(port.address).unwrap();
        newcomer.set_nonblocking(true).unwrap();
        let _ = newcomer.write_all(b"x");
        newcomer.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    });
    drop(port.runtime);
}

#[test]
fn who_sends_without_end_has_so_many_letters_on_their_way() {
    let port = Port::open();
    let mut peer = TcpStream::connect(port.address).unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let sender = {
        let sent = Arc::clone(&sent);
        std::thread::spawn(move || {
            let lines = b"no record\n".repeat(1_000);
            while peer.write_all(&lines).is_ok() {
                sent.fetch_add(lines.len() as u64, Ordering::Relaxed);
            }
        })
    };
    assert!(matches!(port.letter(Duration::from_secs(60)), Some(FeedEvent::Open { .. })));
    let mut letters = Vec::new();
    while let Some(letter) = port.letter(if letters.len() < MAX_IN_FLIGHT { Duration::from_secs(60) } else { QUIET }) {
        letters.push(letter);
    }
    assert_eq!(letters.len(), MAX_IN_FLIGHT);
    let largest = letters.iter().map(|letter| match letter {
        FeedEvent::Piece { piece: Piece::Records(run) | Piece::TooLong(run), .. } => run.bytes.len(),
        other => panic!("{other:?}"),
    });
    let largest = largest.max().unwrap();
    let read = port.metric("rtalink_feed_bytes_total{integration=\"a\"}");
    // What was read and waits: those letters and one read more, each of which the buffer's growth may double.
    assert!(read <= ((MAX_IN_FLIGHT + 1) * 2 * 64 * 1024) as f64, "{read} bytes");
    println!(
        "a peer that has sent {} bytes, limit {MAX_IN_FLIGHT} letters: {} letters, the largest of {largest} bytes; {read} read",
        sent.load(Ordering::Relaxed),
        letters.len(),
    );
    letters.pop();
    letters.push(port.letter(Duration::from_secs(60)).unwrap()); // one is done: the next one comes
    assert!(port.letter(QUIET).is_none());
    drop((letters, port));
    sender.join().unwrap();
}

#[test]
fn the_inbox_of_a_worker_has_so_many_letters() {
    let (outlet, inbox) = inbox::channel::<()>(INBOX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let letter =
        || Letter::Feed(FromFeed { integration: 0, connection: 1, at: Timestamp::now(), event: FeedEvent::Idle });
    runtime.block_on(async {
        for _ in 0..INBOX {
            outlet.send(letter()).await.unwrap();
        }
        let one_more = outlet.send(letter());
        tokio::pin!(one_more);
        assert!(tokio::time::timeout(QUIET, &mut one_more).await.is_err(), "the inbox is full");
        assert!(matches!(inbox.receive(Duration::ZERO), Received::Letter(_)));
        one_more.await.unwrap();
    });
    println!("{} letters for a worker, limit {INBOX}: the last one waited until one was taken", INBOX + 1);
}

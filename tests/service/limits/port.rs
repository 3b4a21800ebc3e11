//! A port whose worker does not get on: how many connections, messages and bytes wait for it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rtalink::integration::worker::WORKER_CHANNEL;
use rtalink::sources::rta::listener::MAX_CONNECTIONS;
use rtalink::sources::rta::worker_channel::{self, FeedEvent, FromFeed, Received, WorkerMessage};
use rtalink::time::Timestamp;
use rtalink::wire::framing::Piece;
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;

use crate::support::http;
use crate::support::port::Port;
use crate::support::wait::until_true;

/// As in `src/sources/rta/connection.rs`.
const MAX_IN_FLIGHT: usize = 8;

/// Long enough for whatever would come if it could.
const QUIET: Duration = Duration::from_millis(300);

/// One that takes the built-in layout.
fn open() -> Port {
    Port::open(Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap())
}

fn metric(port: &Port, series: &str) -> f64 {
    http::series(&port.metrics.render()).get(series).copied().unwrap_or_default()
}

/// The next message of a connection; `None` when none comes.
fn message(port: &mut Port, patience: Duration) -> Option<FeedEvent> {
    match port.receiver.receive(patience, |_| true) {
        Received::Message(_, WorkerMessage::Feed(FromFeed { event, .. })) => Some(event),
        _ => None,
    }
}

#[test]
fn a_port_has_so_many_connections() {
    let port = open();
    let mut connections: Vec<TcpStream> =
        (0..MAX_CONNECTIONS + 4).map(|_| TcpStream::connect(port.address).unwrap()).collect();
    let refused = "rtalink_feed_refused_total{integration=\"a\",reason=\"too_many_connections\"}";
    until_true("four are refused", || metric(&port, refused) >= 4.0);
    // They are accepted in order: the last ones are closed, the others open.
    for beyond in &mut connections[MAX_CONNECTIONS..] {
        assert_eq!(beyond.read(&mut [0]).unwrap_or(0), 0);
    }
    connections.truncate(MAX_CONNECTIONS);
    for open in &mut connections {
        open.set_nonblocking(true).unwrap();
        assert_eq!(open.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    let count = metric(&port, refused);
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
fn who_sends_without_end_has_so_many_messages_on_their_way() {
    let mut port = open();
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
    assert!(matches!(message(&mut port, Duration::from_secs(60)), Some(FeedEvent::Open { .. })));
    let mut messages = Vec::new();
    while let Some(message) =
        message(&mut port, if messages.len() < MAX_IN_FLIGHT { Duration::from_secs(60) } else { QUIET })
    {
        messages.push(message);
    }
    assert_eq!(messages.len(), MAX_IN_FLIGHT);
    let largest = messages.iter().map(|message| match message {
        FeedEvent::Piece { piece: Piece::Records(run) | Piece::TooLong(run), .. } => run.bytes.len(),
        other => panic!("{other:?}"),
    });
    let largest = largest.max().unwrap();
    let read = metric(&port, "rtalink_feed_bytes_total{integration=\"a\"}");
    // What was read and waits: those messages and one read more, each of which the buffer's growth may double.
    assert!(read <= ((MAX_IN_FLIGHT + 1) * 2 * 64 * 1024) as f64, "{read} bytes");
    println!(
        "a peer that has sent {} bytes, limit {MAX_IN_FLIGHT} messages: {} messages, the largest of {largest} bytes; {read} read",
        sent.load(Ordering::Relaxed),
        messages.len(),
    );
    messages.pop();
    messages.push(message(&mut port, Duration::from_secs(60)).unwrap()); // one is done: the next one comes
    assert!(message(&mut port, QUIET).is_none());
    drop((messages, port));
    sender.join().unwrap();
}

#[test]
fn the_channel_of_an_integration_has_so_many_messages() {
    let (senders, mut receiver) = worker_channel::channels::<(), ()>(2, WORKER_CHANNEL);
    let [to_worker, other] = &senders[..] else { panic!("two of them") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let message = || WorkerMessage::Feed(FromFeed { connection: 1, at: Timestamp::now(), event: FeedEvent::Idle });
    runtime.block_on(async {
        for _ in 0..WORKER_CHANNEL {
            to_worker.send(message()).await.unwrap();
        }
        let one_more = to_worker.send(message());
        tokio::pin!(one_more);
        assert!(tokio::time::timeout(QUIET, &mut one_more).await.is_err(), "the channel is full");
        other.send(message()).await.unwrap();
        assert!(matches!(receiver.receive(Duration::ZERO, |_| true), Received::Message(0, _)));
        assert!(matches!(receiver.receive(Duration::ZERO, |_| true), Received::Message(1, _)));
        one_more.await.unwrap();
    });
    println!(
        "{} messages of an integration, limit {WORKER_CHANNEL}: the last one waited until one was taken",
        WORKER_CHANNEL + 1
    );
}

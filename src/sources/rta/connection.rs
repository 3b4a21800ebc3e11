//! One connection: bytes in, whole records out.
//!
//! Each read is cut into whole records and a rest; the records go to the worker as they are. Memory per connection is bounded
//! by one read plus the longest record. A half-closed peer is read to its end. A peer that begins a TLS handshake where plain
//! text is spoken is recognised by its first two bytes, before they become a record.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use metrics::Counter;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::engine::session::ConnectionId;
use crate::telemetry::targets::FEED;
use crate::time::Timestamp;
use crate::wire::framing::Framer;
use crate::wire::plan::Plan;

use super::forward::relay::Relay;
use super::settings::FeedSettings;
use super::stream::FeedStream;
use super::tls::{HANDSHAKE_RECORD, MAJOR_VERSION};
use super::worker_channel::{FeedEvent, FromFeed, WorkerGone, WorkerMessage, WorkerSender};

/// Most messages with records that a connection has on their way to the worker: a peer that never stops sending occupies the
/// receiver no longer than these take.
const MAX_IN_FLIGHT: usize = 8;

/// Bytes asked for in one read.
const READ_SIZE: usize = 64 * 1024;

/// A connection that has been accepted.
#[derive(Debug)]
pub(super) struct FeedConnection<C> {
    /// Of the integration, for logs.
    pub(super) integration: Arc<str>,
    pub(super) id: ConnectionId,
    pub(super) settings: Arc<ArcSwap<FeedSettings>>,
    pub(super) to_worker: WorkerSender<C>,
    pub(super) close: CancellationToken,
    pub(super) bytes: Counter,
    pub(super) forward: Arc<Relay>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// By the peer, an error, or the worker.
    Over,
    /// The peer wants TLS, which is not spoken here.
    SpeaksTls,
}

impl<C> FeedConnection<C> {
    /// Reads until the peer ends, an error occurs, or the worker stops it.
    pub(super) async fn run(self, stream: FeedStream, peer: Arc<str>) -> Result<ConnectionEnd, WorkerGone> {
        let close = self.close.clone();
        // Before the worker hears of it, and may let it speak.
        self.forward.opened(self.id);
        let ended = self.read_to_its_end(stream, peer, close).await;
        self.forward.closed(self.id);
        ended
    }

    async fn read_to_its_end(
        &self,
        stream: FeedStream,
        peer: Arc<str>,
        close: CancellationToken,
    ) -> Result<ConnectionEnd, WorkerGone> {
        self.notify_worker(Timestamp::now(), FeedEvent::Open { peer, close: close.clone() }).await?;
        let mut reader = Reader {
            has_begun: matches!(stream, FeedStream::Tls(_)),
            stream,
            looked_at: 0,
            buffer: BytesMut::new(),
            framer: Framer::default(),
            plan: Arc::clone(&self.settings.load().plan),
            silent_since: None,
            in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        };
        let ended = self.read_all(&mut reader).await;
        if let Some(torn) = reader.framer.finish(&mut reader.buffer) {
            self.notify_worker(Timestamp::now(), FeedEvent::Torn(torn)).await?;
        }
        let ended = ended?;
        self.notify_worker(Timestamp::now(), FeedEvent::Close).await?;
        Ok(ended)
    }

    async fn read_all(&self, reader: &mut Reader) -> Result<ConnectionEnd, WorkerGone> {
        loop {
            let read = tokio::select! {
                // Nothing more is taken then, even if there is something.
                biased;
                () = self.close.cancelled() => return Ok(ConnectionEnd::Over),
                read = reader.read(&self.settings) => read,
            };
            let (read_at, at) = (Instant::now(), Timestamp::now());
            match read {
                Ok(Read::Bytes(0)) => return Ok(ConnectionEnd::Over),
                Ok(Read::Bytes(count)) => {
                    self.bytes.increment(count as u64);
                    match reader.begin() {
                        Beginning::Text => {}
                        Beginning::Open => continue,
                        Beginning::Tls => return Ok(ConnectionEnd::SpeaksTls),
                    }
                    self.forward.read(self.id, reader.unforwarded(count), at);
                    self.hand_over(reader, read_at, at).await?;
                }
                Ok(Read::Silence) => self.notify_worker(at, FeedEvent::Idle).await?,
                Err(error) => {
                    tracing::debug!(
                        target: FEED, integration = %self.integration, connection = self.id, %error, "read failed"
                    );
                    return Ok(ConnectionEnd::Over);
                }
            }
        }
    }

    async fn hand_over(&self, reader: &mut Reader, read_at: Instant, at: Timestamp) -> Result<(), WorkerGone> {
        reader.follow_layout(&self.settings);
        while let Some(piece) = reader.framer.next(reader.plan.ends(), &mut reader.buffer) {
            let plan = Arc::clone(&reader.plan);
            let in_flight = Arc::clone(&reader.in_flight).acquire_owned().await.map_err(|_| WorkerGone)?;
            self.notify_worker(at, FeedEvent::Piece { plan, piece, read_at, in_flight }).await?;
        }
        // Time spent waiting for the worker is not silence of the peer.
        let is_half_read = reader.framer.is_half_read(&reader.buffer);
        reader.silent_since = (!is_half_read).then(tokio::time::Instant::now);
        Ok(())
    }

    async fn notify_worker(&self, at: Timestamp, event: FeedEvent) -> Result<(), WorkerGone> {
        let from_feed = FromFeed { connection: self.id, at, event };
        self.to_worker.send(WorkerMessage::Feed(from_feed)).await
    }
}

struct Reader {
    stream: FeedStream,
    /// Whether it is known that the input is not a TLS handshake.
    has_begun: bool,
    /// Bytes that were read and looked at, and went nowhere yet.
    looked_at: usize,
    buffer: BytesMut,
    framer: Framer,
    plan: Arc<Plan>,
    /// Since when there has been nothing to read, while the end of a silence matters.
    silent_since: Option<tokio::time::Instant>,
    /// Room for messages on their way.
    in_flight: Arc<Semaphore>,
}

enum Read {
    Bytes(usize),
    Silence,
}

/// What the first bytes show.
enum Beginning {
    Text,
    /// The next byte decides.
    Open,
    Tls,
}

impl Reader {
    /// Looks at the first bytes; drops them where they are a handshake.
    fn begin(&mut self) -> Beginning {
        if self.has_begun {
            return Beginning::Text;
        }
        match *self.buffer {
            [HANDSHAKE_RECORD] => {
                self.looked_at = self.buffer.len();
                return Beginning::Open;
            }
            [HANDSHAKE_RECORD, MAJOR_VERSION, ..] => {
                self.buffer.clear();
                return Beginning::Tls;
            }
            _ => self.has_begun = true,
        }
        Beginning::Text
    }

    /// Returns what was read last, so many bytes, and whatever came before it while the first bytes were looked at.
    fn unforwarded(&mut self, count: usize) -> &[u8] {
        let begin = self.buffer.len().saturating_sub(count + std::mem::take(&mut self.looked_at));
        &self.buffer[begin..]
    }

    /// Reads the next bytes, or the end of a silence.
    async fn read(&mut self, settings: &ArcSwap<FeedSettings>) -> io::Result<Read> {
        self.buffer.reserve(READ_SIZE);
        let idle_after = settings.load().idle_after;
        let (Some(since), Some(idle_after)) = (self.silent_since, idle_after) else {
            return self.stream.read_buf(&mut self.buffer).await.map(Read::Bytes);
        };
        match timeout_at(since + idle_after, self.stream.read_buf(&mut self.buffer)).await {
            Ok(read) => read.map(Read::Bytes),
            Err(_) => {
                self.silent_since = None;
                Ok(Read::Silence)
            }
        }
    }

    /// Takes the layout in force. One that cuts records differently starts with the next byte that is not yet part of a whole
    /// record.
    fn follow_layout(&mut self, settings: &ArcSwap<FeedSettings>) {
        let settings = settings.load();
        if Arc::ptr_eq(&self.plan, &settings.plan) {
            return;
        }
        if !self.plan.ends().same_as(settings.plan.ends()) {
            self.framer.reset();
        }
        self.plan = Arc::clone(&settings.plan);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::forward::passage::PauseRule;
    use super::super::worker_channel::{Received, channels};
    use super::*;
    use crate::telemetry::forward_metrics::ForwardMetrics;
    use crate::wire::layout::builtin;

    fn relay() -> Arc<Relay> {
        let rule = PauseRule { pause: Duration::from_millis(500), after: Duration::from_secs(90) };
        Relay::new("a".into(), rule, |_| ForwardMetrics::noop())
    }

    #[tokio::test]
    async fn nothing_is_taken_of_a_connection_that_is_to_close() {
        let layout = Arc::new(builtin::get("cisco-icm-20").unwrap());
        let plan = Plan::compile(&layout, "UTC").unwrap();
        let settings = FeedSettings { plan, allow: Vec::new(), idle_after: None, tls: None };
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Chance must not decide.
        for _ in 0..20 {
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            peer.write_all(b"a record\n").await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            let (mut senders, mut receiver) = channels::<(), ()>(1, 8);
            let to_worker = senders.remove(0);
            let settings = Arc::clone(&settings);
            let close = CancellationToken::new();
            close.cancel();
            let connection = FeedConnection {
                integration: "a".into(),
                id: 1,
                settings,
                to_worker,
                close,
                bytes: Counter::noop(),
                forward: relay(),
            };
            assert_eq!(connection.run(FeedStream::Plain(stream), "peer".into()).await.unwrap(), ConnectionEnd::Over);
            let mut told = Vec::new();
            while let Received::Message(_, WorkerMessage::Feed(FromFeed { event, .. })) =
                receiver.receive(Duration::ZERO, |_| true)
            {
                told.push(event);
            }
            assert!(matches!(told[..], [FeedEvent::Open { .. }, FeedEvent::Close]), "{told:?}");
        }
    }
}

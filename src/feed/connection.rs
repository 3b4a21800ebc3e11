//! One connection: bytes in, whole records out.
//!
//! Each read is cut into whole records and a rest; the records go to the worker as they are. Memory per connection is
//! bounded by one read plus the longest record. A half-closed peer is read to its end.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use metrics::Counter;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::time::Timestamp;
use crate::wire::framing::Framer;
use crate::wire::plan::Plan;

use super::inbox::{FeedEvent, FromFeed, Letter, Outlet, WorkerGone};
use super::session::ConnectionId;
use super::settings::FeedSettings;

/// Bytes asked for in one read.
const READ_SIZE: usize = 64 * 1024;

/// A connection that has been accepted.
#[derive(Debug)]
pub(super) struct Connection<C> {
    pub(super) integration: usize,
    pub(super) id: ConnectionId,
    pub(super) settings: Arc<ArcSwap<FeedSettings>>,
    pub(super) outlet: Outlet<C>,
    pub(super) close: CancellationToken,
    pub(super) bytes: Counter,
}

impl<C> Connection<C> {
    /// Reads until the peer ends, an error, or the worker says so.
    pub(super) async fn run(self, stream: TcpStream, peer: Arc<str>) -> Result<(), WorkerGone> {
        let close = self.close.clone();
        self.tell(Timestamp::now(), FeedEvent::Open { peer, close: close.clone() }).await?;
        let mut reader = Reader {
            stream,
            buffer: BytesMut::new(),
            framer: Framer::default(),
            plan: Arc::clone(&self.settings.load().plan),
            silent_since: None,
        };
        let ended = self.read_all(&mut reader).await;
        if let Some(torn) = reader.framer.finish(&mut reader.buffer) {
            self.tell(Timestamp::now(), FeedEvent::Torn(torn)).await?;
        }
        ended?;
        self.tell(Timestamp::now(), FeedEvent::Close).await
    }

    async fn read_all(&self, reader: &mut Reader) -> Result<(), WorkerGone> {
        loop {
            let read = tokio::select! {
                () = self.close.cancelled() => return Ok(()),
                read = reader.read(&self.settings) => read,
            };
            let (read_at, at) = (Instant::now(), Timestamp::now());
            match read {
                Ok(Read::Bytes(0)) => return Ok(()),
                Ok(Read::Bytes(count)) => {
                    self.bytes.increment(count as u64);
                    self.hand_over(reader, read_at, at).await?;
                }
                Ok(Read::Silence) => self.tell(at, FeedEvent::Idle).await?,
                Err(error) => {
                    tracing::debug!(integration = self.integration, connection = self.id, %error, "read failed");
                    return Ok(());
                }
            }
        }
    }

    async fn hand_over(&self, reader: &mut Reader, read_at: Instant, at: Timestamp) -> Result<(), WorkerGone> {
        reader.follow_layout(&self.settings);
        while let Some(piece) = reader.framer.next(reader.plan.ends(), &mut reader.buffer) {
            let plan = Arc::clone(&reader.plan);
            self.tell(at, FeedEvent::Piece { plan, piece, read_at }).await?;
        }
        // Time spent waiting for the worker is no silence of the peer.
        let is_half_read = reader.framer.is_half_read(&reader.buffer);
        reader.silent_since = (!is_half_read).then(tokio::time::Instant::now);
        Ok(())
    }

    async fn tell(&self, at: Timestamp, event: FeedEvent) -> Result<(), WorkerGone> {
        let from_feed = FromFeed { integration: self.integration, connection: self.id, at, event };
        self.outlet.send(Letter::Feed(from_feed)).await
    }
}

struct Reader {
    stream: TcpStream,
    buffer: BytesMut,
    framer: Framer,
    plan: Arc<Plan>,
    /// Since when there is nothing to read, while the end of a silence is of interest.
    silent_since: Option<tokio::time::Instant>,
}

enum Read {
    Bytes(usize),
    Silence,
}

impl Reader {
    /// The next bytes, or the end of a silence.
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

    /// Takes the layout in force. One that cuts records otherwise starts with the next byte that is not yet part of a
    /// whole record.
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

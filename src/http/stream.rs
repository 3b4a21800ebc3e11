//! The socket of a connection: what has come and gone over it, and an end for a peer that reads nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::places::RequestPlace;

/// The places that a request takes.
#[derive(Debug)]
pub(super) struct Permit {
    pub(super) _request: RequestPlace,
    /// The place of a request for all agents.
    pub(super) _table: Option<OwnedSemaphorePermit>,
}

/// What a connection does.
#[derive(Debug)]
enum Phase {
    /// It waits for its peer, since then: for a request, or the rest of one.
    Waits(Instant),
    /// A request is there and has no answer yet.
    Works,
    /// The answer is being sent; the places of its request are given back when it has gone.
    Answers { _permit: Option<Permit> },
}

/// The progress of a connection, shared by its socket and the code that answers its requests.
#[derive(Debug)]
pub(super) struct RequestProgress {
    /// A request has begun and is not answered.
    is_asked: AtomicBool,
    /// At least one request was answered.
    has_answered: AtomicBool,
    /// The peer read nothing for too long.
    is_stalled: AtomicBool,
    phase: Mutex<Phase>,
}

impl Default for RequestProgress {
    fn default() -> Self {
        Self {
            is_asked: AtomicBool::default(),
            has_answered: AtomicBool::default(),
            is_stalled: AtomicBool::default(),
            phase: Mutex::new(Phase::Waits(Instant::now())),
        }
    }
}

impl RequestProgress {
    /// A complete request is there, and is going to be answered.
    pub(super) fn answers(&self) {
        *self.phase.lock() = Phase::Works;
    }

    /// There is an answer; it still has to be sent.
    pub(super) fn answered(&self, permit: Option<Permit>) {
        self.is_asked.store(false, Ordering::Relaxed);
        self.has_answered.store(true, Ordering::Relaxed);
        *self.phase.lock() = Phase::Answers { _permit: permit };
    }

    /// Everything that was written has been sent.
    fn has_gone(&self) {
        let mut phase = self.phase.lock();
        if matches!(*phase, Phase::Answers { .. }) {
            *phase = Phase::Waits(Instant::now());
        }
    }

    /// Returns since when it has waited for its peer; `None` while a request of it is being answered.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        match *self.phase.lock() {
            Phase::Waits(since) => Some(since),
            Phase::Works | Phase::Answers { .. } => None,
        }
    }

    /// Whether nothing is outstanding: requests were answered, and none has begun since.
    pub(super) fn is_idle(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed) && !self.is_asked.load(Ordering::Relaxed)
    }

    /// Whether the peer read nothing for too long.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }
}

/// The socket of a connection.
pub(super) struct PeerSocket {
    socket: TcpStream,
    /// How long the peer may read nothing.
    patience: Duration,
    progress: Arc<RequestProgress>,
    /// Runs while the peer reads nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl PeerSocket {
    pub(super) const fn new(socket: TcpStream, patience: Duration, progress: Arc<RequestProgress>) -> Self {
        Self { socket, patience, progress, stall: None }
    }

    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stall.as_mut().poll(context));
        self.progress.is_stalled.store(true, Ordering::Relaxed);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for PeerSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.is_asked.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for PeerSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Called when a whole answer has been written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        if flushed.is_ready() {
            self.progress.has_gone();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

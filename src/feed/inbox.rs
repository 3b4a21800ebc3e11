//! The bounded channel from the connections to a worker.
//!
//! The sending side is asynchronous, the receiving side a plain thread. A full channel makes the connection wait, and a
//! connection that waits does not read: the back-pressure reaches the socket.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::time::Timestamp;
use crate::wire::framing::{Piece, Run};
use crate::wire::plan::Plan;

use super::session::ConnectionId;

/// What a connection tells its worker, in order.
#[derive(Debug)]
pub enum FeedEvent {
    /// It was accepted.
    Open {
        /// Address and port.
        peer: Arc<str>,
        /// Closes it.
        close: CancellationToken,
    },
    /// Whole records, or the beginning of one that is too long.
    Piece {
        /// How they were cut, and are to be read.
        plan: Arc<Plan>,
        /// The bytes.
        piece: Piece,
        /// When they were read, for the latency.
        read_at: std::time::Instant,
        /// Lets the connection send another one when this one is done.
        in_flight: OwnedSemaphorePermit,
    },
    /// Silence for `snapshot_idle` while it was being read.
    Idle,
    /// It ended inside a record.
    Torn(Run),
    /// It ended.
    Close,
}

/// A [`FeedEvent`] with its origin.
#[derive(Debug)]
pub struct FromFeed {
    /// Position of the integration in the configuration.
    pub integration: usize,
    /// Which connection.
    pub connection: ConnectionId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: FeedEvent,
}

/// A message on the channel: from a feed, or from the service.
#[derive(Debug)]
pub enum Letter<C> {
    /// From a connection.
    Feed(FromFeed),
    /// From the service.
    Control(C),
}

/// Connects one worker.
pub fn channel<C>(capacity: usize) -> (Outlet<C>, Inbox<C>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let room = Arc::new(Notify::new());
    (Outlet { sender, room: Arc::clone(&room) }, Inbox { receiver, room })
}

/// The sending side.
#[derive(Debug)]
pub struct Outlet<C> {
    sender: Sender<Letter<C>>,
    room: Arc<Notify>,
}

impl<C> Clone for Outlet<C> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), room: Arc::clone(&self.room) }
    }
}

/// The worker has ended.
#[derive(Debug, thiserror::Error)]
#[error("the worker of this integration has ended")]
pub struct WorkerGone;

impl<C> Outlet<C> {
    /// Sends; waits while the channel is full.
    ///
    /// # Errors
    /// When the worker has ended.
    pub async fn send(&self, letter: Letter<C>) -> Result<(), WorkerGone> {
        let mut letter = letter;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the attempt: room that is made in between is not missed.
            room.as_mut().enable();
            letter = match self.sender.try_send(letter) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(letter)) => letter,
                Err(TrySendError::Disconnected(_)) => return Err(WorkerGone),
            };
            room.await;
        }
    }
}

/// The worker's side.
#[derive(Debug)]
pub struct Inbox<C> {
    receiver: Receiver<Letter<C>>,
    room: Arc<Notify>,
}

/// What came, or why nothing did.
#[derive(Debug)]
pub enum Received<C> {
    /// A letter.
    Letter(Letter<C>),
    /// The time is over.
    TimedOut,
    /// Nobody is left to send one.
    Ended,
}

impl<C> Inbox<C> {
    /// Waits for a letter, at most so long.
    pub fn receive(&self, at_most: Duration) -> Received<C> {
        let received = match self.receiver.recv_timeout(at_most) {
            Ok(letter) => Received::Letter(letter),
            Err(RecvTimeoutError::Timeout) => Received::TimedOut,
            Err(RecvTimeoutError::Disconnected) => Received::Ended,
        };
        self.room.notify_waiters();
        received
    }
}

impl<C> Drop for Inbox<C> {
    fn drop(&mut self) {
        // Who waits for room must learn that there will never be any.
        let (_, closed) = crossbeam_channel::bounded(0);
        drop(std::mem::replace(&mut self.receiver, closed));
        self.room.notify_waiters();
    }
}

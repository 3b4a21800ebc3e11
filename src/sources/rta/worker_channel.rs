//! The bounded channels from the connections to a worker, one for each of its integrations. They can be added and removed while
//! the worker runs.
//!
//! The sending side is asynchronous, the receiving side a plain thread. A full channel makes the connection wait, and a
//! waiting connection does not read: the back-pressure reaches the socket, and no other integration. The worker takes a
//! message of each integration in turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::engine::session::ConnectionId;
use crate::time::Timestamp;
use crate::wire::framing::{Piece, Run};
use crate::wire::plan::Plan;

/// What a connection sends to its worker, in order.
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
        /// How they were cut, and how to read them.
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
    /// Which connection.
    pub connection: ConnectionId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: FeedEvent,
}

/// A message on the channel: from a feed, or from the service.
#[derive(Debug)]
pub enum WorkerMessage<C> {
    /// From a connection.
    Feed(FromFeed),
    /// From the service.
    Control(C),
}

/// Returns a channel of one integration, which holds so many messages.
pub fn channel<C>(capacity: usize) -> (WorkerSender<C>, Channel<C>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let room = Arc::new(Notify::new());
    (WorkerSender { sender, room: Arc::clone(&room) }, Channel { receiver, room, rest: None, has_ended: false })
}

/// Connects one worker with so many integrations, and no more; each channel holds so many messages.
pub fn channels<C, N>(integrations: usize, capacity: usize) -> (Vec<WorkerSender<C>>, WorkerReceiver<C, N>) {
    let (senders, channels) = (0..integrations).map(|_| channel(capacity)).unzip();
    let (_, receiver) = receiver();
    (senders, WorkerReceiver { channels, ..receiver })
}

/// Gives a worker more channels, each with what the worker is to know of it.
pub type Newcomers<C, N> = Sender<(Channel<C>, N)>;

/// Returns a worker's side without channels, and the way to give it more.
pub fn receiver<C, N>() -> (Newcomers<C, N>, WorkerReceiver<C, N>) {
    let (sender, newcomers) = crossbeam_channel::bounded(1);
    (sender, WorkerReceiver { channels: Vec::new(), newcomers, takes_more: true, next: 0 })
}

/// The sending side.
#[derive(Debug)]
pub struct WorkerSender<C> {
    sender: Sender<WorkerMessage<C>>,
    room: Arc<Notify>,
}

impl<C> Clone for WorkerSender<C> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), room: Arc::clone(&self.room) }
    }
}

/// The worker has ended.
#[derive(Debug, thiserror::Error)]
#[error("the worker of this integration has ended")]
pub struct WorkerGone;

impl<C> WorkerSender<C> {
    /// Sends; waits while the channel is full.
    ///
    /// # Errors
    /// When the worker has ended.
    pub async fn send(&self, message: WorkerMessage<C>) -> Result<(), WorkerGone> {
        let mut message = message;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the attempt: so room made in between is not missed.
            room.as_mut().enable();
            message = match self.sender.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(message)) => message,
                Err(TrySendError::Disconnected(_)) => return Err(WorkerGone),
            };
            room.await;
        }
    }
}

/// The worker's side.
#[derive(Debug)]
pub struct WorkerReceiver<C, N> {
    channels: Vec<Channel<C>>,
    newcomers: Receiver<(Channel<C>, N)>,
    /// More may come.
    takes_more: bool,
    /// Whose turn it is.
    next: usize,
}

/// The receiving side of an integration's channel.
#[derive(Debug)]
pub struct Channel<C> {
    receiver: Receiver<WorkerMessage<C>>,
    room: Arc<Notify>,
    /// What was left of a message when its turn was over.
    rest: Option<WorkerMessage<C>>,
    /// No sender is left.
    has_ended: bool,
}

/// What came, or why nothing did.
#[derive(Debug)]
pub enum Received<C, N> {
    /// A message, with its channel.
    Message(usize, WorkerMessage<C>),
    /// There is one more channel, the last one.
    Newcomer(N),
    /// The time is up.
    TimedOut,
    /// No sender is left, and no channel will be added.
    Ended,
}

impl<C, N> WorkerReceiver<C, N> {
    /// Waits for a message, at most so long. Each channel has its turn, except those for which `may` is false.
    pub fn receive(&mut self, at_most: Duration, may: impl Fn(usize) -> bool) -> Received<C, N> {
        let deadline = Instant::now() + at_most;
        let (count, first) = (self.channels.len(), self.next);
        loop {
            match self.newcomers.try_recv() {
                Ok((channel, newcomer)) => {
                    self.channels.push(channel);
                    return Received::Newcomer(newcomer);
                }
                Err(TryRecvError::Disconnected) => self.takes_more = false,
                Err(TryRecvError::Empty) => {}
            }
            for index in (0..count).map(|offset| (first + offset) % count).filter(|index| may(*index)) {
                if let Some(message) = self.take(index) {
                    self.next = (index + 1) % count;
                    return Received::Message(index, message);
                }
            }
            if !self.takes_more && self.channels.iter().all(|channel| channel.has_ended && channel.rest.is_none()) {
                return Received::Ended;
            }
            let mut select = Select::new();
            if self.takes_more {
                select.recv(&self.newcomers);
            }
            for (index, channel) in self.channels.iter().enumerate() {
                if may(index) && !channel.has_ended {
                    select.recv(&channel.receiver);
                }
            }
            if select.ready_deadline(deadline).is_err() {
                return Received::TimedOut;
            }
        }
    }

    fn take(&mut self, index: usize) -> Option<WorkerMessage<C>> {
        let channel = &mut self.channels[index];
        if let Some(rest) = channel.rest.take() {
            return Some(rest);
        }
        let message = channel.receiver.try_recv();
        channel.has_ended = matches!(message, Err(TryRecvError::Disconnected));
        channel.room.notify_waiters();
        message.ok()
    }

    /// Removes a channel; the last one takes its place. Whoever still sends there learns that nobody is left.
    pub fn remove(&mut self, index: usize) {
        self.channels.swap_remove(index);
        self.next = 0;
    }

    /// Puts back what is left of a message of that channel, whose turn is over: it comes before all that wait there.
    pub fn put_back(&mut self, index: usize, rest: WorkerMessage<C>) {
        self.channels[index].rest = Some(rest);
    }

    /// Whether something is left of a message of that channel.
    pub fn has_rest(&self, index: usize) -> bool {
        self.channels[index].rest.is_some()
    }

    /// Whether nothing waits in that channel.
    pub fn is_empty(&self, index: usize) -> bool {
        let channel = &self.channels[index];
        channel.rest.is_none() && channel.receiver.is_empty()
    }
}

impl<C> Drop for Channel<C> {
    fn drop(&mut self) {
        // Senders that wait for room must learn that there will never be any.
        let (_, closed) = crossbeam_channel::bounded(0);
        drop(std::mem::replace(&mut self.receiver, closed));
        self.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(to_worker: &WorkerSender<u32>, messages: impl IntoIterator<Item = u32>) {
        messages
            .into_iter()
            .for_each(|message| to_worker.sender.try_send(WorkerMessage::Control(message)).expect("room"));
    }

    fn taken(receiver: &mut WorkerReceiver<u32, ()>, may: impl Fn(usize) -> bool) -> Vec<u32> {
        let next = || match receiver.receive(Duration::ZERO, &may) {
            Received::Message(_, WorkerMessage::Control(message)) => Some(message),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_integration_has_its_turn_and_its_messages_keep_their_order() {
        let (senders, mut receiver) = channels(3, 8);
        send(&senders[0], [1, 2, 3, 4]);
        send(&senders[1], [11]);
        send(&senders[2], [21, 22]);
        assert_eq!(taken(&mut receiver, |_| true), [1, 11, 21, 2, 22, 3, 4]);
    }

    #[test]
    fn what_is_left_of_a_message_comes_first_when_it_is_its_turn_again() {
        let (senders, mut receiver) = channels(2, 8);
        send(&senders[0], [1, 3]);
        send(&senders[1], [11, 12]);
        assert!(matches!(receiver.receive(Duration::ZERO, |_| true), Received::Message(0, WorkerMessage::Control(1))));
        receiver.put_back(0, WorkerMessage::Control(2));
        assert!(!receiver.is_empty(0));
        assert_eq!(taken(&mut receiver, |_| true), [11, 2, 12, 3]);
        assert!(receiver.is_empty(0) && receiver.is_empty(1));
    }

    #[test]
    fn who_may_not_waits_and_the_others_go_on() {
        let (senders, mut receiver) = channels(2, 8);
        send(&senders[0], [1, 2]);
        send(&senders[1], [11, 12]);
        assert_eq!(taken(&mut receiver, |index| index == 1), [11, 12]);
        assert!(matches!(receiver.receive(Duration::ZERO, |index| index == 1), Received::TimedOut));
        assert_eq!(taken(&mut receiver, |_| true), [1, 2]);
    }

    #[test]
    fn a_channel_can_be_removed_and_another_added_while_the_others_go_on() {
        let (add, mut receiver) = receiver();
        let mut senders = Vec::new();
        for name in ["a", "b", "c"] {
            let (to_worker, channel) = channel(8);
            senders.push(to_worker);
            add.send((channel, name)).unwrap();
            assert!(matches!(receiver.receive(Duration::ZERO, |_| true), Received::Newcomer(added) if added == name));
        }
        send(&senders[0], [1]);
        send(&senders[2], [21, 22]);
        receiver.remove(0);
        assert!(senders[0].sender.try_send(WorkerMessage::Control(2)).is_err(), "nobody is left");
        let next = |receiver: &mut WorkerReceiver<u32, &str>| match receiver.receive(Duration::ZERO, |_| true) {
            Received::Message(index, WorkerMessage::Control(message)) => Some((index, message)),
            _ => None,
        };
        assert_eq!(next(&mut receiver), Some((0, 21)), "the last one has taken its place");
        let (to_worker, channel) = channel(8);
        add.send((channel, "d")).unwrap();
        send(&to_worker, [31]);
        assert!(matches!(receiver.receive(Duration::ZERO, |_| true), Received::Newcomer("d")));
        assert_eq!([next(&mut receiver), next(&mut receiver)], [Some((2, 31)), Some((0, 22))]);
        assert_eq!(next(&mut receiver), None);
    }

    #[test]
    fn it_has_ended_when_nobody_is_left_to_send() {
        let (mut senders, mut receiver) = channels(2, 8);
        send(&senders[0], [1]);
        senders.remove(1);
        assert_eq!(taken(&mut receiver, |_| true), [1]);
        assert!(matches!(receiver.receive(Duration::ZERO, |_| true), Received::TimedOut));
        senders.clear();
        assert!(matches!(receiver.receive(Duration::from_secs(60), |_| true), Received::Ended));
    }
}

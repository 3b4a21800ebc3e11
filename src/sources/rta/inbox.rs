//! The bounded channels from the connections to a worker, one for each of its integrations. They can be added and removed while
//! the worker runs.
//!
//! The sending side is asynchronous, the receiving side a plain thread. A full channel makes the connection wait, and a
//! waiting connection does not read: the back-pressure reaches the socket, and no other integration. The worker takes a
//! letter of each integration in turn.

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
pub enum Letter<C> {
    /// From a connection.
    Feed(FromFeed),
    /// From the service.
    Control(C),
}

/// Returns a channel of one integration, which holds so many letters.
pub fn channel<C>(capacity: usize) -> (Outlet<C>, Channel<C>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    let room = Arc::new(Notify::new());
    (Outlet { sender, room: Arc::clone(&room) }, Channel { receiver, room, rest: None, has_ended: false })
}

/// Connects one worker with so many integrations, and no more; each channel holds so many letters.
pub fn channels<C, N>(integrations: usize, capacity: usize) -> (Vec<Outlet<C>>, Inbox<C, N>) {
    let (outlets, channels) = (0..integrations).map(|_| channel(capacity)).unzip();
    let (_, inbox) = inbox();
    (outlets, Inbox { channels, ..inbox })
}

/// Returns a worker's side without channels, and the way to give it more: each with what the worker is to know of it.
pub fn inbox<C, N>() -> (Sender<(Channel<C>, N)>, Inbox<C, N>) {
    let (sender, newcomers) = crossbeam_channel::bounded(1);
    (sender, Inbox { channels: Vec::new(), newcomers, takes_more: true, next: 0 })
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
            // Registered before the attempt: so room made in between is not missed.
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
pub struct Inbox<C, N> {
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
    receiver: Receiver<Letter<C>>,
    room: Arc<Notify>,
    /// What was left of a letter when its turn was over.
    rest: Option<Letter<C>>,
    /// No sender is left.
    has_ended: bool,
}

/// What came, or why nothing did.
#[derive(Debug)]
pub enum Received<C, N> {
    /// A letter, with its channel.
    Letter(usize, Letter<C>),
    /// There is one more channel, the last one.
    Newcomer(N),
    /// The time is up.
    TimedOut,
    /// No sender is left, and no channel will be added.
    Ended,
}

impl<C, N> Inbox<C, N> {
    /// Waits for a letter, at most so long. Each channel has its turn, except those for which `may` is false.
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
                if let Some(letter) = self.take(index) {
                    self.next = (index + 1) % count;
                    return Received::Letter(index, letter);
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

    fn take(&mut self, index: usize) -> Option<Letter<C>> {
        let channel = &mut self.channels[index];
        if let Some(rest) = channel.rest.take() {
            return Some(rest);
        }
        let letter = channel.receiver.try_recv();
        channel.has_ended = matches!(letter, Err(TryRecvError::Disconnected));
        channel.room.notify_waiters();
        letter.ok()
    }

    /// Removes a channel; the last one takes its place. Whoever still sends there learns that nobody is left.
    pub fn remove(&mut self, index: usize) {
        self.channels.swap_remove(index);
        self.next = 0;
    }

    /// Puts back what is left of a letter of that channel, whose turn is over: it comes before all that wait there.
    pub fn put_back(&mut self, index: usize, rest: Letter<C>) {
        self.channels[index].rest = Some(rest);
    }

    /// Whether something is left of a letter of that channel.
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

    fn letters(outlet: &Outlet<u32>, letters: impl IntoIterator<Item = u32>) {
        letters.into_iter().for_each(|letter| outlet.sender.try_send(Letter::Control(letter)).expect("room"));
    }

    fn taken(inbox: &mut Inbox<u32, ()>, may: impl Fn(usize) -> bool) -> Vec<u32> {
        let next = || match inbox.receive(Duration::ZERO, &may) {
            Received::Letter(_, Letter::Control(letter)) => Some(letter),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_integration_has_its_turn_and_its_letters_keep_their_order() {
        let (outlets, mut inbox) = channels(3, 8);
        letters(&outlets[0], [1, 2, 3, 4]);
        letters(&outlets[1], [11]);
        letters(&outlets[2], [21, 22]);
        assert_eq!(taken(&mut inbox, |_| true), [1, 11, 21, 2, 22, 3, 4]);
    }

    #[test]
    fn what_is_left_of_a_letter_comes_first_when_it_is_its_turn_again() {
        let (outlets, mut inbox) = channels(2, 8);
        letters(&outlets[0], [1, 3]);
        letters(&outlets[1], [11, 12]);
        assert!(matches!(inbox.receive(Duration::ZERO, |_| true), Received::Letter(0, Letter::Control(1))));
        inbox.put_back(0, Letter::Control(2));
        assert!(!inbox.is_empty(0));
        assert_eq!(taken(&mut inbox, |_| true), [11, 2, 12, 3]);
        assert!(inbox.is_empty(0) && inbox.is_empty(1));
    }

    #[test]
    fn who_may_not_waits_and_the_others_go_on() {
        let (outlets, mut inbox) = channels(2, 8);
        letters(&outlets[0], [1, 2]);
        letters(&outlets[1], [11, 12]);
        assert_eq!(taken(&mut inbox, |index| index == 1), [11, 12]);
        assert!(matches!(inbox.receive(Duration::ZERO, |index| index == 1), Received::TimedOut));
        assert_eq!(taken(&mut inbox, |_| true), [1, 2]);
    }

    #[test]
    fn a_channel_can_be_removed_and_another_added_while_the_others_go_on() {
        let (add, mut inbox) = inbox();
        let mut outlets = Vec::new();
        for name in ["a", "b", "c"] {
            let (outlet, channel) = channel(8);
            outlets.push(outlet);
            add.send((channel, name)).unwrap();
            assert!(matches!(inbox.receive(Duration::ZERO, |_| true), Received::Newcomer(added) if added == name));
        }
        letters(&outlets[0], [1]);
        letters(&outlets[2], [21, 22]);
        inbox.remove(0);
        assert!(outlets[0].sender.try_send(Letter::Control(2)).is_err(), "nobody is left");
        let next = |inbox: &mut Inbox<u32, &str>| match inbox.receive(Duration::ZERO, |_| true) {
            Received::Letter(index, Letter::Control(letter)) => Some((index, letter)),
            _ => None,
        };
        assert_eq!(next(&mut inbox), Some((0, 21)), "the last one has taken its place");
        let (outlet, channel) = channel(8);
        add.send((channel, "d")).unwrap();
        letters(&outlet, [31]);
        assert!(matches!(inbox.receive(Duration::ZERO, |_| true), Received::Newcomer("d")));
        assert_eq!([next(&mut inbox), next(&mut inbox)], [Some((2, 31)), Some((0, 22))]);
        assert_eq!(next(&mut inbox), None);
    }

    #[test]
    fn it_has_ended_when_nobody_is_left_to_send() {
        let (mut outlets, mut inbox) = channels(2, 8);
        letters(&outlets[0], [1]);
        outlets.remove(1);
        assert_eq!(taken(&mut inbox, |_| true), [1]);
        assert!(matches!(inbox.receive(Duration::ZERO, |_| true), Received::TimedOut));
        outlets.clear();
        assert!(matches!(inbox.receive(Duration::from_secs(60), |_| true), Received::Ended));
    }
}

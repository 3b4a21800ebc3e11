//! The outbox: what one integration has handed over and Kafka has not acknowledged.
//!
//! Purpose: the seam between the worker, which submits, and the publisher thread, which takes. This one is in memory;
//! a durable journal takes its place by keeping the same four promises:
//!
//! * every message has a *position*, counted from 0 without holes, in the order of submission;
//! * a message is retained until each of its topics has acknowledged it, and messages leave from the front only, so
//!   that [`Outbox::acknowledged_to`] is a prefix: everything below it is in Kafka;
//! * [`Outbox::rewind`] makes the publisher take again whatever must be sent again after its producer was lost;
//! * a full outbox blocks the submitter ([`Outbox::submit`]) and nothing else; [`Outbox::close`] releases it.
//!
//! Invariant of order: after a rewind, a message is sent again if it is not acknowledged *or* if an earlier message of
//! the same key has to be sent again to the same topic. The last copies of a key's messages are therefore always in
//! order, which is what the compacted topic depends on; earlier copies are duplicates with the same `event_id`.
//!
//! Failure policy: nothing is dropped here. What is unacknowledged when the process ends is lost, and
//! [`Outbox::pending`] says how much that is. Cost: one lock per batch submitted and taken and one per acknowledgement;
//! bounded by messages and bytes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::message::{Batch, Message, Route, Topic};

/// How much an outbox holds before it blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes of keys, values and headers.
    pub bytes: usize,
}

impl Limits {
    /// The bound on bytes unless told otherwise.
    pub const DEFAULT_BYTES: usize = 64 * 1024 * 1024;
}

/// The batch comes back: the outbox is closed.
#[derive(Debug, thiserror::Error)]
#[error("the outbox is closed: {} messages were not accepted", .0.messages.len())]
pub struct Closed(pub Batch);

/// A message on its way, as the publisher takes it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its position.
    pub position: u64,
    /// The message.
    pub message: Arc<Message>,
    awaiting: TopicSet,
}

impl Outgoing {
    /// The topics that it must be sent to now.
    pub fn topics(&self) -> impl Iterator<Item = Topic> + use<> {
        let awaiting = self.awaiting;
        Topic::ALL.into_iter().filter(move |topic| awaiting.contains(*topic))
    }
}

/// What [`Outbox::take`] came back for.
#[derive(Debug)]
pub enum Taken {
    /// The next messages, at least one.
    Messages(Vec<Outgoing>),
    /// Somebody called [`Outbox::interrupt`]: look around and come back.
    Interrupted,
    /// Everything below the position asked for is acknowledged.
    Reached,
    /// The end: [`Outbox::stop`] was called.
    Stopped,
}

/// A message whose last topic has acknowledged it, for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Where it went.
    pub route: Route,
    /// When its bytes were read from the socket.
    pub read_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TopicSet(u8);

impl TopicSet {
    const EMPTY: Self = Self(0);

    fn of(route: Route) -> Self {
        Self(route.topics().iter().fold(0, |bits, topic| bits | Self::bit(*topic)))
    }

    const fn bit(topic: Topic) -> u8 {
        1 << topic as u8
    }

    const fn contains(self, topic: Topic) -> bool {
        self.0 & Self::bit(topic) != 0
    }

    const fn insert(&mut self, topic: Topic) {
        self.0 |= Self::bit(topic);
    }

    const fn remove(&mut self, topic: Topic) {
        self.0 &= !Self::bit(topic);
    }
}

struct Entry {
    message: Arc<Message>,
    size: usize,
    submitted_at: Instant,
    awaiting: TopicSet,
    /// All topics have acknowledged it once; after a rewind it may nevertheless await some again.
    settled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
    Stopped,
}

struct State {
    entries: VecDeque<Entry>,
    /// Position of the first entry.
    first: u64,
    /// Position that is taken next.
    next: u64,
    bytes: usize,
    pending: usize,
    /// What the publisher waits for in [`Outbox::take`].
    until: u64,
    interrupted: bool,
    phase: Phase,
}

/// See the module.
pub struct Outbox {
    limits: Limits,
    state: Mutex<State>,
    /// For submitters: there is room, or the outbox is closed.
    room: Condvar,
    /// For the publisher: there is something to take, or to look at.
    work: Condvar,
    /// For whoever drains: nothing is left.
    empty: Condvar,
}

impl Outbox {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        let state = State {
            entries: VecDeque::new(),
            first: 0,
            next: 0,
            bytes: 0,
            pending: 0,
            until: u64::MAX,
            interrupted: false,
            phase: Phase::Open,
        };
        Self { limits, state: Mutex::new(state), room: Condvar::new(), work: Condvar::new(), empty: Condvar::new() }
    }

    /// Appends a batch, whole or not at all, and blocks while there is no room for it. A batch larger than the limits
    /// waits until the outbox is empty and then goes in alone. Returns the position after its last message: it is in
    /// Kafka when [`Outbox::acknowledged_to`] has come that far.
    ///
    /// # Errors
    /// [`Closed`] with the batch when the outbox is closed, also while waiting.
    pub fn submit(&self, batch: Batch) -> Result<u64, Closed> {
        let bytes: usize = batch.messages.iter().map(Message::size).sum();
        let mut state = self.state.lock();
        loop {
            if state.phase != Phase::Open {
                return Err(Closed(batch));
            }
            let fits = state.entries.len() + batch.messages.len() <= self.limits.messages
                && state.bytes + bytes <= self.limits.bytes;
            if fits || state.entries.is_empty() {
                break;
            }
            self.room.wait(&mut state);
        }
        let submitted_at = Instant::now();
        state.bytes += bytes;
        state.pending += batch.messages.len();
        state.entries.extend(batch.messages.into_iter().map(|message| Entry {
            size: message.size(),
            awaiting: TopicSet::of(message.route),
            message: Arc::new(message),
            submitted_at,
            settled: false,
        }));
        let end = state.first + state.entries.len() as u64;
        drop(state);
        self.work.notify_one();
        Ok(end)
    }

    /// Blocks until there is something for the publisher: at most `most` messages below position `until`, in order.
    pub fn take(&self, most: usize, until: u64) -> Taken {
        let mut state = self.state.lock();
        state.until = until;
        loop {
            if state.phase == Phase::Stopped {
                return Taken::Stopped;
            }
            if std::mem::take(&mut state.interrupted) {
                return Taken::Interrupted;
            }
            if state.first >= until {
                return Taken::Reached;
            }
            let messages = state.collect(most, until);
            if !messages.is_empty() {
                return Taken::Messages(messages);
            }
            self.work.wait(&mut state);
        }
    }

    /// A topic has the message. Says so when that was the last one it waited for; unknown positions are ignored, for
    /// a duplicate's report may come late.
    pub fn acknowledge(&self, position: u64, topic: Topic) -> Option<Acknowledged> {
        let mut state = self.state.lock();
        let entry = state.entry(position)?;
        entry.awaiting.remove(topic);
        if entry.awaiting != TopicSet::EMPTY {
            return None;
        }
        let first_time = !std::mem::replace(&mut entry.settled, true);
        let acknowledged = Acknowledged { route: entry.message.route, read_at: entry.message.read_at };
        if first_time {
            state.pending -= 1;
        }
        self.release(&mut state);
        first_time.then_some(acknowledged)
    }

    /// The same as [`Outbox::take`] without waiting: nothing, where there is nothing.
    pub fn take_ready(&self, most: usize, until: u64) -> Vec<Outgoing> {
        self.state.lock().collect(most, until)
    }

    /// Everything below the position is in Kafka, on all topics: a transaction was committed. Returns what was not
    /// settled before. Positions that were not submitted yet are left alone.
    pub fn acknowledge_to(&self, position: u64) -> Vec<Acknowledged> {
        let mut state = self.state.lock();
        let count = usize::try_from(position.saturating_sub(state.first)).unwrap_or(usize::MAX);
        let mut acknowledged = Vec::new();
        for entry in state.entries.iter_mut().take(count) {
            entry.awaiting = TopicSet::EMPTY;
            if !std::mem::replace(&mut entry.settled, true) {
                acknowledged.push(Acknowledged { route: entry.message.route, read_at: entry.message.read_at });
            }
        }
        state.pending -= acknowledged.len();
        self.release(&mut state);
        acknowledged
    }

    /// Puts another message in the place of one that Kafka will never take, or, without one, lets the rest go on.
    /// Returns the replacement as it is to be sent.
    pub fn replace(&self, position: u64, replacement: Option<Message>) -> Option<Outgoing> {
        let mut state = self.state.lock();
        let entry = state.entry(position)?;
        let old_size = entry.size;
        match replacement {
            Some(message) => {
                entry.size = message.size();
                entry.awaiting = TopicSet::of(message.route);
                entry.message = Arc::new(message);
                let outgoing = Outgoing { position, message: Arc::clone(&entry.message), awaiting: entry.awaiting };
                let new_size = entry.size;
                state.bytes = state.bytes - old_size + new_size;
                Some(outgoing)
            }
            None => {
                entry.awaiting = TopicSet::EMPTY;
                if !std::mem::replace(&mut entry.settled, true) {
                    state.pending -= 1;
                }
                self.release(&mut state);
                None
            }
        }
    }

    /// The message at a position, while it is retained.
    pub fn message(&self, position: u64) -> Option<Arc<Message>> {
        self.state.lock().entry(position).map(|entry| Arc::clone(&entry.message))
    }

    /// The producer is gone: whatever it had not delivered is taken again, and after it what must not stay before it
    /// (see the module). Returns how many acknowledged messages are sent a second time for that reason.
    pub fn rewind(&self) -> usize {
        let mut state = self.state.lock();
        let taken = usize::try_from(state.next - state.first).unwrap_or(usize::MAX);
        let mut sent_again: HashSet<(Arc<str>, Topic)> = HashSet::new();
        let mut duplicates = 0;
        for entry in state.entries.iter_mut().take(taken) {
            let mut duplicate = false;
            for &topic in entry.message.route.topics() {
                let key = (Arc::clone(&entry.message.key), topic);
                if entry.awaiting.contains(topic) {
                    sent_again.insert(key);
                } else if sent_again.contains(&key) {
                    entry.awaiting.insert(topic);
                    duplicate = true;
                }
            }
            duplicates += usize::from(duplicate);
        }
        state.next = state.first;
        duplicates
    }

    /// Wakes the publisher out of [`Outbox::take`].
    pub fn interrupt(&self) {
        self.state.lock().interrupted = true;
        self.work.notify_all();
    }

    /// Waits, for the publisher; true if the outbox was stopped meanwhile.
    #[must_use]
    pub fn pause(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.state.lock();
        while state.phase != Phase::Stopped {
            if self.work.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.phase == Phase::Stopped
    }

    /// Refuses further batches and releases blocked submitters; what is inside is still published.
    pub fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        self.room.notify_all();
    }

    /// Ends the publisher's work, whatever is left.
    pub fn stop(&self) {
        self.state.lock().phase = Phase::Stopped;
        self.room.notify_all();
        self.work.notify_all();
        self.empty.notify_all();
    }

    /// Waits until everything is acknowledged, at most until the deadline. Returns what is left.
    pub fn wait_empty(&self, deadline: Instant) -> usize {
        let mut state = self.state.lock();
        while !state.entries.is_empty() && state.phase != Phase::Stopped {
            if self.empty.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.pending
    }

    /// Every message below this position is acknowledged by all of its topics.
    pub fn acknowledged_to(&self) -> u64 {
        self.state.lock().first
    }

    /// Messages that are not yet acknowledged.
    pub fn pending(&self) -> usize {
        self.state.lock().pending
    }

    /// For how long the oldest message has been waiting; zero if none is.
    pub fn oldest_age(&self) -> Duration {
        let state = self.state.lock();
        state.entries.front().map_or(Duration::ZERO, |entry| entry.submitted_at.elapsed())
    }

    /// Lets go of what is acknowledged at the front.
    fn release(&self, state: &mut State) {
        let before = state.first;
        while let Some(entry) = state.entries.pop_front_if(|entry| entry.awaiting == TopicSet::EMPTY) {
            state.bytes -= entry.size;
            state.first += 1;
        }
        if state.first == before {
            return;
        }
        state.next = state.next.max(state.first);
        // Not at the first free place: a full outbox would otherwise wake its worker for every acknowledgement.
        let (messages, bytes) = (self.limits.messages / 4 * 3, self.limits.bytes / 4 * 3);
        if state.entries.len() <= messages && state.bytes <= bytes {
            self.room.notify_all();
        }
        if state.entries.is_empty() {
            self.room.notify_all();
            self.empty.notify_all();
        }
        if state.first >= state.until {
            self.work.notify_all();
        }
    }
}

impl State {
    fn entry(&mut self, position: u64) -> Option<&mut Entry> {
        let index = position.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    fn collect(&mut self, most: usize, until: u64) -> Vec<Outgoing> {
        let mut messages = Vec::new();
        while messages.len() < most && self.next < until {
            let position = self.next;
            let Some(entry) = self.entry(position) else { break };
            if entry.awaiting != TopicSet::EMPTY {
                let (message, awaiting) = (Arc::clone(&entry.message), entry.awaiting);
                messages.push(Outgoing { position, message, awaiting });
            }
            self.next += 1;
        }
        messages
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;

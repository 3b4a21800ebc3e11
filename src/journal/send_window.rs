//! The send window: the part of an integration's journal that is in memory, and how much of it Kafka has.
//!
//! Purpose: connects the journal, which appends what is safe on disk, with the publisher thread, which takes it from here.
//!
//! * every message has a *position*, without holes, in the order of submission, across restarts too;
//! * a message is retained until each of its topics has acknowledged it, and messages leave from the front only, so
//!   that [`SendWindow::acknowledged_to`] is a prefix: everything below it is in Kafka;
//! * [`SendWindow::rewind`] makes the publisher take again whatever must be sent again after its producer was lost;
//! * it is a *window*: what does not fit stays on disk only, and the publisher has to fetch it ([`Taken::Behind`]);
//! * nothing from the position of a pause on is given out ([`SendWindow::pause`]): the integration is paused.
//!
//! Invariant of order: after a rewind, a message is sent again if it is not acknowledged *or* if an earlier message of
//! the same key has to be sent again to the same topic. The last copies of a key's messages are therefore always in
//! order, which is what the compacted topic depends on; earlier copies are duplicates with the same `event_id`.
//!
//! Failure policy: nothing is dropped here, and appending never blocks. Cost: one lock per batch appended and taken and one
//! per acknowledgement; bounded by messages and bytes.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::message::{Message, Topic};
use super::window_state::{TopicSet, WindowState, size_of};

pub use super::window_state::{Acknowledged, OVERHEAD, Outgoing, Taken, WindowLimits};

/// The in-memory window of an integration's journal, between the journal and the publisher.
pub struct SendWindow {
    limits: WindowLimits,
    state: Mutex<WindowState>,
    /// For the publisher: there is something to take, or to look at.
    work: Condvar,
    /// For [`SendWindow::wait_empty`]: nothing is left.
    empty: Condvar,
    released: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl SendWindow {
    /// Creates the window of a journal that holds the positions from `first`, the first that is not acknowledged, to `end`.
    pub fn new(limits: WindowLimits, first: u64, end: u64, paused_at: Option<u64>) -> Self {
        let state = WindowState {
            entries: VecDeque::new(),
            first,
            next: first,
            end: end.max(first),
            bytes: 0,
            lost: 0,
            unsettled: 0,
            until: u64::MAX,
            paused_at,
            on_disk_since: None,
            untracked: None,
            interrupted: false,
            is_stopped: false,
        };
        let (work, empty, released) = (Condvar::new(), Condvar::new(), OnceLock::new());
        Self { limits, state: Mutex::new(state), work, empty, released }
    }

    /// Sets what is called whenever the position up to which everything is acknowledged has risen. It must not block for long,
    /// nor call the send window.
    pub fn when_released(&self, call: Box<dyn Fn() + Send + Sync>) {
        // There is one journal.
        let _ = self.released.set(call);
    }

    /// Sets when the oldest message left by an earlier run was written.
    pub fn set_on_disk_since(&self, written_at: Instant) {
        self.state.lock().on_disk_since = Some(written_at);
    }

    /// Appends messages that the journal now has at its end. They stay in memory where they follow what is there and fit;
    /// otherwise they will be fetched.
    pub fn append(&self, messages: Vec<Message>, written_at: Instant) {
        let mut state = self.state.lock();
        let bytes: usize = messages.iter().map(size_of).sum();
        let fits =
            state.entries.len() + messages.len() <= self.limits.messages && state.bytes + bytes <= self.limits.bytes;
        let follows = state.window_end() == state.end && state.lost == 0;
        state.end += messages.len() as u64;
        if follows && (fits || state.entries.is_empty()) {
            state.extend(messages, written_at);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Adds messages read from the journal, the first of them at `first`: those that follow what is in memory are taken.
    pub fn refill(&self, first: u64, messages: Vec<Message>, written_at: Instant) {
        let mut state = self.state.lock();
        if state.lost > 0 {
            return;
        }
        let Some(known) = state.window_end().checked_sub(first) else { return };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        state.extend(messages.into_iter().skip(known), written_at);
    }

    /// Gives up what the journal had below this position and is not in memory, since it cannot be read. Returns how many
    /// messages that is.
    pub fn lose(&self, until: u64) -> u64 {
        let mut state = self.state.lock();
        let until = until.min(state.end);
        let lost = until.saturating_sub(state.window_end());
        state.lost += lost;
        self.release(&mut state);
        lost
    }

    /// Sends a message once, bypassing the journal; one that still waits is replaced.
    pub fn send_untracked(&self, message: Message) {
        self.state.lock().untracked = Some(Arc::new(message));
        self.work.notify_one();
    }

    /// Pauses before this position; `None` resumes.
    pub fn pause(&self, at: Option<u64>) {
        self.state.lock().paused_at = at;
        self.work.notify_all();
        self.empty.notify_all();
    }

    /// Returns the position before which it is paused.
    pub fn paused_at(&self) -> Option<u64> {
        self.state.lock().paused_at
    }

    /// Returns the position after the last message in the journal.
    pub fn end(&self) -> u64 {
        self.state.lock().end
    }

    /// Blocks until there is something for the publisher; takes at most `most` messages below position `until`, in order.
    pub fn take(&self, most: usize, until: u64) -> Taken {
        let mut state = self.state.lock();
        state.until = until;
        loop {
            if let Some(taken) = state.try_take(self.limits, most) {
                return taken;
            }
            self.work.wait(&mut state);
        }
    }

    /// Does the same without waiting.
    #[cfg(test)]
    pub(crate) fn try_take(&self, most: usize, until: u64) -> Option<Taken> {
        let mut state = self.state.lock();
        state.until = until;
        state.try_take(self.limits, most)
    }

    /// Records that a topic has the message. Returns the message's route when that was the last topic it waited for; unknown
    /// positions are ignored, since a duplicate's report may come late.
    pub fn acknowledge(&self, position: u64, topic: Topic) -> Option<Acknowledged> {
        let mut state = self.state.lock();
        let entry = state.entry(position)?;
        entry.copies = entry.copies.saturating_sub(1);
        if entry.copies > 0 {
            return None;
        }
        entry.awaiting.remove(topic);
        if entry.awaiting != TopicSet::EMPTY {
            return None;
        }
        let acknowledged = entry.settle();
        state.unsettled -= usize::from(acknowledged.is_some());
        self.release(&mut state);
        acknowledged
    }

    /// Records that everything below a position is in Kafka, on all topics: a transaction was committed. Returns what is
    /// acknowledged for the first time. The caller knows that these are positions of this journal; those that it does not
    /// have are ignored.
    pub fn acknowledge_to(&self, position: u64) -> Vec<Acknowledged> {
        let mut state = self.state.lock();
        let position = position.min(state.end);
        let below = usize::try_from(position.saturating_sub(state.first)).unwrap_or(usize::MAX);
        let mut acknowledged = Vec::new();
        for entry in state.entries.iter_mut().take(below) {
            entry.awaiting = TopicSet::EMPTY;
            acknowledged.extend(entry.settle());
        }
        state.unsettled -= acknowledged.len();
        self.release(&mut state);
        if state.entries.is_empty() && state.first < position {
            // Not fetched yet, and no longer needed.
            state.first = position;
            state.next = position;
            if let Some(released) = self.released.get() {
                released();
            }
            self.empty.notify_all();
        }
        acknowledged
    }

    /// Makes the message wait for so many copies of it.
    pub fn expect_copies(&self, position: u64, copies: usize) {
        if let Some(entry) = self.state.lock().entry(position) {
            entry.copies = copies;
        }
    }

    /// Takes like [`SendWindow::take`] without waiting: nothing, if there is nothing.
    pub fn take_ready(&self, most: usize, until: u64) -> Vec<Outgoing> {
        let mut state = self.state.lock();
        if state.is_stopped { Vec::new() } else { state.collect(most, until) }
    }

    /// Replaces a message that Kafka will never accept, or, without a replacement, lets the rest go on. Returns the
    /// replacement as it is to be sent.
    pub fn replace(&self, position: u64, replacement: Option<Message>) -> Option<Outgoing> {
        let mut state = self.state.lock();
        let entry = state.entry(position)?;
        let old_size = entry.size;
        match replacement {
            Some(message) => {
                entry.size = size_of(&message);
                entry.awaiting = TopicSet::of(message.route);
                entry.message = Arc::new(message);
                let outgoing = Outgoing { position, message: Arc::clone(&entry.message), awaiting: entry.awaiting };
                let new_size = entry.size;
                state.bytes = state.bytes - old_size + new_size;
                Some(outgoing)
            }
            None => {
                entry.awaiting = TopicSet::EMPTY;
                let is_news = entry.settle().is_some();
                state.unsettled -= usize::from(is_news);
                self.release(&mut state);
                None
            }
        }
    }

    /// Returns the message at a position, while it is retained.
    pub fn message(&self, position: u64) -> Option<Arc<Message>> {
        self.state.lock().entry(position).map(|entry| Arc::clone(&entry.message))
    }

    /// The producer is gone: makes whatever it had not delivered be taken again, and with it what must not stay ahead of that
    /// (see the module's invariant of order). Returns how many acknowledged messages are sent a second time for that reason.
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

    /// Wakes the publisher out of [`SendWindow::take`].
    pub fn interrupt(&self) {
        self.state.lock().interrupted = true;
        self.work.notify_all();
    }

    /// Waits so long on behalf of the publisher; true if the send window was stopped meanwhile.
    #[must_use]
    pub fn wait_for(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.state.lock();
        while !state.is_stopped {
            if self.work.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.is_stopped
    }

    /// Ends the publisher's work, whatever is left.
    pub fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.work.notify_all();
        self.empty.notify_all();
    }

    /// Waits until everything before a pause is acknowledged, at most until the deadline. Returns how many messages are
    /// left.
    pub fn wait_empty(&self, deadline: Instant) -> usize {
        let mut state = self.state.lock();
        while state.first < state.limit(u64::MAX) && !state.is_stopped {
            if self.empty.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.pending()
    }

    /// Returns the position below which every message is acknowledged by all of its topics.
    pub fn acknowledged_to(&self) -> u64 {
        self.state.lock().first
    }

    /// Returns the number of messages that are not yet acknowledged.
    pub fn pending(&self) -> usize {
        self.state.lock().pending()
    }

    /// Returns how long the oldest message has been waiting; zero if none is.
    pub fn oldest_age(&self) -> Duration {
        let state = self.state.lock();
        let on_disk_since = state.on_disk_since.filter(|_| state.pending() > 0);
        let oldest = state.entries.front().map(|entry| entry.submitted_at).or(on_disk_since);
        oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed())
    }

    /// Removes what is acknowledged at the front.
    fn release(&self, state: &mut WindowState) {
        let before = state.first;
        while let Some(entry) = state.entries.pop_front_if(|entry| entry.awaiting == TopicSet::EMPTY) {
            state.bytes -= entry.size;
            state.first += 1;
        }
        if state.entries.is_empty() {
            state.first += std::mem::take(&mut state.lost);
        }
        if state.first == before {
            return;
        }
        state.next = state.next.max(state.first);
        if let Some(released) = self.released.get() {
            released();
        }
        if state.first >= state.limit(u64::MAX) {
            self.empty.notify_all();
        }
        if state.first >= state.until || state.missing(self.limits).is_some() {
            self.work.notify_all();
        }
    }
}

#[cfg(test)]
#[path = "send_window_tests.rs"]
mod tests;

//! What a send window holds, under its lock: messages with the topics that they await, and how far everything is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::message::{Message, Route, Topic};

/// How much a send window holds in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of keys, values and headers, and [`OVERHEAD`] for each message.
    pub bytes: usize,
}

/// Memory that a message takes in addition to its bytes.
pub const OVERHEAD: usize = 256;

pub(super) fn size_of(message: &Message) -> usize {
    message.size() + OVERHEAD
}

impl WindowLimits {
    /// The default bound on bytes.
    pub const DEFAULT_BYTES: usize = 32 * 1024 * 1024;
}

/// A message on its way, as the publisher takes it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its position.
    pub position: u64,
    /// The message.
    pub message: Arc<Message>,
    pub(super) awaiting: TopicSet,
}

impl Outgoing {
    /// Position of a message that is sent once and not tracked: a heartbeat.
    pub const UNTRACKED: u64 = u64::MAX >> 3;

    /// Returns the topics that it must be sent to now.
    pub fn topics(&self) -> impl Iterator<Item = Topic> + use<> {
        let awaiting = self.awaiting;
        Topic::ALL.into_iter().filter(move |topic| awaiting.contains(*topic))
    }
}

/// Why [`SendWindow::take`] returned.
#[derive(Debug)]
pub enum Taken {
    /// The next messages, at least one.
    Messages(Vec<Outgoing>),
    /// What comes next, from this position on, is in the journal and not in memory: fetch it and
    /// [`SendWindow::refill`].
    Behind(u64),
    /// Somebody called [`SendWindow::interrupt`]: check other work and call again.
    Interrupted,
    /// Everything below the position asked for is acknowledged.
    Reached,
    /// The end: [`SendWindow::stop`] was called.
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
pub(super) struct TopicSet(u8);

impl TopicSet {
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn of(route: Route) -> Self {
        Self(route.topics().iter().fold(0, |bits, topic| bits | Self::bit(*topic)))
    }

    pub(super) const fn bit(topic: Topic) -> u8 {
        1 << topic as u8
    }

    pub(super) const fn contains(self, topic: Topic) -> bool {
        self.0 & Self::bit(topic) != 0
    }

    pub(super) const fn insert(&mut self, topic: Topic) {
        self.0 |= Self::bit(topic);
    }

    pub(super) const fn remove(&mut self, topic: Topic) {
        self.0 &= !Self::bit(topic);
    }
}

pub(super) struct Entry {
    pub(super) message: Arc<Message>,
    pub(super) size: usize,
    pub(super) submitted_at: Instant,
    pub(super) awaiting: TopicSet,
    /// For a message that goes to several partitions: how many acknowledgements are awaited.
    pub(super) copies: usize,
    /// All topics have acknowledged it once; after a rewind it may nevertheless await some again.
    pub(super) settled: bool,
}

pub(super) struct WindowState {
    pub(super) entries: VecDeque<Entry>,
    /// Position of the first entry.
    pub(super) first: u64,
    /// Position that is taken next.
    pub(super) next: u64,
    /// Position after the last message in the journal.
    pub(super) end: u64,
    pub(super) bytes: usize,
    /// How many positions after the last entry are given up: nothing is added until the entries before them have left.
    pub(super) lost: u64,
    /// Entries that are not acknowledged.
    pub(super) unsettled: usize,
    /// What the publisher waits for in [`SendWindow::take`].
    pub(super) until: u64,
    /// Nothing from this position on is given out.
    pub(super) paused_at: Option<u64>,
    /// When the oldest message left by an earlier run was written; until something is in memory.
    pub(super) on_disk_since: Option<Instant>,
    pub(super) untracked: Option<Arc<Message>>,
    pub(super) interrupted: bool,
    pub(super) is_stopped: bool,
}

impl Entry {
    /// Settles an entry that awaits nothing any more; returns its acknowledgement the first time.
    pub(super) fn settle(&mut self) -> Option<Acknowledged> {
        let is_first = !std::mem::replace(&mut self.settled, true);
        is_first.then_some(Acknowledged { route: self.message.route, read_at: self.message.read_at })
    }
}

impl WindowState {
    pub(super) fn entry(&mut self, position: u64) -> Option<&mut Entry> {
        let index = position.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn window_end(&self) -> u64 {
        self.first + self.entries.len() as u64 + self.lost
    }

    pub(super) fn pending(&self) -> usize {
        let on_disk = self.end.saturating_sub(self.window_end());
        self.unsettled + usize::try_from(on_disk).unwrap_or(usize::MAX)
    }

    /// Returns the position where giving out ends.
    pub(super) fn limit(&self, until: u64) -> u64 {
        self.paused_at.map_or(self.end, |paused_at| paused_at.min(self.end)).min(until)
    }

    /// Returns the position that must be fetched before anything can go on. The window is refilled when half of it is free.
    pub(super) fn missing(&self, limits: WindowLimits) -> Option<u64> {
        let window_end = self.window_end();
        let is_behind = self.next + self.lost >= window_end && window_end < self.limit(self.until);
        let has_room =
            self.entries.is_empty() || (self.entries.len() <= limits.messages / 2 && self.bytes <= limits.bytes / 2);
        (is_behind && has_room && self.lost == 0).then_some(window_end)
    }

    /// Returns what there is for the publisher, if anything.
    pub(super) fn try_take(&mut self, limits: WindowLimits, most: usize) -> Option<Taken> {
        if self.is_stopped {
            return Some(Taken::Stopped);
        }
        if std::mem::take(&mut self.interrupted) {
            return Some(Taken::Interrupted);
        }
        if self.first >= self.until {
            return Some(Taken::Reached);
        }
        let messages = self.collect(most, self.until);
        if !messages.is_empty() {
            return Some(Taken::Messages(messages));
        }
        self.missing(limits).map(Taken::Behind)
    }

    pub(super) fn extend(&mut self, messages: impl IntoIterator<Item = Message>, written_at: Instant) {
        for message in messages {
            let size = size_of(&message);
            let awaiting = TopicSet::of(message.route);
            self.bytes += size;
            self.unsettled += 1;
            let message = Arc::new(message);
            self.entries.push_back(Entry {
                message,
                size,
                submitted_at: written_at,
                awaiting,
                copies: 0,
                settled: false,
            });
        }
    }

    pub(super) fn collect(&mut self, most: usize, until: u64) -> Vec<Outgoing> {
        let mut messages = Vec::new();
        if self.paused_at.is_none()
            && let Some(message) = self.untracked.take()
        {
            let awaiting = TopicSet::of(message.route);
            messages.push(Outgoing { position: Outgoing::UNTRACKED, message, awaiting });
        }
        let until = self.limit(until);
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

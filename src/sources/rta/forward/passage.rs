//! What of one connection each target gets: the rules of forwarding, without a socket.
//!
//! A passage keeps the last bytes of a connection, and of each target where it is in them. Always true:
//!
//! * **A target begins where a snapshot begins**, and gets every byte from there on, in order, until its own connection ends.
//!   Nobody sees the beginning of one snapshot followed by the end of another: what falls behind is cut off, and the
//!   socket closed, never continued further on.
//! * **What is kept is bounded**, by bytes. A target that is further behind is too slow. What is behind all targets and before
//!   the last beginning of a snapshot is dropped.
//! * **Each byte of the connection is given to each target or counted as dropped.** One that comes back within the snapshot that
//!   it lost gets that from its beginning: those bytes are given twice.
//!
//! Where snapshots begin is told by the engine ([`Passage::snapshot_begins`]), in hindsight: the bytes are older. Where it
//! tells nothing for [`PauseRule::after`], the layout may be wrong; then a snapshot begins with the first byte after a pause.
//!
//! Cost: a push and a pop per read, whatever its size; no copy.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Buf as _, Bytes};

use crate::telemetry::forward_metrics::DROP_REASONS;
use crate::time::Timestamp;

/// What is kept of a connection whose bytes are forwarded.
pub const MAX_KEPT: usize = 16 * 1024 * 1024;

/// What is kept of one that does not speak yet.
pub const MAX_KEPT_WAITING: usize = 1024 * 1024;

/// Memory of a read besides its bytes.
const OVERHEAD: usize = 64;

/// Number of a target; never used twice.
pub type TargetId = u64;

/// Why bytes are not given to a target; in the order of their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// It does not take them as fast as they come.
    TooSlow,
    /// It has no connection, or its connection came within a snapshot.
    NotConnected,
}

impl DropReason {
    /// Returns the label in metrics and logs.
    pub const fn label(self) -> &'static str {
        DROP_REASONS[self as usize]
    }
}

/// Bytes that were not given, by reason.
pub type Dropped = [u64; DROP_REASONS.len()];

/// When a pause of the feed counts as the end of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseRule {
    /// So long without a byte.
    pub pause: Duration,
    /// Once no beginning of a snapshot was told for so long.
    pub after: Duration,
}

impl PauseRule {
    /// So long with a layout that finds no beginning of a snapshot, the layout may be wrong.
    const WITHOUT_SNAPSHOTS: Duration = Duration::from_secs(90);

    /// Returns the rule for a port whose layout finds the beginnings of snapshots.
    pub const fn of_layout(snapshot_idle: Duration) -> Self {
        Self { pause: snapshot_idle, after: Self::WITHOUT_SNAPSHOTS }
    }
}

/// What a target is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Bytes),
    /// Wait for more.
    Wait,
    /// Close its connection: it is too far behind.
    TooSlow,
    /// Close its connection: it has everything.
    Over,
}

/// Where a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It gets nothing, for that reason.
    Away(DropReason),
    /// It is connected and waits for the beginning of a snapshot; before that it got nothing for that reason.
    Waits(DropReason),
    /// It gets bytes, now or once it is dialled.
    Follows,
}

#[derive(Clone, Copy, Debug)]
struct Recipient {
    place: Place,
    /// The next byte that it gets, while it follows.
    position: u64,
    /// The first byte that was neither given nor counted: what is given again of a snapshot is not.
    settled: u64,
    dropped: Dropped,
}

/// A read of the connection.
#[derive(Debug)]
struct Chunk {
    /// Of its first byte.
    offset: u64,
    bytes: Bytes,
}

impl Chunk {
    const fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// The last bytes of a connection, and who has got how much of them.
#[derive(Debug)]
pub struct Passage {
    rule: PauseRule,
    chunks: VecDeque<Chunk>,
    /// Offset of the first byte that is kept, and of the next one to come.
    begin: u64,
    end: u64,
    kept: usize,
    most: usize,
    /// Where the last snapshot began, while that is kept.
    boundary: Option<u64>,
    /// When the last read came, and the last beginning of a snapshot was told.
    last_at: Option<Timestamp>,
    told_at: Option<Timestamp>,
    recipients: BTreeMap<TargetId, Recipient>,
    is_over: bool,
}

impl Passage {
    /// Creates the passage of a connection that begins. Nothing of it is forwarded yet.
    pub const fn new(rule: PauseRule) -> Self {
        Self {
            rule,
            chunks: VecDeque::new(),
            begin: 0,
            end: 0,
            kept: 0,
            most: MAX_KEPT_WAITING,
            boundary: Some(0),
            last_at: None,
            told_at: None,
            recipients: BTreeMap::new(),
            is_over: false,
        }
    }

    /// Sets the rule from the next read on.
    pub const fn set_rule(&mut self, rule: PauseRule) {
        self.rule = rule;
    }

    /// Forwards it from now on.
    pub const fn begin(&mut self) {
        self.most = MAX_KEPT;
    }

    /// Adds a target that is being dialled: what comes meanwhile is kept for it.
    pub fn add(&mut self, target: TargetId) {
        let position = self.boundary.unwrap_or(self.end);
        let place = match self.boundary {
            Some(_) => Place::Follows,
            None => Place::Waits(DropReason::NotConnected),
        };
        let dropped = Default::default();
        self.recipients.entry(target).or_insert(Recipient { place, position, settled: position, dropped });
    }

    /// Passes over so many bytes: there is no target.
    pub fn pass_over(&mut self, bytes: usize) {
        while !self.chunks.is_empty() {
            self.drop_first();
        }
        self.end += bytes as u64;
        self.begin = self.end;
        self.boundary = None;
        // One that was added meanwhile cannot follow what is not there.
        let begin = self.begin;
        self.recipients.values_mut().for_each(|recipient| recipient.lose_before(begin));
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: Bytes, at: Timestamp) {
        if self.is_over || bytes.is_empty() {
            return;
        }
        let paused = self.last_at.is_some_and(|last| at.since(last) >= self.rule.pause);
        let told_at = *self.told_at.get_or_insert(at);
        self.last_at = Some(at);
        let (begins, is_untold) = (self.end, at.since(told_at) >= self.rule.after);
        self.end += bytes.len() as u64;
        self.kept += bytes.len() + OVERHEAD;
        self.chunks.push_back(Chunk { offset: begins, bytes });
        if paused && is_untold {
            self.begin_snapshot(begins);
        }
        while self.kept > self.most {
            self.drop_first();
        }
        self.drop_unwanted();
    }

    /// A snapshot begins with the byte at `offset`.
    pub fn snapshot_begins(&mut self, offset: u64, at: Timestamp) {
        self.told_at = Some(at);
        self.begin_snapshot(offset);
    }

    fn begin_snapshot(&mut self, offset: u64) {
        if self.boundary.is_some_and(|boundary| boundary >= offset) || !(self.begin..=self.end).contains(&offset) {
            return;
        }
        self.boundary = Some(offset);
        for recipient in self.recipients.values_mut() {
            recipient.start_at(offset);
        }
        self.drop_unwanted();
    }

    /// A target has a connection now, its first or another one.
    pub fn connected(&mut self, target: TargetId) {
        let boundary = self.boundary;
        let Some(recipient) = self.recipients.get_mut(&target) else { return };
        if let Place::Away(reason) = recipient.place {
            recipient.place = Place::Waits(reason);
        }
        if let Some(boundary) = boundary {
            recipient.start_at(boundary);
        }
    }

    /// Its connection has ended, or it cannot be dialled.
    pub fn disconnected(&mut self, target: TargetId, reason: DropReason) {
        if let Some(recipient) = self.recipients.get_mut(&target)
            && !matches!(recipient.place, Place::Away(_))
        {
            recipient.place = Place::Away(reason);
        }
        self.drop_unwanted();
    }

    /// Returns what a target is to do now.
    pub fn next(&self, target: TargetId) -> Next {
        let Some(recipient) = self.recipients.get(&target) else { return Next::Over };
        match recipient.place {
            Place::Away(DropReason::TooSlow) => Next::TooSlow,
            Place::Follows if recipient.position < self.end => self.bytes_at(recipient.position),
            Place::Away(DropReason::NotConnected) => Next::Over,
            Place::Follows | Place::Waits(_) if self.is_over => Next::Over,
            Place::Follows | Place::Waits(_) => Next::Wait,
        }
    }

    fn bytes_at(&self, position: u64) -> Next {
        let index = self.chunks.partition_point(|chunk| chunk.end() <= position);
        let Some(chunk) = self.chunks.get(index) else { return Next::Wait };
        let mut rest = chunk.bytes.clone();
        // A chunk is no longer than a read.
        rest.advance(usize::try_from(position - chunk.offset).unwrap_or(rest.len()));
        Next::Send(rest)
    }

    /// A target has taken so many bytes.
    pub fn given(&mut self, target: TargetId, bytes: usize) {
        if let Some(recipient) = self.recipients.get_mut(&target)
            && recipient.place == Place::Follows
        {
            recipient.position += bytes as u64;
            recipient.settled = recipient.settled.max(recipient.position);
        }
        self.drop_unwanted();
    }

    /// The connection has ended: nothing is added.
    pub const fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether it has ended.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether a target gets bytes of it, or may yet.
    pub fn has(&self, target: TargetId) -> bool {
        self.recipients.contains_key(&target)
    }

    /// Returns the targets that have not begun with it.
    pub fn not_begun(&self) -> Vec<TargetId> {
        let has_not = |(_, recipient): &(&TargetId, &Recipient)| recipient.place != Place::Follows;
        self.recipients.iter().filter(has_not).map(|(target, _)| *target).collect()
    }

    /// Removes a target; what it has not got is dropped. Returns all that was dropped and not taken yet.
    pub fn remove(&mut self, target: TargetId, reason: DropReason) -> Dropped {
        let Some(mut recipient) = self.recipients.remove(&target) else { return Default::default() };
        let reason = match recipient.place {
            Place::Away(reason) | Place::Waits(reason) => reason,
            Place::Follows => reason,
        };
        recipient.drop_to(self.end, reason);
        self.drop_unwanted();
        recipient.dropped
    }

    /// Returns the bytes that each target was not given since the last call, by reason.
    pub fn take_dropped(&mut self) -> impl Iterator<Item = (TargetId, Dropped)> + '_ {
        self.recipients
            .iter_mut()
            .filter(|(_, recipient)| recipient.dropped.iter().any(|dropped| *dropped > 0))
            .map(|(target, recipient)| (*target, std::mem::take(&mut recipient.dropped)))
    }

    /// Whether nobody gets anything of it any more.
    pub fn is_done(&self) -> bool {
        self.is_over && self.recipients.is_empty()
    }

    /// Returns the bytes that are kept.
    #[cfg(test)]
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Drops the oldest read: whoever needs it is too slow.
    fn drop_first(&mut self) {
        let Some(chunk) = self.chunks.pop_front() else { return };
        self.kept -= chunk.bytes.len() + OVERHEAD;
        self.begin = chunk.end();
        self.boundary = self.boundary.filter(|boundary| *boundary >= self.begin);
        for recipient in self.recipients.values_mut() {
            recipient.lose_before(self.begin);
        }
    }

    /// Drops what nobody can be given any more.
    fn drop_unwanted(&mut self) {
        let follows = |recipient: &Recipient| (recipient.place == Place::Follows).then_some(recipient.position);
        let slowest = self.recipients.values().filter_map(follows).min().unwrap_or(self.end);
        // Until the engine has read them, a snapshot may turn out to begin anywhere: bytes behind the last one stay.
        let wanted = slowest.min(self.boundary.unwrap_or(self.begin));
        while self.chunks.front().is_some_and(|chunk| chunk.end() <= wanted) {
            self.drop_first();
        }
    }
}

impl Recipient {
    /// Begins with a snapshot, where it waits for one.
    fn start_at(&mut self, offset: u64) {
        if let Place::Waits(reason) = self.place {
            self.drop_to(offset, reason);
            self.place = Place::Follows;
            self.position = offset;
        }
    }

    /// Nothing before `begin` is kept any more.
    fn lose_before(&mut self, begin: u64) {
        match self.place {
            Place::Follows if self.position < begin => {
                self.place = Place::Away(DropReason::TooSlow);
                self.drop_to(begin, DropReason::TooSlow);
            }
            Place::Follows => {}
            Place::Away(reason) | Place::Waits(reason) => self.drop_to(begin, reason),
        }
    }

    const fn drop_to(&mut self, offset: u64, reason: DropReason) {
        if self.settled < offset {
            self.dropped[reason as usize] += offset - self.settled;
            self.settled = offset;
        }
    }
}

#[cfg(test)]
#[path = "passage_tests.rs"]
mod tests;

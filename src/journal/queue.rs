//! What waits for the journal's thread, and what it shares with the threads that hand over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use super::agents::TableChange;
use super::message::{Batch, Message};
use super::send_window::WindowLimits;
use super::store::{Hurry, Store, StoredIntegration};
use super::written_lane::WrittenLane;

/// What an integration may have in the queue, in bytes of rows.
pub(super) const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// What urgent batches may take beyond the bounds.
pub(super) const RESERVE: usize = 1024 * 1024;

/// Observes what happens in the store. Runs on the journal's thread: it must not block.
pub trait StoreObserver: Send + Sync + 'static {
    /// A batch of an integration is on disk, so long after it was submitted.
    fn written(&self, _integration: &Arc<str>, _took: Duration) {}

    /// Bytes of all rows of the journal.
    fn size(&self, _bytes: u64) {}

    /// Bytes of an integration's rows over what it may have. A little above 1 with urgent batches; more after its bounds were
    /// lowered.
    fn filled(&self, _integration: &Arc<str>, _ratio: f64) {}

    /// The store failed; `kind` is of a bounded set.
    fn failed(&self, _kind: &str) {}
}

/// An observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnobservedStore;

impl StoreObserver for UnobservedStore {}

/// Bounds of every integration.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of rows that an integration may have in the store.
    pub journal_bytes: u64,
    /// What is kept in memory of it.
    pub window: WindowLimits,
}

/// An integration whose journal begins or continues.
#[derive(Clone, Debug)]
pub struct LaneStart {
    /// Its id.
    pub integration: Arc<str>,
    /// What the store knows of it.
    pub stored: StoredIntegration,
    /// Whether the message of each agent's last event is remembered too.
    pub keeps_events: bool,
}

/// A batch that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no room, neither in the store nor in memory.
    #[error("the journal is full: {} messages were not accepted", .0.messages.len())]
    Full(Box<Batch>),
    /// The journal is closed.
    #[error("the journal is closed: {} messages were not accepted", .0.messages.len())]
    Closed(Box<Batch>),
}

/// The state of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// It is on disk.
    pub is_durable: bool,
    /// What is wrong with it at the moment.
    pub trouble: Option<String>,
}

/// Called when something is on disk.
pub type Done = Box<dyn FnOnce() + Send>;

/// What is done with the store on the thread that owns it.
pub(super) type Work = Box<dyn FnOnce(&mut Store) + Send>;

/// A lane, by the order in which lanes were opened. None is used again in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneIndex(usize);

pub(super) enum Item {
    Batch {
        lane: LaneIndex,
        first: u64,
        messages: Vec<Message>,
        content: Vec<u8>,
        submitted_at: Instant,
        /// What it says about agents has to be in the agent table before it may leave.
        carries_agents: bool,
        forgets: bool,
        /// How far the source has been read.
        source: Option<Vec<u8>>,
    },
    Checkpoint {
        lane: LaneIndex,
        covered_to: u64,
        table: TableChange,
        feed: Vec<u8>,
        is_recovered: bool,
    },
    /// Somebody waits until what was forgotten below the position is erased.
    Erase {
        lane: LaneIndex,
        until: u64,
        done: Done,
    },
    /// Kafka knows of this run.
    RunKnown {
        lane: LaneIndex,
        /// The runs of its journal, with that mark.
        runs: String,
    },
    Pause {
        lane: LaneIndex,
        at: Option<u64>,
        done: Done,
    },
    /// A lane begins: it comes before everything else of the lane.
    Open {
        lane: LaneIndex,
        written: Box<WrittenLane>,
    },
    /// A lane ends: nothing of it comes after this.
    Close {
        lane: LaneIndex,
        done: Done,
    },
    /// Something that is not about a lane, done after the commit.
    Work(Work),
}

impl Item {
    /// Returns the number of messages in it.
    pub(super) fn messages(&self) -> usize {
        if let Self::Batch { messages, .. } = self { messages.len() } else { 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Batch { content, .. } => content.len(),
            Self::Checkpoint { table, .. } => table.agents.iter().map(|agent| agent.memory.len() + 64).sum(),
            Self::Pause { .. }
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Work(_)
            | Self::Erase { .. }
            | Self::RunKnown { .. } => 0,
        }
    }

    pub(super) const fn lane(&self) -> Option<LaneIndex> {
        match self {
            Self::Batch { lane, .. }
            | Self::Checkpoint { lane, .. }
            | Self::Pause { lane, .. }
            | Self::Erase { lane, .. }
            | Self::RunKnown { lane, .. }
            | Self::Open { lane, .. }
            | Self::Close { lane, .. } => Some(*lane),
            Self::Work(_) => None,
        }
    }
}

/// A commit that takes longer counts as hanging.
pub(super) const HANGS: Duration = Duration::from_secs(5);

/// Labels of errors that the store itself cannot report: a commit that does not return, and messages to be published that a
/// newer version wrote.
pub const TROUBLES: [&str; 2] = [SLOW, NEWER];
pub(super) const SLOW: &str = "slow";
pub(super) const NEWER: &str = "newer";

#[derive(Default)]
pub(super) struct LaneQueue {
    /// Position that the next message gets.
    pub(super) next: u64,
    /// Bytes that wait for their commit.
    pub(super) queued: usize,
    /// Bytes of rows, including those that wait.
    pub(super) stored: u64,
    /// Since when the oldest batch of the current commit has waited.
    pub(super) writing_since: Option<Instant>,
    /// Nothing more is taken.
    pub(super) is_closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Nothing more is taken, what is there is written.
    Closed,
    /// The same, and then the thread ends; what cannot be written by then is given up.
    Ending(Instant),
}

pub(super) struct Queue {
    pub(super) items: VecDeque<Item>,
    lanes: Vec<LaneQueue>,
    /// A commit is in progress.
    pub(super) is_writing: bool,
    /// Messages in it.
    pub(super) writing: usize,
    /// Since when the thread has waited for the disk.
    pub(super) at_disk_since: Option<Instant>,
    /// What the last commit failed with.
    pub(super) failure: Option<String>,
    /// It was reported that it hangs.
    pub(super) is_told_to_hang: bool,
    pub(super) phase: Phase,
}

impl Queue {
    /// Creates a queue without lanes.
    pub(super) const fn new() -> Self {
        Self {
            items: VecDeque::new(),
            lanes: Vec::new(),
            is_writing: false,
            writing: 0,
            at_disk_since: None,
            failure: None,
            is_told_to_hang: false,
            phase: Phase::Open,
        }
    }

    /// Adds a lane.
    pub(super) fn add(&mut self, lane: LaneQueue) -> LaneIndex {
        self.lanes.push(lane);
        LaneIndex(self.lanes.len() - 1)
    }

    /// Returns a lane.
    pub(super) fn lane(&self, LaneIndex(index): LaneIndex) -> &LaneQueue {
        &self.lanes[index]
    }

    /// Returns a lane, to be changed.
    pub(super) fn lane_mut(&mut self, LaneIndex(index): LaneIndex) -> &mut LaneQueue {
        &mut self.lanes[index]
    }

    /// Returns the bytes of the rows of all open lanes.
    pub(super) fn stored(&self) -> u64 {
        self.lanes.iter().filter(|lane| !lane.is_closed).map(|lane| lane.stored).sum()
    }

    /// Returns what is wrong with the store at the moment.
    pub(super) fn trouble(&self) -> Option<String> {
        self.failure.clone().or_else(|| self.hanging().map(hangs))
    }

    pub(super) fn is_in_trouble(&self) -> bool {
        self.failure.is_some() || self.hanging().is_some()
    }

    /// Returns how long the disk has not responded, where that is too long.
    pub(super) fn hanging(&self) -> Option<Duration> {
        self.at_disk_since.map(|since| since.elapsed()).filter(|since| *since >= HANGS)
    }

    /// Takes what goes into one commit of at most so many bytes: from each lane in order, and from none more than its share.
    /// A busy lane keeps no other waiting for longer than one commit.
    pub(super) fn next_items(&mut self, most: usize) -> Vec<Item> {
        let mut waits = vec![false; self.lanes.len()];
        self.items.iter().filter_map(Item::lane).for_each(|LaneIndex(lane)| waits[lane] = true);
        let share = most / waits.iter().filter(|waits| **waits).count().max(1);
        let mut taken = vec![0; self.lanes.len()];
        let mut is_full = vec![false; self.lanes.len()];
        let (mut items, mut left) = (Vec::new(), VecDeque::new());
        for item in self.items.drain(..) {
            let Some(LaneIndex(lane)) = item.lane() else {
                items.push(item);
                continue;
            };
            is_full[lane] |= taken[lane] > 0 && taken[lane] + item.bytes() > share;
            if is_full[lane] {
                left.push_back(item);
            } else {
                taken[lane] += item.bytes();
                if let Item::Batch { submitted_at, .. } = &item {
                    self.lanes[lane].writing_since.get_or_insert(*submitted_at);
                }
                items.push(item);
            }
        }
        self.items = left;
        items
    }

    /// Returns how long the oldest batch of a lane has been waiting for the disk.
    pub(super) fn oldest_age(&self, lane: LaneIndex) -> Duration {
        let of_lane = |item: &Item| match item {
            Item::Batch { lane: of, submitted_at, .. } if *of == lane => Some(*submitted_at),
            _ => None,
        };
        let oldest = self.lane(lane).writing_since.or_else(|| self.items.iter().find_map(of_lane));
        oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed())
    }
}

fn hangs(since: Duration) -> String {
    format!("the disk of the store has not come back for {} s: check the disk and the system's log", since.as_secs())
}

pub(super) struct Shared {
    pub(super) bounds: Bounds,
    pub(super) queue: Mutex<Queue>,
    /// For the thread: there is something to write.
    pub(super) work: Condvar,
    /// For workers: there is room, or no hope of it.
    pub(super) room: Condvar,
    /// For the thread that watches: the journal's thread ends.
    pub(super) ended: Condvar,
    /// Kafka has more than the store knows.
    is_acknowledged: AtomicBool,
    /// Somebody who was forgotten may still be found in the bytes of the store.
    pub(super) is_erasing: AtomicBool,
    /// Ends the waiting for other programs that have the file.
    pub(super) hurry: Hurry,
    pub(super) is_durable: bool,
    pub(super) store_id: Uuid,
    pub(super) observer: Arc<dyn StoreObserver>,
}

impl Shared {
    /// Creates what the journal of that store shares, without lanes.
    pub(super) fn new(store: &Store, bounds: Bounds, is_erase_due: bool, observer: Arc<dyn StoreObserver>) -> Self {
        Self {
            bounds,
            queue: Mutex::new(Queue::new()),
            work: Condvar::new(),
            room: Condvar::new(),
            ended: Condvar::new(),
            is_acknowledged: AtomicBool::new(false),
            is_erasing: AtomicBool::new(is_erase_due),
            hurry: store.hurry(),
            is_durable: store.is_durable(),
            store_id: store.id(),
            observer,
        }
    }

    /// Kafka has more than before. Takes the lock of the queue for the first of many: so nobody may wait for a lock of an
    /// send window while they hold it.
    pub(super) fn acknowledged(&self) {
        if !self.is_acknowledged.swap(true, Ordering::AcqRel) {
            let _queue = self.queue.lock();
            self.work.notify_one();
        }
    }

    /// Whether Kafka has more than the store knows.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.is_acknowledged.load(Ordering::Acquire)
    }

    /// What Kafka has by now is about to be written.
    pub(super) fn take_acknowledged(&self) {
        self.is_acknowledged.store(false, Ordering::Release);
    }

    pub(super) fn set_erasing(&self, is_erasing: bool) {
        self.is_erasing.store(is_erasing, Ordering::Release);
    }

    /// Returns a guard: the thread waits for the disk for as long as it lives.
    pub(super) fn at_disk(&self) -> AtDisk<'_> {
        self.queue.lock().at_disk_since = Some(Instant::now());
        AtDisk(self)
    }

    pub(super) fn health(&self) -> StoreHealth {
        StoreHealth { is_durable: self.is_durable, trouble: self.queue.lock().trouble() }
    }
}

/// See [`Shared::at_disk`].
pub(super) struct AtDisk<'a>(&'a Shared);

impl Drop for AtDisk<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().at_disk_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(items: &[(usize, usize)]) -> Queue {
        let lanes = items.iter().map(|(lane, _)| lane + 1).max().unwrap_or(0);
        let mut queue = Queue::new();
        let indexes: Vec<LaneIndex> = (0..lanes).map(|_| queue.add(LaneQueue::default())).collect();
        let item = |(first, (lane, bytes)): (u64, &(usize, usize))| Item::Batch {
            lane: indexes[*lane],
            first,
            messages: Vec::new(),
            content: vec![0; *bytes],
            submitted_at: Instant::now(),
            carries_agents: false,
            forgets: false,
            source: None,
        };
        queue.items.extend((0..).zip(items).map(item));
        queue
    }

    /// Returns which of the items each commit of at most 100 bytes takes.
    fn commits(items: &[(usize, usize)]) -> Vec<Vec<u64>> {
        let mut queue = queue(items);
        let number = |item: Item| match item {
            Item::Batch { first, .. } => first,
            _ => unreachable!("there are no others"),
        };
        let next = || {
            Some(queue.next_items(100).into_iter().map(number).collect()).filter(|items: &Vec<u64>| !items.is_empty())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_is_being_committed_gets_older_too() {
        let mut queue = queue(&[(0, 60), (1, 60)]);
        let ages = |queue: &Queue| [0, 1].map(|lane| queue.oldest_age(LaneIndex(lane)) > Duration::ZERO);
        assert_eq!(ages(&queue), [true; 2], "it waits");
        assert_eq!(queue.next_items(1_000).len(), 2);
        assert_eq!(ages(&queue), [true; 2], "it is at the disk");
        queue.lanes.iter_mut().for_each(|lane| lane.writing_since = None);
        assert_eq!(ages(&queue), [false; 2], "it is written");
    }

    #[test]
    fn a_commit_takes_of_each_lane_in_its_order_no_more_than_its_share() {
        assert_eq!(commits(&[(0, 60), (0, 40), (0, 1), (0, 200), (0, 1)]), [vec![0, 1], vec![2], vec![3], vec![4]]);
        // Lane 0 floods; lane 1 has little.
        let flood = [(0, 30), (0, 30), (0, 30), (0, 30), (1, 5), (0, 30), (1, 5)];
        assert_eq!(commits(&flood), [vec![0, 4, 6], vec![1, 2, 3], vec![5]]);
        assert_eq!(commits(&[(0, 500), (1, 500), (0, 1)]), [vec![0, 1], vec![2]], "at least one of each");
        assert_eq!(
            commits(&[(0, 40), (0, 40), (0, 2), (1, 1)]),
            [vec![0, 3], vec![1, 2]],
            "none overtakes another of its lane"
        );
    }
}

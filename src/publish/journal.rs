//! The journal: what a worker hands over is on disk before anybody tries to publish it.
//!
//! ```text
//! workers ──submit──> queue ──one commit for all──> store ──> outbox of the integration ──> publisher
//! ```
//!
//! Purpose: one thread writes for all integrations (a group commit: what has gathered while the last commit ran goes into
//! the next one, so batches grow under load). Each integration has a *lane*: its own positions, bounds and state.
//!
//! Invariants: a message is given to the outbox only after its commit; positions are given in the order of submission and
//! have no holes; how far Kafka has acknowledged is written at most [`ACKNOWLEDGE_EVERY`] later, so that a crash repeats
//! no more than that.
//!
//! Failure policy: a commit that fails is tried again for ever, with the same contents, and nothing behind it is written
//! before it. Meanwhile what is submitted waits in the bounded queue; beyond that, and beyond the size that an integration
//! may have in the store, [`Lane::submit`] refuses with [`Refused::Full`], and the worker keeps each agent's latest state.
//! While the store is only slow, the worker waits instead. Cost: one encoding per batch, two locks per batch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use super::journal_row;
use super::message::{Batch, Message};
use super::outbox::{Limits, Outbox};
use crate::fail_point;
use crate::store::{AgentRow, Reader, Row, Store, StoreError, StoredIntegration, Write};
use crate::time::Timestamp;

/// How late the store may know what Kafka has.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(100);
/// What an integration may have in the queue, in bytes of rows.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// What one commit writes at most.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// What is read from the store at a time.
const FETCH_BYTES: usize = 4 * 1024 * 1024;
/// How long a journal that cannot be read is left alone.
const FETCH_AGAIN: Duration = Duration::from_secs(5);
/// What has to be free at least before a full journal has room again, if its bounds are not smaller still.
const ROOM: u64 = 4 * 1024 * 1024;
/// What urgent batches may take beyond the bounds.
const RESERVE: usize = 1024 * 1024;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// The same trouble is logged once in so long.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Told what happens in the store. Runs on the journal's thread: it must not block.
pub trait StoreObserver: Send + Sync + 'static {
    /// A batch of an integration is on disk, so long after it was submitted.
    fn written(&self, _integration: &Arc<str>, _took: Duration) {}

    /// Bytes of all rows of the journal.
    fn size(&self, _bytes: u64) {}

    /// The store failed; `kind` is of a bounded set.
    fn failed(&self, _kind: &str) {}
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl StoreObserver for Unobserved {}

/// Bounds of every integration.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of rows that an integration may have in the store.
    pub journal_bytes: u64,
    /// What is kept in memory of it.
    pub window: Limits,
}

/// A batch that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no room: neither in the store nor in memory.
    #[error("the journal is full: {} messages were not accepted", .0.messages.len())]
    Full(Box<Batch>),
    /// The journal is closed.
    #[error("the journal is closed: {} messages were not accepted", .0.messages.len())]
    Closed(Box<Batch>),
}

/// How the store is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// It is on disk.
    pub is_durable: bool,
    /// What is wrong with it at the moment.
    pub trouble: Option<String>,
}

/// Called when something is on disk.
pub type Done = Box<dyn FnOnce() + Send>;

enum Item {
    Batch { lane: usize, first: u64, messages: Vec<Message>, content: Vec<u8>, submitted_at: Instant },
    Checkpoint { lane: usize, covered_to: u64, agents: Vec<AgentRow>, feed: Vec<u8>, is_recovered: bool },
    Hold { lane: usize, at: Option<u64>, done: Done },
    Mapping { lane: usize, version: u64, content: u64, done: crossbeam_channel::Sender<Result<(), StoreError>> },
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Batch { content, .. } => content.len(),
            Self::Checkpoint { agents, .. } => agents.iter().map(|agent| agent.memory.len() + 64).sum(),
            Self::Hold { .. } | Self::Mapping { .. } => 0,
        }
    }

    const fn lane(&self) -> usize {
        match self {
            Self::Batch { lane, .. }
            | Self::Checkpoint { lane, .. }
            | Self::Hold { lane, .. }
            | Self::Mapping { lane, .. } => *lane,
        }
    }
}

#[derive(Default)]
struct LaneQueue {
    /// Position that the next message gets.
    next: u64,
    /// Bytes that wait for their commit.
    queued: usize,
    /// Bytes of rows, those that wait included.
    stored: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing more is taken, what is there is written.
    Closed,
    /// The same, and then the thread ends; what cannot be written by then is given up.
    Ending(Instant),
}

struct Queue {
    items: VecDeque<Item>,
    lanes: Vec<LaneQueue>,
    /// A commit is on its way.
    is_writing: bool,
    trouble: Option<String>,
    phase: Phase,
}

struct Shared {
    bounds: Bounds,
    queue: Mutex<Queue>,
    /// For the thread: there is something to write.
    work: Condvar,
    /// For workers: there is room, or no hope of it.
    room: Condvar,
    is_durable: bool,
    store_id: Uuid,
    observer: Arc<dyn StoreObserver>,
}

/// One integration's part of the journal. Cheap to clone.
#[derive(Clone)]
pub struct Lane {
    shared: Arc<Shared>,
    index: usize,
    number: i64,
    reader: Arc<Mutex<Reader>>,
    outbox: Arc<Outbox>,
}

/// See the module.
pub struct Journal {
    shared: Arc<Shared>,
    lanes: BTreeMap<Arc<str>, Lane>,
    thread: Option<JoinHandle<usize>>,
}

/// Why the journal could not be started.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no thread.
    #[error("no thread for the journal: {0}")]
    Thread(#[from] std::io::Error),
}

impl Journal {
    /// Goes on where the store was left.
    ///
    /// # Errors
    /// When the store cannot be read, or there is no thread.
    pub fn start(
        store: Store,
        integrations: &[(Arc<str>, StoredIntegration)],
        bounds: Bounds,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, JournalError> {
        let lane_queue = |stored: &StoredIntegration| LaneQueue { next: stored.next, queued: 0, stored: stored.bytes };
        let queue = Queue {
            items: VecDeque::new(),
            lanes: integrations.iter().map(|(_, stored)| lane_queue(stored)).collect(),
            is_writing: false,
            trouble: None,
            phase: Phase::Open,
        };
        let shared = Arc::new(Shared {
            bounds,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            room: Condvar::new(),
            is_durable: store.is_durable(),
            store_id: store.id(),
            observer,
        });
        let mut lanes = BTreeMap::new();
        let mut written = Vec::new();
        for (index, (integration, stored)) in integrations.iter().enumerate() {
            let outbox = Outbox::new(bounds.window, stored.acknowledged_to, stored.next, stored.held_at);
            let lane = Lane {
                shared: Arc::clone(&shared),
                index,
                number: stored.number,
                reader: Arc::new(Mutex::new(store.reader()?)),
                outbox: Arc::new(outbox),
            };
            // What cannot be read is a matter of fetching it.
            if stored.next > stored.acknowledged_to
                && let Ok(rows) = lane.reader.lock().batches(stored.number, stored.acknowledged_to, 1)
                && let Some(row) = rows.first()
            {
                lane.outbox.set_on_disk_since(instant_of(row.written_at));
            }
            written.push(WrittenLane {
                integration: Arc::clone(integration),
                number: stored.number,
                outbox: Arc::clone(&lane.outbox),
                acknowledged_to: stored.acknowledged_to,
            });
            lanes.insert(Arc::clone(integration), lane);
        }
        let writer = Writer { shared: Arc::clone(&shared), store, lanes: written, logged: None };
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, lanes, thread: Some(thread) })
    }

    /// The lanes, by integration.
    pub fn lanes(&self) -> impl Iterator<Item = (&Arc<str>, &Lane)> {
        self.lanes.iter()
    }

    /// Id of the store that counts the positions.
    pub fn store_id(&self) -> Uuid {
        self.shared.store_id
    }

    /// How the store is doing.
    pub fn health(&self) -> StoreHealth {
        self.shared.health()
    }

    /// Refuses further batches and releases workers that wait; what was taken is still written.
    pub fn close(&self) {
        let mut queue = self.shared.queue.lock();
        if queue.phase == Phase::Open {
            queue.phase = Phase::Closed;
        }
        self.shared.work.notify_all();
        self.shared.room.notify_all();
    }

    /// Waits until everything that was taken is on disk, at most until the deadline.
    pub fn wait_written(&self, deadline: Instant) {
        let mut queue = self.shared.queue.lock();
        while !queue.items.is_empty() || queue.is_writing {
            if self.shared.room.wait_until(&mut queue, deadline).timed_out() {
                return;
            }
        }
    }

    /// Writes what is left, until the deadline, and ends. Returns how many messages are not on disk.
    pub fn finish(mut self, deadline: Instant) -> usize {
        self.end(deadline)
    }

    fn end(&mut self, deadline: Instant) -> usize {
        let Some(thread) = self.thread.take() else { return 0 };
        self.shared.queue.lock().phase = Phase::Ending(deadline);
        self.shared.work.notify_all();
        self.shared.room.notify_all();
        thread.join().unwrap_or_default()
    }
}

impl Drop for Journal {
    /// Writes what can be written at once.
    fn drop(&mut self) {
        self.end(Instant::now());
    }
}

impl Shared {
    fn health(&self) -> StoreHealth {
        StoreHealth { is_durable: self.is_durable, trouble: self.queue.lock().trouble.clone() }
    }
}

impl Lane {
    /// What of it is in memory, for the publisher.
    pub(crate) const fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Hands a batch over, whole or not at all; waits while the store is slow. Returns the position after its last
    /// message: it is in Kafka when [`Outbox::acknowledged_to`] has come that far.
    ///
    /// # Errors
    /// [`Refused`], with the messages: when there is no room for them, and when the journal is closed.
    pub fn submit(&self, batch: Batch) -> Result<u64, Refused> {
        let Batch { messages, agents, is_urgent } = batch;
        let content = journal_row::encode(&messages, agents);
        let refused = |messages| Box::new(Batch { messages, agents: Vec::new(), is_urgent });
        let submitted_at = Instant::now();
        let reserve = if is_urgent { RESERVE } else { 0 };
        let most_stored = self.shared.bounds.journal_bytes + reserve as u64;
        let mut queue = self.shared.queue.lock();
        loop {
            if queue.phase != Phase::Open {
                return Err(Refused::Closed(refused(messages)));
            }
            let is_in_trouble = queue.trouble.is_some();
            let lane = &queue.lanes[self.index];
            let fits_store = lane.stored == 0 || lane.stored + content.len() as u64 <= most_stored;
            let fits_queue = lane.queued == 0 || lane.queued + content.len() <= QUEUE_BYTES + reserve;
            if !fits_store || (is_in_trouble && !fits_queue) {
                return Err(Refused::Full(refused(messages)));
            }
            if fits_queue {
                break;
            }
            self.shared.room.wait(&mut queue);
        }
        let lane = &mut queue.lanes[self.index];
        let first = lane.next;
        lane.next += messages.len() as u64;
        lane.stored += content.len() as u64;
        let end = lane.next;
        self.push(&mut queue, Item::Batch { lane: self.index, first, messages, content, submitted_at });
        Ok(end)
    }

    fn push(&self, queue: &mut Queue, item: Item) {
        queue.lanes[self.index].queued += item.bytes();
        queue.items.push_back(item);
        self.shared.work.notify_one();
    }

    /// Whether there is room for more than single messages: a tenth of the bounds is free, of small bounds up to half.
    pub fn has_room(&self) -> bool {
        let queue = self.shared.queue.lock();
        let lane = &queue.lanes[self.index];
        let bounds = self.shared.bounds.journal_bytes;
        let room = (bounds / 10).max(ROOM).min(bounds / 2);
        queue.trouble.is_none() && lane.stored <= bounds - room && lane.queued <= QUEUE_BYTES / 2
    }

    /// Position that the next message gets.
    pub fn next(&self) -> u64 {
        self.shared.queue.lock().lanes[self.index].next
    }

    /// Bytes of its rows.
    pub fn stored_bytes(&self) -> u64 {
        self.shared.queue.lock().lanes[self.index].stored
    }

    /// Writes agents down. `covered_to`: what the messages below this position have changed is in these rows or in
    /// earlier ones. False while the store is in trouble or far behind: then it has to be tried again, and until it
    /// succeeds the journal stands in.
    #[must_use]
    pub fn checkpoint(&self, covered_to: u64, agents: Vec<AgentRow>, feed: Vec<u8>, is_recovered: bool) -> bool {
        let mut queue = self.shared.queue.lock();
        let lane = &queue.lanes[self.index];
        if matches!(queue.phase, Phase::Ending(_)) || queue.trouble.is_some() || lane.queued > QUEUE_BYTES / 2 {
            return false;
        }
        self.push(&mut queue, Item::Checkpoint { lane: self.index, covered_to, agents, feed, is_recovered });
        true
    }

    /// Holds publishing from this position on, or lets it go on; also over restarts, from when `done` is called.
    pub fn hold(&self, at: Option<u64>, done: Done) {
        self.outbox.hold(at);
        let mut queue = self.shared.queue.lock();
        self.push(&mut queue, Item::Hold { lane: self.index, at, done });
    }

    /// Writes the version of its mapping down. The answer comes when it is there.
    pub fn remember_mapping(&self, version: u64, content: u64) -> crossbeam_channel::Receiver<Result<(), StoreError>> {
        let (done, receiver) = crossbeam_channel::bounded(1);
        let mut queue = self.shared.queue.lock();
        self.push(&mut queue, Item::Mapping { lane: self.index, version, content, done });
        receiver
    }

    /// How the store is doing.
    pub fn health(&self) -> StoreHealth {
        self.shared.health()
    }

    /// Rows that end after this position, as many as fit into so many bytes, but at least one if there is one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn rows(&self, from: u64, most_bytes: usize) -> Result<Vec<Row>, StoreError> {
        self.reader.lock().batches(self.number, from, most_bytes)
    }

    /// Fetches what comes from this position on into the outbox. A row that is damaged is given up: the others must not
    /// wait for it. Anything else is tried again.
    pub(crate) fn fetch(&self, integration: &str, position: u64) {
        let Err(error) = self.read(position) else { return };
        self.shared.observer.failed(error.kind());
        let next = match &error {
            FetchError::Store(StoreError::Corrupt(_)) | FetchError::Missing { .. } | FetchError::Row { .. } => {
                self.reader.lock().next_row(self.number, position)
            }
            FetchError::Store(_) => {
                tracing::error!(integration, position, %error, "the journal cannot be read, will be tried again");
                // Stopped or not: the caller finds out.
                let _ = self.outbox.pause(FETCH_AGAIN);
                return;
            }
        };
        let until = next.ok().flatten().unwrap_or_else(|| self.outbox.end());
        let lost = self.outbox.lose(until);
        tracing::error!(integration, position, lost, %error, "a row of the journal is damaged: its messages are lost");
    }

    fn read(&self, position: u64) -> Result<(), FetchError> {
        let rows = self.rows(position, FETCH_BYTES)?;
        if rows.first().is_none_or(|row| row.first > position) {
            return Err(FetchError::Missing { position });
        }
        for (number, Row { first, content, written_at, .. }) in rows.into_iter().enumerate() {
            let messages = match journal_row::decode(&content) {
                Ok((messages, _)) => messages,
                // Those before it are there; it is the first one the next time.
                Err(_) if number > 0 => return Ok(()),
                Err(source) => return Err(FetchError::Row { first, source }),
            };
            self.outbox.refill(first, messages, instant_of(written_at));
        }
        Ok(())
    }
}

fn instant_of(written_at: Timestamp) -> Instant {
    let age = Timestamp::now().since(written_at);
    Instant::now().checked_sub(age).unwrap_or_else(Instant::now)
}

/// Why something that should be in the journal could not be fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("position {position} is not in the journal")]
    Missing { position: u64 },
    #[error("the journal's row at position {first} is not readable: {source}")]
    Row { first: u64, source: journal_row::RowError },
}

impl FetchError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Store(error) => error.kind(),
            Self::Missing { .. } | Self::Row { .. } => "corrupt",
        }
    }
}

/// A lane, as the thread sees it.
struct WrittenLane {
    integration: Arc<str>,
    number: i64,
    outbox: Arc<Outbox>,
    /// As the store knows it.
    acknowledged_to: u64,
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    store: Store,
    lanes: Vec<WrittenLane>,
    logged: Option<Instant>,
}

impl Writer {
    /// Returns how many messages could not be written.
    fn run(mut self) -> usize {
        self.tell_size();
        while let Some(items) = self.next_work() {
            let acknowledged: Vec<u64> = self.lanes.iter().map(|lane| lane.outbox.acknowledged_to()).collect();
            if !self.write(&items, &acknowledged) {
                return self.give_up(&items);
            }
            for (lane, acknowledged_to) in self.lanes.iter_mut().zip(acknowledged) {
                lane.acknowledged_to = acknowledged_to;
            }
            self.conclude(items);
        }
        0
    }

    /// What is to be written next, perhaps only how far Kafka is; `None` at the end.
    fn next_work(&self) -> Option<Vec<Item>> {
        let mut acknowledged_since: Option<Instant> = None;
        let mut queue = self.shared.queue.lock();
        loop {
            let mut bytes = 0;
            let mut items = Vec::new();
            while let Some(item) = queue.items.pop_front_if(|item| bytes == 0 || bytes + item.bytes() <= COMMIT_BYTES) {
                bytes += item.bytes();
                items.push(item);
            }
            let is_acknowledged = self.lanes.iter().any(|lane| lane.outbox.acknowledged_to() > lane.acknowledged_to);
            let is_ending = matches!(queue.phase, Phase::Ending(_));
            if is_acknowledged && acknowledged_since.is_none() {
                acknowledged_since = Some(Instant::now());
            }
            let is_due = acknowledged_since.is_some_and(|since| since.elapsed() >= ACKNOWLEDGE_EVERY / 2);
            if !items.is_empty() || is_due || (is_ending && is_acknowledged) {
                queue.is_writing = true;
                return Some(items);
            }
            if is_ending {
                return None;
            }
            self.shared.work.wait_for(&mut queue, ACKNOWLEDGE_EVERY / 2);
        }
    }

    /// One commit, however many attempts it takes. False when the end came first.
    fn write(&mut self, items: &[Item], acknowledged: &[u64]) -> bool {
        let written_at = Timestamp::now();
        let mut writes = Vec::with_capacity(items.len() + self.lanes.len());
        for (lane, to) in self.lanes.iter().zip(acknowledged) {
            if *to > lane.acknowledged_to {
                writes.push(Write::Acknowledged { integration: lane.number, to: *to });
            }
        }
        for item in items {
            let integration = self.lanes[item.lane()].number;
            writes.push(match item {
                Item::Mapping { .. } => continue,
                Item::Batch { first, messages, content, .. } => {
                    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
                    Write::Batch { integration, first: *first, count, written_at, content }
                }
                Item::Checkpoint { covered_to, agents, feed, is_recovered, .. } => {
                    Write::Checkpoint { integration, covered_to: *covered_to, agents, feed, recovered: *is_recovered }
                }
                Item::Hold { at, .. } => Write::Held { integration, at: *at },
            });
        }
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.store.commit(&writes) {
                Ok(released) => {
                    let mut queue = self.shared.queue.lock();
                    for released in released {
                        if let Some(index) = self.lanes.iter().position(|lane| lane.number == released.integration) {
                            let lane = &mut queue.lanes[index];
                            lane.stored = lane.stored.saturating_sub(released.bytes);
                        }
                    }
                    if queue.trouble.take().is_some() {
                        tracing::info!("the store can be written again");
                        self.logged = None;
                    }
                    return true;
                }
                Err(error) => {
                    self.shared.observer.failed(error.kind());
                    if self.logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
                        tracing::error!(kind = error.kind(), %error, "the store cannot be written, will be tried again");
                        self.logged = Some(Instant::now());
                    }
                    let mut queue = self.shared.queue.lock();
                    queue.trouble = Some(error.to_string());
                    self.shared.room.notify_all();
                    if let Phase::Ending(deadline) = queue.phase
                        && Instant::now() >= deadline
                    {
                        return false;
                    }
                    self.shared.work.wait_for(&mut queue, backoff);
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    fn conclude(&mut self, items: Vec<Item>) {
        let mut bytes = vec![0; self.lanes.len()];
        for item in items {
            bytes[item.lane()] += item.bytes();
            let lane = &self.lanes[item.lane()];
            match item {
                Item::Batch { messages, submitted_at, .. } => {
                    lane.outbox.append(messages, submitted_at);
                    fail_point::reach(fail_point::APPENDED);
                    self.shared.observer.written(&lane.integration, submitted_at.elapsed());
                }
                Item::Checkpoint { .. } => {}
                Item::Hold { done, .. } => done(),
                // Whoever asked may have stopped waiting.
                Item::Mapping { version, content, done, .. } => {
                    drop(done.try_send(self.store.set_mapping_version(&lane.integration, version, content)));
                }
            }
        }
        let mut queue = self.shared.queue.lock();
        for (lane, bytes) in queue.lanes.iter_mut().zip(bytes) {
            lane.queued -= bytes;
        }
        queue.is_writing = false;
        drop(queue);
        self.shared.room.notify_all();
        self.tell_size();
    }

    fn tell_size(&self) {
        let bytes = self.shared.queue.lock().lanes.iter().map(|lane| lane.stored).sum();
        self.shared.observer.size(bytes);
    }

    fn give_up(&self, items: &[Item]) -> usize {
        let mut queue = self.shared.queue.lock();
        queue.is_writing = false;
        let messages = |item: &Item| if let Item::Batch { messages, .. } = item { messages.len() } else { 0 };
        let unwritten = items.iter().chain(&queue.items).map(messages).sum();
        queue.items.clear();
        drop(queue);
        self.shared.room.notify_all();
        unwritten
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("number", &self.number).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

//! The journal: what a worker hands over is on disk before anybody tries to publish it.
//!
//! ```text
//! workers ──submit──> queue ──one commit for all──> store ──> outbox of the integration ──> publisher
//! ```
//!
//! Purpose: one thread writes for all integrations (a group commit: what gathered during the last commit goes into the next
//! one, so batches grow under load). Each integration has a *lane*: its own positions, bounds and state.
//!
//! Invariants: a message is given to the outbox only after its commit; positions are given in the order of submission and
//! have no holes; how far Kafka has acknowledged is written at most a tenth of a second later, so that a crash repeats
//! no more than that.
//!
//! Failure policy: a commit that fails is tried again for ever, with the same contents, and nothing is written ahead of it.
//! Meanwhile what is submitted waits in the bounded queue; beyond that, and beyond the size that an integration may have in
//! the store, [`Lane::submit`] refuses with [`Refused::Full`], and the worker keeps each agent's latest state. While the
//! store is only slow, the worker waits instead; a disk that does not respond for some seconds counts as failing (`watch`).
//! Shutdown keeps its deadline whatever the disk does. Cost: one encoding per batch, two locks per batch.
//!
//! [`message`] is what is handed over, [`row`] the bytes that are kept of it, `agents` what these say about agents; `queue`
//! holds what waits for the thread that writes, `writer`; [`lane`] is one integration's part, [`outbox`] its window in
//! memory; `erase` is about people who were forgotten, [`limits`] about memory, and [`store`] about the file.

pub(crate) mod agents;
mod erase;
pub mod lane;
pub mod limits;
pub mod message;
pub mod outbox;
mod queue;
pub mod row;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
mod watch;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;

use crate::join;
use crate::telemetry::targets::JOURNAL;

use self::erase::Erasing;
use self::lane::{Lane, instant_of};
use self::outbox::Outbox;
use self::queue::{Item, LaneQueue, Phase, Queue, Shared};
use self::store::{Store, StoreError, StoredIntegration};
use self::writer::{Writer, WrittenLane};

pub use self::queue::{
    Bounds, Done, LaneStart, Refused, StoreHealth, StoreObserver, TROUBLES, TableChange, Unobserved,
};

/// Extra time for its thread beyond the deadline, to report what it could not write.
const LAST_WORD: Duration = Duration::from_millis(500);
/// How long a journal that is dropped waits for a commit in progress.
const PATIENCE: Duration = Duration::from_secs(10);

/// The journal of all integrations, and the thread that writes it.
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
    /// The system provides no thread.
    #[error("no thread for the journal: {0}")]
    Thread(#[from] std::io::Error),
}

impl Journal {
    /// Continues where the store was left.
    ///
    /// # Errors
    /// When the store cannot be read, or there is no thread.
    pub fn start(
        mut store: Store,
        integrations: &[LaneStart],
        bounds: Bounds,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, JournalError> {
        let begun: Vec<_> = integrations.iter().map(|start| (start.stored.number, start.stored.next)).collect();
        let lineages = store.begin_runs(&begun);
        let lane_queue =
            |stored: &StoredIntegration| LaneQueue { next: stored.next, stored: stored.bytes, ..LaneQueue::default() };
        let queue = Queue::of(integrations.iter().map(|start| lane_queue(&start.stored)).collect());
        let shared = Arc::new(Shared {
            bounds,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            room: Condvar::new(),
            ended: Condvar::new(),
            is_erasing: AtomicBool::new(store.is_erase_due()?),
            hurry: store.hurry(),
            is_durable: store.is_durable(),
            store_id: store.id(),
            observer,
        });
        let mut lanes = BTreeMap::new();
        let mut written = Vec::new();
        for ((index, LaneStart { integration, stored, keeps_events }), runs) in
            integrations.iter().enumerate().zip(lineages)
        {
            let outbox = Outbox::new(bounds.window, stored.acknowledged_to, stored.next, stored.held_at);
            let lane = Lane {
                shared: Arc::clone(&shared),
                index,
                number: stored.number,
                reader: Arc::new(Mutex::new(store.reader()?)),
                outbox: Arc::new(outbox),
                runs: Arc::new(runs),
            };
            // What cannot be read is handled when it is fetched.
            if stored.next > stored.acknowledged_to
                && let Ok(rows) = lane.reader.lock().sound_batches(stored.number, stored.acknowledged_to, 1)
                && let Some(row) = rows.first()
            {
                lane.outbox.set_on_disk_since(instant_of(row.written_at));
            }
            written.push(WrittenLane {
                integration: Arc::clone(integration),
                number: stored.number,
                outbox: Arc::clone(&lane.outbox),
                acknowledged_to: stored.acknowledged_to,
                covered_to: stored.covered_to,
                feed: stored.feed.clone(),
                keeps_events: *keeps_events,
                reader: Arc::clone(&lane.reader),
            });
            lanes.insert(Arc::clone(integration), lane);
        }
        let mut erasing = Erasing::default();
        if store.is_erase_due()? {
            // Whose tombstones they are is no longer known: each integration may have some in its journal.
            let next = |(index, start): (usize, &LaneStart)| erasing.add(vec![(index, start.stored.next)], None);
            integrations.iter().enumerate().for_each(next);
        }
        let writer = Writer { shared: Arc::clone(&shared), store, lanes: written, logged: None, erasing };
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        let journal = Self { shared, lanes, thread: Some(thread) };
        let shared = Arc::clone(&journal.shared);
        // It ends with the journal; nobody needs to wait for it.
        thread::Builder::new().name("journal-watch".to_owned()).spawn(move || watch::run(&shared))?;
        Ok(journal)
    }

    /// Returns the lanes, by integration.
    pub fn lanes(&self) -> impl Iterator<Item = (&Arc<str>, &Lane)> {
        self.lanes.iter()
    }

    /// Returns the id of the store that counts the positions.
    pub fn store_id(&self) -> Uuid {
        self.shared.store_id
    }

    /// Returns how the store is doing.
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

    /// Writes what is left, until the deadline, and ends. Returns how many messages are not on disk, or not known to be: a
    /// hanging disk is not waited for.
    pub fn finish(mut self, deadline: Instant) -> usize {
        let is_hanging = self.shared.queue.lock().hanging().is_some();
        self.end(deadline, if is_hanging { deadline } else { deadline + LAST_WORD })
    }

    /// Tries to write until the deadline, and waits for the thread until `latest`.
    fn end(&mut self, deadline: Instant, latest: Instant) -> usize {
        let Some(thread) = self.thread.take() else { return 0 };
        self.shared.queue.lock().phase = Phase::Ending(deadline);
        self.shared.hurry.up();
        self.shared.work.notify_all();
        self.shared.room.notify_all();
        self.shared.ended.notify_all();
        if let Some(ended) = join::until(thread, latest) {
            return ended.unwrap_or_default();
        }
        let queue = self.shared.queue.lock();
        let unwritten = queue.writing + queue.items.iter().map(Item::messages).sum::<usize>();
        drop(queue);
        tracing::error!(target: JOURNAL, unwritten, "the disk of the store hangs: it is not waited for any longer");
        unwritten
    }
}

impl Drop for Journal {
    /// Writes what can be written at once.
    fn drop(&mut self) {
        self.end(Instant::now(), Instant::now() + PATIENCE);
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

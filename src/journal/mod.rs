//! The journal: what a worker hands over is on disk before anybody tries to publish it.
//!
//! ```text
//! workers ──submit──> queue ──one commit for all──> store ──> send window of the integration ──> publisher
//! ```
//!
//! Purpose: one thread writes for all integrations (a group commit: what gathered during the last commit goes into the next
//! one, so batches grow under load). Each integration has a *lane*: its own positions, bounds and state.
//!
//! Invariants: a message is given to the send window only after its commit; positions are given in the order of submission
//! and have no holes; how far Kafka has acknowledged is written at most a tenth of a second later, so that a crash repeats
//! no more than that.
//!
//! Failure policy: a commit that fails is tried again for ever, with the same contents, and nothing is written ahead of it.
//! Meanwhile what is submitted waits in the bounded queue; beyond that, and beyond the size that an integration may have in
//! the store, [`Lane::submit`] refuses with [`Refused::Full`], and the worker keeps each agent's latest state. While the
//! store is only slow, the worker waits instead; a disk that does not respond for some seconds counts as failing (`watch`).
//! Shutdown keeps its deadline whatever the disk does. Cost: one encoding per batch, two locks per batch.
//!
//! [`message`] is what is handed over, [`row`] the bytes that are kept of it, `agents` what these say about agents; `queue`
//! holds what waits for the thread that writes, `writer`; [`lane`] is one integration's part, [`send_window`] its window in
//! memory; `erase` is about people who were forgotten, [`limits`] about memory, and [`store`] about the file.

pub(crate) mod agents;
mod erase;
pub mod lane;
pub mod limits;
pub mod message;
mod queue;
pub mod row;
pub mod send_window;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
mod watch;
mod window_state;
mod writer;
mod written_lane;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::join;
use crate::telemetry::targets::JOURNAL;

use self::erase::Erasing;
use self::lane::{Lane, instant_of};
use self::queue::{Item, LaneQueue, Phase, Shared};
use self::send_window::SendWindow;
use self::store::{Store, StoreError};
use self::writer::Writer;
use self::written_lane::WrittenLane;

pub use self::agents::TableChange;
pub use self::queue::{Bounds, Done, LaneStart, Refused, StoreHealth, StoreObserver, TROUBLES, UnobservedStore};

/// Extra time for its thread beyond the deadline, to report what it could not write.
const LAST_WORD: Duration = Duration::from_millis(500);
/// How long a journal that is dropped waits for a commit in progress.
const PATIENCE: Duration = Duration::from_secs(10);

/// The journal of all integrations, and the thread that writes it.
pub struct Journal {
    shared: Arc<Shared>,
    /// The open lanes, by integration.
    lanes: Mutex<BTreeMap<Arc<str>, Lane>>,
    thread: Mutex<Option<JoinHandle<usize>>>,
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
    /// The journal has ended.
    #[error("the journal has ended")]
    Ended,
}

impl Journal {
    /// Continues where the store was left, with a lane for each of these integrations; [`Self::open`] adds others.
    ///
    /// # Errors
    /// When the store cannot be read, or there is no thread.
    pub fn start(
        store: Store,
        integrations: &[LaneStart],
        bounds: Bounds,
        observer: Arc<dyn StoreObserver>,
    ) -> Result<Self, JournalError> {
        let is_erase_left = store.is_erase_due()?;
        let shared = Arc::new(Shared::new(&store, bounds, is_erase_left, observer));
        let writer = Writer {
            shared: Arc::clone(&shared),
            store,
            lanes: BTreeMap::new(),
            closed: BTreeMap::new(),
            logged: None,
            erasing: Erasing::default(),
            is_erase_left,
        };
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        let journal = Self { shared, lanes: Mutex::default(), thread: Mutex::new(Some(thread)) };
        let shared = Arc::clone(&journal.shared);
        // It ends with the journal; nobody needs to wait for it.
        thread::Builder::new().name("journal-watch".to_owned()).spawn(move || watch::run(&shared))?;
        for start in integrations {
            journal.open(start.clone())?;
        }
        Ok(journal)
    }

    /// Opens the lane of an integration, while those of others go on. Blocks for as long as the store takes.
    ///
    /// # Errors
    /// When the store cannot be read, or the journal has ended.
    pub fn open(&self, start: LaneStart) -> Result<Lane, JournalError> {
        let LaneStart { integration, stored, keeps_events } = start;
        let begun = (stored.number, stored.next);
        let opened = self.with_store(move |store| store.reader().map(|reader| (store.begin_run(begun), reader)));
        let (runs, reader) = opened.recv().map_err(|_| JournalError::Ended)??;
        let send_window =
            Arc::new(SendWindow::new(self.shared.bounds.window, stored.acknowledged_to, stored.next, stored.paused_at));
        let shared = Arc::clone(&self.shared);
        send_window.when_released(Box::new(move || shared.acknowledged()));
        // What cannot be read is handled when it is fetched.
        if stored.next > stored.acknowledged_to
            && let Ok(rows) = reader.sound_batches(stored.number, stored.acknowledged_to, 1)
            && let Some(row) = rows.first()
        {
            send_window.set_on_disk_since(instant_of(row.written_at));
        }
        let reader = Arc::new(Mutex::new(reader));
        let written = WrittenLane::new(
            Arc::clone(&integration),
            &stored,
            Arc::clone(&send_window),
            Arc::clone(&reader),
            keeps_events,
        );
        let mut queue = self.shared.queue.lock();
        let index = queue.add(LaneQueue { next: stored.next, stored: stored.bytes, ..LaneQueue::default() });
        queue.items.push_back(Item::Open { lane: index, written: Box::new(written) });
        drop(queue);
        self.shared.work.notify_one();
        let shared = Arc::clone(&self.shared);
        let lane = Lane { shared, index, number: stored.number, reader, send_window, runs: Arc::new(runs) };
        self.lanes.lock().insert(integration, lane.clone());
        Ok(lane)
    }

    /// Does something with the store on the thread that owns it, after what was submitted before. The answer comes when it is
    /// done; none comes when the journal has ended. The other integrations wait meanwhile.
    pub fn with_store<R: Send + 'static>(&self, work: impl FnOnce(&mut Store) -> R + Send + 'static) -> Receiver<R> {
        let (done, receiver) = crossbeam_channel::bounded(1);
        let work = move |store: &mut Store| {
            // The caller may have stopped waiting.
            let _ = done.try_send(work(store));
        };
        let mut queue = self.shared.queue.lock();
        if !matches!(queue.phase, Phase::Ending(_)) {
            queue.items.push_back(Item::Work(Box::new(work)));
        }
        drop(queue);
        self.shared.work.notify_one();
        receiver
    }

    /// Returns the lanes, by integration.
    pub fn lanes(&self) -> impl Iterator<Item = (Arc<str>, Lane)> + use<> {
        let lanes = self.lanes.lock();
        let all: Vec<_> = lanes.iter().map(|(integration, lane)| (Arc::clone(integration), lane.clone())).collect();
        all.into_iter()
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

    /// Closes the lane of an integration, while those of others go on, and waits until what was taken is on disk, at most until
    /// the deadline.
    pub fn close_lane(&self, integration: &str, deadline: Instant) {
        let Some(lane) = self.lanes.lock().remove(integration) else { return };
        let (done, is_done) = crossbeam_channel::bounded(1);
        lane.close(Box::new(move || {
            let _ = done.try_send(());
        }));
        let _ = is_done.recv_deadline(deadline);
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
    pub fn finish(&self, deadline: Instant) -> usize {
        let is_hanging = self.shared.queue.lock().hanging().is_some();
        self.end(deadline, if is_hanging { deadline } else { deadline + LAST_WORD })
    }

    /// Tries to write until the deadline, and waits for the thread until `latest`.
    fn end(&self, deadline: Instant, latest: Instant) -> usize {
        let Some(thread) = self.thread.lock().take() else { return 0 };
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
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

//! One integration's part of the journal: what its worker hands over, and what its publisher fetches.
//!
//! Invariants and failure policy are those of [`super`]. A row that is damaged is given up: its messages are counted as lost
//! and logged, and the others go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::telemetry::targets::JOURNAL;
use crate::time::Timestamp;

use super::agents::TableChange;
use super::message::Batch;
use super::queue::{Done, Item, LaneIndex, NEWER, Phase, QUEUE_BYTES, Queue, RESERVE, Refused, Shared, StoreHealth};
use super::row;
use super::send_window::SendWindow;
use super::store::{JournalRow, Lineage, StoreError, StoreNumber, StoreReader};

/// Bytes that are read from the store at a time.
const FETCH_BYTES: usize = 4 * 1024 * 1024;
/// How long a journal that cannot be read is left alone.
const FETCH_AGAIN: Duration = Duration::from_secs(5);
/// What must be free before a full journal has room again, unless its bounds are even smaller.
const ROOM: u64 = 4 * 1024 * 1024;

/// The name of the lane in which the history of an integration waits: none of it is ever in front of a live event, because
/// each lane has its own positions, bounds, window and publisher. Live events are in a lane with the integration's own name.
pub fn history_of(integration: &str) -> Arc<str> {
    // No integration has a slash in its id.
    format!("{integration}/history").into()
}

/// One integration's part of the journal. Cheap to clone.
#[derive(Clone)]
pub struct Lane {
    pub(super) shared: Arc<Shared>,
    pub(super) index: LaneIndex,
    pub(super) number: StoreNumber,
    pub(super) reader: Arc<Mutex<StoreReader>>,
    pub(super) send_window: Arc<SendWindow>,
    pub(super) runs: Arc<Lineage>,
}

impl Lane {
    /// Returns the part of it that is in memory, for the publisher.
    pub(crate) const fn send_window(&self) -> &Arc<SendWindow> {
        &self.send_window
    }

    /// Hands a batch over, whole or not at all; waits while the store is slow. Returns the position after its last message:
    /// the batch is in Kafka when [`SendWindow::acknowledged_to`] has come that far.
    ///
    /// # Errors
    /// [`Refused`], with the messages: when there is no room for them, and when the journal is closed.
    pub fn submit(&self, batch: Batch) -> Result<u64, Refused> {
        let Batch { messages, agents, forgotten, source, is_urgent } = batch;
        let forgets = !forgotten.is_empty();
        let carries_agents = forgets || !agents.is_empty();
        // Without messages there is no row: only the source has got further.
        let content = match messages.is_empty() {
            true => Vec::new(),
            false => row::encode(&messages, &agents, &forgotten),
        };
        // It may wait for room.
        drop((agents, forgotten));
        let refused = |messages, source| Box::new(Batch { messages, source, is_urgent, ..Batch::default() });
        let submitted_at = Instant::now();
        let reserve = if is_urgent { RESERVE } else { 0 };
        let most_stored = self.shared.bounds.journal_bytes + reserve as u64;
        let mut queue = self.shared.queue.lock();
        loop {
            if queue.phase != Phase::Open || queue.lane(self.index).is_closed {
                return Err(Refused::Closed(refused(messages, source)));
            }
            let is_in_trouble = queue.is_in_trouble();
            let lane = queue.lane(self.index);
            let fits_store = lane.stored == 0 || lane.stored + content.len() as u64 <= most_stored;
            let fits_queue = lane.queued == 0 || lane.queued + content.len() <= QUEUE_BYTES + reserve;
            if !fits_store || (is_in_trouble && !fits_queue) {
                return Err(Refused::Full(refused(messages, source)));
            }
            if fits_queue {
                break;
            }
            self.shared.room.wait(&mut queue);
        }
        let lane = queue.lane_mut(self.index);
        let first = lane.next;
        lane.next += messages.len() as u64;
        lane.stored += content.len() as u64;
        let end = lane.next;
        let lane = self.index;
        let batch = Item::Batch { lane, first, messages, content, submitted_at, carries_agents, forgets, source };
        self.push(&mut queue, batch);
        Ok(end)
    }

    fn push(&self, queue: &mut Queue, item: Item) {
        queue.lane_mut(self.index).queued += item.bytes();
        queue.items.push_back(item);
        self.shared.work.notify_one();
    }

    /// Whether [`Self::submit`] would not wait for long, because the store makes progress; where there is no hope of that it
    /// does not wait.
    pub fn takes_more(&self) -> bool {
        let queue = self.shared.queue.lock();
        queue.phase != Phase::Open || queue.is_in_trouble() || queue.lane(self.index).queued <= QUEUE_BYTES / 2
    }

    /// Whether there is room for more than single messages: a tenth of the bounds is free, up to half of small bounds.
    pub fn has_room(&self) -> bool {
        let queue = self.shared.queue.lock();
        let lane = queue.lane(self.index);
        let bounds = self.shared.bounds.journal_bytes;
        let room = (bounds / 10).max(ROOM).min(bounds / 2);
        !queue.is_in_trouble() && lane.stored <= bounds - room && lane.queued <= QUEUE_BYTES / 2
    }

    /// Waits until every batch that it took is on disk, at most until the deadline.
    pub(crate) fn wait_written(&self, deadline: Instant) {
        let mut queue = self.shared.queue.lock();
        while queue.lane(self.index).queued > 0 {
            if self.shared.room.wait_until(&mut queue, deadline).timed_out() {
                return;
            }
        }
    }

    /// Whether less than half of its space in the store is used.
    pub fn is_below_half(&self) -> bool {
        self.stored_bytes() < self.shared.bounds.journal_bytes / 2
    }

    /// Returns how long its oldest batch has been waiting for the disk.
    pub(crate) fn oldest_age(&self) -> Duration {
        self.shared.queue.lock().oldest_age(self.index)
    }

    /// Returns the position that the next message gets.
    pub fn next(&self) -> u64 {
        self.shared.queue.lock().lane(self.index).next
    }

    /// Returns the bytes of its rows.
    pub fn stored_bytes(&self) -> u64 {
        self.shared.queue.lock().lane(self.index).stored
    }

    /// Writes the agent table. `covered_to`: what the messages below this position have changed is in these rows or in
    /// earlier ones. False while the store is failing or far behind: then it has to be tried again, and until it succeeds the
    /// journal stands in.
    #[must_use]
    pub fn checkpoint(&self, covered_to: u64, table: TableChange, feed: Vec<u8>, is_recovered: bool) -> bool {
        let mut queue = self.shared.queue.lock();
        let lane = queue.lane(self.index);
        if matches!(queue.phase, Phase::Ending(_)) || queue.is_in_trouble() || lane.queued > QUEUE_BYTES / 2 {
            return false;
        }
        self.push(&mut queue, Item::Checkpoint { lane: self.index, covered_to, table, feed, is_recovered });
        true
    }

    /// Pauses publishing before this position, or resumes it; survives restarts once `done` is called.
    pub fn pause(&self, at: Option<u64>, done: Done) {
        self.send_window.pause(at);
        let mut queue = self.shared.queue.lock();
        self.push(&mut queue, Item::Pause { lane: self.index, at, done });
    }

    /// Returns the runs that counted its positions, this one last.
    pub(crate) fn runs(&self) -> &Lineage {
        &self.runs
    }

    /// Records that Kafka knows of this run.
    pub(crate) fn run_is_known(&self) {
        let runs = self.runs().clone().known().to_string();
        let mut queue = self.shared.queue.lock();
        self.push(&mut queue, Item::RunKnown { lane: self.index, runs });
    }

    /// Calls `done` when what was forgotten below the position is erased from the store: once all of it is in Kafka and the
    /// agent table is written without it.
    pub fn when_erased(&self, until: u64, done: Done) {
        let mut queue = self.shared.queue.lock();
        self.push(&mut queue, Item::Erase { lane: self.index, until, done });
    }

    /// Whether somebody who was forgotten, of whatever integration and by whatever run, may still be found in the bytes of the
    /// store.
    pub fn is_erasing(&self) -> bool {
        self.shared.is_erasing.load(Ordering::Acquire)
    }

    /// Closes it: nothing more is taken, and `done` is called once everything is on disk that was. What Kafka has by then is
    /// recorded, so its publisher must have ended.
    pub fn close(&self, done: Done) {
        let mut queue = self.shared.queue.lock();
        if std::mem::replace(&mut queue.lane_mut(self.index).is_closed, true) {
            return done();
        }
        self.push(&mut queue, Item::Close { lane: self.index, done });
        self.shared.room.notify_all();
    }

    /// Returns how the store is doing.
    pub fn health(&self) -> StoreHealth {
        self.shared.health()
    }

    /// Returns rows that end after this position, as many as fit into so many bytes, but at least one if there is one.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn rows(&self, from: u64, most_bytes: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.reader.lock().batches(self.number, from, most_bytes)
    }

    /// Does the same, skipping damaged rows, for callers that only look: what those held is lost when they are fetched.
    ///
    /// # Errors
    /// When the journal cannot be read, which says nothing about its content.
    pub fn sound_rows(&self, from: u64, most_bytes: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.reader.lock().sound_batches(self.number, from, most_bytes)
    }

    /// Fetches what comes from this position on into the send window. A row that is damaged is given up: the others must not
    /// wait for it. Anything else is tried again: what a newer version wrote is kept for that version, and a failing disk
    /// says nothing about its content, neither this row nor the next.
    pub(crate) fn fetch(&self, integration: &str, position: u64) {
        if !self.try_fetch(integration, position) {
            // Whether it was stopped, the caller finds out.
            let _ = self.send_window.wait_for(FETCH_AGAIN);
        }
    }

    /// Makes one attempt; false where it has to be tried again.
    fn try_fetch(&self, integration: &str, position: u64) -> bool {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(
                target: JOURNAL, integration, position, %error, "the journal cannot be read, will be tried again"
            );
            false
        };
        // What is committed from now on is not looked for.
        let end = self.send_window.end();
        let Err(error) = self.read(position) else { return true };
        self.shared.observer.failed(error.kind());
        if !error.is_damage() {
            return failed(&error);
        }
        let found = self.reader.lock().next_row(self.number, position);
        match found {
            Ok(next) => {
                let lost = self.send_window.lose(next.unwrap_or(end));
                tracing::error!(
                    target: JOURNAL, integration, position, lost, %error, "a row of the journal is damaged: its messages are lost"
                );
                true
            }
            Err(error) => {
                self.shared.observer.failed(error.kind());
                failed(&error)
            }
        }
    }

    fn read(&self, position: u64) -> Result<(), FetchError> {
        let rows = self.rows(position, FETCH_BYTES)?;
        if rows.first().is_none_or(|row| row.first > position) {
            return Err(FetchError::Missing { position });
        }
        for (number, JournalRow { first, content, written_at, .. }) in rows.into_iter().enumerate() {
            let messages = match row::decode(&content) {
                Ok((messages, _)) => messages,
                // Those before it are done; it is the first one the next time.
                Err(_) if number > 0 => return Ok(()),
                Err(source) => return Err(FetchError::Row { first, source }),
            };
            self.send_window.refill(first, messages, instant_of(written_at));
        }
        Ok(())
    }
}

/// Returns the moment on the monotonic clock that is as long ago as this time.
pub(crate) fn instant_of(written_at: Timestamp) -> Instant {
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
    Row { first: u64, source: row::RowError },
}

impl FetchError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Store(error) => error.kind(),
            Self::Row { source, .. } if source.is_newer() => NEWER,
            Self::Missing { .. } | Self::Row { .. } => "corrupt",
        }
    }

    /// Whether the content is not what was written.
    const fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Missing { .. } => true,
            Self::Row { source, .. } => !source.is_newer(),
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;

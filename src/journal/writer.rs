//! The thread that writes the journal: one commit for what all integrations have handed over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::fail_point;
use crate::telemetry::targets::JOURNAL;
use crate::time::Timestamp;

use super::agents::Latest;
use super::erase::Erasing;
use super::outbox::Outbox;
use super::queue::{Item, Phase, Shared, TableChange};
use super::store::{Erased, Reader, Released, Store, StoreError, Write};

/// How late the store may learn what Kafka has.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(100);
/// Bytes of rows that are released at a time while the disk is full.
const LET_GO_BYTES: usize = 1024 * 1024;
/// What one commit writes at most.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// The shortest time between two log lines about the same error.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A lane, as the thread sees it.
pub(super) struct WrittenLane {
    pub(super) integration: Arc<str>,
    pub(super) number: i64,
    pub(super) outbox: Arc<Outbox>,
    /// The position as the store knows it.
    pub(super) acknowledged_to: u64,
    /// Up to where its agents are written, and what was last written of its feed.
    pub(super) covered_to: u64,
    pub(super) feed: Vec<u8>,
    /// Whether the messages of last events are remembered too.
    pub(super) keeps_events: bool,
    pub(super) reader: Arc<Mutex<Reader>>,
}

/// Returns the position below which everything of a lane has left the store: Kafka has it, and the agents are written.
fn left_to(lanes: &[WrittenLane]) -> impl Fn(usize) -> u64 {
    |lane| lanes.get(lane).map_or(u64::MAX, |lane| lane.acknowledged_to.min(lane.covered_to))
}

impl WrittenLane {
    /// Returns the agents changed by rows that are not covered and end below a position, as far as they can be read; and
    /// where the last of these rows ends.
    fn changed_below(&self, position: u64) -> (u64, TableChange) {
        let mut covered_to = self.covered_to;
        let mut latest = Latest::new(self.keeps_events.then_some(&*self.integration));
        let rows = self.reader.lock().sound_batches(self.number, covered_to, LET_GO_BYTES).unwrap_or_default();
        for row in rows.iter().take_while(|row| row.end() <= position) {
            if latest.add(row).is_err() {
                break;
            }
            covered_to = row.end();
        }
        (covered_to, latest.into_changed())
    }
}

/// The thread that writes.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) lanes: Vec<WrittenLane>,
    pub(super) logged: Option<Instant>,
    pub(super) erasing: Erasing,
}

impl Writer {
    /// Runs to the end; returns how many messages could not be written.
    pub(super) fn run(mut self) -> usize {
        self.tell_size();
        while let Some(items) = self.next_work() {
            let acknowledged: Vec<u64> = self.lanes.iter().map(|lane| lane.outbox.acknowledged_to()).collect();
            if !self.write(&items, &acknowledged) {
                return self.give_up(&items);
            }
            for (lane, acknowledged_to) in self.lanes.iter_mut().zip(acknowledged) {
                lane.acknowledged_to = lane.acknowledged_to.max(acknowledged_to);
            }
            self.conclude(items);
            self.erase();
        }
        0
    }

    /// Returns what is to be written next, perhaps only how far Kafka is; `None` at the end.
    fn next_work(&self) -> Option<Vec<Item>> {
        let mut acknowledged_since: Option<Instant> = None;
        let mut queue = self.shared.queue.lock();
        loop {
            let items = queue.next_items(COMMIT_BYTES);
            let is_acknowledged = self.lanes.iter().any(|lane| lane.outbox.acknowledged_to() > lane.acknowledged_to);
            let is_ending = matches!(queue.phase, Phase::Ending(_));
            if is_acknowledged && acknowledged_since.is_none() {
                acknowledged_since = Some(Instant::now());
            }
            let is_due = acknowledged_since.is_some_and(|since| since.elapsed() >= ACKNOWLEDGE_EVERY / 2);
            let is_erased = !is_ending && self.erasing.is_due(Instant::now(), left_to(&self.lanes));
            if !items.is_empty() || is_due || is_erased || (is_ending && is_acknowledged) {
                queue.is_writing = true;
                queue.writing = items.iter().map(Item::messages).sum();
                return Some(items);
            }
            if is_ending {
                return None;
            }
            self.shared.work.wait_for(&mut queue, ACKNOWLEDGE_EVERY / 2);
        }
    }

    /// Makes one commit, however many attempts it takes. False when the end came first.
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
            let write = match item {
                Item::Mappings { .. } | Item::Erase { .. } => continue,
                Item::Batch { first, messages, content, forgets, .. } => {
                    if *forgets {
                        writes.push(Write::EraseDue);
                    }
                    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
                    Write::Batch { integration, first: *first, count, written_at, content }
                }
                Item::Checkpoint {
                    covered_to, table: TableChange { forgotten, agents }, feed, is_recovered, ..
                } => {
                    writes.push(Write::Forgotten { integration, agents: forgotten });
                    Write::Checkpoint { integration, covered_to: *covered_to, agents, feed, recovered: *is_recovered }
                }
                Item::RunKnown { runs, .. } => Write::Runs { integration, runs },
                Item::Hold { at, .. } => Write::Held { integration, at: *at },
            };
            writes.push(write);
        }
        let grows = items.iter().any(|item| matches!(item, Item::Batch { .. } | Item::Checkpoint { .. }));
        let mut backoff = FIRST_BACKOFF;
        loop {
            // At the end there is no later: then the space kept free may be used.
            let is_ending = matches!(self.shared.queue.lock().phase, Phase::Ending(_));
            let at_disk = self.shared.at_disk();
            let shortage = if grows && !is_ending { self.store.shortage() } else { None };
            let committed = shortage.map_or_else(|| self.store.commit(&writes), Err);
            drop(at_disk);
            match committed {
                Ok(released) => {
                    self.make_room(&released);
                    let mut queue = self.shared.queue.lock();
                    let has_hung = std::mem::take(&mut queue.is_told_to_hang);
                    if queue.failure.take().is_some() || has_hung {
                        tracing::info!(target: JOURNAL, "the store can be written again");
                        self.logged = None;
                    }
                    return true;
                }
                Err(error) => {
                    self.shared.observer.failed(error.kind());
                    if self.logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
                        tracing::error!(
                            target: JOURNAL, kind = error.kind(), %error, "the store cannot be written, will be tried again"
                        );
                        self.logged = Some(Instant::now());
                    }
                    self.shared.queue.lock().failure = Some(error.to_string());
                    self.shared.room.notify_all();
                    // A program that keeps us out would keep us out of that too.
                    if !matches!(error, StoreError::Busy(_)) {
                        self.let_go();
                        self.tell_size();
                    }
                    let mut queue = self.shared.queue.lock();
                    let again = Instant::now() + backoff;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                    let mut until = again;
                    if let Phase::Ending(deadline) = queue.phase {
                        if Instant::now() >= deadline {
                            return false;
                        }
                        backoff = FIRST_BACKOFF;
                        until = again.min(deadline);
                    }
                    self.shared.work.wait_until(&mut queue, until);
                }
            }
        }
    }

    fn make_room(&self, released: &[Released]) {
        let mut queue = self.shared.queue.lock();
        for released in released {
            if let Some(index) = self.lanes.iter().position(|lane| lane.number == released.integration) {
                let lane = &mut queue.lanes[index];
                lane.stored = lane.stored.saturating_sub(released.bytes);
            }
        }
    }

    /// Lets what Kafka has leave, even where nothing can be added. Checkpoints wait for what cannot be added: so the agents
    /// that those rows have changed are written from the rows.
    fn let_go(&mut self) {
        let _at_disk = self.shared.at_disk();
        for index in 0..self.lanes.len() {
            let lane = &self.lanes[index];
            let acknowledged_to = lane.outbox.acknowledged_to();
            let (covered_to, TableChange { forgotten, agents }) = lane.changed_below(acknowledged_to);
            if acknowledged_to <= lane.acknowledged_to && covered_to <= lane.covered_to {
                continue;
            }
            let (integration, feed) = (lane.number, &*lane.feed);
            let writes = [
                Write::Acknowledged { integration, to: acknowledged_to },
                Write::Forgotten { integration, agents: &forgotten },
                Write::Checkpoint { integration, covered_to, agents: &agents, feed, recovered: false },
            ];
            // Its failure was reported already: everything else fails with the same one.
            if let Ok(released) = self.store.commit(&writes) {
                self.make_room(&released);
                let lane = &mut self.lanes[index];
                lane.acknowledged_to = acknowledged_to;
                lane.covered_to = covered_to;
            }
        }
    }

    fn conclude(&mut self, items: Vec<Item>) {
        let mut bytes = vec![0; self.lanes.len()];
        for item in items {
            let index = item.lane();
            bytes[index] += item.bytes();
            let lane = &self.lanes[index];
            match item {
                Item::Batch { first, messages, submitted_at, forgets, .. } => {
                    if forgets {
                        // So that the store does not count as erased before somebody asks.
                        self.erasing.add(vec![(index, first + messages.len() as u64)], None);
                    }
                    lane.outbox.append(messages, submitted_at);
                    fail_point::reach(fail_point::APPENDED);
                    self.shared.observer.written(&lane.integration, submitted_at.elapsed());
                }
                Item::Checkpoint { covered_to, feed, .. } => {
                    let lane = &mut self.lanes[index];
                    lane.covered_to = lane.covered_to.max(covered_to);
                    lane.feed = feed;
                }
                Item::Erase { until, done, .. } => {
                    let until = self.leave_before(index, until);
                    self.erasing.add(until, Some(done));
                }
                Item::RunKnown { .. } => {}
                Item::Hold { done, .. } => done(),
                // The caller may have stopped waiting.
                Item::Mappings { versions, done, .. } => {
                    let _at_disk = self.shared.at_disk();
                    drop(done.try_send(self.store.set_mapping_versions(&versions)));
                }
            }
        }
        let mut queue = self.shared.queue.lock();
        for (lane, bytes) in queue.lanes.iter_mut().zip(bytes) {
            lane.queued -= bytes;
            lane.writing_since = None;
        }
        queue.is_writing = false;
        queue.writing = 0;
        drop(queue);
        self.shared.room.notify_all();
        self.tell_size();
    }

    /// Returns what must have left the store for somebody's traces to be gone from it: the messages of their integration, and
    /// what the others have at the moment, such as records of who looked at them. Not where publishing is paused.
    fn leave_before(&self, index: usize, until: u64) -> Vec<(usize, u64)> {
        let queue = self.shared.queue.lock();
        let others = self.lanes.iter().enumerate().filter(|(other, lane)| {
            let is_behind = lane.acknowledged_to.min(lane.covered_to) < queue.lanes[*other].next;
            *other != index && is_behind && lane.outbox.held_at().is_none()
        });
        let others = others.map(|(other, _)| (other, queue.lanes[other].next));
        std::iter::once((index, until)).chain(others).collect()
    }

    /// Erases a portion of what has left, if that is due.
    fn erase(&mut self) {
        if self.erasing.is_due(Instant::now(), left_to(&self.lanes)) {
            let mut sweeping = self.erasing.take(left_to(&self.lanes));
            let at_disk = self.shared.at_disk();
            let erased = self.store.erase(&mut sweeping.sweep, self.erasing.is_empty());
            drop(at_disk);
            match erased {
                Ok(Erased::Done) => {
                    let took_ms = sweeping.begun_at.elapsed().as_millis();
                    tracing::debug!(target: JOURNAL, took_ms, "what was forgotten is erased from the store");
                    self.erasing.ended();
                    self.shared.set_erasing(!self.erasing.is_empty());
                    sweeping.ready.into_iter().filter_map(|pending| pending.done).for_each(|done| done());
                }
                Ok(Erased::More) => self.erasing.go_on(sweeping),
                Ok(Erased::Busy) => self.erasing.wait(sweeping, Instant::now()),
                Err(error) => {
                    let kind = error.kind();
                    self.shared.observer.failed(kind);
                    if let Some(suppressed) = self.erasing.failed(sweeping, Instant::now(), Timestamp::now()) {
                        tracing::error!(
                            target: JOURNAL, kind, %error, suppressed, "what was forgotten is not erased from the store, will be tried again"
                        );
                    }
                }
            }
        }
        self.shared.set_erasing(!self.erasing.is_empty());
    }

    fn tell_size(&self) {
        let stored: Vec<u64> = self.shared.queue.lock().lanes.iter().map(|lane| lane.stored).collect();
        self.shared.observer.size(stored.iter().sum());
        let bounds = self.shared.bounds.journal_bytes.max(1);
        for (lane, bytes) in self.lanes.iter().zip(stored) {
            #[allow(clippy::cast_precision_loss)] // bytes of a disk
            self.shared.observer.filled(&lane.integration, bytes as f64 / bounds as f64);
        }
    }

    fn give_up(&self, items: &[Item]) -> usize {
        let mut queue = self.shared.queue.lock();
        queue.is_writing = false;
        let unwritten = items.iter().chain(&queue.items).map(Item::messages).sum();
        queue.items.clear();
        drop(queue);
        self.shared.room.notify_all();
        unwritten
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;

//! The thread that writes the journal: one commit for what all integrations have handed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fail_point;
use crate::telemetry::targets::JOURNAL;
use crate::time::Timestamp;

use super::agents::TableChange;
use super::erase::Erasing;
use super::queue::{Item, LaneIndex, Phase, Shared};
use super::store::{Erased, Released, Store, StoreError, StoreNumber, Write};
use super::written_lane::{Coverage, WrittenLane};

/// How late the store may learn what Kafka has.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(100);
/// The longest time without a look at what is to be done.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// What one commit writes at most.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// The shortest time between two log lines about the same error.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The open lanes.
type Lanes = BTreeMap<LaneIndex, WrittenLane>;

/// Returns the position below which everything of an integration, by its number, has left the store: Kafka has it, and the
/// agents are written. `closed` has it for those whose lane is closed at the moment.
fn left_to(lanes: &Lanes, closed: &BTreeMap<StoreNumber, u64>) -> impl Fn(StoreNumber) -> u64 {
    |number| {
        let lane = lanes.values().find(|lane| lane.number == number);
        lane.map_or_else(|| closed.get(&number).copied().unwrap_or(u64::MAX), WrittenLane::left_to)
    }
}

/// The thread that writes.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) lanes: Lanes,
    /// Numbers of integrations whose lane is closed, and up to where they have left the store.
    pub(super) closed: BTreeMap<StoreNumber, u64>,
    pub(super) logged: Option<Instant>,
    pub(super) erasing: Erasing,
    /// People were forgotten by an earlier run and are not erased; whose they are is no longer known.
    pub(super) is_erase_left: bool,
}

impl Writer {
    /// Runs to the end; returns how many messages could not be written.
    pub(super) fn run(mut self) -> usize {
        self.report_size();
        while let Some(items) = self.next_work() {
            let items = self.open_lanes(items);
            self.shared.take_acknowledged();
            let acknowledged: Vec<u64> = self.lanes.values().map(|lane| lane.send_window.acknowledged_to()).collect();
            if !self.write(&items, &acknowledged) {
                return self.give_up(&items);
            }
            for (lane, acknowledged_to) in self.lanes.values_mut().zip(acknowledged) {
                lane.acknowledged_to = lane.acknowledged_to.max(acknowledged_to);
            }
            self.conclude(items);
            self.erase();
            self.copy_log();
        }
        0
    }

    /// Opens the lanes that begin with these items; returns the others.
    fn open_lanes(&mut self, items: Vec<Item>) -> Vec<Item> {
        let mut others = Vec::with_capacity(items.len());
        for item in items {
            let Item::Open { lane, written } = item else {
                others.push(item);
                continue;
            };
            if self.is_erase_left {
                self.erasing.add(vec![(written.number, written.coverage.agents_to)], None);
                self.shared.set_erasing(true);
            }
            self.closed.remove(&written.number);
            self.lanes.insert(lane, *written);
        }
        others
    }

    /// Returns what is to be written next, perhaps only how far Kafka is; `None` at the end.
    fn next_work(&self) -> Option<Vec<Item>> {
        let mut acknowledged_since: Option<Instant> = None;
        let mut queue = self.shared.queue.lock();
        loop {
            let items = queue.next_items(COMMIT_BYTES);
            let is_acknowledged = self.shared.is_acknowledged();
            let is_ending = matches!(queue.phase, Phase::Ending(_));
            if is_acknowledged && acknowledged_since.is_none() {
                acknowledged_since = Some(Instant::now());
            }
            let is_due = acknowledged_since.is_some_and(|since| since.elapsed() >= ACKNOWLEDGE_EVERY / 2);
            let is_erased = !is_ending && self.erasing.is_due(Instant::now(), left_to(&self.lanes, &self.closed));
            if !items.is_empty() || is_due || is_erased || (is_ending && is_acknowledged) {
                queue.is_writing = true;
                queue.writing = items.iter().map(Item::messages).sum();
                return Some(items);
            }
            if is_ending {
                return None;
            }
            // What was acknowledged waits for more of it; what is to be erased waits for what says nothing when it has left.
            let is_soon = is_acknowledged || !self.erasing.is_empty();
            self.shared.work.wait_for(&mut queue, if is_soon { ACKNOWLEDGE_EVERY / 2 } else { LOOK_EVERY });
        }
    }

    /// Makes one commit, however many attempts it takes. False when the end came first.
    fn write(&mut self, items: &[Item], acknowledged: &[u64]) -> bool {
        let written_at = Timestamp::now();
        let mut writes = Vec::with_capacity(items.len() + self.lanes.len());
        // What the commit changes holds once it has succeeded.
        let mut coverage: BTreeMap<LaneIndex, Coverage> = BTreeMap::new();
        for (lane, to) in self.lanes.values().zip(acknowledged) {
            if *to > lane.acknowledged_to {
                writes.push(Write::Acknowledged { integration: lane.number, to: *to });
            }
        }
        for item in items {
            let Some((index, lane)) = item.lane().and_then(|index| Some((index, self.lanes.get(&index)?))) else {
                continue;
            };
            let integration = lane.number;
            let coverage = coverage.entry(index).or_insert(lane.coverage);
            let write = match item {
                Item::Open { .. } | Item::Close { .. } | Item::Work(_) | Item::Erase { .. } => continue,
                Item::Batch { first, messages, content, carries_agents, forgets, source, .. } => {
                    if let Some(memory) = source {
                        writes.push(Write::Source { integration, memory });
                    }
                    if *forgets {
                        writes.push(Write::EraseDue);
                    }
                    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
                    if count > 0 {
                        writes.push(Write::Batch { integration, first: *first, count, written_at, content });
                    }
                    let Some(to) = coverage.append(first + u64::from(count), *carries_agents) else { continue };
                    Write::Covered { integration, to }
                }
                Item::Checkpoint {
                    covered_to, table: TableChange { forgotten, agents }, feed, is_recovered, ..
                } => {
                    writes.push(Write::Forgotten { integration, agents: forgotten });
                    coverage.checkpoint(*covered_to);
                    Write::Checkpoint { integration, covered_to: *covered_to, agents, feed, recovered: *is_recovered }
                }
                Item::RunKnown { runs, .. } => Write::Runs { integration, runs },
                Item::Pause { at, .. } => Write::Paused { integration, at: *at },
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
                        self.report_size();
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
            if let Some((index, _)) = self.lanes.iter().find(|(_, lane)| lane.number == released.integration) {
                let lane = queue.lane_mut(*index);
                lane.stored = lane.stored.saturating_sub(released.bytes);
            }
        }
    }

    /// Lets what Kafka has leave, even where nothing can be added. Checkpoints wait for what cannot be added: so the agents
    /// that those rows have changed are written from the rows.
    fn let_go(&mut self) {
        let _at_disk = self.shared.at_disk();
        let indexes: Vec<LaneIndex> = self.lanes.keys().copied().collect();
        for index in indexes {
            let Some(lane) = self.lanes.get(&index) else { continue };
            let acknowledged_to = lane.send_window.acknowledged_to();
            let (covered_to, TableChange { forgotten, agents }) = lane.changed_below(acknowledged_to);
            if acknowledged_to <= lane.acknowledged_to && covered_to <= lane.coverage.covered_to {
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
                let Some(lane) = self.lanes.get_mut(&index) else { continue };
                lane.acknowledged_to = acknowledged_to;
                lane.coverage.checkpoint(covered_to);
            }
        }
    }

    fn conclude(&mut self, items: Vec<Item>) {
        let mut bytes: BTreeMap<LaneIndex, usize> = self.lanes.keys().map(|lane| (*lane, 0)).collect();
        for item in items {
            let Some(index) = item.lane() else {
                if let Item::Work(work) = item {
                    let _at_disk = self.shared.at_disk();
                    work(&mut self.store);
                }
                continue;
            };
            *bytes.entry(index).or_default() += item.bytes();
            let Some(lane) = self.lanes.get_mut(&index) else { continue };
            match item {
                Item::Batch { first, messages, submitted_at, carries_agents, forgets, source, .. } => {
                    if let Some(memory) = source {
                        lane.feed = memory;
                    }
                    let end = first + messages.len() as u64;
                    if forgets {
                        // So that the store does not count as erased before somebody asks.
                        self.erasing.add(vec![(lane.number, end)], None);
                    }
                    lane.coverage.append(end, carries_agents);
                    lane.send_window.append(messages, submitted_at);
                    fail_point::reach(fail_point::APPENDED);
                    self.shared.observer.written(&lane.integration, submitted_at.elapsed());
                }
                Item::Checkpoint { covered_to, feed, .. } => {
                    lane.coverage.checkpoint(covered_to);
                    lane.feed = feed;
                }
                Item::Erase { until, done, .. } => {
                    let until = self.leave_before(index, until);
                    self.erasing.add(until, Some(done));
                }
                Item::Open { .. } | Item::RunKnown { .. } | Item::Work(_) => {}
                Item::Close { done, .. } => {
                    self.closed.insert(lane.number, lane.left_to());
                    self.lanes.remove(&index);
                    done();
                }
                Item::Pause { done, .. } => done(),
            }
        }
        let mut queue = self.shared.queue.lock();
        for (lane, bytes) in bytes {
            let lane = queue.lane_mut(lane);
            lane.queued -= bytes;
            lane.writing_since = None;
        }
        queue.is_writing = false;
        queue.writing = 0;
        drop(queue);
        self.shared.room.notify_all();
        self.report_size();
    }

    /// Copies SQLite's log, if that is due: what was committed is on its way by now.
    fn copy_log(&mut self) {
        let is_busy = !self.shared.queue.lock().items.is_empty();
        let _at_disk = self.shared.at_disk();
        self.store.copy_log(is_busy);
    }

    /// Returns what must have left the store for somebody's traces to be gone from it: the messages of their integration, and
    /// what the others have at the moment, such as records of who looked at them. Not where publishing is paused.
    fn leave_before(&self, index: LaneIndex, until: u64) -> Vec<(StoreNumber, u64)> {
        let others: Vec<_> = self
            .lanes
            .iter()
            .filter(|(other, lane)| **other != index && lane.send_window.paused_at().is_none())
            .collect();
        let queue = self.shared.queue.lock();
        let others = others.into_iter().filter(|(other, lane)| lane.left_to() < queue.lane(**other).next);
        let others = others.map(|(other, lane)| (lane.number, queue.lane(*other).next));
        let own = self.lanes.get(&index).map(|lane| (lane.number, until));
        own.into_iter().chain(others).collect()
    }

    /// Erases a portion of what has left, if that is due.
    fn erase(&mut self) {
        if self.erasing.is_due(Instant::now(), left_to(&self.lanes, &self.closed)) {
            let mut sweeping = self.erasing.take(left_to(&self.lanes, &self.closed));
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

    fn report_size(&self) {
        let queue = self.shared.queue.lock();
        let all = queue.stored();
        let stored: Vec<u64> = self.lanes.keys().map(|index| queue.lane(*index).stored).collect();
        drop(queue);
        self.shared.observer.size(all);
        let bounds = self.shared.bounds.journal_bytes.max(1);
        for (lane, bytes) in self.lanes.values().zip(stored) {
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

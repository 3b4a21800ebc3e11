//! Writes the agent table to the store, a little at a time.
//!
//! Every [`EVERY`] the agents who have changed are written, in portions of [`PORTION`], so that no commit keeps the
//! journal waiting for long. Only the last portion of a round says that the journal is covered: what a crash leaves half done
//! is completed from the journal, whose rows hold the same agents as they were after each batch. Only what the journal has
//! accepted is written: see [`super::standing`].

use std::time::Duration;

use crate::contract::store::Message as StoredMessage;
use crate::journal::TableChange;
use crate::journal::agents::Latest;
use crate::journal::lane::Lane;
use crate::journal::store::{self, AgentKey, StoredIntegration};
use crate::mapping::spelling;
use crate::telemetry::targets::INTEGRATION;
use crate::time::Timestamp;
use crate::tracker::table::AgentIndex;

use super::standing::Accepted;

/// The time between the beginnings of two rounds.
const EVERY: Duration = Duration::from_secs(5);
/// Agents that are written at a time.
const PORTION: usize = 2_000;
/// Bytes of the journal that are read at a time.
const COVER_BYTES: usize = 4 * 1024 * 1024;

/// Writes the agent table to the store in rounds of portions.
#[derive(Debug)]
pub struct CheckpointWriter {
    due: Timestamp,
    /// Agents of the round that are not written yet.
    waiting: Vec<AgentIndex>,
    /// Forgotten agents, and where their tombstones end: kept until the table is without them and Kafka has the tombstones.
    forgotten: Vec<(AgentKey, u64)>,
    /// What the round covers.
    covers: u64,
    /// What is covered by now.
    covered_to: u64,
    /// What was last written of the feed.
    feed: Vec<u8>,
    is_recovered: bool,
}

impl CheckpointWriter {
    /// Continues from what the store knows.
    pub(super) fn new(stored: &StoredIntegration, now: Timestamp) -> Self {
        Self {
            due: now,
            waiting: Vec::new(),
            forgotten: Vec::new(),
            covers: stored.covered_to,
            covered_to: stored.covered_to,
            feed: stored.feed.clone(),
            is_recovered: stored.recovered,
        }
    }

    /// Whether the table is known to be whole.
    pub(super) const fn is_recovered(&self) -> bool {
        self.is_recovered
    }

    /// Somebody is forgotten, with a tombstone that ends there: the next round is without them, and begins as soon as it can.
    pub(super) fn forget(&mut self, key: AgentKey, end: u64) {
        self.forgotten.push((key, end));
    }

    /// The number of somebody who was forgotten may be somebody else's from now on.
    pub(super) fn forget_number(&mut self, index: AgentIndex) {
        self.waiting.retain(|waiting| *waiting != index);
    }

    /// Returns the ends of a login id's tombstones that Kafka may not have yet, with their ACDs.
    pub(super) fn tombstones(&self, login_id: &str, lane: &Lane) -> impl Iterator<Item = (u32, u64)> {
        let is_done = self.covered_to.min(lane.send_window().acknowledged_to());
        let of_them =
            self.forgotten.iter().filter(move |((_, known), end)| spelling::is_same(known, login_id) && *end > is_done);
        of_them.map(|((acd, _), end)| (*acd, *end))
    }

    /// Time has passed: writes a portion if one is due. `last_event` returns an agent's last message, where it is kept.
    pub(super) fn tick(
        &mut self,
        table: &mut Accepted<'_>,
        lane: &Lane,
        now: Timestamp,
        last_event: impl Fn(AgentIndex) -> Option<StoredMessage>,
    ) {
        if self.waiting.is_empty() {
            if now < self.due {
                return;
            }
            self.due = now.plus(EVERY);
            self.waiting = table.take_changed();
            self.covers = lane.next();
        }
        let rest = self.waiting.len().saturating_sub(PORTION);
        let feed = table.feed();
        if self.waiting.is_empty() && self.covers == self.covered_to && self.feed == feed && self.is_recovered {
            return;
        }
        let agents = self.waiting[rest..].iter().map(|index| table.row(*index, last_event(*index))).collect();
        let change = TableChange { forgotten: self.gone(table), agents };
        let covers = if rest == 0 { self.covers } else { self.covered_to };
        if lane.checkpoint(covers, change, feed.clone(), rest == 0) {
            self.waiting.truncate(rest);
            self.covered(covers, lane);
            self.feed = feed;
            self.is_recovered |= rest == 0;
        }
    }

    /// Does the same while the journal is full and the engine has seen more than the journal was given: what the rows after
    /// the checkpoint say is written, so that they can leave once Kafka has them. That does not make an incomplete table
    /// whole: an agent who is not in it is in Kafka, or in a row that stays.
    pub(super) fn cover(&mut self, lane: &Lane, now: Timestamp, keeps_events_of: Option<&str>) {
        if now < self.due {
            return;
        }
        self.due = now.plus(EVERY);
        if let Err(error) = self.cover_rows(lane, keeps_events_of) {
            tracing::error!(
                target: INTEGRATION, error, "the journal cannot be read: its rows stay, will be tried again"
            );
        }
    }

    fn cover_rows(&mut self, lane: &Lane, keeps_events_of: Option<&str>) -> Result<(), String> {
        // A damaged row must not keep the others in the store.
        let rows = lane.sound_rows(self.covered_to, COVER_BYTES).map_err(|error| error.to_string())?;
        let Some(last) = rows.last() else { return Ok(()) };
        let mut latest = Latest::new(keeps_events_of);
        rows.iter().try_for_each(|row| latest.add(row)).map_err(|error| error.to_string())?;
        let mut change = latest.into_changed();
        // Somebody whose forgetting was in a damaged row is known here.
        let is_left_out = |end: u64| {
            let is_in = |row: &store::JournalRow| row.first < end && end <= row.end();
            self.covered_to < end && end <= last.end() && !rows.iter().any(is_in)
        };
        for (key, _) in self.forgotten.iter().filter(|(_, end)| is_left_out(*end)) {
            let comes_again = change.agents.iter().any(|agent| agent.acd == key.0 && *agent.login_id == *key.1);
            if !comes_again {
                change.forgotten.push(key.clone());
            }
        }
        if lane.checkpoint(last.end(), change, self.feed.clone(), false) {
            self.covered(last.end(), lane);
            self.covers = self.covers.max(self.covered_to);
        }
        Ok(())
    }

    /// Returns those of the forgotten who have not come again. Needed in every portion: while the disk is full, the journal's
    /// thread may write an agent's state from an earlier row between two portions.
    fn gone(&self, table: &Accepted<'_>) -> Vec<AgentKey> {
        let uncovered = self.forgotten.iter().filter(|(_, end)| *end > self.covered_to);
        uncovered.map(|(key, _)| key).filter(|key| !table.is_known(key)).cloned().collect()
    }

    fn covered(&mut self, to: u64, lane: &Lane) {
        self.covered_to = to;
        let is_done = to.min(lane.send_window().acknowledged_to());
        self.forgotten.retain(|(_, end)| *end > is_done);
    }

    /// Writes everything at once, at the end.
    pub(super) fn finish(
        &mut self,
        table: &mut Accepted<'_>,
        lane: &Lane,
        now: Timestamp,
        last_event: impl Fn(AgentIndex) -> Option<StoredMessage>,
    ) {
        // The round that has begun, and one with what has changed since.
        for _ in 0..2 {
            self.due = now;
            let mut before = usize::MAX;
            self.tick(table, lane, now, &last_event);
            while !self.waiting.is_empty() && self.waiting.len() < before {
                before = self.waiting.len();
                self.tick(table, lane, now, &last_event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;
    use crate::contract::store::AgentMemory;
    use crate::journal::message::{Batch, Message};
    use crate::journal::send_window::WindowLimits;
    use crate::journal::store::{self, Store};
    use crate::journal::testing::{damage_rows, images};
    use crate::journal::{Bounds, Journal, LaneStart, UnobservedStore};

    fn open(folder: &TempDir) -> (Store, StoredIntegration) {
        let settings = store::StoreSettings { directory: folder.path().to_owned(), sync: store::Sync::Normal };
        let mut store = store::open(&settings).unwrap().store;
        let stored = store.integration("avaya-1").unwrap();
        (store, stored)
    }

    fn start(folder: &TempDir) -> (Journal, StoredIntegration) {
        let (store, stored) = open(folder);
        let lane = LaneStart { integration: "avaya-1".into(), stored: stored.clone(), keeps_events: false };
        let window = WindowLimits { messages: 100, bytes: 100_000 };
        let bounds = Bounds { journal_bytes: 1 << 30, window };
        (Journal::start(store, &[lane], bounds, Arc::new(UnobservedStore)).unwrap(), stored)
    }

    fn in_time() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Returns up to where a full journal of three rows, one of them damaged, is covered, and how many agents the table has
    /// then. The first agent's tombstone ends at `forgotten`.
    fn covered_past(damaged: u64, forgotten: Option<u64>) -> (u64, u64) {
        let folder = TempDir::new().unwrap();
        let (journal, _) = start(&folder);
        for agent in 0..3 {
            let memory = AgentMemory { acd: 1, login_id: format!("agent-{agent}"), sequence: 1, ..Default::default() };
            let messages = vec![Message::tombstone(format!("avaya-1/1/other-{agent}").into())];
            journal
                .lanes()
                .next()
                .unwrap()
                .1
                .submit(Batch { messages, agents: images(&[memory]), ..Batch::default() })
                .unwrap();
            journal.wait_written(in_time());
        }
        assert_eq!(journal.finish(in_time()), 0);
        damage_rows(folder.path(), [damaged]);
        let (journal, stored) = start(&folder);
        let now = Timestamp::now();
        let mut checkpoint = CheckpointWriter::new(&stored, now);
        forgotten.into_iter().for_each(|end| checkpoint.forget((1, "agent-0".into()), end));
        let mut at = now;
        for _ in 0..3 {
            checkpoint.cover(&journal.lanes().next().unwrap().1, at, None);
            at = at.plus(EVERY);
        }
        assert_eq!(journal.finish(in_time()), 0);
        let (_, stored) = open(&folder);
        (stored.covered_to, stored.agents)
    }

    #[test]
    fn a_damaged_row_keeps_nothing_behind_it_in_a_full_journal() {
        assert_eq!(covered_past(0, None), (3, 2));
        assert_eq!(covered_past(1, None), (3, 2));
        assert_eq!(covered_past(2, None), (2, 2), "nothing is behind it yet");
    }

    #[test]
    fn whose_tombstone_is_damaged_is_forgotten_all_the_same() {
        assert_eq!(covered_past(1, Some(2)), (3, 1));
        assert_eq!(covered_past(1, Some(1)), (3, 2), "that row says itself what it says");
    }
}

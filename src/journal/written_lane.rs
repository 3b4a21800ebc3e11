//! A lane, as the thread that writes knows it: how far Kafka and the agent table are.

use std::sync::Arc;

use parking_lot::Mutex;

use super::agents::{Latest, TableChange};
use super::send_window::SendWindow;
use super::store::{StoreNumber, StoreReader, StoredIntegration};

/// Bytes of rows that are released at a time while the disk is full.
const LET_GO_BYTES: usize = 1024 * 1024;

/// A lane, as the thread sees it.
pub(super) struct WrittenLane {
    pub(super) integration: Arc<str>,
    pub(super) number: StoreNumber,
    pub(super) send_window: Arc<SendWindow>,
    /// The position as the store knows it.
    pub(super) acknowledged_to: u64,
    pub(super) coverage: Coverage,
    /// What was last written of its feed.
    pub(super) feed: Vec<u8>,
    /// Whether the messages of last events are remembered too.
    pub(super) keeps_events: bool,
    pub(super) reader: Arc<Mutex<StoreReader>>,
}

/// Up to where the agent table has what rows say about agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coverage {
    pub(super) covered_to: u64,
    /// The end of the last row that says something about agents.
    pub(super) agents_to: u64,
}

impl Coverage {
    /// What the rows of an earlier run say is not known.
    const fn of(stored: &StoredIntegration) -> Self {
        let agents_to = if stored.bytes == 0 { stored.covered_to } else { stored.next };
        Self { covered_to: stored.covered_to, agents_to }
    }

    /// Takes the next row. Returns up to where the table covers the lane with it, where that follows from the row: it says
    /// nothing about agents, and neither does anything before it that is not covered.
    pub(super) fn append(&mut self, end: u64, carries_agents: bool) -> Option<u64> {
        if carries_agents {
            self.agents_to = self.agents_to.max(end);
            return None;
        }
        if self.covered_to < self.agents_to {
            return None;
        }
        self.covered_to = self.covered_to.max(end);
        Some(self.covered_to)
    }

    pub(super) fn checkpoint(&mut self, covered_to: u64) {
        self.covered_to = self.covered_to.max(covered_to);
    }
}

impl WrittenLane {
    /// Creates the lane of an integration as the store knows it.
    pub(super) fn new(
        integration: Arc<str>,
        stored: &StoredIntegration,
        send_window: Arc<SendWindow>,
        reader: Arc<Mutex<StoreReader>>,
        keeps_events: bool,
    ) -> Self {
        Self {
            integration,
            number: stored.number,
            send_window,
            acknowledged_to: stored.acknowledged_to,
            coverage: Coverage::of(stored),
            feed: stored.feed.clone(),
            keeps_events,
            reader,
        }
    }

    /// Returns the position below which everything has left the store.
    pub(super) fn left_to(&self) -> u64 {
        self.acknowledged_to.min(self.coverage.covered_to)
    }

    /// Returns the agents changed by rows that are not covered and end below a position, as far as they can be read; and
    /// where the last of these rows ends.
    pub(super) fn changed_below(&self, position: u64) -> (u64, TableChange) {
        let mut covered_to = self.coverage.covered_to;
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

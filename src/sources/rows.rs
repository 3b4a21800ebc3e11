//! Rows with a cursor: from a source that is asked, to a lane of the journal.
//!
//! Invariants: the cursor on disk is that of the last rows on disk, whatever ends the process in between; rows are handed over
//! in the order in which they were read. Failure policy: a journal that is full makes the source wait, not the other lanes;
//! what is not taken comes back to be tried again. Cost: one encoding per batch; while the journal is full, a look every
//! [`AGAIN`].

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::contract::saved::{self, SavedError};
use crate::journal::Refused;
use crate::journal::lane::Lane;
use crate::journal::message::{Batch, Message};
use crate::journal::store::StoredIntegration;

/// How often a source that waits for room tries again.
const AGAIN: Duration = Duration::from_millis(100);

/// What a source has read, and how far.
#[derive(Clone, Debug)]
pub struct SourceRows {
    /// Encoded for their topics. None where there was nothing to read up to the cursor.
    pub messages: Vec<Message>,
    /// Where the source goes on behind them, in its own words.
    pub cursor: Vec<u8>,
}

/// The source was stopped, or the journal has ended, before the rows were taken: the cursor still points before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the rows were taken")]
pub struct SourceStopped;

/// The way of a source with rows into the journal.
#[derive(Clone, Debug)]
pub struct RowsLane {
    lane: Lane,
    stop: CancellationToken,
}

impl RowsLane {
    /// Creates the way into a lane; it gives up when `stop` is cancelled.
    pub const fn new(lane: Lane, stop: CancellationToken) -> Self {
        Self { lane, stop }
    }

    /// Returns where the source goes on; empty where it has never been read.
    ///
    /// # Errors
    /// When the store has something else.
    pub fn cursor(stored: &StoredIntegration) -> Result<Vec<u8>, SavedError> {
        saved::decode_cursor(&stored.feed)
    }

    /// Hands rows over, whole or not at all, and waits for as long as the journal has no room for them. Returns the position
    /// after the last one: Kafka has them when the lane is acknowledged up to there.
    ///
    /// # Errors
    /// [`SourceStopped`].
    pub async fn hand_over(&self, rows: SourceRows) -> Result<u64, SourceStopped> {
        let SourceRows { messages, cursor } = rows;
        let mut batch = Batch { messages, source: Some(saved::encode_cursor(cursor)), ..Batch::default() };
        loop {
            let lane = self.lane.clone();
            // A slow store makes it wait.
            let submitted = tokio::task::spawn_blocking(move || lane.submit(batch)).await.map_err(|_| SourceStopped)?;
            match submitted {
                Ok(end) => return Ok(end),
                Err(Refused::Closed(_)) => return Err(SourceStopped),
                Err(Refused::Full(refused)) => batch = *refused,
            }
            if self.stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                return Err(SourceStopped);
            }
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;

//! Checkpoints: how far an integration's messages are committed, and by whom.
//!
//! Purpose: the last message of every transaction is a record on the topic `checkpoint`: key the integration, value the
//! position after the transaction's messages, header `owner` the store whose journal counts these positions, header `runs`
//! the runs that counted them. It is committed with the messages or not at all, so that the owner of the journal knows how
//! much of it is in Kafka, and everybody knows who published last.
//!
//! A store may be a copy, with the same id and with positions that another copy has used for other messages. So a position is
//! trusted up to where the journals are the same by their [`Lineage`]s ([`Ours`]).

mod reader;
mod reading;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use uuid::Uuid;

use crate::contract::header;
use crate::journal::store::Lineage;
use crate::time::Timestamp;

pub(super) use reading::{Found, SETTLED_MARGIN, read_settled};
pub use reading::{ReadError, read};

/// Everything below `position` of the journal of store `owner` is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The store whose journal counts the positions.
    pub owner: Uuid,
    /// The position after the last committed message.
    pub position: u64,
    /// When its transaction was about to be ended.
    pub committed_at: Timestamp,
    /// The runs that counted the positions, ending with the one that committed it. Empty from an older version.
    pub runs: Lineage,
}

/// A journal, as it is compared with checkpoints.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// Its store.
    pub owner: Uuid,
    /// The runs that counted it.
    pub runs: &'a Lineage,
}

impl Ours<'_> {
    /// Returns up to where the checkpoint proves that the journal is committed; `None` where it proves nothing about it.
    pub fn committed(&self, checkpoint: &Checkpoint) -> Option<u64> {
        self.same_to(checkpoint).map(|same_to| same_to.min(checkpoint.position))
    }

    /// Whether the checkpoint proves that another copy of the store has published what this journal does not have.
    pub fn is_behind(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.owner == self.owner && self.same_to(checkpoint).is_none_or(|same_to| checkpoint.position > same_to)
    }

    /// Whether this very run has committed it.
    pub fn is_by_this_run(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.owner == self.owner && checkpoint.runs.run() == self.runs.run()
    }

    fn same_to(&self, checkpoint: &Checkpoint) -> Option<u64> {
        if checkpoint.owner != self.owner {
            return None;
        }
        match checkpoint.runs.run() {
            Some(_) => self.runs.same_to(&checkpoint.runs),
            // An older version knew no runs: it has committed nothing that this one counted.
            None => Some(self.runs.first()),
        }
    }
}

impl Checkpoint {
    /// Kafka value.
    pub(super) fn value(&self) -> String {
        self.position.to_string()
    }

    /// Kafka headers.
    pub(super) fn headers(&self) -> [(&'static str, Bytes); 4] {
        [
            (header::OWNER, Bytes::from(self.owner.to_string())),
            (header::RUNS, Bytes::from(self.runs.to_string())),
            (header::COMMITTED_AT, Bytes::from(self.committed_at.to_string())),
            (header::CONTENT_TYPE, Bytes::from_static(header::TEXT.as_bytes())),
        ]
    }

    fn parse(message: &BorrowedMessage<'_>) -> Option<Self> {
        let header = |name: &str| {
            let found = message.headers()?.iter().find(|header| header.key == name)?;
            std::str::from_utf8(found.value?).ok()
        };
        Some(Self {
            owner: Uuid::parse_str(header(header::OWNER)?).ok()?,
            position: std::str::from_utf8(message.payload()?).ok()?.parse().ok()?,
            committed_at: Timestamp::parse_rfc3339(header(header::COMMITTED_AT)?).ok()?,
            runs: header(header::RUNS).map_or_else(|| Some(Lineage::default()), Lineage::parse)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_believed_up_to_where_the_journals_are_the_same() {
        let runs = |runs: &[(u128, u64)]| {
            let begun = |runs: Lineage, (run, first): &(u128, u64)| runs.followed_by(Uuid::from_u128(*run), *first);
            runs.iter().fold(Lineage::default(), begun)
        };
        let (store, another) = (Uuid::from_u128(1), Uuid::from_u128(2));
        // The last checkpoint, and whose it is; what is committed of ours, where run 7 followed run 5 at 100 and run 9
        // followed that at 150; and whether somebody else is ahead.
        let cases = [
            (store, 180, vec![(5, 0), (7, 100), (9, 150)], Some(180), false),
            (store, 120, vec![(5, 0), (7, 100)], Some(120), false),
            (store, 170, vec![(5, 0), (7, 100)], Some(150), true),
            // A copy of run 5 continued as run 6, or run 5 itself continued.
            (store, 300, vec![(5, 0), (6, 100)], Some(100), true),
            (store, 300, vec![(5, 0), (6, 60)], Some(60), true),
            (store, 40, vec![(5, 0), (6, 60)], Some(40), false),
            (store, 300, vec![(5, 0)], Some(100), true),
            (store, 300, vec![(8, 0)], None, true),
            // An older version.
            (store, 120, vec![], Some(120), false),
            (store, 170, vec![], Some(150), true),
            (another, 300, vec![(5, 0)], None, false),
        ];
        let ours = runs(&[(5, 0), (7, 100), (9, 150)]);
        let ours = Ours { owner: store, runs: &ours };
        for (owner, position, theirs, committed, is_behind) in cases {
            let checkpoint =
                Checkpoint { owner, position, committed_at: Timestamp::from_millis(0), runs: runs(&theirs) };
            let found = (ours.committed(&checkpoint), ours.is_behind(&checkpoint));
            assert_eq!(found, (committed, is_behind), "{position} of {theirs:?}");
        }
    }
}

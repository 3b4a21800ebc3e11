//! Reading the last checkpoint back.
//!
//! Policy: only committed records count. [`read`] takes those that are committed now. [`read_settled`] waits until no
//! transaction is open below the end of the partition, even of another integration: its answer is final at the time of the
//! call. A topic that does not exist has no checkpoint; where partitions were added, all are read that may have one. Cost:
//! two short-lived clients; the end of the partition is read first, more of it only if the integration is not there.

use std::time::Duration;

use crate::config::model::Kafka;
use crate::kafka::client;

use super::reader::CheckpointReader;
use super::{Checkpoint, Ours};

/// How much longer than a transaction may last to wait for an open one.
pub(in crate::kafka) const SETTLED_MARGIN: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Settings are not accepted, no broker answers, or a right is missing.
    #[error("checkpoint topic {topic:?} could not be read: {reason}")]
    Kafka {
        /// The topic.
        topic: String,
        /// What librdkafka said, or which right is missing.
        reason: String,
    },
    /// The deadline passed.
    #[error("checkpoint topic {topic:?} could not be read to its end in {waited:?}: {reason}")]
    Late {
        /// The topic.
        topic: String,
        /// How long it was attempted.
        waited: Duration,
        /// What was waited for.
        reason: &'static str,
    },
    /// A transaction stays open.
    #[error(
        "checkpoint topic {topic:?}: another integration's transaction is open there for {waited:?}: look for a hanging one \
         with kafka-transactions find-hanging"
    )]
    Unsettled {
        /// The topic.
        topic: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Somebody else writes to the topic.
    #[error(
        "checkpoint topic {topic:?}, partition {partition}, offset {offset}: expected a position and the header \
             \"owner\", found something else: nobody but rtalink may write to it"
    )]
    Unreadable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
    },
    /// The caller is being stopped.
    #[error("stopped")]
    Stopped,
}

/// What is on the topic about one integration.
#[derive(Clone, Debug, Default)]
pub(in crate::kafka) struct Found {
    /// The last checkpoint.
    pub(in crate::kafka) last: Option<Checkpoint>,
    /// Up to where the journal asked for is committed; not searched for far before `last`.
    pub(in crate::kafka) committed: Option<u64>,
    /// It is in a transaction that never ends; see [`read_settled`].
    pub(in crate::kafka) is_hanging: bool,
}

impl Found {
    /// Returns the later one of two partitions, one of which was added.
    pub(super) fn later(self, other: Self) -> Self {
        let at = |found: &Self| found.last.as_ref().map(|last| last.committed_at);
        let committed = self.committed.max(other.committed);
        let last = if at(&other) > at(&self) { other } else { self };
        Self { committed, ..last }
    }
}

/// An integration's last committed checkpoint; `None` where it has none. A transaction that is open is not waited for: it
/// may be committed, or the answer may be outdated, as soon as this returns.
///
/// # Errors
/// See [`ReadError`]: above all when Kafka does not answer in time.
pub fn read(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    timeout: Duration,
) -> Result<Option<Checkpoint>, ReadError> {
    let reader = CheckpointReader::open(servers, kafka, timeout, &|| false)?;
    Ok(reader.find(integration, None, false)?.last)
}

/// Does the same when no transaction is open any more, and also returns up to where our journal is committed.
///
/// A broker that was killed may have decided to commit but never write the marker to a partition: it takes partitions without
/// a leader, as all are while it starts, for deleted. Such a transaction stays open for ever, but only for readers. An
/// instance that has taken the integration over knows that the coordinator has ended every transaction of it. So when one
/// stays open for longer than any may, and it is the integration's own, it counts as committed; the marker of the next
/// transaction on that partition ends it.
pub(in crate::kafka) fn read_settled(
    servers: &str,
    kafka: &Kafka,
    integration: &str,
    ours: Ours<'_>,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Found, ReadError> {
    let patience = client::longest_transaction(kafka) + SETTLED_MARGIN;
    let reader = CheckpointReader::open(servers, kafka, patience, is_stopped)?;
    match reader.find(integration, Some(ours), true) {
        Err(ReadError::Unsettled { topic, waited }) => {
            let reader = CheckpointReader::open(servers, kafka, patience, is_stopped)?;
            reader.hanging(integration, ours)?.ok_or(ReadError::Unsettled { topic, waited })
        }
        found => found,
    }
}

//! How much of an integration waits in memory: the bounds of all queues in a row, so that the sum of them is one.

use super::outbox::Limits;
use super::queue::QUEUE_BYTES;

/// What a producer queues beyond the outbox, which is where messages wait: enough that it never waits for more. In messages,
/// one per topic.
pub const PRODUCER_MESSAGES: usize = 20_000;
/// The same in bytes.
pub const PRODUCER_BYTES: usize = 8 * 1024 * 1024;

/// What waits of one integration at most, with Kafka and the disk away: for the disk, in the outbox, in the producer.
pub const WAITING_BYTES: usize = QUEUE_BYTES + Limits::DEFAULT_BYTES + PRODUCER_BYTES;

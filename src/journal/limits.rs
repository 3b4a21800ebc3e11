//! How much of an integration waits in memory: the bounds of all its queues in one place, so that their sum is a bound too.

use super::queue::QUEUE_BYTES;
use super::send_window::WindowLimits;

/// What a producer queues beyond the send window, where messages wait: enough that the producer never runs dry. In messages,
/// one per topic.
pub const PRODUCER_MESSAGES: usize = 20_000;
/// The same in bytes.
pub const PRODUCER_BYTES: usize = 8 * 1024 * 1024;

/// The most that waits for one integration with Kafka and the disk away: for the disk, in the send window, in the producer.
pub const WAITING_BYTES: usize = QUEUE_BYTES + WindowLimits::DEFAULT_BYTES + PRODUCER_BYTES;

//! From the journal to Kafka, and back where Kafka knows more than the store.
//!
//! ```text
//! worker ──Batch──> journal ──> send window ──in order──> producer ──> Kafka
//!                   (on disk)    ^                          │
//!                                └── delivery reports ──────┘
//! ```
//!
//! * [`publisher`]: the facade, from startup to drain;
//! * [`encode`]: events and feed statuses to messages;
//! * `driver`: the thread that sends; `connection`, `client`: what it sends with; `delivery`: what comes back;
//! * `at_least_once`, `exactly_once`: what either guarantee adds to the thread;
//! * [`checkpoint`], `ownership`: what exactly-once delivery remembers in Kafka, and whose the integration is by that;
//! * [`properties`]: whether librdkafka accepts the configured properties, checked before anything is started;
//! * [`comparison`]: what Kafka knows against what the store knows, before anything is published;
//! * [`takeover`]: ends the transactions of an earlier producer;
//! * `failure_policy`: what follows from failures, for both; `diagnosis`: explains them by the right or setting that is missing;
//! * [`topics`], `topic_keeper`, [`mock_cluster`]: the topics, the thread that looks after them, and a cluster inside the process;
//! * [`tombstones`]: tombstones for people of whom nothing is left, without a journal;
//! * [`dead_letter`]: what could not be read or will never be accepted;
//! * [`observer`]: what can be observed;
//! * [`tail`]: reading a topic back;
//! * [`recovery`]: the agent table from the `current` topic.

mod at_least_once;
pub mod checkpoint;
mod client;
pub mod comparison;
mod connection;
pub mod dead_letter;
mod delivery;
mod diagnosis;
mod driver;
pub mod encode;
mod exactly_once;
mod failure_policy;
pub mod mock_cluster;
pub mod observer;
mod ownership;
mod partition;
pub mod properties;
pub mod publisher;
pub mod recovery;
mod retention;
pub mod tail;
pub mod takeover;
#[cfg(test)]
pub(crate) mod testing;
pub mod tombstones;
mod topic_keeper;
pub mod topics;

pub use publisher::{PublishHandle, Publisher};

/// Returns the version of librdkafka.
pub fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

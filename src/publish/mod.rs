//! Events to Kafka.
//!
//! ```text
//! worker ──Batch──> journal ──> outbox ──in order──> producer ──> Kafka
//!                   (on disk)    ^                     │
//!                                └── delivery reports ─┘
//! ```
//!
//! * [`message`]: what is published: routes, topics, headers;
//! * [`publisher`]: the facade, from start to drain;
//! * [`journal`]: what is handed over is on disk before anybody publishes it; [`lane`]: one integration's part of it;
//!   `journal_queue`, `journal_writer`: what waits for the disk, and the thread that writes it; `journal_erase`: who was
//!   forgotten, until the store has nothing of him;
//! * [`limits`]: how much of all this is in memory;
//! * [`outbox`]: the part of it that is in memory, and what Kafka has of it;
//! * `producer`, `delivery`: the thread that sends, and what comes back; `connection`, `client`: what it sends with;
//! * `transactions`, [`checkpoint`]: the thread that does it exactly once, and what it remembers in Kafka;
//! * [`properties`]: whether librdkafka takes what the configuration hands to it, asked before anything is started;
//! * [`comparison`]: what Kafka knows against what the store knows, before anything is published;
//! * [`takeover`]: ends the transactions of an earlier producer;
//! * `refusals`: what follows from failures, for both; `trouble`: what they say, by the right or the setting that is missing;
//! * [`topics`], `topic_keeper`, [`embedded`]: the topics, the thread that sees to them, and a cluster inside the process;
//! * [`tombstones`]: those for people of whom nothing is left, without a journal;
//! * [`dead_letter`]: what could not be read or will never be taken;
//! * [`observer`]: what there is to see;
//! * [`journal_row`]: messages to the bytes that a journal keeps; `journal_agents`: what those say of agents;
//! * [`tail`], [`lines`]: reading a topic back;
//! * [`recovery`]: the agent table from the `current` topic.

pub mod checkpoint;
mod client;
pub mod comparison;
mod connection;
pub mod dead_letter;
mod delivery;
pub mod embedded;
pub mod encode;
pub mod journal;
pub(crate) mod journal_agents;
mod journal_erase;
mod journal_queue;
pub mod journal_row;
mod journal_watch;
mod journal_writer;
pub mod lane;
pub mod limits;
pub mod lines;
pub mod message;
pub mod observer;
pub mod outbox;
mod partition;
mod producer;
pub mod properties;
pub mod publisher;
mod recovered;
pub mod recovery;
mod refusals;
mod retention;
mod status;
pub mod tail;
pub mod takeover;
#[cfg(test)]
pub(crate) mod testing;
pub mod tombstones;
mod topic_keeper;
pub mod topics;
mod transactions;
mod trouble;

pub use publisher::{PublishHandle, Publisher};

//! Events to Kafka.
//!
//! ```text
//! worker ──Batch──> outbox ──in order──> producer ──> Kafka
//!                     ^                     │
//!                     └── delivery reports ─┘
//! ```
//!
//! * [`message`]: what is published: routes, topics, headers;
//! * [`publisher`]: the facade, from start to drain;
//! * [`outbox`]: what Kafka has not acknowledged yet; the seam for a durable journal;
//! * `producer`, `delivery`: the thread that sends, and what comes back; `client`: librdkafka's settings;
//! * [`topics`], [`embedded`]: the topics, and a cluster inside the process;
//! * [`dead_letter`]: what could not be read or will never be taken;
//! * [`observer`]: what there is to see;
//! * [`journal_row`]: messages to the bytes that a journal keeps;
//! * [`tail`], [`lines`]: reading a topic back;
//! * [`recovery`]: the agent table from the `current` topic.

mod client;
pub mod dead_letter;
mod delivery;
pub mod embedded;
pub mod encode;
pub mod journal_row;
pub mod lines;
pub mod message;
pub mod observer;
pub mod outbox;
mod producer;
pub mod publisher;
mod recovered;
pub mod recovery;
mod status;
pub mod tail;
#[cfg(test)]
mod testing;
pub mod topics;

pub use publisher::{PublishHandle, Publisher};

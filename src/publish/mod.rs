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
//! * `producer`, `delivery`: the thread that sends, and what comes back; `connection`, `client`: what it sends with;
//! * `transactions`, [`checkpoint`]: the thread that does it exactly once, and what it remembers in Kafka;
//! * `refusals`: what follows from failures, for both;
//! * [`topics`], [`embedded`]: the topics, and a cluster inside the process;
//! * [`dead_letter`]: what could not be read or will never be taken;
//! * [`observer`]: what there is to see;
//! * [`tail`], [`lines`]: reading a topic back.

pub mod checkpoint;
mod client;
mod connection;
pub mod dead_letter;
mod delivery;
pub mod embedded;
pub mod encode;
pub mod lines;
pub mod message;
pub mod observer;
pub mod outbox;
mod partition;
mod producer;
pub mod publisher;
mod refusals;
mod status;
pub mod tail;
#[cfg(test)]
mod testing;
pub mod topics;
mod transactions;

pub use publisher::{PublishHandle, Publisher};

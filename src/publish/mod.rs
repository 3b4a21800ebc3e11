//! Events to Kafka: encoding, outbox, producer, topics.

pub mod encode;
pub mod message;

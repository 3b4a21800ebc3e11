//! Events to Kafka: encoding, outbox, producer, topics.

pub mod message;

//! Events to Kafka.
//!
//! * [`message`]: what is published: routes, topics, headers;
//! * [`outbox`]: what Kafka has not acknowledged yet; the seam for a durable journal;
//! * [`dead_letter`]: what could not be read or will never be taken;
//! * [`observer`]: what there is to see;
//! * [`lines`]: a message as a line of JSON.

pub mod dead_letter;
pub mod lines;
pub mod message;
pub mod observer;
pub mod outbox;

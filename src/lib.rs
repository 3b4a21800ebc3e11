//! rtalink: Avaya CMS agent states to Kafka.

pub mod config;
pub mod feed;
pub mod mapping;
pub mod pipeline;
pub mod proto;
pub mod publish;
pub mod simulate;
pub mod state;
pub mod time;
pub mod wire;

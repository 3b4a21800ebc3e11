//! rtalink: Avaya CMS agent states to Kafka.

pub mod cli;
pub mod config;
pub mod feed;
pub mod http;
pub mod mapping;
pub mod pipeline;
pub mod proto;
pub mod publish;
pub mod simulate;
pub mod state;
pub mod telemetry;
pub mod time;
pub mod wire;

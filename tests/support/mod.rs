//! What the tests of the whole service share: it started in this process or as one of its own, HTTP, topics, waiting.

#![allow(dead_code)] // every test file compiles this and uses its own part
#![allow(clippy::expect_used, clippy::unwrap_used)] // a panic here is a failed test

pub(crate) mod agents;
pub(crate) mod bytes;
pub(crate) mod certificates;
pub(crate) mod engine;
pub(crate) mod faulty_disk;
pub(crate) mod forward;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod player;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod publishing;
pub(crate) mod python;
pub(crate) mod sections;
pub(crate) mod secure_kafka;
pub(crate) mod service;
pub(crate) mod short;
pub(crate) mod small_disk;
pub(crate) mod stunnel;
pub(crate) mod target;
pub(crate) mod tls_client;
pub(crate) mod told;
pub(crate) mod topic;
pub(crate) mod wait;

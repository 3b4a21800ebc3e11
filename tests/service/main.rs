//! The service with sockets, HTTP and a store; Kafka is inside the process.
#![cfg(feature = "service")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod audit;
mod bundle;
mod clock;
mod feed;
mod forward;
mod hostile;
mod http;
mod http_limits;
mod limits;
mod lists;
mod logs;
mod metrics_page;
mod pseudonyms;
mod reload;
mod status;
mod store;
mod stunnel;
mod tls;

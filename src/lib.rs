//! rtalink: Avaya CMS agent states to Kafka.
//!
//! CMS repeats a report of all agents every few seconds; this crate finds out what really happened to each of them, maps
//! it to injixo's users and activities, and publishes it, in order, at least or exactly once. The library is the product; the
//! binary only calls [`cli`].
//!
//! ```text
//! CMS ──TCP──> sources::rta ──whole records, many at a time──> worker: wire -> tracker -> mapping ──events──> journal ──> Kafka
//!              tokio          bounded channel                 one OS thread, owns its integrations           on disk     kafka
//! ```
//!
//! # The map, in the order of the data
//!
//! [`wire`] reads bytes. A site's layout is data ([`wire::layout`]), compiled once ([`wire::plan`]). Most records say
//! nothing new: [`wire::unchanged`] recognises them without a parse.
//!
//! [`tracker`] finds transitions. [`tracker::Tracker`] holds the agents of one integration and knows where snapshots
//! end, who is absent, and what is a gap; `docs/tracker.md` has its rules.
//!
//! [`mapping`] says what a transition means in injixo: whose it is and which activity, by immutable tables with a version.
//!
//! [`engine`] is one feed from bytes to events, without I/O: a worker drives it from sockets, [`engine::replay`] from a
//! capture, and both find the same. [`capture`] is the file format of a recorded feed.
//!
//! [`contract`] is what is published, in protobuf and as JSON, and the format of what is stored.
//!
//! [`sources`] bring the data in. [`sources::rta`] has a listener per integration that accepts CMS; a connection cuts what
//! it reads into whole records and hands them over a bounded channel, so that a slow worker makes the socket wait.
//!
//! [`journal`] is a thread that writes what all integrations hand over to one SQLite file ([`journal::store`]), which is
//! never trusted unchecked. What Kafka has not acknowledged stays there; a part of it, [`journal::send_window`], is in
//! memory.
//!
//! [`kafka`] sends what is on disk to Kafka, at least once or in transactions. A producer that fails is replaced.
//!
//! [`integration`] is one integration at work: [`integration::integration_worker`] drives its engine, hands over what is
//! found, and restores the agents from the store or from Kafka. [`service`] starts all of them, reloads and drains.
//!
//! [`views`] is the read model; [`http`] shows it, health and metrics, and takes the requests to pause and resume.
//!
//! [`config`] and [`telemetry`] serve all of them; [`mod@time`] has the one type for points in time; [`simulate`] is a CMS
//! that dials in, separate from all of these.
//!
//! # What always holds
//!
//! `wire`, `tracker`, `mapping` and `engine` are pure: no sockets, no clock, no logging; time is an argument. An integration
//! belongs to one thread for its whole life, so that nothing in it is locked. Every queue is bounded, and whatever is dropped
//! or refused is counted with a reason. Nothing goes to Kafka that is not in the journal, heartbeats excepted. Input never
//! ends the service: a record that cannot be read can only keep agents from being considered absent. `ARCHITECTURE.md` has
//! the reasons, the directions of imports, and where to put what is new.

// Some of the core is there for the service alone.
#![cfg_attr(not(feature = "service"), allow(dead_code))]

pub mod capture;
#[cfg(feature = "service")]
pub mod cli;
pub mod config;
pub mod contract;
pub mod engine;
#[cfg(feature = "service")]
pub mod fail_point;
#[cfg(feature = "service")]
pub mod http;
pub mod inspect;
#[cfg(feature = "service")]
pub mod integration;
#[cfg(feature = "service")]
mod join;
#[cfg(feature = "service")]
pub mod journal;
#[cfg(feature = "service")]
pub mod kafka;
pub mod mapping;
#[cfg(feature = "service")]
pub mod service;
#[cfg(any(feature = "service", test))]
pub mod simulate;
#[cfg(feature = "service")]
pub mod sources;
#[cfg(feature = "service")]
pub mod telemetry;
pub mod time;
pub mod tracker;
#[cfg(feature = "service")]
pub mod views;
pub mod wire;

//! rtalink: Avaya CMS agent states to Kafka.
//!
//! CMS repeats a report of all agents every few seconds; this crate finds out what really happened to each of them, maps
//! it to injixo's users and activities, and publishes it, in order, at least or exactly once. The library is the product; the
//! binary only calls [`cli`].
//!
//! ```text
//! CMS ──TCP──> feed ──whole records, many at a time──> worker: wire -> state -> mapping ──events──> journal ──> Kafka
//!              tokio       bounded channel             one OS thread, owns its integrations        on disk     publish
//! ```
//!
//! # The map, in the order of the data
//!
//! [`feed`] is the TCP side. A listener per integration accepts CMS; a connection cuts what it reads into whole records
//! and hands them over a bounded channel, so that a slow worker makes the socket wait. Which of several connections
//! speaks is decided by [`feed::session`].
//!
//! [`wire`] reads bytes. A site's layout is data ([`wire::layout`]), compiled once ([`wire::plan`]). Most records say
//! nothing new: [`wire::unchanged`] recognises them without a parse.
//!
//! [`state`] finds transitions. [`state::tracker::Tracker`] holds the agents of one integration and knows where snapshots
//! end, who is absent, and what is a gap; `docs/tracker.md` has its rules.
//!
//! [`mapping`] says what a transition means in injixo: whose it is and which activity, by immutable tables with a version.
//!
//! [`store`] is what the service remembers on disk: one SQLite file with the journal, the agents and versions of mappings.
//!
//! [`publish`] encodes events once, writes them to the journal ([`publish::journal`], a thread that commits for all
//! integrations) and gives what is on disk to Kafka, at least once or in transactions. What Kafka has not acknowledged stays
//! in the journal; a part of it, [`publish::outbox`], is in memory. A producer that fails is replaced. [`proto`] is the
//! published contract, and the form of what is stored.
//!
//! [`store`] is what survives a restart: a journal and the agent tables in one SQLite file that is never believed unchecked.
//!
//! [`pipeline`] wires these together. [`pipeline::engine`] is one integration from bytes to events, without I/O:
//! [`pipeline::worker`] drives it from sockets, [`pipeline::replay`] from a capture, and both find the same.
//! [`pipeline::service`] starts, restores the agents from the store or from Kafka, reloads and drains. [`http`] shows health,
//! metrics and the read model, and takes the requests to pause and resume.
//!
//! [`config`] and [`telemetry`] serve all of them; [`mod@time`] has the one type for points in time; [`simulate`] is a CMS that
//! dials in, and stands aside.
//!
//! # What always holds
//!
//! `wire`, `state` and `mapping` are pure: no sockets, no clock, no logging; time is an argument. An integration belongs to
//! one thread for its whole life, so that nothing in it is locked. Every queue is bounded, and whatever is dropped or
//! refused is counted with a reason. Nothing goes to Kafka that is not in the journal, heartbeats excepted. Input never ends the service: a record that cannot be read can only keep agents from
//! being thought absent. `ARCHITECTURE.md` has the reasons, the directions of imports, and where to put what is new.

pub mod cli;
pub mod config;
pub mod fail_point;
pub mod feed;
pub mod http;
mod join;
pub mod mapping;
pub mod pipeline;
pub mod proto;
pub mod publish;
pub mod simulate;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod wire;

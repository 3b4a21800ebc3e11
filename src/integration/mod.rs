//! One integration at work: what is between its feed and its part of the journal.
//!
//! * [`worker`]: an OS thread that owns its integrations and drives their engines; [`command`]: what it can be asked to do;
//! * `conclusion`, `handover`: from findings to the journal; `standing`: whether the journal has everything that was found;
//!   `overflow`: what is kept while it has no room; [`refresh`]: messages for `current` that are due again;
//! * `checkpoint`, `restore`, `from_kafka`, `unread`: the agents to the store, and back at startup; `behind`: a store that is
//!   older than Kafka; [`removal`]: an integration that is no longer in the configuration;
//! * `forgetting`, `ageing`: people who are forgotten;
//! * [`handles`]: the ways to Kafka of those that are at work;
//! * `conditions`, `staleness`, [`observers`]: what is wrong with a feed, and metrics;
//! * [`mapping_versions`]: versions of a mapping, which only grow.

mod ageing;
mod behind;
mod checkpoint;
pub mod command;
mod conclusion;
mod conditions;
#[cfg(test)]
mod figures_tests;
mod forgetting;
pub(crate) mod from_kafka;
pub mod handles;
mod handover;
pub mod mapping_versions;
pub mod observers;
mod overflow;
pub mod refresh;
pub mod removal;
pub(crate) mod restore;
mod staleness;
mod standing;
mod unread;
pub mod worker;

//! One integration at work: what is between its feed and its part of the journal.
//!
//! * [`worker`]: an OS thread that owns its integrations; [`integration_worker`]: one of them, which drives its engine;
//!   `pace`: how far its time is; [`command`]: what it can be asked to do;
//! * `findings`, `conclusion`, `publishing`: from findings to the journal; `standing`: whether the journal has everything that
//!   was found; `overflow`: what is kept while it has no room; [`refresh`]: messages for `current` that are due again;
//! * `saved_agents`, `checkpoint`, `restore`, `from_kafka`, `unread`: the agents to the store, and back at startup; `behind`: a store that is
//!   older than Kafka; [`removal`]: an integration that is no longer in the configuration;
//! * `forgetting`, `retention`: people who are forgotten;
//! * [`handles`]: the ways to Kafka of those that are at work;
//! * `reporting`, `conditions`, `staleness`, [`metrics_bridge`]: what is wrong with a feed, and metrics;
//! * [`mapping_versions`]: versions of a mapping, which only grow.

mod behind;
mod checkpoint;
pub mod command;
mod conclusion;
mod conditions;
#[cfg(test)]
mod figures_tests;
mod findings;
mod forgetting;
pub(crate) mod from_kafka;
pub mod handles;
pub mod integration_worker;
pub mod mapping_versions;
pub mod metrics_bridge;
mod overflow;
mod pace;
mod publishing;
pub mod refresh;
pub mod removal;
mod reporting;
pub(crate) mod restore;
mod retention;
mod saved_agents;
mod staleness;
mod standing;
pub(crate) mod start_wait;
mod unread;
pub mod worker;

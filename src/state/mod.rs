//! Records to events: the agent table, the ends of snapshots and the rules of the tracker.
//!
//! Pure: time is an argument, nothing here reads a clock, logs or waits. [`tracker::Tracker`] is the way in; what it finds
//! out is in [`event`]. The rules, to the letter, are in `docs/tracker.md`; scenarios for each are in `tests/scenarios`.
#![forbid(unsafe_code)]

pub mod agent;
pub mod agent_state;
pub mod behind;
mod blind;
mod crowd;
mod ending;
pub mod event;
mod forget;
mod held;
mod link;
pub mod listening;
pub mod memory;
mod presence;
mod records;
mod reentry;
mod remember;
pub mod settings;
mod silence;
pub mod since;
mod snapshot;
pub mod status;
pub mod table;
pub mod tracker;
mod transition;

//! Records to events: the agent table, the ends of snapshots and the rules of the tracker.
//!
//! Pure: time is an argument, nothing here reads a clock, logs or waits.
#![forbid(unsafe_code)]

pub mod settings;

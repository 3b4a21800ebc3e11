//! What needs a real Kafka.
#![cfg(feature = "service")]

#[path = "../support/mod.rs"]
mod support;

mod clock_change;
mod end_to_end;
mod exactly_once;
mod exactness;
mod examples;
mod forget;
mod new_machine;
mod nights;
mod outage;
mod pause;
mod recovery;
mod refusals;
mod removed;
mod retention;
mod secrets;
mod security;
mod silence;
mod smoke;

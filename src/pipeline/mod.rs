//! Wires the rest together.
//!
//! [`engine`] is one integration without I/O; [`replay`] drives it from a capture and [`worker`] from sockets.
//! [`service`] starts everything, reloads and drains.

mod ageing;
mod behind;
pub mod captures;
mod checkpoint;
#[cfg(test)]
mod clock_tests;
mod conclusion;
mod conditions;
pub mod engine;
#[cfg(test)]
mod figures_tests;
mod finding;
mod forgetting;
mod from_kafka;
mod handover;
pub mod mapping_files;
pub mod observers;
mod overflow;
mod preparation;
pub mod refresh;
mod reload;
mod remapping;
pub mod removal;
pub mod replay;
mod restore;
pub mod service;
mod serving;
mod staleness;
mod standing;
pub mod survey;
pub mod tls_files;
mod unread;
mod upkeep;
pub mod worker;

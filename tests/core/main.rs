//! The pure core: bytes to events, without I/O.

#[path = "../support/pure.rs"]
mod support;

mod allocations;
mod chunking;
mod clocks_go_back;
mod contract;
mod inspect;
mod lists;
mod properties;
mod remapping;
mod scenarios;

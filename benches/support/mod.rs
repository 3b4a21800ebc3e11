//! What the benches share: feeds, and ways to compare.
#![allow(dead_code)] // each bench uses its own part

pub(crate) mod cpu;
pub(crate) mod feeds;
pub(crate) mod floors;
pub(crate) mod rounds;

//! What the tests of the core share: engines, captures, what they tell, and an allocator that counts.

#![allow(dead_code)] // not every part is used
#![allow(clippy::expect_used, clippy::unwrap_used)] // a panic here is a failed test

pub(crate) mod counting;
pub(crate) mod engine;
pub(crate) mod player;
pub(crate) mod told;

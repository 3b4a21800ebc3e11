//! Wires the rest together: the engine of one integration, the workers, start-up, reload and drain.

pub mod engine;
pub mod replay;

//! What the service remembers on disk.

pub mod memory;

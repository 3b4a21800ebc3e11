//! What the service tells about itself: metrics and logs.

pub mod logs;
pub mod metrics;
pub mod names;
mod process;
pub mod repeats;

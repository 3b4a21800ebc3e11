//! What the service reports about itself: metrics and logs.

mod bounded;
pub mod feed_metrics;
pub mod forward_metrics;
pub mod logs;
pub mod metrics;
pub mod names;
mod panics;
mod process;
pub mod repeats;
pub mod targets;

//! What the service reports about itself: metrics and logs.

mod bounded;
pub mod feed_metrics;
pub mod forward_metrics;
pub mod log_tail;
pub mod logs;
pub mod metrics;
pub mod names;
mod panics;
mod process;
pub mod repeats;
pub mod tally;
pub mod targets;
mod text_fields;

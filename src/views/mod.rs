//! What HTTP and `rtalink status` show: a read model, kept apart from the workers and fed over a bounded channel.
//!
//! Nothing here reaches into a worker's tables. A view is as old as the last update that it has taken.

pub mod advice;
mod doing;
mod in_aux;
pub mod model;
pub mod service;
pub mod span;
pub mod status;

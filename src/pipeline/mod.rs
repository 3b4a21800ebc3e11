//! Wires the rest together.
//!
//! [`engine`] is one integration without I/O; [`replay`] drives it from a capture and [`worker`] from sockets.
//! [`service`] starts everything, reloads and drains; [`model`] is what the HTTP side reads.

pub mod engine;
pub mod mapping_files;
pub mod model;
pub mod observers;
mod reload;
pub mod replay;
pub mod service;
mod status;
pub mod worker;

//! Wires the rest together.
//!
//! [`engine`] is one integration without I/O; [`replay`] drives it from a capture and [`worker`] from sockets.
//! [`service`] starts everything, reloads and drains.

pub mod engine;
pub mod mapping_files;
pub mod observers;
mod preparation;
mod reload;
pub mod replay;
pub mod service;
pub mod worker;

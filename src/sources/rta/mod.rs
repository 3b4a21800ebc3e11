//! Avaya Generic RTA: the port that CMS dials in to.
//!
//! [`listener`] accepts; where the port speaks TLS, [`tls`] has the handshake. `connection` reads and cuts records, and
//! [`worker_channel`] carries them to the worker with back-pressure; [`forward`] passes the bytes on to further targets. Which of several connections speaks is decided by
//! [`crate::engine::session`].

mod connection;
pub mod forward;
pub mod handshakes;
pub mod listener;
pub mod settings;
mod stream;
pub mod tls;
pub mod worker_channel;

//! The TCP side: listener, connections, twins, captures.
//!
//! [`listener`] accepts, `connection` reads and cuts records, [`inbox`] carries them to the worker with back-pressure.
//! Where the port speaks TLS, [`tls`] has the handshake; [`session`] decides which of several connections speaks, and [`capture`] is the form in which a feed is kept; both
//! are pure. [`pseudonymise`] replaces the people in a capture, by a key of [`pseudonym`].

pub mod capture;
mod connection;
pub mod handshakes;
pub mod inbox;
pub mod listener;
pub mod pseudonym;
pub mod pseudonymise;
pub mod session;
pub mod settings;
mod stream;
pub mod tls;

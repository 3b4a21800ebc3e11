//! What CMS sends, passed on as it is: CMS dials one target, and whoever was there before must not go blind.
//!
//! [`passage`] has the rules, without a socket; [`relay`] the connections and targets of a port; `target` a socket.

pub mod passage;
pub mod relay;
mod target;

//! The commands, run as a user runs them.
#![cfg(feature = "service")]

#[path = "../support/mod.rs"]
mod support;

mod captures;
mod commands;
mod decode;
mod demo;
mod exports;
mod first_look;
mod inspect;
mod nights;

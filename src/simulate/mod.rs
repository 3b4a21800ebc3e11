//! A CMS that dials in and streams snapshots of a plausible shift.
#![forbid(unsafe_code)]

pub mod agent;
mod behaviour;
mod life;
mod roster;
pub mod shift;
mod stock;

pub use shift::Drive;

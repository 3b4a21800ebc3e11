//! Typed configuration: loading, environment overlay, validation.

pub mod model;

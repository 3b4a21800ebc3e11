//! rtalink.
fn main() {}

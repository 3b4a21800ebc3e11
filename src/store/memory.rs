//! Agents and feeds as rows: what a tracker remembers, to bytes and back.

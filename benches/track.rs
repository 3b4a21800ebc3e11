//! What records cost of which some are changes, decoded, tracked and mapped, beside a loop that finds the changed rows by
//! their hashes and parses their integers: 0, 5 and 100 % changes.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/engine.rs"]
mod engine;
mod support;

use std::hint::black_box;

use support::feeds::{Clock, Fed, Feed};
use support::floors::{self, LastHashes};
use support::rounds::Cases;

const ROUNDS: usize = 100;

fn main() {
    for changes in [0, 5, 100] {
        for clock in [Clock::Nothing, Clock::Duration] {
            let feed = Feed { changes, clock, ..Feed::USUAL };
            let snapshots = feed.snapshots();
            let mut hashes = LastHashes::new();
            let mut round = 0;
            let mut cases = Cases::default();
            cases.floor("scan + hash + lookup, integers of what changed", || {
                round += 1;
                let snapshot = &snapshots[round % snapshots.len()];
                hashes.take(snapshot, |row| {
                    black_box(floors::integers(row));
                });
            });
            let mut fed = Fed::new(&feed, None);
            cases.case("rtalink: receive, decode, track, map", move || {
                fed.take_with(|findings| {
                    black_box(findings);
                });
            });
            cases.print(&format!("track: {changes} % changes, {clock:?}"), ROUNDS, feed.agents);
        }
    }
}

//! What a record costs that says nothing new, beside the least that could tell: a newline scan, a hash of the row, and a
//! lookup of the agent's last one. From 1,000 to 200,000 agents, as many as an integration may have, without and with a
//! column that changes all the time.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/engine.rs"]
mod engine;
mod support;

use std::hint::black_box;

use support::feeds::{Clock, Fed, Feed};
use support::floors::LastHashes;
use support::rounds::Cases;

/// Records of a case, over all rounds.
const RECORDS: usize = 3_000_000;

fn main() {
    for agents in [1_000, 10_000, 100_000, 200_000] {
        let usual = Feed { agents, ..Feed::USUAL };
        let snapshot = usual.snapshot(0);
        let mut hashes = LastHashes::new();
        let mut cases = Cases::default();
        cases.floor("scan + hash + lookup", || {
            hashes.take(&snapshot, |row| {
                black_box(row);
            });
        });
        let clocks = [
            ("rtalink", Clock::Nothing),
            ("rtalink, with a duration", Clock::Duration),
            ("rtalink, with a timestamp", Clock::Timestamp),
        ];
        for (name, clock) in clocks {
            let mut fed = Fed::new(&Feed { clock, ..usual }, None);
            cases.case(name, move || fed.take());
        }
        let title = format!("unchanged: {agents} agents, {} bytes a record", snapshot.len() / agents);
        cases.print(&title, (RECORDS / agents).clamp(3, 100), agents);
    }
}

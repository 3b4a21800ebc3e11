//! What 10,000 agents with 20 skills each take in memory, in a worker and in the read model's copy of their last events.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/support/counting.rs"]
mod counting;
#[path = "../tests/support/engine.rs"]
mod engine;

use bytes::Bytes;
use counting::{Counting, live_bytes};
use rtalink::time::Timestamp;
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const AGENTS: usize = 10_000;

fn main() {
    for details in [false, true] {
        let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
        let snapshot = Bytes::from(engine::snapshot(AGENTS, 20, 0));
        let before = live_bytes();
        let mut engine = engine::engine(&plan, details);
        let mut events = Vec::new();
        engine.open(1, &"cms".into(), Timestamp::from_millis(0), &mut events);
        events.clear();
        engine.receive(1, &plan, &engine::piece(snapshot.clone()), Timestamp::from_millis(1), &mut events);
        let with_events = live_bytes();
        drop(events);
        let table = live_bytes() - before;
        let events = with_events - live_bytes();
        println!(
            "details {details:<5}  {AGENTS} agents x 20 skills: worker {:.1} MB ({} bytes an agent), last events {:.1} MB",
            table as f64 / 1e6,
            table / AGENTS as isize,
            events as f64 / 1e6,
        );
        drop(engine);
    }
}

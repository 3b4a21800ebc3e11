//! How long it takes; for `docs/store.md`.

use std::fs;
use std::time::Instant;

use tempfile::TempDir;

use super::tests::{agent, batch};
use super::*;

/// Figures for `docs/store.md`: `cargo test --lib store -- --ignored --nocapture figures`.
#[test]
#[ignore = "measures, and proves nothing"]
fn figures() {
    for sync in [Sync::Full, Sync::Normal] {
        let folder = TempDir::new_in("target").unwrap();
        let mut store = open(&StoreSettings { directory: folder.path().into(), sync }).unwrap().store;
        let number = store.integration("one").unwrap().number;
        let content: Vec<u8> = (0..64 * 1024_u32).map(|k| k.to_le_bytes()[0]).collect();
        let mut times: Vec<_> = (0..1_000)
            .map(|k| {
                let begin = Instant::now();
                store.commit(&[batch(number, k * 10, &content)]).unwrap();
                begin.elapsed()
            })
            .collect();
        times.sort();
        println!("{sync:?}: commit of 64 KiB p50 {:?} p99 {:?} max {:?}", times[500], times[990], times[999]);
        let covered =
            Write::Checkpoint { integration: number, covered_to: 10_000, agents: &[], feed: b"", recovered: true };
        store.commit(&[covered]).unwrap();
        let mut times: Vec<_> = (1..=1_000)
            .map(|k| {
                let begin = Instant::now();
                store.commit(&[Write::Acknowledged { integration: number, to: k * 10 }]).unwrap();
                begin.elapsed()
            })
            .collect();
        times.sort();
        println!("{sync:?}: deletion p50 {:?} p99 {:?} max {:?}", times[500], times[990], times[999]);

        let agents: Vec<AgentRow> = (0..100_000).map(agent).collect();
        let write =
            || Write::Checkpoint { integration: number, covered_to: 1, agents: &agents, feed: b"", recovered: true };
        for what in ["new", "again"] {
            let begin = Instant::now();
            store.commit(&[write()]).unwrap();
            println!(
                "{sync:?}: checkpoint of 100,000 agents of {} bytes, {what}: {:?}",
                agents[0].memory.len(),
                begin.elapsed()
            );
        }
        let begin = Instant::now();
        let mut count = 0;
        store.agents(number, &mut |_| count += 1).unwrap();
        println!("{sync:?}: reading {count} agents {:?}", begin.elapsed());
        let begin = Instant::now();
        schema::check_pages(&store.connection).unwrap();
        println!("{sync:?}: check of pages {:?}", begin.elapsed());
        drop(store);
        let begin = Instant::now();
        let mut store = open(&StoreSettings { directory: folder.path().into(), sync }).unwrap().store;
        let size = fs::metadata(folder.path().join(DATABASE)).unwrap().len();
        println!("{sync:?}: open {:?}, {size} bytes", begin.elapsed());
        let content = vec![1; 1024 * 1024];
        for k in 0..512 {
            store.commit(&[batch(number, 10_000 + k * 10, &content)]).unwrap();
        }
        drop(store);
        let begin = Instant::now();
        let mut store = open(&StoreSettings { directory: folder.path().into(), sync }).unwrap().store;
        println!("{sync:?}: open with 512 MiB in the journal {:?}", begin.elapsed());
        let begin = Instant::now();
        store.integration("one").unwrap();
        println!("{sync:?}: integration {:?}", begin.elapsed());
    }
}

//! Stores of all shapes, while they keep changing: an agent deleted before a sweep is in no byte after it, and nobody else is
//! missing.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use rand::{RngExt, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::journal::store::tests::{AT, files_with, memories, store};
use crate::journal::store::{AgentRow, Write, schema};

use super::*;

/// Nobody else has this name, and nothing else that is written looks like it.
const THEM: &str = "#them#";

fn agent(login_id: &str, bytes: usize) -> AgentRow {
    AgentRow { acd: 1, login_id: login_id.into(), memory: login_id.bytes().cycle().take(bytes).collect() }
}

/// Returns a size from a few bytes to some pages.
fn size(random: &mut ChaCha8Rng) -> usize {
    match random.random_range(0..10) {
        0 => random.random_range(4_000..30_000),
        1..4 => random.random_range(900..2_000),
        _ => random.random_range(10..400),
    }
}

/// Agents come, change and go, the one to be erased among them; rows of the journal with them come and go. Then they are
/// erased while more of that goes on, without them.
fn play(seed: u64, agents: u32, portion: u32) {
    let folder = TempDir::new().unwrap();
    let mut store = store(folder.path());
    let integration = store.integration("avaya-1").unwrap().number;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut next = 0;
    let mut churn = |store: &mut Store, with_them: bool| {
        let mut changed: Vec<AgentRow> = (0..random.random_range(1..200))
            .map(|_| agent(&format!("{:05}", random.random_range(0..agents)), size(&mut random)))
            .collect();
        if with_them {
            // All over the table, so that much is copied next to them and of them.
            changed.extend((0..20).map(|number| {
                let place = random.random_range(0..agents);
                agent(&format!("{place:05}{THEM}{number}"), size(&mut random))
            }));
        }
        let text = if with_them { THEM } else { "-nobody-" };
        let content: Vec<u8> = text.bytes().cycle().take(size(&mut random) * 3).collect();
        let gone: Vec<(u32, Arc<str>)> = (0..random.random_range(0..150))
            .map(|_| (1, format!("{:05}", random.random_range(0..agents)).into()))
            .collect();
        let row = Write::Batch { integration, first: next, count: 10, written_at: AT, content: &content };
        next += 10;
        // Some of the journal is always left.
        let to = next.saturating_sub(random.random_range(0..60));
        let covered = Write::Checkpoint { integration, covered_to: to, agents: &changed, feed: b"", recovered: true };
        store
            .commit(&[
                row,
                Write::Forgotten { integration, agents: &gone },
                covered,
                Write::Acknowledged { integration, to },
            ])
            .unwrap();
    };
    for _ in 0..60 {
        churn(&mut store, true);
    }
    // Their rows leave the journal, and then they leave the table.
    for _ in 0..10 {
        churn(&mut store, false);
    }
    let mut theirs: Vec<(u32, Arc<str>)> = Vec::new();
    crate::journal::store::database::agents(&store.connection, integration, &mut |_, login_id, _| {
        if login_id.contains(THEM) {
            theirs.push((1, login_id.into()));
        }
    })
    .unwrap();
    assert!(!theirs.is_empty());
    store.commit(&[Write::EraseDue, Write::Forgotten { integration, agents: &theirs }]).unwrap();
    assert!(!files_with(folder.path(), THEM).is_empty(), "deleted is not erased");

    let mut sweep = Sweep { portion, ..Sweep::default() };
    let mut steps = 0;
    while store.erase(&mut sweep, true).unwrap() == Erased::More {
        steps += 1;
        churn(&mut store, false);
    }
    assert!(steps > 2, "{steps} steps: nothing went on meanwhile");
    assert_eq!(files_with(folder.path(), THEM), [""; 0]);
    let told: String = store.connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(told, "ok");
    let before = memories(&store, integration).unwrap();
    drop(store);
    let store = crate::journal::store::tests::store(folder.path());
    schema::check_pages(&store.connection).unwrap();
    assert!(memories(&store, integration).unwrap() == before, "others are missing");
    assert_eq!(files_with(folder.path(), THEM), [""; 0]);
}

/// Returns the number of cases, more with `make torture`'s variable.
fn cases() -> u32 {
    if std::env::var("RTALINK_TORTURE").is_ok_and(|value| value == "full") { 60 } else { 2 }
}

proptest! {
    #![proptest_config(Config { cases: cases(), rng_seed: RngSeed::Fixed(20_261_129), ..Config::default() })]

    #[test]
    fn who_was_deleted_is_in_no_byte_and_nobody_else_is_missing(seed: u64, agents in 50..3_000_u32, portion in 5..200_u32) {
        play(seed, agents, portion);
    }
}

/// Figures for `docs/store.md`: `cargo test --release --lib store::erase -- --ignored --nocapture largest`.
#[test]
#[ignore = "measures, with the largest store: a minute in a release build"]
fn largest() {
    const AGENTS: u32 = 200_000;
    // With details and 20 skills, and the message of the last event.
    const BYTES: usize = 1_600;
    let folder = TempDir::new_in("target").unwrap();
    let mut store = store(folder.path());
    let integration = store.integration("avaya-1").unwrap().number;
    for round in 0..2_u32 {
        for portion in 0..AGENTS / 2_000 {
            let of = portion * 2_000..(portion + 1) * 2_000;
            let bytes = BYTES - usize::try_from(round).unwrap() * 100;
            let agents: Vec<AgentRow> =
                of.map(|number| agent(&format!("{:06}{THEM}", number * 7 % AGENTS), bytes)).collect();
            let write = Write::Checkpoint { integration, covered_to: 0, agents: &agents, feed: b"", recovered: true };
            store.commit(&[write]).unwrap();
        }
    }
    let one = format!("100007{THEM}");
    store.commit(&[Write::EraseDue, Write::Forgotten { integration, agents: &[(1, (&*one).into())] }]).unwrap();
    let pages: u32 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let begin = Instant::now();
    let (mut longest, mut steps) = (Duration::ZERO, 0);
    let mut sweep = Sweep::default();
    loop {
        let step = Instant::now();
        let erased = store.erase(&mut sweep, true).unwrap();
        longest = longest.max(step.elapsed());
        steps += 1;
        if erased == Erased::Done {
            break;
        }
    }
    let took = begin.elapsed();
    let resident = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = resident.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    // Not earlier: this reads the whole file.
    assert_eq!(files_with(folder.path(), &one), [""; 0]);
    println!(
        "{AGENTS} agents, {} MiB: {took:?} in {steps} steps, the longest {longest:?}, {resident}",
        pages * 4 / 1024
    );
}

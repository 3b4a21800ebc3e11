//! What the journal takes: on disk, in memory while the disk does not get on, and beside the database.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtalink::journal::lane::Lane;
use rtalink::journal::message::{Batch, Message, Route};
use rtalink::journal::send_window::WindowLimits;
use rtalink::journal::store::{self, DATABASE};
use rtalink::journal::{Bounds, Journal, LaneStart, Refused, UnobservedStore};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::sections;
use crate::support::service::Running;
use crate::support::short;
use crate::support::wait::until_true;

/// As in `src/journal/queue.rs` and `src/journal/store/database.rs`.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
const RESERVE: usize = 1024 * 1024;
const MOST_WAL: u64 = 32 * 1024 * 1024;

const PAYLOAD: usize = 64 * 1024;

/// A journal of one integration that may have so many bytes in the store; Kafka takes nothing.
fn start(folder: &Path, journal_bytes: u64) -> Journal {
    let settings = store::StoreSettings { directory: folder.to_owned(), sync: store::Sync::Normal };
    let mut store = store::open(&settings).unwrap().store;
    let stored = store.integration("a").unwrap();
    let lane = LaneStart { integration: "a".into(), stored, keeps_events: false };
    let window = WindowLimits { messages: 10, bytes: 1 << 20 };
    Journal::start(store, &[lane], Bounds { journal_bytes, window }, Arc::new(UnobservedStore)).unwrap()
}

fn submit(lane: &Lane, is_urgent: bool) -> Result<(), Refused> {
    let payload = Bytes::from(vec![b'x'; PAYLOAD]);
    let message = Message { route: Route::FeedStatus, key: "a".into(), payload, headers: Vec::new(), read_at: None };
    lane.submit(Batch { messages: vec![message], is_urgent, ..Batch::default() }).map(drop)
}

/// How many batches are taken before one is refused.
fn taken(lane: &Lane, is_urgent: bool) -> usize {
    (0..).take_while(|_| !matches!(submit(lane, is_urgent), Err(Refused::Full(_)))).count()
}

#[test]
fn an_integration_has_so_much_of_the_journal_and_feed_statuses_have_a_reserve() {
    let folder = TempDir::new().unwrap();
    let most = 4 << 20;
    let journal = start(folder.path(), most);
    let lane = &journal.lanes().next().unwrap().1;
    let events = taken(lane, false);
    let stored = lane.stored_bytes();
    assert!(stored <= most && stored > most - 2 * PAYLOAD as u64, "{stored}");
    let statuses = taken(lane, true);
    let with_reserve = lane.stored_bytes() - most;
    assert!(with_reserve <= RESERVE as u64 && with_reserve > (RESERVE - 2 * PAYLOAD) as u64, "{with_reserve}");
    println!(
        "the journal of an integration, limit {most} bytes here: {stored} in {events} batches; the reserve of {RESERVE}: \
         {with_reserve} in {statuses}"
    );
    assert_eq!(journal.finish(Instant::now() + Duration::from_secs(60)), 0);
}

#[test]
fn so_much_waits_in_memory_while_the_store_cannot_be_written() {
    let folder = TempDir::new().unwrap();
    let journal = start(folder.path(), 1 << 30);
    let lane = &journal.lanes().next().unwrap().1;
    let held_up = Connection::open(folder.path().join(DATABASE)).unwrap();
    held_up.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The last one waits until the commit has failed: then nobody waits any more.
    let batches = taken(lane, false);
    let waiting = batches * PAYLOAD;
    assert!(waiting <= QUEUE_BYTES && waiting > QUEUE_BYTES - 2 * PAYLOAD, "{waiting}");
    assert!(journal.health().trouble.is_some());
    println!(
        "rows for a store that is locked, limit {QUEUE_BYTES} bytes: {waiting} taken, the next one refused as full"
    );
    held_up.execute_batch("ROLLBACK").unwrap();
    assert_eq!(journal.finish(Instant::now() + Duration::from_secs(60)), 0);
}

#[test]
fn the_log_of_the_database_gets_so_large_beyond_what_somebody_reads() {
    let folder = TempDir::new().unwrap();
    let journal = start(folder.path(), 1 << 30);
    let lane = &journal.lanes().next().unwrap().1;
    let wal = || fs::metadata(folder.path().join(format!("{DATABASE}-wal"))).unwrap().len();
    let commit = || {
        submit(lane, false).unwrap();
        journal.wait_written(Instant::now() + Duration::from_secs(60));
    };
    let reader = Connection::open(folder.path().join(DATABASE)).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
    while wal() <= MOST_WAL {
        commit();
    }
    let largest = wal();
    reader.execute_batch("ROLLBACK").unwrap();
    // It is looked at every so many commits.
    let commits = (1..=65).find(|_| {
        commit();
        wal() < MOST_WAL
    });
    println!(
        "the database's log, limit {MOST_WAL} bytes: {largest} while somebody read; {} {commits:?} commits later",
        wal()
    );
    assert!(commits.is_some());
    assert_eq!(journal.finish(Instant::now() + Duration::from_secs(60)), 0);
}

#[test]
fn dead_letters_leave_half_of_the_journal_to_transitions() {
    let config = |kafka: &str| {
        let layout = "layout = \"long\"\nmode = \"event\"\n[layout.long]\nmax_record = \"128KiB\"\nseparator = \"|\"\n\
                      columns = [\"login_id\", \"state\"]\nstates = \"rta-codes\"";
        let integration = sections::integration("", layout);
        format!("[kafka]\n{kafka}\n[store]\njournal_max_size = \"1MiB\"\n{integration}")
    };
    // A store that knows its agents needs no Kafka to start.
    let (_, folder) = Running::start(&config(short::EMBEDDED)).drain();
    let service = Running::start_in(folder, &config("bootstrap_servers = \"127.0.0.1:1\""));
    let mut feed = service.dial();
    let bad = format!("{}\n", "x".repeat(100_000));
    for _ in 0..10 {
        feed.write_all(bad.as_bytes()).unwrap();
    }
    until_true("ten bad records", || service.metric("rtalink_dead_letters_total", "") > 9.5);
    let half = f64::from(1 << 19);
    let dropped = || service.metric("rtalink_journal_dropped_total", "dead_letter");
    // A second of slowness lets more of them be tried, and none be kept.
    until_true("some are dropped", || dropped() > 2.5);
    until_true("others are on disk", || service.metric("rtalink_journal_bytes", "") > half);
    assert!(service.metric("rtalink_journal_bytes", "") < half + 300_000.0);
    let changes: String = (0..500).map(|number| format!("4711|{}\n", [20, 30][number % 2])).collect();
    feed.write_all(changes.as_bytes()).unwrap();
    until_true("the transitions", || service.metric("rtalink_feed_records_total", "changed") > 499.5);
    assert_eq!(service.metric("rtalink_journal_dropped_total", "event"), 0.0);
    let kept = service.pending();
    assert!(kept > 500, "{kept}");
    println!(
        "ten bad records of 100 KB, a journal of 1 MiB, Kafka away: {} dropped, {kept} messages kept, 500 of them transitions",
        dropped()
    );
    service.drain_within(Duration::ZERO);
}

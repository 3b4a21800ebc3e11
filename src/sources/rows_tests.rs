//! A source that counts, handed over row by row.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::journal::lane::history_of;
use crate::journal::send_window::WindowLimits;
use crate::journal::store::{self, Store};
use crate::journal::testing::{batch, event};
use crate::journal::{Bounds, Journal, LaneStart, UnobservedStore};
use crate::sources::Source;

const LIVE: &str = "avaya-1";
/// Room for some hundred rows.
const JOURNAL_BYTES: u64 = 20_000;

fn open(folder: &TempDir) -> Store {
    store::open(&store::StoreSettings { directory: folder.path().to_owned(), sync: store::Sync::Normal }).unwrap().store
}

/// Returns a journal with the live lane and the history of the same integration, and what the store knew of that.
fn start(folder: &TempDir) -> (Journal, StoredIntegration) {
    let mut store = open(folder);
    let mut stored = |lane: &str| store.integration(lane).unwrap();
    let (live, history) = (stored(LIVE), stored(&history_of(LIVE)));
    let lane = |name: &str, stored: &StoredIntegration| LaneStart {
        integration: name.into(),
        stored: stored.clone(),
        keeps_events: false,
    };
    let lanes = [lane(LIVE, &live), lane(&history_of(LIVE), &history)];
    let bounds = Bounds { journal_bytes: JOURNAL_BYTES, window: WindowLimits { messages: 1_000, bytes: 1_000_000 } };
    (Journal::start(store, &lanes, bounds, Arc::new(UnobservedStore)).unwrap(), history)
}

fn lane(journal: &Journal, name: &str) -> Lane {
    journal.lanes().find(|(lane, _)| **lane == *name).unwrap().1
}

fn in_time() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Counts up from its cursor, one row at a time, until it is stopped or has reached `most`.
struct Counting {
    rows: RowsLane,
    next: u64,
    most: u64,
}

impl Counting {
    fn build(lane: Lane, stored: &StoredIntegration, most: u64, stop: CancellationToken) -> Self {
        let cursor = RowsLane::cursor(stored).unwrap();
        let next = <[u8; 8]>::try_from(cursor.as_slice()).map_or(0, u64::from_be_bytes);
        Self { rows: RowsLane::new(lane, stop), next, most }
    }
}

impl Source for Counting {
    async fn run(mut self) {
        while self.next < self.most {
            let message = event(1, usize::try_from(self.next).unwrap());
            let rows = SourceRows { messages: vec![message], cursor: (self.next + 1).to_be_bytes().to_vec() };
            if self.rows.hand_over(rows).await.is_err() {
                return;
            }
            self.next += 1;
        }
    }
}

/// Returns the numbers in the rows of the journal that wait.
fn waiting(lane: &Lane) -> Vec<u64> {
    let rows = lane.rows(0, usize::MAX).unwrap();
    let messages = rows.iter().flat_map(|row| crate::journal::row::decode(&row.content).unwrap().0);
    messages.map(|message| String::from_utf8_lossy(&message.payload).parse().unwrap()).collect()
}

#[tokio::test]
async fn a_source_goes_on_where_its_last_rows_on_disk_end_however_often_the_process_dies() {
    let mut folder = TempDir::new().unwrap();
    for most in [7, 7, 30, 31, 60] {
        let (journal, stored) = start(&folder);
        let history = lane(&journal, &history_of(LIVE));
        Counting::build(history.clone(), &stored, most, CancellationToken::new()).run().await;
        // It dies somewhere in between: what is on disk by then is a beginning of what was handed over.
        let copy = TempDir::new().unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            if !entry.file_name().to_string_lossy().ends_with("-shm") {
                std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        drop(journal);
        folder = copy;
    }
    let (journal, stored) = start(&folder);
    let history = lane(&journal, &history_of(LIVE));
    Counting::build(history.clone(), &stored, 60, CancellationToken::new()).run().await;
    journal.wait_written(in_time());
    assert_eq!(waiting(&history), (0..60).collect::<Vec<_>>(), "none is left out, and none comes twice");
}

#[tokio::test]
async fn a_source_that_finds_nothing_gets_further_all_the_same() {
    let folder = TempDir::new().unwrap();
    let (journal, _) = start(&folder);
    let rows = RowsLane::new(lane(&journal, &history_of(LIVE)), CancellationToken::new());
    let cursor = |cursor: &[u8]| SourceRows { messages: Vec::new(), cursor: cursor.to_vec() };
    rows.hand_over(cursor(b"first")).await.unwrap();
    assert_eq!(rows.hand_over(cursor(b"second")).await, Ok(0));
    assert_eq!(journal.finish(in_time()), 0, "the store takes it");
    let stored = open(&folder).integration(&history_of(LIVE)).unwrap();
    assert_eq!((stored.next, RowsLane::cursor(&stored).unwrap().as_slice()), (0, b"second".as_slice()));
}

#[tokio::test]
async fn rows_leave_as_soon_as_kafka_has_them() {
    let folder = TempDir::new().unwrap();
    let (journal, stored) = start(&folder);
    let history = lane(&journal, &history_of(LIVE));
    Counting::build(history.clone(), &stored, 20, CancellationToken::new()).run().await;
    journal.wait_written(in_time());
    assert_eq!(history.send_window().acknowledge_to(15).len(), 15);
    assert_eq!(journal.finish(in_time()), 0);
    let stored = open(&folder).integration(&history_of(LIVE)).unwrap();
    assert_eq!((stored.next, stored.acknowledged_to, stored.covered_to), (20, 15, 20), "no checkpoint was needed");
    let (journal, stored) = start(&folder);
    assert_eq!(waiting(&lane(&journal, &history_of(LIVE))), (15..20).collect::<Vec<_>>());
    assert_eq!(RowsLane::cursor(&stored).unwrap(), 20_u64.to_be_bytes(), "it is remembered for all that");
}

#[tokio::test]
async fn a_history_without_end_waits_for_room_and_keeps_no_live_event_waiting() {
    let folder = TempDir::new().unwrap();
    let (journal, stored) = start(&folder);
    let history = lane(&journal, &history_of(LIVE));
    let stop = CancellationToken::new();
    let source = Counting::build(history.clone(), &stored, u64::MAX, stop.clone());
    let running = tokio::spawn(source.run());
    while history.has_room() {
        tokio::task::yield_now().await;
    }
    // Kafka takes nothing. A live event is on disk, and first in the window of its own publisher.
    let live = lane(&journal, LIVE);
    live.submit(batch(vec![event(7, 1)])).unwrap();
    journal.wait_written(in_time());
    assert_eq!(live.send_window().pending(), 1);
    assert_eq!(
        live.send_window().try_take(10, u64::MAX).map(|taken| format!("{taken:?}").contains("Messages")),
        Some(true)
    );
    assert!(history.send_window().pending() > 50);
    // It waits, and ends when it is told to, with the cursor behind what was taken.
    stop.cancel();
    running.await.unwrap();
    let taken = history.next();
    assert_eq!(journal.finish(in_time()), 0);
    let stored = open(&folder).integration(&history_of(LIVE)).unwrap();
    assert_eq!(RowsLane::cursor(&stored).unwrap(), taken.to_be_bytes());
    assert_eq!(stored.next, taken);
}

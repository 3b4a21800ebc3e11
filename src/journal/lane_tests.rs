//! How fetching handles rows that cannot be read: only damaged ones are given up.

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::contract::store;
use crate::journal::message::Message;
use crate::journal::send_window::{Taken, WindowLimits};
use crate::journal::store::{self as files, DATABASE, Store};
use crate::journal::testing::{batch, damage_rows, event};
use crate::journal::{Bounds, Journal, LaneStart, UnobservedStore};

use super::*;

const ROWS: u64 = 20;
/// Bytes of a row's content: five rows to a page of 4 KiB.
const ROW: usize = 700;
const PAGE: usize = 4096;

fn open(folder: &TempDir) -> Store {
    files::open(&files::StoreSettings { directory: folder.path().to_owned(), sync: files::Sync::Normal }).unwrap().store
}

/// Creates a journal that an earlier run left: as many rows, of one message each with a letter of its own, nothing in Kafka.
fn left_behind() -> TempDir {
    let folder = TempDir::new().unwrap();
    let journal = start(&folder);
    let lane = journal.lanes().next().unwrap().1;
    for number in 0..ROWS {
        let payload = Bytes::from(vec![b'A' + u8::try_from(number).unwrap(); ROW]);
        lane.submit(batch(vec![Message { payload, ..event(1, 0) }])).unwrap();
        journal.wait_written(Instant::now() + Duration::from_secs(60));
    }
    assert_eq!(journal.finish(Instant::now() + Duration::from_secs(60)), 0);
    folder
}

fn start(folder: &TempDir) -> Journal {
    let mut store = open(folder);
    let stored = store.integration("avaya-1").unwrap();
    start_on(store, stored)
}

fn start_on(store: Store, stored: files::StoredIntegration) -> Journal {
    let lane = LaneStart { integration: "avaya-1".into(), stored, keeps_events: false };
    let bounds = Bounds { journal_bytes: 1 << 30, window: WindowLimits { messages: 1_000, bytes: 1 << 30 } };
    Journal::start(store, &[lane], bounds, Arc::new(UnobservedStore)).unwrap()
}

/// Returns the pages of the journal's table in the order of its tree, the root first, with how many rows each has.
fn pages(file: &std::path::Path) -> Vec<(usize, u64)> {
    let connection = Connection::open(file).unwrap();
    let sql = "SELECT pageno, ncell FROM dbstat WHERE name = 'journal' ORDER BY path";
    let mut statement = connection.prepare(sql).unwrap();
    let number = |value: i64| u64::try_from(value).unwrap();
    let pages = statement.query_map([], |row| Ok((number(row.get(0)?) as usize, number(row.get(1)?)))).unwrap();
    pages.map(Result::unwrap).collect()
}

/// Fetches from position 0 on as the publisher would, until nothing more comes; returns where it ends, and what is lost.
fn fetched(journal: &Journal) -> (u64, u64) {
    let lane = journal.lanes().next().unwrap().1;
    let send_window = lane.send_window();
    let mut seen = None;
    let mut taken = 0;
    loop {
        match send_window.try_take(1_000, u64::MAX) {
            Some(Taken::Messages(messages)) => {
                taken += messages.len() as u64;
                send_window.acknowledge_to(messages.last().unwrap().position + 1);
            }
            Some(Taken::Behind(position)) if seen != Some(position) => {
                seen = Some(position);
                lane.try_fetch("avaya-1", position);
            }
            _ => return (send_window.acknowledged_to(), send_window.acknowledged_to() - taken),
        }
    }
}

#[test]
fn a_damaged_row_is_lost_alone_and_one_at_the_end_takes_nothing_with_it_that_comes_after() {
    for (damaged, lost) in [(vec![3], 1), (vec![0, 1, 7], 3), (vec![ROWS - 1], 1)] {
        let folder = left_behind();
        let journal = start(&folder);
        damage_rows(folder.path(), damaged.iter().copied());
        assert_eq!(fetched(&journal), (ROWS, lost), "{damaged:?}");
    }
}

#[test]
fn who_only_looks_finds_all_rows_but_those_that_are_damaged() {
    for damaged in [vec![], vec![0], vec![3, 4], vec![0, 7, ROWS - 1], (0..ROWS).collect()] {
        let folder = left_behind();
        let journal = start(&folder);
        damage_rows(folder.path(), damaged.iter().copied());
        let lane = journal.lanes().next().unwrap().1;
        let (mut position, mut found) = (0, Vec::new());
        loop {
            let rows = lane.sound_rows(position, 5 * ROW).unwrap();
            let Some(last) = rows.last() else { break };
            position = last.end();
            found.extend(rows.iter().map(|row| row.first));
        }
        let sound: Vec<u64> = (0..ROWS).filter(|row| !damaged.contains(row)).collect();
        assert_eq!(found, sound, "{damaged:?}");
    }
}

#[test]
fn a_look_for_the_next_row_that_fails_gives_nothing_up() {
    let folder = left_behind();
    let mut store = open(&folder);
    // It has nothing in its cache.
    let reader = store.reader().unwrap();
    let stored = store.integration("avaya-1").unwrap();
    let journal = start_on(store, stored);
    let file = folder.path().join(DATABASE);
    let mut bytes = std::fs::read(&file).unwrap();
    // A row between two leaves of the tree is damaged, and so is the structure of the next leaf.
    let [(root, _), (_, in_front), (behind, _)] = pages(&file)[..3] else { panic!("fewer than two leaves") };
    let damaged = in_front;
    let letters = vec![b'A' + u8::try_from(damaged).unwrap(); ROW / 2];
    let root = &mut bytes[(root - 1) * PAGE..][..PAGE];
    // What was once there may still be there.
    for at in memchr::memmem::find_iter(root, &letters).collect::<Vec<_>>() {
        root[at] ^= 1;
    }
    bytes[(behind - 1) * PAGE..][..8].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let lane = journal.lanes().next().unwrap().1;
    *lane.reader.lock() = reader;
    assert_eq!(fetched(&journal), (damaged, 0), "what is before the damage is published, and everything else waits");
    assert_eq!(lane.send_window().pending() as u64, ROWS - damaged);
}

#[test]
fn a_lane_waits_for_its_own_batches_only() {
    let folder = TempDir::new().unwrap();
    let journal = start(&folder);
    let lane = journal.lanes().next().unwrap().1;
    lane.submit(batch(vec![event(1, 0)])).unwrap();
    lane.wait_written(Instant::now() + Duration::from_secs(60));
    assert_eq!(lane.send_window().pending(), 1);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let work = journal.with_store(move |_| released.recv());
    let deadline = Instant::now() + Duration::from_secs(60);
    lane.wait_written(deadline);
    assert!(Instant::now() < deadline, "what else the journal has to do is not waited for");
    release.send(()).unwrap();
    work.recv().unwrap().unwrap();
}

#[test]
fn what_a_newer_version_has_written_waits_for_it() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let number = store.integration("avaya-1").unwrap().number;
    let message = |route| store::Message { route, key: "avaya-1/1/7".to_owned(), ..Default::default() };
    let known = store::message::Route::FeedStatus.into();
    let content = |route| {
        let batch = store::Batch { messages: vec![message(route)], agents: Vec::new(), forgotten: Vec::new() };
        prost::Message::encode_to_vec(&batch)
    };
    let contents = [content(known), content(99), content(known)];
    for (first, content) in (0..).zip(&contents) {
        let row = files::Write::Batch { integration: number, first, count: 1, written_at: Timestamp::now(), content };
        store.commit(&[row]).unwrap();
    }
    drop(store);
    let journal = start(&folder);
    assert_eq!(fetched(&journal), (1, 0));
    assert_eq!(
        journal.lanes().next().unwrap().1.send_window().pending(),
        2,
        "neither it nor what is behind it is lost"
    );
}

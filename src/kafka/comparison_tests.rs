//! What waits in a journal, and how a comparison handles it.

use std::time::Instant;

use tempfile::TempDir;

use crate::journal::Journal;
use crate::journal::message::Message;
use crate::journal::testing::damage_rows;
use crate::kafka::testing::{batch, event, journal_in, kafka, recorder};

use super::*;

const ROWS: usize = 9;

/// A journal of rows of one message each, of an agent of their own, nothing in Kafka; these rows are damaged.
fn left_behind(damaged: &[usize]) -> (Journal, TempDir) {
    let folder = TempDir::new().unwrap();
    let kafka = kafka("nobody:1");
    let journal = journal_in(folder.path(), &kafka, &["avaya-1"]);
    for agent in 0..ROWS {
        let message = if agent == ROWS - 2 { Message::tombstone("avaya-1/1/7".into()) } else { event(agent, 0) };
        journal.lanes().next().unwrap().1.submit(batch(vec![message])).unwrap();
        journal.wait_written(Instant::now() + Duration::from_secs(60));
    }
    assert_eq!(journal.finish(Instant::now() + Duration::from_secs(60)), 0);
    damage_rows(folder.path(), damaged.iter().map(|row| *row as u64));
    (journal_in(folder.path(), &kafka, &["avaya-1"]), folder)
}

fn compared(journal: &Journal) -> Compared {
    let (integration, lane) = journal.lanes().next().unwrap();
    Compared {
        integration: Arc::clone(&integration),
        comparison: Comparer::spawn("nobody:1", &kafka("nobody:1")).unwrap().comparison(KnownAgents::AsKafka),
        lane: lane.clone(),
        monitor: Arc::new(Monitor::new(Arc::clone(&integration), &kafka("nobody:1"), recorder().0)),
    }
}

#[test]
fn damaged_rows_hide_nothing_of_what_waits_but_themselves() {
    let cases: [&[usize]; 6] = [&[], &[0], &[3], &[2, 3, 4], &[0, 8], &[0, 1, 2, 3, 4, 5, 6, 7, 8]];
    for damaged in cases {
        let (journal, _folder) = left_behind(damaged);
        // A comparison that would have to wait stops instead.
        let (_, stopped) = crossbeam_channel::bounded(0);
        let Waiting { events, tombstones } = compared(&journal).waiting(&stopped).unwrap();
        let mut found: Vec<&str> = events.iter().chain(&tombstones).map(|key| &**key).collect();
        found.sort_unstable();
        let sound = (0..ROWS).filter(|row| !damaged.contains(row));
        assert_eq!(found, sound.map(|row| format!("avaya-1/1/{row}")).collect::<Vec<_>>(), "{damaged:?}");
        assert_eq!(tombstones.len(), usize::from(!damaged.contains(&7)), "{damaged:?}");
    }
}

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::contract::saved::{self, StoredAgent};
use crate::contract::store as row;
use crate::journal::message::{Batch, Message};
use crate::journal::send_window::WindowLimits;
use crate::journal::store::{self, StoredIntegration};
use crate::journal::testing::{damage_rows, event, images};
use crate::journal::{Bounds, Journal, LaneStart, StoreObserver, UnobservedStore};

use super::*;

fn open(folder: &TempDir) -> Store {
    store::open(&store::StoreSettings { directory: folder.path().to_owned(), sync: store::Sync::Normal }).unwrap().store
}

fn start(store: Store, stored: StoredIntegration, keeps_events: bool) -> Journal {
    let bounds = Bounds { journal_bytes: 1 << 20, window: WindowLimits { messages: 100, bytes: 100_000 } };
    let lane = LaneStart { integration: "avaya-1".into(), stored, keeps_events };
    Journal::start(store, &[lane], bounds, Arc::new(UnobservedStore)).unwrap()
}

/// Submits one event of that agent, and ends the journal with the first attempt; returns how many messages were not written.
fn write(journal: Journal, agent: usize) -> usize {
    let memory = row::AgentMemory { acd: 1, login_id: agent.to_string(), sequence: 1, ..Default::default() };
    let message = Message { payload: Bytes::from(format!("event of {agent}")), ..event(agent, 0) };
    let batch = Batch { messages: vec![message], agents: images(&[memory]), ..Batch::default() };
    journal.lanes().next().unwrap().1.submit(batch).unwrap();
    journal.finish(Instant::now())
}

/// Returns the agents that the store has, with the values of their last events, after a journal that could not be written any
/// more.
fn kept(keeps_events: bool) -> Vec<(String, Option<String>)> {
    let folder = TempDir::new().unwrap();
    for agent in [7, 8] {
        let mut store = open(&folder);
        let stored = store.integration("avaya-1").unwrap();
        assert_eq!(write(start(store, stored, keeps_events), agent), 0);
    }
    // Kafka has the first row. The third is refused: the store has that position already.
    let mut store = open(&folder);
    let stored = store.integration("avaya-1").unwrap();
    assert_eq!((stored.next, stored.covered_to), (2, 0));
    let stored = StoredIntegration { next: 1, acknowledged_to: 1, ..stored };
    assert_eq!(write(start(store, stored, keeps_events), 9), 1);

    let mut store = open(&folder);
    let stored = store.integration("avaya-1").unwrap();
    assert_eq!((stored.acknowledged_to, stored.covered_to, stored.next), (1, 1, 2));
    let mut agents = Vec::new();
    store.agents(stored.number, &mut |row| agents.push(saved::decode_agent(row).unwrap())).unwrap();
    let text = |event: row::Message| String::from_utf8(event.payload).unwrap();
    let tell = |StoredAgent { agent, last_event, .. }: StoredAgent| (agent.login_id.to_string(), last_event.map(text));
    agents.into_iter().map(tell).collect()
}

#[test]
fn what_leaves_a_journal_that_cannot_grow_is_remembered_with_the_last_events_where_they_are_wanted() {
    assert_eq!(kept(true), [("7".to_owned(), Some("event of 7".to_owned()))]);
    assert_eq!(kept(false), [("7".to_owned(), None)]);
}

/// Returns up to where a journal of three agents is covered, of which Kafka has the first two and a row is damaged, and the
/// agents in the store, after it could not be written any more.
fn covered_past(damaged: u64) -> (u64, Vec<String>) {
    let folder = TempDir::new().unwrap();
    for agent in [7, 8, 9] {
        let mut store = open(&folder);
        let stored = store.integration("avaya-1").unwrap();
        assert_eq!(write(start(store, stored, false), agent), 0);
    }
    damage_rows(folder.path(), [damaged]);
    let mut store = open(&folder);
    let stored = store.integration("avaya-1").unwrap();
    assert_eq!((stored.next, stored.covered_to), (3, 0));
    let stored = StoredIntegration { next: 2, acknowledged_to: 2, ..stored };
    assert_eq!(write(start(store, stored, false), 10), 1);

    let mut store = open(&folder);
    let stored = store.integration("avaya-1").unwrap();
    assert_eq!(stored.acknowledged_to, 2);
    let mut agents = Vec::new();
    let mut take = |row: &[u8]| agents.push(saved::decode_agent(row).unwrap().agent.login_id.to_string());
    store.agents(stored.number, &mut take).unwrap();
    (stored.covered_to, agents)
}

#[test]
fn a_damaged_row_keeps_nothing_behind_it_in_a_journal_that_cannot_grow() {
    let agents = |agents: &[&str]| agents.iter().map(|agent| (*agent).to_owned()).collect::<Vec<_>>();
    assert_eq!(covered_past(0), (2, agents(&["8"])));
    assert_eq!(covered_past(1), (1, agents(&["7"])), "what is behind it is not in Kafka");
    assert_eq!(covered_past(2), (2, agents(&["7", "8"])));
}

/// What was reported last: bytes of all rows, and how full each integration's part is.
#[derive(Default)]
struct Told {
    size: Mutex<u64>,
    ratios: Mutex<BTreeMap<Arc<str>, f64>>,
}

impl StoreObserver for Told {
    fn size(&self, bytes: u64) {
        *self.size.lock() = bytes;
    }

    fn filled(&self, integration: &Arc<str>, ratio: f64) {
        self.ratios.lock().insert(Arc::clone(integration), ratio);
    }
}

#[test]
fn each_integration_is_told_by_its_own_bound_and_only_the_bytes_are_added_up() {
    const BOUND: u64 = 1 << 20;
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let ids = ["busy", "calm", "idle"];
    let lanes =
        ids.map(|id| LaneStart { integration: id.into(), stored: store.integration(id).unwrap(), keeps_events: false });
    let bounds = Bounds { journal_bytes: BOUND, window: WindowLimits { messages: 100, bytes: 100_000 } };
    let told = Arc::new(Told::default());
    let journal = Journal::start(store, &lanes, bounds, Arc::clone(&told) as Arc<dyn StoreObserver>).unwrap();
    for ((_, lane), bytes) in journal.lanes().zip([BOUND / 2, BOUND / 4]) {
        let payload = Bytes::from(vec![b'x'; bytes as usize]);
        lane.submit(Batch { messages: vec![Message { payload, ..event(1, 0) }], ..Batch::default() }).unwrap();
    }
    let stored: Vec<u64> = journal.lanes().map(|(_, lane)| lane.stored_bytes()).collect();
    assert_eq!(journal.finish(Instant::now() + Duration::from_secs(60)), 0);
    assert_eq!(*told.size.lock(), stored.iter().sum::<u64>());
    let expected: BTreeMap<Arc<str>, f64> =
        ids.iter().zip(stored).map(|(id, bytes)| ((*id).into(), bytes as f64 / BOUND as f64)).collect();
    assert_eq!(*told.ratios.lock(), expected);
    assert!(expected["busy"] > 0.5 && expected["calm"] > 0.25 && expected["idle"] == 0.0, "{expected:?}");
}

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::proto::store as row;
use crate::publish::journal::{Bounds, Journal, LaneStart, Unobserved};
use crate::publish::message::{Batch, Message};
use crate::publish::outbox::Limits;
use crate::publish::testing::event;
use crate::store::memory::{self, StoredAgent};
use crate::store::{self, StoredIntegration};

fn open(folder: &TempDir) -> Store {
    store::open(&store::Settings { directory: folder.path().to_owned(), sync: store::Sync::Normal }).unwrap().store
}

fn start(store: Store, stored: StoredIntegration, keeps_events: bool) -> Journal {
    let bounds = Bounds { journal_bytes: 1 << 20, window: Limits { messages: 100, bytes: 100_000 } };
    let lane = LaneStart { integration: "avaya-1".into(), stored, keeps_events };
    Journal::start(store, &[lane], bounds, Arc::new(Unobserved)).unwrap()
}

/// Submits one event of that agent, and ends the journal with the first attempt; how many messages were not written.
fn write(journal: Journal, agent: usize) -> usize {
    let memory = row::AgentMemory { acd: 1, login_id: agent.to_string(), sequence: 1, ..Default::default() };
    let message = Message { payload: Bytes::from(format!("event of {agent}")), ..event(agent, 0) };
    let batch = Batch { messages: vec![message], agents: vec![memory], ..Batch::default() };
    journal.lanes().next().unwrap().1.submit(batch).unwrap();
    journal.finish(Instant::now())
}

/// Agents that the store has, with the values of their last events, after a journal that could not be written any more.
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
    store.agents(stored.number, &mut |row| agents.push(memory::decode_agent(row).unwrap())).unwrap();
    let text = |event: row::Message| String::from_utf8(event.payload).unwrap();
    let tell = |StoredAgent { agent, last_event, .. }: StoredAgent| (agent.login_id.to_string(), last_event.map(text));
    agents.into_iter().map(tell).collect()
}

#[test]
fn what_leaves_a_journal_that_cannot_grow_is_remembered_with_the_last_events_where_they_are_wanted() {
    assert_eq!(kept(true), [("7".to_owned(), Some("event of 7".to_owned()))]);
    assert_eq!(kept(false), [("7".to_owned(), None)]);
}

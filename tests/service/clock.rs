//! The clock was wrong, or was set back, while no process ran: what the store knows lies in the future.
//!
//! Time is one for the whole process: nothing else belongs into this file.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use rtalink::contract::saved::{self, StoredAgent};
use rtalink::contract::{from_timestamp, v1};
use rtalink::journal::store::{self, AgentRow, Write};
use rtalink::time::Timestamp;
use tempfile::TempDir;

use crate::support;

use support::service::Running;
use support::short::{self, send};
use support::wait::within;

/// Twice what a timer takes, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(25);

fn config() -> String {
    short::config(short::EMBEDDED, "stale_after = \"1s\"", "")
}

/// A service has run and has ended; its folder.
fn before() -> TempDir {
    let service = Running::start(&config());
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "END"]);
    service.settle(2);
    drop(feed);
    service.settle_closed();
    let (left, folder) = service.drain();
    assert_eq!(left, 0);
    folder
}

/// As if the clock had been so far ahead. Returns since when the agents are in their states, and the last record.
fn move_ahead(folder: &Path, by: Duration) -> (Timestamp, Timestamp) {
    let settings = store::StoreSettings { directory: folder.join("data"), sync: store::Sync::Normal };
    let mut store = store::open(&settings).unwrap().store;
    let stored = store.integration("avaya-1").unwrap();
    let mut feed = saved::decode_feed(&stored.feed).unwrap();
    let ahead = |time: Timestamp| time.plus(by);
    feed.last_valid = feed.last_valid.map(ahead);
    feed.seen_at = feed.seen_at.map(ahead);
    let mut agents = Vec::new();
    store.agents(stored.number, &mut |row| agents.push(saved::decode_agent(row).unwrap())).unwrap();
    let mut since = None;
    let mut row = |mut stored: StoredAgent| {
        stored.agent.last_seen = ahead(stored.agent.last_seen);
        let known = stored.agent.known.as_mut().unwrap();
        known.state_since = ahead(known.state_since);
        since = Some(known.state_since);
        let memory = saved::encode_agent(&stored.agent, stored.published.as_ref(), None);
        AgentRow { acd: stored.agent.acd, login_id: stored.agent.login_id, memory }
    };
    let rows: Vec<AgentRow> = agents.into_iter().map(&mut row).collect();
    assert_eq!(rows.len(), 2);
    let feed_row = saved::encode_feed(&feed);
    let (integration, covered_to) = (stored.number, stored.next);
    let checkpoint = Write::Checkpoint { integration, covered_to, agents: &rows, feed: &feed_row, recovered: true };
    store.commit(&[checkpoint]).unwrap();
    (since.unwrap(), feed.last_valid.unwrap())
}

fn changed(service: &Running) -> v1::AgentStateEvent {
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|ACD|", "END"]);
    let event = service.events_once(1).remove(0);
    within(PATIENCE, "silence is noticed", || {
        let statuses = service.feed_statuses();
        statuses.iter().any(|status| status.kind() == v1::feed_status::Kind::Stale).then_some(())
    });
    within(PATIENCE, "a checkpoint lets go of the journal", || {
        (service.metric("rtalink_journal_bytes", "") < 0.5).then_some(())
    });
    event
}

fn time(at: &Option<prost_types::Timestamp>) -> Timestamp {
    from_timestamp(at.as_ref().unwrap())
}

#[test]
fn a_clock_that_was_set_back_by_an_hour_stops_no_timer_and_no_state_begins_before_the_last() {
    let folder = before();
    let (since, last_valid) = move_ahead(folder.path(), Duration::from_hours(1));
    let service = Running::start_in(folder, &config());
    let event = changed(&service);
    assert_eq!((&*event.login_id, event.sequence), ("2", 2));
    assert_eq!((time(&event.previous_since), time(&event.previous_last_seen)), (since, last_valid));
    assert!(time(&event.observed_at) >= last_valid, "the order of observations is that of the sequence");
    assert!(time(&event.state_since) >= since);
    assert_eq!(service.drain().0, 0);
}

#[test]
fn a_store_that_is_days_ahead_is_not_believed_but_no_state_begins_before_the_last() {
    let folder = before();
    let (since, last_valid) = move_ahead(folder.path(), Duration::from_hours(30 * 24));
    let service = Running::start_in(folder, &config());
    let event = changed(&service);
    assert_eq!((&*event.login_id, event.sequence), ("2", 2));
    assert!(time(&event.observed_at) < last_valid);
    assert!(time(&event.previous_last_seen) <= time(&event.observed_at));
    assert_eq!((time(&event.previous_since), time(&event.state_since)), (since, since));
    assert_eq!(service.drain().0, 0);
}

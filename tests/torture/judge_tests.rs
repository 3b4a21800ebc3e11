//! The judge itself: it accepts what is right, and names every single thing that is wrong.

use std::collections::BTreeMap;

use prost::Message as _;
use rtalink::contract::v1;

use super::centre::{Agent, Centre, Entry, Pace, Sight};
use super::judge::{Expected, Losses, Published, judge, key_of};
use crate::support::topic::Received;

const AGENTS: usize = 20;
const SNAPSHOTS: u64 = 30;
/// Whose events are spoiled: they have some in a row without a log-out.
const VICTIM: usize = 3;

fn centre() -> Centre {
    let mut centre = Centre::new(AGENTS, 1);
    for _ in 0..SNAPSHOTS {
        centre.next(Pace { change_share: 0.5, rows: 2 });
    }
    centre
}

/// Everything published once.
fn published(centre: &Centre) -> Published {
    let of_agent = |agent: &Agent| {
        let before = std::iter::once(None).chain(agent.history.iter().map(Some));
        let steps = before.zip(&agent.history).zip(1..);
        steps.map(|((before, entry), sequence)| record(agent, sequence, before, entry)).collect::<Vec<_>>()
    };
    let events: Vec<Received> = centre.agents.iter().flat_map(of_agent).collect();
    let restored = v1::FeedStatus {
        kind: v1::feed_status::Kind::Restored.into(),
        gap_from: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        gap_to: Some(prost_types::Timestamp { seconds: 2, nanos: 0 }),
        ..v1::FeedStatus::default()
    };
    let status = Received { value: restored.encode_to_vec(), ..events[0].clone() };
    Published { current: events.clone(), events, feed_status: vec![status] }
}

fn record(agent: &Agent, sequence: u64, before: Option<&Entry>, entry: &Entry) -> Received {
    let event_id = format!("{}-{sequence}", agent.login_id);
    let event = v1::AgentStateEvent {
        event_id: event_id.clone(),
        login_id: agent.login_id.clone(),
        sequence,
        state: Some(entry.sight.published()),
        previous: before.map(|before| before.sight.published()),
        ..v1::AgentStateEvent::default()
    };
    let headers = BTreeMap::from([("event_id".to_owned(), event_id)]);
    Received { partition: 0, offset: 0, key: key_of(agent), headers, is_tombstone: false, value: event.encode_to_vec() }
}

fn faults(centre: &Centre, published: &Published, exactly_once: bool) -> String {
    let read = [1..=SNAPSHOTS];
    judge(published, &Expected { centre, read: &read, exactly_once, gaps: 1..=1, losses: Losses::None })
        .faults
        .to_string()
}

/// Where the victim's events begin, those of agents before it being left out.
fn of_victim(events: &[Received]) -> usize {
    let key = format!("torture/1/{:06}", 4_711 + VICTIM);
    events.iter().position(|record| record.key == key).unwrap()
}

fn edit(record: &mut Received, change: impl FnOnce(&mut v1::AgentStateEvent)) {
    let mut event = record.event();
    change(&mut event);
    record.headers.insert("event_id".to_owned(), event.event_id.clone());
    record.value = event.encode_to_vec();
}

#[test]
fn what_is_right_is_accepted() {
    let centre = centre();
    let mut published = published(&centre);
    assert_eq!(faults(&centre, &published, true), "");

    // At least once: the last events of an agent again, in their order.
    for topic in [&mut published.events, &mut published.current] {
        let again: Vec<Received> = topic[topic.len() - 3..].to_vec();
        assert!(again.iter().all(|record| record.key == again[0].key));
        topic.extend(again);
    }
    assert_eq!(faults(&centre, &published, false), "");
    assert!(faults(&centre, &published, true).contains("published twice"));
}

#[test]
fn what_was_not_read_may_be_unseen() {
    let centre = centre();
    let mut published = published(&centre);
    let agent = &centre.agents[VICTIM];
    let at = of_victim(&published.events);
    assert!(agent.history[..3].iter().all(|entry| entry.sight != Sight::LoggedOut));
    // Their second state was never seen: the third follows on the first.
    for topic in [&mut published.events, &mut published.current] {
        let first = topic[at].event();
        topic.remove(at + 1);
        edit(&mut topic[at + 1], |event| event.previous = first.state);
        for (index, record) in topic[at + 1..at + agent.history.len() - 1].iter_mut().enumerate() {
            edit(record, |event| event.sequence = index as u64 + 2);
        }
    }
    let gap = agent.history[1].snapshot..agent.history[2].snapshot;
    let read = [1..=gap.start - 1, gap.end.max(gap.start + 1)..=SNAPSHOTS];
    let verdict = judge(
        &published,
        &Expected { centre: &centre, read: &read, exactly_once: true, gaps: 1..=1, losses: Losses::None },
    );
    assert_eq!((verdict.faults.to_string().as_str(), verdict.lost, verdict.unseen), ("", 0, 1));
    // Had it been read, it would be lost.
    assert!(faults(&centre, &published, true).contains("lost, 1 times"));
}

#[test]
fn every_fault_is_found() {
    type Spoil = fn(&mut Published, usize);
    let spoiled: [(&str, Spoil); 14] = [
        ("lost, 1 times", |published, at| drop(published.events.remove(at + 1))),
        ("hole in the sequences, 1 times", |published, at| drop(published.events.remove(at + 1))),
        ("previous is not the state before, 1 times", |published, at| drop(published.events.remove(at + 1))),
        ("sequence out of order, 1 times", |published, at| published.events.swap(at + 1, at + 2)),
        ("not in the order of the feed, 1 times", |published, at| published.events.swap(at + 1, at + 2)),
        ("last copies out of order, 1 times", |published, at| published.current.swap(at + 1, at + 2)),
        ("two events with one sequence", |published, at| {
            edit(&mut published.events[at + 1], |event| event.sequence = 1);
        }),
        ("a copy that differs, 1 times", |published, at| {
            let first = published.events[at].event();
            edit(&mut published.events[at + 1], |event| event.event_id = first.event_id);
        }),
        ("a change to the same state, 1 times", |published, at| {
            let first = published.events[at].event();
            edit(&mut published.events[at + 1], |event| event.state = first.state);
        }),
        ("never on the wire, 1 times", |published, at| {
            edit(&mut published.events[at + 1], |event| {
                event.state = event.state.take().map(|state| v1::State { aux_reason: Some(500), ..state });
            });
        }),
        ("of an agent that never was, 1 times", |published, at| published.current[at].key.push('0')),
        ("the end is not the highest sequence, 1 times", |published, at| {
            let first = published.current[at].clone();
            published.current.push(first);
        }),
        ("the end is not the truth, 1 times: current", |published, at| {
            let first = published.current[at].clone();
            published.current.push(first);
        }),
        ("gaps announced, 1 times: 0", |published, _| published.feed_status.clear()),
    ];
    let centre = centre();
    for (fault, spoil) in spoiled {
        let mut published = published(&centre);
        let at = of_victim(&published.events);
        spoil(&mut published, at);
        let found = faults(&centre, &published, false);
        assert!(found.contains(fault), "{fault}, found:\n{found}");
    }
}

//! Rows of the store: the protobufs that a start reads.
//!
//! * no bytes bring the readers down, and what cannot be read is told;
//! * what is read, written and read again is the same: agents, feeds, batches of the journal;
//! * any message comes back from a row with its route, key, value and headers;
//! * an engine that was given whatever a row can say (sequences below 2^63 and the agents' times included) restores it and goes
//!   on with a feed.
#![no_main]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::contract::header;
use rtalink::contract::saved::{self, StoredAgent};
use rtalink::engine::Engine;
use rtalink::engine::replay::Replay;
use rtalink::journal::message::{AgentImages, Message, Route};
use rtalink::journal::row;
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables};
use rtalink::time::Timestamp;
use rtalink::tracker::saved::SavedFeed;
use rtalink::tracker::settings::{FeedMode, Fixed, ShortStates, SnapshotEnd, Thresholds, TrackerSettings, WhenSilent};
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;
use rtalink::wire::states::Mode;

fn agent(bytes: &[u8]) -> Option<StoredAgent> {
    let stored = match saved::decode_agent(bytes) {
        Ok(stored) => stored,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let written = saved::encode_agent(&stored.agent, stored.published.as_ref(), stored.last_event.as_ref());
    let again = saved::decode_agent(&written).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, stored);
    Some(stored)
}

fn feed(bytes: &[u8]) -> Option<SavedFeed> {
    let feed = saved::decode_feed(bytes).ok()?;
    assert_eq!(saved::decode_feed(&saved::encode_feed(&feed)).ok(), Some(feed.clone()));
    Some(feed)
}

fn same(one: &[Message], other: &[Message]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!((one.route, &one.key, &one.payload), (other.route, &other.key, &other.payload));
        assert_eq!(one.headers, other.headers);
        assert_eq!(one.read_at.is_some(), other.read_at.is_some());
    }
}

fn batch(bytes: &[u8]) {
    match row::decode(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok((messages, agents)) => {
            let images = agents.iter().map(prost::Message::encode_to_vec).collect();
            let written = row::encode(&messages, &images, &[]);
            let (messages_again, agents_again) = row::decode(&written).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(agents_again, agents);
            // A feed status without any header is the one message that comes back with some.
            if messages.iter().all(|message| message.route != Route::FeedStatus || !message.headers.is_empty()) {
                same(&messages, &messages_again);
            }
        }
    }
}

fn message(u: &mut Unstructured<'_>) -> Result<Message> {
    let routes = [Route::AgentState, Route::FeedStatus, Route::DeadLetter, Route::Refresh, Route::Tombstone];
    let mut headers = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let values: [&[u8]; 5] = [
            b"application/json",
            b"application/x-protobuf",
            b"rtalink.v1.AgentStateEvent",
            b"rtalink.v1.FeedStatus",
            b"6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ];
        let value = if u.ratio(1_u8, 4_u8)? { u.arbitrary::<Vec<u8>>()? } else { u.choose(&values)?.to_vec() };
        headers.push((*u.choose(&header::ALL)?, Bytes::from(value)));
    }
    let route = *u.choose(&routes)?;
    if route == Route::FeedStatus && headers.is_empty() {
        headers.push((header::SCHEMA, Bytes::new()));
    }
    Ok(Message {
        route,
        key: u.arbitrary::<String>()?.into(),
        payload: u.arbitrary::<Vec<u8>>()?.into(),
        headers,
        read_at: None,
    })
}

fn engine() -> Replay {
    let layout = builtin::get("cisco-icm-20").unwrap_or_else(|| unreachable!("it is built in"));
    let plan = Plan::compile(&layout, "UTC").unwrap_or_else(|error| unreachable!("{error}"));
    let settings = TrackerSettings {
        fixed: Fixed { acd: 1, details: true, mode: FeedMode::Snapshot, snapshot_end: SnapshotEnd::Idle },
        thresholds: Thresholds {
            snapshot_idle: Duration::from_millis(500),
            logout_after: 1,
            restart_tolerance: Duration::from_secs(2),
            stale_after: Duration::from_secs(30),
            when_silent: WhenSilent::Empty,
            empty_below: 5,
            unknown_after: Some(Duration::from_secs(60)),
            short_states: ShortStates::default().with(Mode::Other, Duration::from_secs(5)),
            logout_hold: Duration::from_secs(10),
            shortest_refresh: Duration::from_secs(1),
        },
    };
    let activity = Arc::new(Activity { activity_id: "1".to_owned(), activity_name: "Present".to_owned() });
    let mapping = MappingTables {
        version: 1,
        identify_by: IdentifyBy::Name,
        users: HashMap::new(),
        scoped: Default::default(),
        names: Default::default(),
        activities: HashMap::new(),
        default_activity: activity,
    };
    Replay::new(Engine::new(settings, Arc::clone(&plan), Arc::new(mapping)), plan, Duration::from_millis(500))
}

fn go_on(agents: Vec<StoredAgent>, feed: &SavedFeed) {
    let mut replay = engine();
    let logins: Vec<Arc<str>> = agents.iter().map(|agent| agent.agent.login_id.clone()).collect();
    let memories = agents.into_iter().map(|mut stored| {
        stored.agent.sequence &= u64::MAX >> 1;
        (stored.agent, stored.published)
    });
    replay.engine_mut().restore(memories, feed);
    let mut findings = Vec::new();
    let begin = Timestamp::from_millis(1_767_600_000_000);
    replay.engine_mut().remap_outdated(begin, &mut findings);
    replay.engine_mut().tick(begin, &mut findings);
    for round in 0..3 {
        let mut text = String::from("301204 20 0 0 0 0 0 1 801326");
        text += &" 0".repeat(40);
        text += "\n";
        for login_id in logins.iter().take(round + 1) {
            text += &text.replacen("301204", login_id, 1).lines().next().unwrap_or_default().to_owned();
            text += "\n";
        }
        let at = begin.plus(Duration::from_secs(3 * round as u64));
        replay.play(&CaptureEntry { at, connection: 0, happening: Happening::Data(text.into_bytes()) }, &mut findings);
    }
    let at = begin.plus(Duration::from_secs(300));
    replay.play(&CaptureEntry { at, connection: 0, happening: Happening::Close }, &mut findings);
    replay.finish(&mut findings);
    replay.engine_mut().current();
    assert!(!findings.is_empty());
}

fn run(input: &[u8]) -> Result<()> {
    let Some((&first, rest)) = input.split_first() else { return Ok(()) };
    match first % 4 {
        0 => batch(rest),
        1 => {
            let mut u = Unstructured::new(rest);
            let mut messages = Vec::new();
            for _ in 0..u.int_in_range(1..=4)? {
                messages.push(message(&mut u)?);
            }
            let row = row::encode(&messages, &AgentImages::default(), &[]);
            let (again, _) = row::decode(&row).unwrap_or_else(|error| panic!("{error}"));
            same(&messages, &again);
        }
        // A feed, then agents, each with the length of its row before it.
        _ => {
            let mut rows = Vec::new();
            let mut left = rest;
            while let Some((&length, after)) = left.split_first() {
                let (row, after) = after.split_at(usize::from(length).min(after.len()));
                rows.push(row);
                left = after;
            }
            let Some((of_feed, of_agents)) = rows.split_first() else { return Ok(()) };
            let feed = feed(of_feed).unwrap_or_default();
            go_on(of_agents.iter().filter_map(|row| agent(row)).collect(), &feed);
        }
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});

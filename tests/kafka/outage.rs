//! Kafka is taken away in the middle of a feed and comes back: nothing is lost, the order of each agent stays.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rtalink::contract::v1;
use rtalink::simulate::{self, Drive, SimulatedFeedSettings};
use rtalink::time::Timestamp;
use rtalink::wire::layout::builtin;

use crate::support;

use support::agents::{differences, expected, published};
use support::http;
use support::kafka::InterruptedBroker;
use support::sections;
use support::service::Running;
use support::topic::{self, Received};
use support::wait::{until, until_true};

const AGENTS: usize = 500;
const SNAPSHOTS: usize = 60;

fn config(bootstrap: &str) -> String {
    let integration = sections::integration("", "layout = \"cisco-icm-20\"");
    format!("[kafka]\nbootstrap_servers = \"{bootstrap}\"\n{integration}")
}

/// Each event once, where it stands first: at-least-once allows the same event again.
fn without_copies(messages: &[Received]) -> Vec<v1::AgentStateEvent> {
    let mut seen = HashSet::new();
    let first = messages.iter().filter(|message| seen.insert(message.headers["event_id"].clone()));
    first.map(Received::event).collect()
}

#[test]
fn an_outage_of_kafka_loses_nothing_and_keeps_the_order() {
    let mut broker = InterruptedBroker::start();
    let service = Running::start(&config(&broker.bootstrap()));
    let layout = Arc::new(builtin::get("cisco-icm-20").unwrap());
    let settings =
        SimulatedFeedSettings { agents: AGENTS, drive: Drive::ChangeShare(0.1), ..SimulatedFeedSettings::new(layout) };
    let mut stream = simulate::stream(&settings, Timestamp::now(), SNAPSHOTS).unwrap();
    let mut feed = TcpStream::connect(service.feed_of("avaya-1")).unwrap();
    let mut send = |snapshots: usize| {
        let chunks: Vec<u8> = stream.by_ref().take(snapshots).flat_map(|(_, chunk)| chunk).collect();
        feed.write_all(&chunks).unwrap();
    };

    send(20);
    until_true("first events acknowledged", || service.metric("rtalink_event_latency_seconds_count", "") > 0.0);
    // Some are acknowledged, some are on their way.
    send(5);
    broker.kill();
    send(20);
    let down = until("health knows that Kafka is away", || {
        let ready = service.get("/health/ready");
        assert_eq!(ready.status, 200, "the feed must go on: {}", ready.body);
        Some(ready.json()).filter(|body| body["kafka"]["connected"] == false)
    });
    assert!(down["kafka"]["pendingMessages"].as_u64().unwrap() > 0, "{down}");
    assert!(down["kafka"]["lastError"]["kind"].is_string(), "{down}");
    // Who may not read how the integrations stand is told states and numbers, and no name of anything.
    let stranger = http::get_from_elsewhere(service.http_address(), "/health/ready");
    let told = stranger.json();
    assert_eq!((stranger.status, &told["kafka"]["state"]), (200, &"waiting for Kafka".into()), "{}", stranger.body);
    assert!(told["kafka"]["pendingMessages"].is_u64() && told["kafka"].get("lastError").is_none(), "{told}");
    assert!(!stranger.body.contains("127.0.0.1") && !stranger.body.contains("rta."), "{told}");
    assert!(service.metric("rtalink_kafka_errors_total", "") > 0.0);

    broker.start_again();
    send(15);
    feed.shutdown(Shutdown::Write).unwrap();
    service.settle(u32::try_from(AGENTS * SNAPSHOTS).unwrap());
    let up = service.get("/health/ready");
    assert_eq!((up.status, &up.json()["kafka"]["connected"]), (200, &true.into()), "{}", up.body);
    assert_eq!(up.json()["kafka"]["state"], "connected", "{}", up.body);
    let (lost, _) = service.drain();

    assert_eq!(lost, 0);
    let truth = expected("avaya-1", stream.truth());
    let events = topic::read(&broker.bootstrap(), "rta.agent-state.events");
    assert_eq!(differences(&truth, &published(&without_copies(&events))), "");
    // The copies of a key that count, the last ones, are in order too, and the last of all is the agent's last event.
    for topic in ["rta.agent-state.events", "rta.agent-state.current"] {
        let mut last_first = topic::read(&broker.bootstrap(), topic);
        last_first.reverse();
        let mut last_copies = without_copies(&last_first);
        last_copies.reverse();
        assert_eq!(differences(&truth, &published(&last_copies)), "", "{topic}");
    }
}

//! What is published is exactly what happened: the transitions that a simulated CMS knows of, through real sockets and a
//! real Kafka, none missing, none twice.
//!
//! `RTALINK_TEST_AGENTS` and `RTALINK_TEST_SNAPSHOTS` change the size of the large feed.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rtalink::proto::v1;
use rtalink::simulate::{self, Drive, FeedSettings, Scenario, SimulateSettings, Truth, TruthSink};
use rtalink::time::Timestamp;
use rtalink::wire::layout::builtin;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod support;

use support::agents::{Steps, differences, expected, published};
use support::kafka::{Broker, unique};
use support::sections;
use support::service::{Running, folder, parse};
use support::topic;

/// Of the scenarios.
const AGENTS: usize = 200;
const SNAPSHOTS: u32 = 120;
const REFRESH: Duration = Duration::from_millis(80);

/// Every scenario has shown what it is about by then; a slow machine leaves refreshes out.
const FEWEST_SNAPSHOTS: u64 = 18;

/// Feeds keep to the clock: one test at a time has the machine.
static MACHINE: Mutex<()> = Mutex::new(());

/// Records with names of states and their durations, in which re-entries and UNKNOWN show.
const LAYOUT: &str = r#"
    [layout.timed]
    separator = "|"
    columns = ["login_id", "state", "aux_reason", "direction", "duration", "extension", "name"]
    states = "cms-names"
"#;

fn config(topic: &str, integrations: &[(String, &str)]) -> String {
    let topics = sections::topics(topic);
    let mut toml = format!(
        r#"
        [kafka]
        bootstrap_servers = "{}"
        {topics}
        [http]
        listen = "127.0.0.1:0"
        {LAYOUT}
        "#,
        Broker::shared().bootstrap()
    );
    for (id, layout) in integrations {
        write!(
            toml,
            r#"
            [[integration]]
            id = "{id}"
            kind = "avaya-cms"
            acd = 1
            [integration.realtime]
            port = 0
            bind = "127.0.0.1"
            layout = "{layout}"
            shortest_refresh = "0s"
            # Shorter than a refresh: one agent alone, seen again, begins another snapshot.
            snapshot_idle = "20ms"
            "#
        )
        .unwrap();
    }
    toml
}

fn feed_of(layout: &str) -> FeedSettings {
    let own = || parse(&config("t", &[("any".to_owned(), "timed")]), &folder(&[])).layouts[layout].clone();
    FeedSettings::new(builtin::get(layout).map_or_else(own, Arc::new))
}

fn events(topic: &str) -> Vec<v1::AgentStateEvent> {
    let messages = topic::read(Broker::shared().bootstrap(), &format!("{topic}.events"));
    messages.iter().map(topic::Received::event).collect()
}

fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |size| size.parse().unwrap_or_else(|_| panic!("{variable}={size}")))
}

#[test]
fn a_large_feed_is_published_exactly() {
    let _machine = MACHINE.lock();
    let agents = size("RTALINK_TEST_AGENTS", 10_000);
    let snapshots = size("RTALINK_TEST_SNAPSHOTS", 100);
    let topic = unique("exact");
    let service = Running::start(&config(&topic, &[("large".to_owned(), "cisco-icm-20")]));
    let settings = FeedSettings { agents, drive: Drive::ChangeShare(0.05), ..feed_of("cisco-icm-20") };
    let mut stream = simulate::stream(&settings, Timestamp::now(), snapshots).unwrap();
    let mut feed = TcpStream::connect(service.feed_of("large")).unwrap();
    for (_, chunk) in stream.by_ref() {
        feed.write_all(&chunk).unwrap();
    }
    feed.shutdown(Shutdown::Write).unwrap();
    service.settle(u32::try_from(agents * snapshots).unwrap());
    let (lost, _) = service.drain();

    assert_eq!(lost, 0);
    let truth = expected("large", stream.truth());
    let transitions = stream.truth().len();
    assert_eq!(transitions, agents + (snapshots - 1) * agents / 20, "the generator's own arithmetic");
    let events = events(&topic);
    assert_eq!(differences(&truth, &published(&events)), "");
    assert_eq!(events.len(), transitions);
}

/// One feed of the scenarios: what it plays, and by which layout.
fn played() -> Vec<(String, Scenario, &'static str)> {
    let layouts = ["cisco-icm-20", "timed"];
    let feeds = Scenario::NAMES
        .into_iter()
        .flat_map(|(name, scenario)| layouts.map(|layout| (format!("{name}-{layout}"), scenario, layout)));
    feeds.collect()
}

#[test]
fn every_scenario_is_published_exactly() {
    let _machine = MACHINE.lock();
    let topic = unique("scenarios");
    let played = played();
    let integrations: Vec<(String, &str)> = played.iter().map(|(id, _, layout)| (id.clone(), *layout)).collect();
    let service = Running::start(&config(&topic, &integrations));
    let runs = played.iter().map(|(id, scenario, layout)| {
        let (sender, truth) = mpsc::unbounded_channel::<Truth>();
        // A shift begins within three minutes: at this pace within the first ten snapshots.
        let settings = SimulateSettings {
            target: service.feed_of(id).to_string(),
            feed: FeedSettings {
                agents: AGENTS,
                refresh: REFRESH,
                scenario: *scenario,
                drive: Drive::Pace(200.0),
                ..feed_of(layout)
            },
            duration: Some(REFRESH * SNAPSHOTS),
            give_up_after: Some(Duration::from_secs(10)),
            truth: TruthSink::Channel(sender),
        };
        (id, truth, service.runtime().spawn(simulate::run(settings, CancellationToken::new())))
    });
    let runs: Vec<_> = runs.collect();
    let mut truths = Steps::new();
    for (id, mut truth, run) in runs {
        let summary = service.runtime().block_on(run).unwrap().unwrap();
        assert!(summary.snapshots >= FEWEST_SNAPSHOTS, "{id}: {summary:?}");
        let list: Vec<Truth> = std::iter::from_fn(|| truth.try_recv().ok()).collect();
        assert!(list.len() > AGENTS, "{id}: {summary:?}");
        truths.extend(expected(id, &list));
    }
    service.settle_closed();
    let (lost, _) = service.drain();

    assert_eq!(lost, 0);
    assert_eq!(differences(&truths, &published(&events(&topic))), "");
}

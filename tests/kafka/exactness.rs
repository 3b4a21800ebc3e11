//! What is published is exactly what happened: the transitions that a simulated CMS knows of, none missing, none twice;
//! through real sockets and a real Kafka, and through the engine alone.
//!
//! `RTALINK_TEST_AGENTS` and `RTALINK_TEST_SNAPSHOTS` change the size of the large feed.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::contract::v1;
use rtalink::engine::Finding;
use rtalink::engine::replay::Replay;
use rtalink::simulate::feed::{Action, SimulatedFeed};
use rtalink::simulate::settings::Listener;
use rtalink::simulate::{self, Drive, Scenario, SimulatedFeedSettings, Truth};
use rtalink::time::Timestamp;
use rtalink::wire::layout::builtin;
use rtalink::wire::plan::Plan;

use crate::support;

use crate::support::engine as whole_engine;

use support::agents::{Steps, differences, expected, published, told};
use support::kafka::{Broker, unique};
use support::sections;
use support::service::{Running, folder, parse};
use support::topic;
use support::wait::until_true;
use whole_engine::engine;

/// Of the scenarios.
const AGENTS: usize = 200;
const SNAPSHOTS: u32 = 120;
const REFRESH: Duration = Duration::from_millis(80);

/// Of the service, in seconds. Whether re-entries are found is a matter of the engine alone.
const RESTART_TOLERANCE: u64 = 60;

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
            # A machine that stands still must not look like somebody who left a state and entered it again.
            restart_tolerance = "{RESTART_TOLERANCE}s"
            # Shorter than a refresh: one agent alone, seen again, begins another snapshot.
            snapshot_idle = "20ms"
            "#
        )
        .unwrap();
    }
    toml
}

fn feed_of(layout: &str) -> SimulatedFeedSettings {
    let own = || parse(&config("t", &[("any".to_owned(), "timed")]), &folder(&[])).layouts[layout].clone();
    SimulatedFeedSettings::new(builtin::get(layout).map_or_else(own, Arc::new))
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
    let settings = SimulatedFeedSettings { agents, drive: Drive::ChangeShare(0.05), ..feed_of("cisco-icm-20") };
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
    // The nights are played by `nights`, and in tests/cli; two ACDs need a layout that tells them.
    let others = [Scenario::TwoAcds, Scenario::DstNight, Scenario::EmptyNight];
    let feeds = Scenario::NAMES
        .into_iter()
        .filter(|(_, scenario)| !others.contains(scenario))
        .flat_map(|(name, scenario)| layouts.map(|layout| (format!("{name}-{layout}"), scenario, layout)));
    feeds.collect()
}

/// A shift begins within three minutes: at this pace within the first ten snapshots.
fn fast(scenario: Scenario, layout: &str) -> SimulatedFeedSettings {
    SimulatedFeedSettings { agents: AGENTS, refresh: REFRESH, scenario, drive: Drive::Pace(200.0), ..feed_of(layout) }
}

/// The machines of a CMS that speak to one integration.
struct Machines<'a> {
    service: &'a Running,
    id: &'a str,
    open: BTreeMap<u32, TcpStream>,
    /// Which was heard last.
    speaks: u32,
    /// Whether another connection may take its place while it is open.
    has_twins: bool,
    /// Bytes that the service will read.
    written: usize,
    /// The time just before the last byte was written; with twins, also after every other byte had been read.
    said_at: Timestamp,
}

impl Machines<'_> {
    /// What is heard must not depend on how busy the machine is. So the service has read all of a connection before
    /// another one, or the same again, takes its place, and has taken notice of that before the old one goes on.
    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send { connection, bytes, heard: true } => {
                let replaced = std::mem::replace(&mut self.speaks, connection);
                if replaced != connection {
                    self.until_read();
                }
                self.say(connection, &bytes);
                if let Some(old) = self.open.get_mut(&replaced).filter(|_| replaced != connection) {
                    until_hung_up(old);
                }
            }
            Action::Send { connection, bytes, heard: false } if connection < self.speaks => {
                // A connection that was replaced may refuse it.
                let _ = self.connection(connection).write_all(&bytes);
            }
            Action::Send { connection, bytes, heard: false } => self.write(connection, &bytes),
            Action::Close { connection } => {
                let mut stream = self.open.remove(&connection).unwrap();
                // The service may have closed it before.
                let _ = stream.shutdown(Shutdown::Write);
                until_hung_up(&mut stream);
            }
        }
    }

    fn connection(&mut self, number: u32) -> &mut TcpStream {
        let address = self.service.feed_of(self.id);
        self.open.entry(number).or_insert_with(|| TcpStream::connect(address).unwrap())
    }

    fn write(&mut self, connection: u32, bytes: &[u8]) {
        self.connection(connection).write_all(bytes).unwrap();
        self.written += bytes.len();
    }

    fn say(&mut self, connection: u32, bytes: &[u8]) {
        let (last, first) = bytes.split_last().unwrap();
        self.write(connection, first);
        if self.has_twins {
            // Or a record before the last one may be received later than that.
            self.until_metric("rtalink_feed_bytes_total", self.written as f64);
        }
        self.said_at = Timestamp::now();
        self.write(connection, &[*last]);
    }

    /// The record that was written last was received after its last byte was written, and has been taken.
    fn until_read(&self) {
        self.until_metric("rtalink_feed_last_record_timestamp_seconds", self.said_at.as_micros() as f64 / 1e6);
    }

    fn until_metric(&self, name: &str, at_least: f64) {
        let labels = format!("integration=\"{}\"", self.id);
        until_true(&format!("{}: {name}", self.id), || self.service.metric(name, &labels) >= at_least);
    }
}

/// Until the other side has read everything and closed the connection.
fn until_hung_up(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    match stream.read(&mut [0]) {
        Ok(length) => assert_eq!(length, 0, "a feed is one way"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}

/// Durations in records are true for a listener only if refreshes keep to the clock.
fn until_due(due: Timestamp) {
    loop {
        let left = due.since(Timestamp::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// Plays a feed over real sockets as it is due; what is true of it.
fn dial(service: &Running, id: &str, settings: &SimulatedFeedSettings) -> Vec<Truth> {
    let start = Timestamp::now();
    let mut feed = SimulatedFeed::new(settings, start).unwrap();
    let open = BTreeMap::new();
    let has_twins = settings.scenario == Scenario::TwinTakeover;
    let mut machines = Machines { service, id, open, speaks: 0, has_twins, written: 0, said_at: Timestamp::default() };
    for number in 0..SNAPSHOTS {
        until_due(start.plus(settings.refresh * number));
        feed.refresh(Timestamp::now()).into_iter().for_each(|action| machines.carry_out(action));
        feed.delivered();
    }
    feed.take_truth()
}

#[test]
fn every_scenario_is_published_exactly() {
    let _machine = MACHINE.lock();
    let topic = unique("scenarios");
    let played = played();
    let integrations: Vec<(String, &str)> = played.iter().map(|(id, _, layout)| (id.clone(), *layout)).collect();
    let service = Running::start(&config(&topic, &integrations));
    let truths: Steps = std::thread::scope(|scope| {
        let feeds: Vec<_> = played
            .iter()
            .map(|(id, scenario, layout)| {
                let service = &service;
                let listener =
                    Listener { restart_tolerance: Duration::from_secs(RESTART_TOLERANCE), ..Listener::default() };
                let settings = SimulatedFeedSettings { listener, ..fast(*scenario, layout) };
                scope.spawn(move || expected(id, &dial(service, id, &settings)))
            })
            .collect();
        feeds.into_iter().flat_map(|feed| feed.join().unwrap()).collect()
    });
    assert!(truths.len() > played.len() * AGENTS * 4 / 5);
    service.settle_closed();
    let (lost, _) = service.drain();

    assert_eq!(lost, 0);
    assert_eq!(differences(&truths, &published(&events(&topic))), "");
}

/// When a listener reads the refresh of that number: in time, or with the last of those that came while it stood still.
fn read_at(number: u32, standstill: u32) -> u32 {
    number - number % standstill + standstill - 1
}

/// Plays a feed into an engine that stands still for so many refreshes again and again, and reads in the order of what
/// happened; its truth and what was told.
fn play_offline(id: &str, settings: &SimulatedFeedSettings, standstill: u32) -> (Steps, Steps) {
    let start = Timestamp::from_millis(1_767_600_000_000);
    let plan = Plan::compile(&settings.layout, "UTC").unwrap();
    let mut replay = Replay::new(engine(&plan, false), Arc::clone(&plan), Duration::from_millis(500));
    let mut stream = simulate::stream(settings, start, SNAPSHOTS as usize).unwrap();
    let mut findings = Vec::new();
    let mut open = BTreeSet::new();
    let mut number = 0;
    while let Some((_, actions)) = stream.refresh() {
        let at = start.plus(settings.refresh * read_at(number, standstill));
        number += 1;
        for action in actions {
            let (connection, happening) = match action {
                Action::Send { connection, bytes, .. } => {
                    if open.insert(connection) {
                        let happening = Happening::Open { peer: format!("10.0.0.{connection}:40000"), encoding: None };
                        replay.play(&CaptureEntry { at, connection: connection.into(), happening }, &mut findings);
                    }
                    (connection, Happening::Data(bytes))
                }
                Action::Close { connection } => {
                    open.remove(&connection);
                    (connection, Happening::Close)
                }
            };
            replay.play(&CaptureEntry { at, connection: connection.into(), happening }, &mut findings);
        }
    }
    let events = findings.iter().filter_map(|finding| match finding {
        Finding::Event(event, _) => Some(&**event),
        _ => None,
    });
    (expected(id, stream.truth()), told(id, events))
}

/// Fails unless the engine tells just what is true. How many re-entries there were.
fn assert_exact(id: &str, settings: &SimulatedFeedSettings, standstill: u32) -> usize {
    let (truths, told) = play_offline(id, settings, standstill);
    assert!(truths.len() > AGENTS * 4 / 5);
    let seed = settings.seed;
    assert_eq!(differences(&truths, &told), "", "{id}, seed {seed}, {standstill} refreshes are read at once");
    truths.values().flatten().filter(|step| step.starts_with("REENTERED")).count()
}

#[test]
fn every_scenario_is_tracked_exactly_also_by_a_machine_that_stands_still() {
    for (id, scenario, layout) in played() {
        for (standstill, seed) in [(1, 1), (3, 2), (8, 3)] {
            assert_exact(&id, &SimulatedFeedSettings { seed, ..fast(scenario, layout) }, standstill);
        }
    }
}

#[test]
fn every_scenario_is_tracked_exactly_at_the_pace_of_a_report() {
    let mut reentries = 0;
    for (id, scenario, layout) in played() {
        let (refresh, drive) = (Duration::from_secs(5), Drive::Pace(8.0));
        reentries += assert_exact(&id, &SimulatedFeedSettings { refresh, drive, ..fast(scenario, layout) }, 1);
    }
    assert!(reentries > 500, "{reentries}");
}

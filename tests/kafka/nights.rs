//! Nights in which clocks change, from the report to Kafka: no state begins after it was seen, and none moves by an hour.
//!
//! The receipt times of a recorded night are arguments of the engine, whose findings are encoded, written to the journal and
//! sent as a worker does it. The times of a night are in the messages alone: Kafka is told when they are sent.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtalink::config::model::{Config, Integration};
use rtalink::config::topics::Topic;
use rtalink::contract::{from_timestamp, v1};
use rtalink::engine::Finding;
use rtalink::kafka::PublishHandle;
use rtalink::kafka::encode::Encoder;
use rtalink::kafka::publisher::Drained;
use rtalink::simulate::{Recording, Scenario, SimulatedFeedSettings, Truth};
use rtalink::time::Timestamp;

use crate::support;

use support::agents::{differences, expected, published};
use support::kafka::{Broker, unique};
use support::service::{folder, parse};
use support::topic::{self, Received};
use support::{player, publishing, sections};

const AGENTS: usize = 40;
const REFRESH: Duration = Duration::from_secs(20);
/// From half an hour before the clocks change until the hour that they show twice is over.
const NIGHT: Duration = Duration::from_mins(100);
const LONG: Duration = Duration::from_secs(60);

/// Clocks in Europe go back in the one, and forward in the other: 2027-03-28T00:30:00Z, half an hour before.
const NIGHTS: [(&str, Timestamp); 2] =
    [("back", Scenario::DstNight.start().unwrap()), ("forward", Timestamp::from_millis(1_806_193_800_000))];

/// How reports say when states began; `TIME` is local, with or without a date.
const LAYOUTS: [(&str, &str); 3] = [
    ("duration", r#""duration", { field = "timestamp", TIME }"#),
    ("start", r#"{ field = "state_start", TIME }"#),
    ("start-timestamp", r#"{ field = "state_start", TIME }, { field = "timestamp", TIME }"#),
];

const FORMATS: [(&str, &str); 2] = [("dated", "%d.%m.%Y %H:%M:%S"), ("undated", "%H:%M:%S")];

/// A night of one layout.
struct Night<'a> {
    integration: &'a Integration,
    start: Timestamp,
    truth: Vec<Truth>,
    /// When the state of an agent had really begun, by login id and number of the refresh.
    began: HashMap<(Arc<str>, u64), Timestamp>,
}

impl<'a> Night<'a> {
    /// Records the night, reads it, and publishes what is found.
    fn play(integration: &'a Integration, start: Timestamp, handle: &PublishHandle, config: &Config) -> Self {
        let layout = Arc::clone(&integration.realtime.as_ref().unwrap().layout);
        let settings = SimulatedFeedSettings {
            agents: AGENTS,
            refresh: REFRESH,
            // It says when the one night begins, and nothing else.
            scenario: Scenario::DstNight,
            time_zone: integration.time_zone.clone(),
            listener: (&integration.settings).into(),
            ..SimulatedFeedSettings::new(layout)
        };
        let mut recording = Recording::new(&settings, start, NIGHT).unwrap();
        let mut replay = player::start(integration);
        let mut encoder = Encoder::new(Arc::clone(&integration.id), config.kafka.format);
        let mut submit = |findings: Vec<Finding>| {
            let message = |finding: &Finding| match finding {
                Finding::Event(event, annotation) => Some(encoder.event_message(event, annotation, None).unwrap()),
                Finding::DeadLetter(letter) => panic!("{}: {}", integration.id, letter.reason),
                _ => None,
            };
            let messages: Vec<_> = findings.iter().filter_map(message).collect();
            if !messages.is_empty() {
                handle.submit(publishing::batch(messages)).unwrap();
            }
        };
        let mut began = HashMap::new();
        for number in 0.. {
            let Some(entries) = recording.refresh() else { break };
            for agent in recording.stream().feed().agents() {
                began.insert((Arc::clone(&agent.login_id), number), agent.state.since);
            }
            let mut findings = Vec::new();
            entries.iter().for_each(|entry| replay.play(entry, &mut findings));
            submit(findings);
        }
        let mut findings = Vec::new();
        replay.finish(&mut findings);
        submit(findings);
        Self { integration, start, truth: recording.truth().to_vec(), began }
    }

    /// What Kafka has of it is what happened, and when.
    fn check(&self, events: &[v1::AgentStateEvent]) {
        let id = &self.integration.id;
        assert_eq!(differences(&expected(id, &self.truth), &published(events)), "", "{id}");
        let mut hours: BTreeMap<String, usize> = BTreeMap::new();
        for event in events {
            let [since, seen] =
                [&event.state_since, &event.observed_at].map(|time| from_timestamp(time.as_ref().unwrap()));
            assert!(since <= seen, "{id}: {since} is after {seen}: {event:?}");
            let refresh = u64::try_from(seen.since(self.start).as_nanos() / REFRESH.as_nanos()).unwrap();
            let truth = self.began[&(event.login_id.as_str().into(), refresh)];
            // Another reason in AUX is a state of its own, and moves nothing that CMS tells.
            let is_reason = [&event.state, &event.previous].iter().all(|state| is_aux(state.as_ref()));
            let expected = if is_reason { seen } else { truth };
            assert!(is_near(since, expected), "{id}: since {since} instead of {expected}: {event:?}");
            *hours.entry(seen.to_string()[11..13].to_owned()).or_default() += 1;
        }
        let seen: Vec<&str> = hours.keys().map(String::as_str).collect();
        assert_eq!(seen, ["00", "01", "02"], "{id}: before and after clocks change, and after the hour shown twice");
        println!("{id}: {} events: {hours:?}", events.len());
    }
}

fn configuration(bootstrap: &str, name: &str) -> String {
    let mut text = format!("[kafka]\nbootstrap_servers = \"{bootstrap}\"\n{}", sections::topics(name));
    for ((layout, columns), (dated, format)) in
        LAYOUTS.iter().flat_map(|layout| FORMATS.iter().map(move |format| (layout, format)))
    {
        let columns = columns.replace("TIME", &format!("format = \"{format}\""));
        text += &format!(
            r#"
            [layout.{layout}-{dated}]
            separator = ";"
            states = "rta-codes"
            columns = ["login_id", "state", "aux_reason", {columns}]
            "#
        );
        for (night, _) in NIGHTS {
            text += &format!(
                r#"
                [[integration]]
                id = "{night}-{layout}-{dated}"
                kind = "avaya-cms"
                acd = 1
                time_zone = "Europe/Berlin"
                [integration.realtime]
                port = 0
                layout = "{layout}-{dated}"
                "#
            );
        }
    }
    text
}

#[test]
fn in_the_nights_of_the_changed_clocks_no_event_moves() {
    let bootstrap = Broker::shared().bootstrap();
    let name = unique("nights");
    let folder = folder(&[]);
    let config = parse(&configuration(bootstrap, &name), &folder);
    let publisher = publishing::publisher_in(folder.path(), &config.kafka, &name);
    let handle = publisher.handle(&name).unwrap();
    let play = |integration| Night::play(integration, start(integration), &handle, &config);
    let nights: Vec<Night<'_>> = config.integrations.iter().map(play).collect();
    assert_eq!(publisher.drain(Instant::now() + LONG), Drained::default());

    let messages = topic::read(bootstrap, &config.kafka.topics[Topic::Events]);
    let events: Vec<v1::AgentStateEvent> = messages.iter().map(Received::event).collect();
    for night in &nights {
        let of_night = events.iter().filter(|event| *event.integration == *night.integration.id);
        night.check(&of_night.cloned().collect::<Vec<_>>());
    }
}

fn start(integration: &Integration) -> Timestamp {
    NIGHTS.iter().find(|(night, _)| integration.id.starts_with(night)).unwrap().1
}

fn is_aux(state: Option<&v1::State>) -> bool {
    state.is_some_and(|state| state.mode() == v1::state::Mode::Aux)
}

/// Whether there is a refresh between them at most.
fn is_near(one: Timestamp, other: Timestamp) -> bool {
    one.since(other).max(other.since(one)) <= REFRESH
}

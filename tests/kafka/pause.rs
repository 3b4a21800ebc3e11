//! Publishing stops and goes on: nothing is missed, everything with its own times and the mapping of its time.
#![allow(clippy::unwrap_used)]

use std::fs;

use rtalink::contract::v1;
use rtalink::contract::v1::feed_status::Kind;

use crate::support;

use support::kafka::{Broker, unique};
use support::process::output;
use support::service::{Running, folder};
use support::short::{self, send, told};
use support::wait::{until, until_true};
use support::{http, sections};

const USERS: &str = "external_user,employee_id,employee_name\n1,E1,Ada\n2,E2,Bo\n";
const ACTIVITIES: &str = "external_activity,activity_id,activity_name\nAVAIL,7,Ready\nACD,9,Call\n";

fn config(topics: &str, delivery: &str, realtime: &str) -> String {
    let (servers, topics) = (Broker::shared().bootstrap(), sections::topics(topics));
    let kafka = format!("bootstrap_servers = \"{servers}\"\ndelivery = \"{delivery}\"\npartitions = 1\n{topics}");
    short::config(&kafka, realtime, short::MAPPING)
}

fn kinds(service: &Running) -> Vec<Kind> {
    service.feed_statuses().iter().map(v1::FeedStatus::kind).collect()
}

fn ask(service: &Running, what: &str) -> (u16, serde_json::Value) {
    let answer = http::post(service.http_address(), &format!("/api/v1/integrations/{what}"));
    (answer.status, answer.json())
}

/// Who asked for the pause, twice, is told when publishing goes on.
const AUDITED: usize = 2;

fn a_pause_misses_nothing(delivery: &str) {
    let toml = config(&unique("pause"), delivery, "");
    let service = Running::start_in(folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]), &toml);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "3|AVAIL|", "END"]);
    service.settle(3);

    let (status, answer) = ask(&service, "avaya-1/pause");
    assert_eq!((status, &answer["publishing"], &answer["changed"]), (200, &"paused".into(), &true.into()), "{answer}");
    assert_eq!(ask(&service, "avaya-1/pause").1["changed"], false);
    assert_eq!(service.metric("rtalink_paused", "avaya-1"), 1.0);
    send(&mut feed, &["1|ACD|", "2|AVAIL|", "3|ACD|", "END"]);
    until_true("two events more are kept", || service.pending() == AUDITED + 2);
    // The mapping changes, and the service is started anew.
    fs::write(service.path("users.csv"), USERS.to_owned() + "3,E3,Cy\n").unwrap();
    let mut service = service;
    service.reload(&toml).unwrap();
    until_true("the new mapping is told", || service.pending() == AUDITED + 3);
    drop(feed);
    until_true("and the end of the connection", || service.pending() == AUDITED + 4);
    let (kept, folder) = service.drain();
    assert_eq!(kept, AUDITED + 4);
    let service = Running::start_in(folder, &toml);
    assert_eq!(service.metric("rtalink_paused", "avaya-1"), 1.0, "it is still paused");
    let mut feed = service.dial();
    send(&mut feed, &["1|ACD|", "2|ACD|", "3|ACD|", "END"]);
    // CONNECTED, the event, RESTORED.
    until_true("what comes is kept", || service.pending() == AUDITED + 7);
    assert_eq!(service.events().len(), 3, "and not published");
    assert_eq!(kinds(&service), [Kind::Connected, Kind::Paused]);

    let (status, answer) = ask(&service, "avaya-1/resume");
    assert_eq!((status, &answer["publishing"], &answer["changed"]), (200, &"running".into(), &true.into()), "{answer}");
    let events = service.events_once(7);
    assert_eq!(
        told(&events[3..]),
        [
            "1 #2 CHANGED E1 9 v1",
            "3 #2 CHANGED - 9 v1",
            "3 #3 REMAPPED E3 9 v2",
            "2 #2 CHANGED E2 9 v2", // what is mapped otherwise since is told as it happens
        ]
    );
    assert!(events[6].after_gap && !events[3].after_gap);
    let expected = [Kind::Connected, Kind::Paused, Kind::Disconnected, Kind::Connected, Kind::Restored, Kind::Resumed];
    until("the end of the pause", || (kinds(&service).len() >= expected.len()).then_some(()));
    assert_eq!(kinds(&service), expected);
    assert_eq!(ask(&service, "avaya-1/resume").1["changed"], false);
    assert_eq!(service.metric("rtalink_paused", "avaya-1"), 0.0);
    assert_eq!(service.drain().0, 0);
}

#[test]
fn a_pause_misses_nothing_at_least_once() {
    a_pause_misses_nothing("at-least-once");
}

#[test]
fn a_pause_misses_nothing_exactly_once() {
    a_pause_misses_nothing("exactly-once");
}

#[test]
fn the_commands_ask_the_service_and_say_what_it_answers() {
    let toml = config(&unique("commands"), "at-least-once", "");
    let service = Running::start_in(folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]), &toml);
    let address = service.http_address().to_string();
    let run = |command: &str, id: &str| {
        let output = output(&[command, id, "--http", &address]);
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    assert_eq!(run("resume", "avaya-1"), (0, "avaya-1: running, as it was before\n".to_owned()));
    assert_eq!(run("pause", "avaya-1"), (0, "avaya-1: paused\n".to_owned()));
    assert_eq!(run("pause", "avaya-1"), (0, "avaya-1: paused, as it was before\n".to_owned()));
    let listed = service.get("/api/v1/integrations").json();
    assert_eq!(listed["integrations"][0]["paused"], true, "{listed}");
    assert_eq!(run("resume", "avaya-1"), (0, "avaya-1: running\n".to_owned()));
    assert_eq!(
        run("pause", "no-such"),
        (1, "rtalink: no integration \"no-such\": see /api/v1/integrations\n".to_owned())
    );
    let (code, text) = run("pause", "Avaya/1");
    assert_eq!(code, 1);
    assert!(text.contains("is no id of an integration"), "{text}");
}

#[test]
fn an_unchanged_state_is_written_to_the_current_topic_again() {
    let name = unique("refresh");
    let toml = config(&name, "at-least-once", "refresh_after = \"1s\"");
    let service = Running::start_in(folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]), &toml);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "END"]);
    service.settle(1);
    let current = format!("{name}.current");
    let read = |service: &Running| support::topic::read(service.bootstrap(), &current);
    let copies = until("three copies", || Some(read(&service)).filter(|copies| copies.len() >= 3));
    assert!(
        copies
            .iter()
            .all(|copy| (&copy.key, &copy.value, &copy.headers)
                == (&copies[0].key, &copies[0].value, &copies[0].headers))
    );
    assert_eq!(service.events().len(), 1, "it is no event");

    // Also after a restart, of which nothing else is told.
    let (_, folder) = service.drain();
    let before = support::topic::read(Broker::shared().bootstrap(), &current).len();
    let service = Running::start_in(folder, &toml);
    let copies = until("another copy", || Some(read(&service)).filter(|copies| copies.len() > before));
    assert_eq!(copies[before].value, copies[0].value);
}

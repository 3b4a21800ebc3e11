//! Publishing stops and goes on: nothing is missed, everything with its own times and the mapping of its time.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use rtalink::proto::v1;
use rtalink::proto::v1::feed_status::Kind;

mod support;

use support::http;
use support::kafka::{Broker, unique};
use support::process::output;
use support::service::{Running, folder};
use support::wait::{until, until_true};

const USERS: &str = "external_user,employee_id,employee_name\n1,E1,Ada\n2,E2,Bo\n";
const ACTIVITIES: &str = "external_activity,activity_id,activity_name\nAVAIL,7,Ready\nACD,9,Call\n";

fn config(topics: &str, delivery: &str) -> String {
    format!(
        r#"
        [kafka]
        bootstrap_servers = "{}"
        delivery = "{delivery}"
        partitions = 1
        [kafka.topics]
        events = "{topics}.events"
        current = "{topics}.current"
        feed_status = "{topics}.feed-status"
        dead_letter = "{topics}.dead-letter"
        checkpoint = "{topics}.checkpoint"
        [http]
        listen = "127.0.0.1:0"
        [[integration]]
        id = "avaya-1"
        kind = "avaya-cms"
        acd = 1
        [integration.realtime]
        port = 0
        bind = "127.0.0.1"
        layout = "short"
        snapshot_end = "marker"
        [integration.mapping]
        users = "users.csv"
        activities = "activities.csv"
        [layout.short]
        separator = "|"
        marker = "^END"
        columns = ["login_id", "state", "aux_reason"]
        states = "cms-names"
        "#,
        Broker::shared().bootstrap()
    )
}

fn send(feed: &mut TcpStream, lines: &[&str]) {
    feed.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
}

/// Login id, sequence, cause, employee, activity and mapping version.
fn told(events: &[v1::AgentStateEvent]) -> Vec<String> {
    let tell = |event: &v1::AgentStateEvent| {
        let user = event.user.as_ref().map_or("-", |user| user.employee_id.as_str());
        let activity = event.activity.as_ref().map_or("-", |activity| activity.activity_id.as_str());
        let (login_id, sequence, cause) = (&event.login_id, event.sequence, event.cause().as_str_name());
        format!("{login_id} #{sequence} {cause} {user} {activity} v{}", event.mapping_version)
    };
    events.iter().map(tell).collect()
}

fn kinds(service: &Running) -> Vec<Kind> {
    service.feed_statuses().iter().map(v1::FeedStatus::kind).collect()
}

fn ask(service: &Running, what: &str) -> (u16, serde_json::Value) {
    let answer = http::post(service.http_address(), &format!("/api/v1/integrations/{what}"));
    (answer.status, answer.json())
}

fn a_pause_misses_nothing(delivery: &str) {
    let toml = config(&unique("pause"), delivery);
    let service = Running::start_in(folder(&[("users.csv", USERS), ("activities.csv", ACTIVITIES)]), &toml);
    let mut feed = service.dial();
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "3|AVAIL|", "END"]);
    service.settle(3);

    let (status, answer) = ask(&service, "avaya-1/pause");
    assert_eq!((status, &answer["publishing"], &answer["changed"]), (200, &"paused".into(), &true.into()), "{answer}");
    assert_eq!(ask(&service, "avaya-1/pause").1["changed"], false);
    assert_eq!(service.metric("rtalink_paused", "avaya-1"), 1.0);
    send(&mut feed, &["1|ACD|", "2|AVAIL|", "3|ACD|", "END"]);
    until_true("two events more are kept", || service.pending() == 2);
    // The mapping changes, and the service is started anew.
    fs::write(service.path("users.csv"), USERS.to_owned() + "3,E3,Cy\n").unwrap();
    let mut service = service;
    service.reload(&toml).unwrap();
    until_true("the new mapping is told", || service.pending() == 3);
    drop(feed);
    until_true("and the end of the connection", || service.pending() == 4);
    let (kept, folder) = service.drain();
    assert_eq!(kept, 4);
    let service = Running::start_in(folder, &toml);
    assert_eq!(service.metric("rtalink_paused", "avaya-1"), 1.0, "it is still paused");
    let mut feed = service.dial();
    send(&mut feed, &["1|ACD|", "2|ACD|", "3|ACD|", "END"]);
    // CONNECTED, the event, RESTORED.
    until_true("what comes is kept", || service.pending() == 7);
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
    let toml = config(&unique("commands"), "at-least-once");
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
    let toml = config(&name, "at-least-once").replace("port = 0", "port = 0\nrefresh_after = \"1s\"");
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

//! The service on another machine, or with a store that was set aside: it goes on from what the `current` topic knows.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;

use rtalink::contract::v1;
use rtalink::contract::v1::feed_status::Kind;
use tempfile::TempDir;

use crate::support;

use support::kafka::{Broker, unique};
use support::sections;
use support::service::{Running, folder};
use support::short::{self, send};
use support::small_disk::SmallDisk;
use support::topic;
use support::wait::until;

fn config(delivery: &str, format: &str) -> String {
    let (servers, topics) = (Broker::shared().bootstrap(), sections::topics(&unique("moved")));
    let kafka = format!(
        "bootstrap_servers = \"{servers}\"\ndelivery = \"{delivery}\"\nformat = \"{format}\"\npartitions = 2\n{topics}"
    );
    short::config(&kafka, "", "[integration.mapping]\nusers = \"users.csv\"")
}

fn files() -> TempDir {
    folder(&[("users.csv", "external_user,employee_id,employee_name\n1,E1,Ada\n")])
}

/// Login id, sequence, cause, previous mode, mapping version; those of an agent in their order, without copies.
fn told(mut events: Vec<v1::AgentStateEvent>) -> Vec<String> {
    events.sort_by_key(|event| (event.login_id.clone(), event.sequence));
    events.dedup_by(|one, other| one.event_id == other.event_id);
    let tell = |event: &v1::AgentStateEvent| {
        let previous = event.previous.as_ref().map_or("-", |state| state.mode().as_str_name());
        let (login_id, sequence, cause) = (&event.login_id, event.sequence, event.cause().as_str_name());
        format!("{login_id} #{sequence} {cause} {previous} v{}", event.mapping_version)
    };
    events.iter().map(tell).collect()
}

fn goes_on_elsewhere(delivery: &str, format: &str) {
    let toml = config(delivery, format);
    let service = Running::start_in(files(), &toml);
    send(&mut service.dial(), &["1|AVAIL|", "2|AUX|3", "3|ACD|", "END", "1|ACD|", "2|AUX|3", "3|UNSTAFF|", "END"]);
    service.settle(6);
    assert_eq!(service.drain().0, 0);

    let service = Running::start_in(files(), &toml);
    send(&mut service.dial(), &["1|AVAIL|", "2|AUX|3", "3|ACD|", "END"]);
    service.settle(3);
    if format == "protobuf" {
        let restored = |service: &Running| service.feed_statuses().into_iter().find(|it| it.kind() == Kind::Restored);
        let gap = until("the gap is announced", || restored(&service));
        assert!(gap.gap_from.is_some() && gap.gap_to.is_some(), "{gap:?}");
        assert_eq!(
            told(service.events()),
            [
                "1 #1 OBSERVED - v1",
                "1 #2 CHANGED AVAIL v1",
                "1 #3 CHANGED ACD v2",
                "2 #1 OBSERVED - v1",
                "3 #1 OBSERVED - v1",
                "3 #2 LOGGED_OUT ACD v1",
                "3 #3 LOGGED_IN UNSTAFF v2",
            ]
        );
    }
    // One who has changed, one who has logged in again; one who has not changed is not told.
    assert_eq!(service.metric("rtalink_events_total", ""), 2.0);
    service.drain().1.close().unwrap();
}

#[test]
fn another_machine_goes_on_at_least_once() {
    goes_on_elsewhere("at-least-once", "protobuf");
}

#[test]
fn another_machine_goes_on_exactly_once() {
    goes_on_elsewhere("exactly-once", "protobuf");
}

#[test]
fn another_machine_goes_on_from_json() {
    goes_on_elsewhere("at-least-once", "json");
}

#[test]
fn a_store_that_is_no_store_is_set_aside_and_nothing_begins_anew() {
    let toml = config("at-least-once", "protobuf");
    let service = Running::start_in(files(), &toml);
    send(&mut service.dial(), &["1|AVAIL|", "2|AUX|3", "END"]);
    service.settle(2);
    let (_, folder) = service.drain();
    fs::write(folder.path().join("data/journal.db"), "this is no database").unwrap();

    let service = Running::start_in(folder, &toml);
    assert_eq!(service.metric("rtalink_store_errors_total", "set_aside"), 1.0);
    let entries = until("both agents are shown", || {
        let listed = service.get("/api/v1/agents").json();
        Some(listed["agents"].as_array().unwrap().clone()).filter(|entries| entries.len() == 2)
    });
    let entry = |login_id: &str| entries.iter().find(|entry| entry["loginId"] == login_id).unwrap().clone();
    assert_eq!((entries.len(), &entry("2")["state"]["mode"], &entry("2")["eventId"]), (2, &"AUX".into(), &"".into()));
    send(&mut service.dial(), &["1|ACD|", "2|AUX|3", "END"]);
    service.settle(2);
    let events = told(service.events());
    assert_eq!(events[0], "1 #1 OBSERVED - v1");
    // Nobody knows any more how far versions were counted: they go on from the clock.
    assert!(events[1].starts_with("1 #2 CHANGED AVAIL v1"), "{events:?}");
    let aside = fs::read_dir(service.path("data")).unwrap();
    let names: Vec<String> = aside.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("journal.db.corrupt-")), "{names:?}");
}

/// A process that dies between the two topics leaves an event on `current` alone; the store, which would send it again, is gone.
#[test]
fn what_may_be_on_current_alone_is_sent_again() {
    let of = |topic: &str| -> BTreeMap<String, (Vec<u8>, BTreeMap<String, String>)> {
        let received = topic::read(Broker::shared().bootstrap(), topic);
        received.into_iter().map(|it| (it.key, (it.value, it.headers))).collect()
    };
    for format in ["protobuf", "json"] {
        let toml = config("at-least-once", format);
        let topic = |name: &str| {
            let line = toml.lines().map(str::trim).find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches([' ', '=', '"']).to_owned()
        };
        let (events, current) = (topic("events"), topic("current"));
        let service = Running::start_in(files(), &toml);
        send(&mut service.dial(), &["1|AVAIL|", "2|AUX|3", "3|ACD|", "END", "1|ACD|", "2|AUX|3", "3|UNSTAFF|", "END"]);
        service.settle(6);
        service.drain();
        let last = of(&current);
        assert_eq!(last.len(), 3);

        // No event has come to this topic.
        let another = unique("events");
        let service = Running::start_in(files(), &toml.replace(&events, &another));
        service.settle(0);
        service.drain().1.close().unwrap();
        assert_eq!(of(&another), last, "the same bytes, each agent's last");
        assert_eq!(topic::read(Broker::shared().bootstrap(), &another).len(), 3, "each once");
        assert_eq!(of(&current), last);
    }
}

/// Where there is no room for last events to be sent again, they are not; the service starts, and goes on from the same agents.
#[test]
fn without_room_for_last_events_it_starts_all_the_same() {
    let toml = config("at-least-once", "protobuf");
    let service = Running::start_in(files(), &toml);
    send(&mut service.dial(), &["1|AVAIL|", "2|AUX|3", "END"]);
    service.settle(2);
    service.drain();

    let folder = files();
    let store = folder.path().join("data");
    let Some(_disk) = SmallDisk::mount(&store, "16m") else {
        println!("skipped, NOT played: nothing may be mounted here");
        return;
    };
    // Enough for an empty store, and less than is left alone.
    fs::write(store.join("filler"), vec![1; 13 * 1024 * 1024]).unwrap();
    let service = Running::start_in(folder, &toml);
    assert_eq!((service.events().len(), service.pending()), (2, 0), "nothing is sent again");
    fs::remove_file(store.join("filler")).unwrap();
    send(&mut service.dial(), &["1|ACD|", "2|AUX|3", "END"]);
    service.settle(2);
    let events = told(service.events());
    assert!(events[1].starts_with("1 #2 CHANGED AVAIL"), "{events:?}");
    service.drain();
}

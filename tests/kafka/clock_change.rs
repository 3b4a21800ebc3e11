//! Clocks go back while a service reads a report: no state begins after it was seen, and none moves by an hour.
//!
//! The clock of a service cannot be set, but a zone of our own can change its clocks whenever we like. The service and the
//! simulated CMS find it in a folder of theirs, by `TZDIR`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::time::Duration;

use rtalink::contract::{from_timestamp, v1};
use rtalink::time::Timestamp;

use crate::support;

use support::kafka::{Broker, unique};
use support::process::{self, Process};
use support::service::folder;
use support::topic::{self, Received};
use support::{sections, wait};

const ZONE: &str = "Changing";
/// From the start of a service until clocks go back.
const UNTIL_CHANGE: Duration = Duration::from_secs(7);
/// The report begins this long before that at least, and ends this long after it.
const AROUND: Duration = Duration::from_secs(3);

/// A TZif file (RFC 9636) of a zone that goes back from UTC+2 to UTC+1 at that time.
fn zone(change: Timestamp) -> Vec<u8> {
    // Transitions, types, and bytes of their names; there are no leap seconds and no indicators.
    let header = |counts: [u32; 3]| {
        let counts = [[0; 3], counts].concat();
        [b"TZif2".to_vec(), vec![0; 15], counts.into_iter().flat_map(u32::to_be_bytes).collect()].concat()
    };
    let shows = |hours: i32, name: u8| [(hours * 3_600).to_be_bytes().to_vec(), vec![0, name]].concat();
    [
        // For readers that know 32 bits alone.
        header([0, 1, 4]),
        shows(1, 0),
        b"STD\0".to_vec(),
        header([1, 2, 8]),
        (change.as_millis() / 1_000).to_be_bytes().to_vec(),
        vec![1],
        shows(2, 4),
        shows(1, 0),
        b"STD\0DST\0\nSTD-1\n".to_vec(),
    ]
    .concat()
}

fn config(bootstrap: &str, name: &str) -> String {
    let topics = sections::topics(name);
    let layout = r#"layout = "local"
        [layout.local]
        separator = ";"
        states = "rta-codes"
        columns = [
            "login_id", "state", "aux_reason", "duration", { field = "timestamp", format = "%d.%m.%Y %H:%M:%S" },
        ]
        "#;
    let integration = sections::integration(&format!("time_zone = \"{ZONE}\""), layout);
    format!("[kafka]\nbootstrap_servers = \"{bootstrap}\"\n{topics}\n{integration}")
}

/// What a service has published of a report that goes on while clocks go back, and when they did; `None` where the machine
/// was too busy to start in time.
fn events() -> Option<(Timestamp, Vec<v1::AgentStateEvent>)> {
    let bootstrap = Broker::shared().bootstrap();
    let name = unique("clock-change");
    let (folder, zones) = (folder(&[]), folder(&[]));
    let change = Timestamp::from_millis(Timestamp::now().plus(UNTIL_CHANGE).as_millis() / 1_000 * 1_000);
    fs::write(zones.path().join(ZONE), zone(change)).unwrap();
    let environment = [("TZDIR", zones.path().to_str().unwrap())];
    let service = Process::run_in(&folder, &config(bootstrap, &name), &environment);
    let left = change.since(Timestamp::now());
    if left < AROUND {
        return None;
    }
    let mut simulate = process::rtalink();
    simulate.args(["simulate", "--connect", &service.feed().to_string(), "--layout", "local", "--config"]);
    simulate.arg(folder.path().join("rtalink.toml")).envs(environment);
    simulate.args(["--agents", "1000", "--refresh", "500ms"]);
    simulate.args(["--duration", &format!("{}ms", (left + AROUND).as_millis())]);
    let simulated = simulate.output().unwrap();
    assert!(simulated.status.success(), "{simulated:?}");
    let (code, _, log) = service.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    let messages = topic::read(bootstrap, &format!("{name}.events"));
    Some((change, messages.iter().map(Received::event).collect()))
}

#[test]
#[ignore = "goes by the clock of the machine: cargo test --test kafka clock_change -- --ignored"]
fn clocks_that_go_back_move_no_event() {
    let (change, events) = wait::until("a start in time", events);
    let (mut before, mut after, mut long_ago) = (0, 0, 0);
    for event in &events {
        let [since, seen] = [&event.state_since, &event.observed_at].map(|time| from_timestamp(time.as_ref().unwrap()));
        assert!(since <= seen, "{since} is after {seen}: {event:?}");
        let is_new = seen.since(since) < Duration::from_mins(1);
        if event.previous.is_some() {
            // Half a second, as a rule.
            assert!(is_new, "{since} is long before {seen}: {event:?}");
            *(if seen < change { &mut before } else { &mut after }) += 1;
        } else {
            long_ago += usize::from(!is_new);
        }
    }
    assert!(before > 0 && after > 0, "{before} changes before clocks went back, {after} since");
    assert!(long_ago > 0, "no state is known to have begun long before it was seen first");
    println!(
        "{before} changes before clocks went back, {after} since: none moved; {long_ago} others began long before"
    );
}

//! From the socket to a real Kafka and back through a consumer that shares no code with us.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};

use rtalink::contract::{AGENT_STATE_EVENT, FEED_STATUS};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support;

use support::kafka::{Broker, consume_with_python, unique};
use support::process::Process;
use support::sections;
use support::service::folder;

const PARTITIONS: u32 = 4;

/// Login id, state code, AUX reason and split of each record; a line is a snapshot. The sixth code is in no table.
const SNAPSHOTS: [&[(&str, &str, &str, &str)]; 7] = [
    &[("0471", "20", "0", "0"), ("301204", "32", "0", "232"), ("301205", "50", "3", "0")],
    &[("0471", "80", "0", "232"), ("301204", "32", "0", "232"), ("301205", "600", "0", "0")],
    &[("0471", "32", "0", "232"), ("301204", "40", "0", "232")],
    &[("0471", "32", "0", "232"), ("301204", "20", "0", "0")],
    &[("0471", "95", "0", "0"), ("301204", "20", "0", "0")],
    &[("0471", "20", "0", "0"), ("301204", "10", "0", "0")],
    &[("0471", "20", "0", "0"), ("301205", "20", "0", "0")],
];

/// Key, sequence, cause, previous activity key, activity key, employee, activity id and level of each event.
const EVENTS: [&str; 13] = [
    "avaya-1/1/0471 #1 OBSERVED - AVAIL E7 1 DEFAULT",
    "avaya-1/1/0471 #2 CHANGED AVAIL RING|split=232 E7 1 DEFAULT",
    "avaya-1/1/0471 #3 CHANGED RING|split=232 ACD:in|split=232 E7 9 BASE",
    "avaya-1/1/0471 #4 CHANGED ACD:in|split=232 UNKNOWN:95 E7 - NONE",
    "avaya-1/1/0471 #5 CHANGED UNKNOWN:95 AVAIL E7 1 DEFAULT",
    "avaya-1/1/301204 #1 OBSERVED - ACD:in|split=232 - 9 BASE",
    "avaya-1/1/301204 #2 CHANGED ACD:in|split=232 ACW|split=232 - 1 DEFAULT",
    "avaya-1/1/301204 #3 CHANGED ACW|split=232 AVAIL - 1 DEFAULT",
    "avaya-1/1/301204 #4 LOGGED_OUT AVAIL LOGGED_OUT - - NONE",
    "avaya-1/1/301205 #1 OBSERVED - AUX:3 - 3 EXACT",
    "avaya-1/1/301205 #2 CHANGED AUX:3 AUX:0:out:hold - 2 MODE",
    "avaya-1/1/301205 #3 LOGGED_OUT AUX:0:out:hold LOGGED_OUT - - NONE",
    "avaya-1/1/301205 #4 LOGGED_IN LOGGED_OUT AVAIL - 1 DEFAULT",
];

fn record((login_id, state, reason, split): (&str, &str, &str, &str)) -> String {
    format!("{login_id} {state} {reason} 0 0 {split} 0 1 801326 232 1{}\n", " 0 0".repeat(19))
}

fn config(bootstrap: &str, format: &str, topic: &str) -> String {
    let topics = sections::topics(topic);
    let feed =
        "layout = \"cisco-icm-20\"\n[integration.mapping]\nusers = \"users.csv\"\nactivities = \"activities.csv\"";
    let integration = sections::integration("details = true", feed);
    format!(
        r#"
        [kafka]
        bootstrap_servers = "{bootstrap}"
        format = "{format}"
        partitions = {PARTITIONS}
        {topics}
        {integration}
        "#
    )
}

/// What Python reads of one run of the service: events, current, feed statuses.
struct Published {
    events: Vec<Value>,
    current: Vec<Value>,
    statuses: Vec<Value>,
}

/// Runs the service as a process, feeds it the snapshots, and ends it with SIGTERM.
fn run(format: &str) -> Published {
    let broker = Broker::shared();
    let topic = unique(format);
    let folder = folder(&[
        ("users.csv", "external_user,employee_id,employee_name\n0471,E7,\"Lovelace, Ada\"\n471,E8,Nobody\n"),
        ("activities.csv", "external_activity,activity_id,activity_name\nACD:in,9,Call\nAUX,2,Break\nAUX:3,3,Lunch\n"),
    ]);
    let process = Process::run(&folder, &config(broker.bootstrap(), format, &topic));
    let mut feed = TcpStream::connect(process.feed()).unwrap();
    let bytes: String = SNAPSHOTS.iter().flat_map(|snapshot| snapshot.iter().copied().map(record)).collect();
    feed.write_all(bytes.as_bytes()).unwrap();
    // Read to its end, but not closed: the service says itself that it has disconnected.
    let records = SNAPSHOTS.iter().map(|snapshot| snapshot.len()).sum::<usize>();
    support::wait::until_true("all records read", || {
        let metrics = support::http::series(&support::http::get(process.http(), "/metrics").body);
        let read = metrics.iter().filter(|(series, _)| series.starts_with("rtalink_feed_records_total"));
        read.map(|(_, value)| *value as usize).sum::<usize>() == records
    });

    let (code, stdout, log) = process.terminate();

    let log = log.join("\n");
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{log}");
    assert!(log.contains("everything is acknowledged"), "{log}");
    assert!(!log.contains('\u{1b}'), "colours in a log that is no terminal:\n{log}");
    assert!(!log.contains("0471") && !log.contains("Lovelace"), "personal data in the log:\n{log}");
    assert!(log.contains("port: 0"), "a warning about the port:\n{log}");

    assert_eq!(broker.topic_config(&format!("{topic}.current"))["cleanup.policy"], "compact");
    for name in ["events", "current"] {
        assert_eq!(broker.partitions(&format!("{topic}.{name}")), PARTITIONS as usize, "{name}");
    }
    let read = |name: &str, schema| consume_with_python(broker.bootstrap(), &format!("{topic}.{name}"), schema);
    Published {
        events: read("events", AGENT_STATE_EVENT),
        current: read("current", AGENT_STATE_EVENT),
        statuses: read("feed-status", FEED_STATUS),
    }
}

/// Messages by key, in the order of their partition.
fn by_key(messages: &[Value]) -> BTreeMap<String, Vec<&Value>> {
    let mut by_key = BTreeMap::<String, Vec<&Value>>::new();
    for message in messages {
        by_key.entry(message["key"].as_str().unwrap().to_owned()).or_default().push(message);
    }
    by_key
}

fn told(message: &Value) -> String {
    let event = &message["value"];
    let text = |value: &Value| match value.as_str() {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => "-".to_owned(),
    };
    format!(
        "{} #{} {} {} {} {} {} {}",
        text(&message["key"]),
        text(&event["sequence"]),
        text(&event["cause"]),
        text(&event["previousExternalActivity"]),
        text(&event["externalActivity"]),
        text(&event["user"]["employeeId"]),
        text(&event["activity"]["activityId"]),
        text(&event["mapped"]["activity"]),
    )
}

/// Java's `Utils.murmur2`, which decides on the partition of a key.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(M);
        (word ^ (word >> 24)).wrapping_mul(M)
    };
    let mut hash = 0x9747_b28c ^ u32::try_from(key.len()).unwrap();
    let words = key.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(word.try_into().unwrap()));
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

fn check(published: &Published, content_type: &str) {
    let events = by_key(&published.events);
    let lines: Vec<String> = events.values().flatten().map(|message| told(message)).collect();
    assert_eq!(lines, EVENTS);

    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"rtalink");
    for message in &published.events {
        let event = &message["value"];
        let headers = json!({
            "event_id": event["eventId"], "content-type": content_type, "schema": AGENT_STATE_EVENT,
        });
        assert_eq!(message["headers"], headers);
        let key = message["key"].as_str().unwrap();
        let observed_at: jiff::Timestamp = event["observedAt"].as_str().unwrap().parse().unwrap();
        let sequence = event["sequence"].as_str().unwrap();
        let name = format!("{key}/{sequence}/{}", observed_at.as_millisecond());
        assert_eq!(event["eventId"], Uuid::new_v5(&namespace, name.as_bytes()).to_string(), "{name}");
        let partition = (murmur2(key.as_bytes()) & 0x7fff_ffff) % PARTITIONS;
        assert_eq!(message["partition"], partition, "partition of {key}");
    }

    let content =
        |message: &Value| (message["partition"].clone(), message["headers"].clone(), message["value"].clone());
    let current = by_key(&published.current);
    assert!(current.keys().eq(events.keys()));
    for (key, messages) in &current {
        let last = |messages: &[&Value]| content(messages.last().unwrap());
        assert_eq!(last(messages), last(&events[key]), "current of {key} is its last event");
    }

    let kinds: Vec<&str> = published.statuses.iter().map(|status| status["value"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["CONNECTED", "DISCONNECTED"]);
    for status in &published.statuses {
        assert_eq!(status["key"], "avaya-1");
        assert_eq!(status["headers"], json!({ "content-type": content_type, "schema": FEED_STATUS }));
    }
}

/// Without what differs between two runs.
fn timeless(published: &Published) -> Vec<Value> {
    let mut events: Vec<Value> =
        by_key(&published.events).into_values().flatten().map(|m| m["value"].clone()).collect();
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        let times = ["stateSince", "previousSince", "previousLastSeen", "observedAt", "activitySince", "eventId"];
        event.retain(|name, _| !times.contains(&name.as_str()));
    }
    events
}

#[test]
fn what_is_read_from_the_socket_is_on_the_topics_in_both_formats() {
    let protobuf = run("protobuf");
    let json = run("json");
    check(&protobuf, "application/x-protobuf");
    check(&json, "application/json");
    assert_eq!(timeless(&protobuf), timeless(&json), "both formats say the same");
    let first = &timeless(&json)[0];
    assert_eq!(first["state"]["auxReason"], Value::Null, "absent optionals are left out");
    assert_eq!((&first["afterGap"], &first["role"]), (&json!(false), &json!("")), "defaults are printed");
}

#[test]
fn a_closed_feed_is_told_before_the_end() {
    let folder = folder(&[]);
    let toml = config("embedded", "protobuf", "t").replace("users = \"users.csv\"", "");
    let process = Process::run(&folder, &toml.replace("activities = \"activities.csv\"", ""));
    let feed = TcpStream::connect(process.feed()).unwrap();
    feed.shutdown(Shutdown::Write).unwrap();
    process.line("DISCONNECTED");
    assert_eq!(process.terminate().0, Some(0));
}

//! An integration that is taken out of the configuration: what waits for Kafka goes there, and its people can be forgotten,
//! on request, by age or all at once; nothing of it is silent.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rdkafka::mocking::MockCluster;

use crate::support;

use support::http;
use support::process::{Process, output};
use support::sections;
use support::service::{Running, folder};
use support::short::{LAYOUT, send, told};
use support::topic;
use support::wait::until_true;

const EVENTS: &str = "rta.agent-state.events";
const CURRENT: &str = "rta.agent-state.current";

/// Those integrations on a Kafka at `servers`.
fn config(servers: &str, ids: &[&str]) -> String {
    let one = sections::integration("", "layout = \"short\"\nsnapshot_end = \"marker\"");
    let (http, integration) = one.split_once("[[integration]]").unwrap();
    let integrations = ids.iter().map(|id| format!("[[integration]]{}", integration.replace("avaya-1", id)));
    format!(
        r#"
        [kafka]
        bootstrap_servers = "{servers}"
        create_topics = false
        {http}
        {}
        {LAYOUT}
        "#,
        integrations.collect::<String>()
    )
}

/// The last word on `current` of each agent of an integration: a sequence, or that they are forgotten.
fn last_words(servers: &str, integration: &str) -> BTreeMap<String, Option<u64>> {
    let messages = topic::read(servers, CURRENT).into_iter();
    let of_it = messages.filter(|message| message.key.starts_with(&format!("{integration}/")));
    of_it.map(|message| (message.key.clone(), (!message.is_tombstone).then(|| message.event().sequence))).collect()
}

#[test]
fn what_waits_is_published_and_nobody_is_left_behind() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in [EVENTS, CURRENT, "rta.feed-status", "rta.dead-letter", "rta.audit"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let servers = cluster.bootstrap_servers();
    let service = Running::start_in(folder(&[]), &config(&servers, &["stays", "goes"]));
    let dial = |service: &Running| std::net::TcpStream::connect(service.feed_of("goes")).unwrap();
    let mut feed = dial(&service);
    send(&mut feed, &["1|AVAIL|", "2|AVAIL|", "3|AVAIL|", "END"]);
    service.settle(3);
    cluster.broker_down(-1).unwrap();
    send(&mut feed, &["1|ACD|", "2|ACD|", "3|ACD|", "END"]);
    until_true("they are read", || service.metric("rtalink_feed_records_total", "") > 5.5);
    drop(feed);
    let (kept, folder) = service.drain_within(Duration::from_millis(500));
    assert!(kept >= 3, "{kept} kept");

    // Without it, and with Kafka again.
    cluster.broker_up(-1).unwrap();
    let toml = config(&servers, &["stays"]);
    let process = Process::run(&folder, &toml);
    let line = process.line("not in the configuration any more");
    assert!(line.contains("WARN") && line.contains("integration=goes") && line.contains("agents=3"), "{line}");
    until_true("what waited is in Kafka", || last_words(&servers, "goes").values().all(|last| *last == Some(2)));
    let exposition = || http::get(process.http(), "/metrics").body;
    let left = |what: &str| {
        http::series(&exposition()).get(&format!("rtalink_removed_integration_{what}{{integration=\"goes\"}}")).copied()
    };
    until_true("what is left is told", || left("agents") == Some(3.0) && left("pending_events") == Some(0.0));
    assert!(!exposition().contains("rtalink_feed_up{integration=\"goes\"}"), "its feed is not missing");
    let listed = http::get(process.http(), "/api/v1/integrations").json();
    assert_eq!(
        (&listed["integrations"][1]["id"], &listed["integrations"][1]["removed"]),
        (&"goes".into(), &true.into())
    );
    assert_eq!(http::get(process.http(), "/api/v1/agents").body, r#"{"agents":[]}"#);

    let answer = http::try_post(process.http(), "/api/v1/forget", r#"{"loginId": "1"}"#).unwrap();
    assert!(matches!(answer.status, 200 | 202) && answer.body.contains("goes"), "{}", answer.body);
    until_true("they are forgotten", || {
        left("agents") == Some(2.0) && last_words(&servers, "goes")["goes/1/1"].is_none()
    });
    // A reload knows nothing of it.
    process.signal("HUP");
    process.line("reloaded");
    assert_eq!(process.count("need a restart"), 0);

    let file = folder.path().join("rtalink.toml").display().to_string();
    let store = |arguments: &[&str]| {
        let output = output(&[&["store"], arguments, &["--config", &file]].concat());
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (_, shown) = store(&["inspect"]);
    assert!(shown.contains("goes  not in the configuration") && !shown.contains("stays  not"), "{shown}");
    let (code, said) = store(&["drop", "goes"]);
    assert_eq!(code, Some(1), "the service has the store: {said}");
    assert_eq!(process.terminate().0, Some(0));

    for (id, expected) in [("stays", "is in the configuration"), ("nobody", "expected one of ")] {
        let (code, said) = store(&["drop", id]);
        assert!(code == Some(1) && said.contains(expected), "{said}");
    }
    cluster.broker_down(-1).unwrap();
    let (code, said) = store(&["drop", "goes", "--without-tombstones"]);
    assert_eq!((code, said.contains("2 agent(s), 0 tombstone(s) sent")), (Some(0), true), "{said}");
    cluster.broker_up(-1).unwrap();
    let (_, shown) = store(&["inspect", "--json"]);
    let goes = &serde_json::from_str::<serde_json::Value>(shown.lines().next().unwrap()).unwrap()["integrations"][1];
    assert_eq!(
        (&goes["agents"], &goes["entries"], &goes["configured"]),
        (&0.into(), &0.into(), &false.into()),
        "{goes}"
    );
    for file in fs::read_dir(folder.path().join("data")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|bytes| bytes == b"goes/1/2"), "nothing of them is in the bytes");
    }
    let process = Process::run(&folder, &toml);
    assert_eq!(process.count("not in the configuration any more"), 0, "nothing is left");
    assert_eq!(process.terminate().0, Some(0));

    // It comes back, and knows from Kafka whom nobody has forgotten.
    let service = Running::start_in(folder, &config(&servers, &["stays", "goes"]));
    send(&mut dial(&service), &["1|AVAIL|", "2|AVAIL|", "3|ACD|", "END"]);
    service.settle(3);
    let events = told(&service.events());
    let copies = ["2 #2 CHANGED - 1 v1", "3 #2 CHANGED - 1 v1"];
    let expected = [&copies[..], &["1 #1 OBSERVED - 1 v2", "2 #3 CHANGED - 1 v2"]].concat();
    assert_eq!(events[6..], expected, "{events:?}");
}

#[test]
fn everybody_gets_a_tombstone_where_kafka_can_be_reached() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in [EVENTS, CURRENT, "rta.feed-status", "rta.dead-letter", "rta.audit"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let servers = cluster.bootstrap_servers();
    let service = Running::start_in(folder(&[]), &config(&servers, &["goes"]));
    send(&mut service.dial(), &["1|AVAIL|", "2|AVAIL|", "END"]);
    service.settle(2);
    let (_, folder) = service.drain();
    fs::write(folder.path().join("rtalink.toml"), config(&servers, &["stays"])).unwrap();
    let file = folder.path().join("rtalink.toml").display().to_string();
    let dropped = output(&["store", "drop", "goes", "--config", &file]);
    let said = String::from_utf8(dropped.stdout).unwrap();
    let expected = "goes: dropped, 0 message(s) that Kafka does not have, 2 agent(s), 2 tombstone(s) sent\n";
    assert_eq!((dropped.status.code(), said.as_str()), (Some(0), expected));
    assert!(last_words(&servers, "goes").values().all(Option::is_none));
}

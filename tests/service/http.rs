//! What the service tells over HTTP: metrics, health and the API.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rtalink::telemetry::names::{self, Kind, Metric};
use serde_json::{Value, json};

use crate::support;

use support::service::{Running, folder};
use support::wait::{until, until_true};

/// Two integrations: one whose users are found by login id, one by name.
const CONFIG: &str = r#"
    [kafka]
    bootstrap_servers = "embedded"
    partitions = 1
    [http]
    listen = "127.0.0.1:0"
    [[integration]]
    id = "ids"
    name = "By login id"
    kind = "avaya-cms"
    acd = 1
    [integration.realtime]
    port = 0
    bind = "127.0.0.1"
    layout = "short"
    snapshot_end = "marker"
    allow = ["127.0.0.1"]
    forward = ["127.0.0.1:1"]
    [integration.mapping]
    users = "users.csv"
    activities = "activities.csv"
    [[integration]]
    id = "names"
    kind = "avaya-cms"
    acd = 2
    [integration.realtime]
    port = 0
    bind = "127.0.0.1"
    layout = "short"
    snapshot_end = "marker"
    [integration.mapping]
    identify_by = "name"
    users = "users.csv"
    activities = "activities.csv"
    [layout.short]
    separator = "|"
    marker = "^END"
    columns = ["login_id", "name", "state", "aux_reason", "timestamp"]
    states = "cms-names"
"#;

const FILES: [(&str, &str); 2] = [
    ("users.csv", "external_user,employee_id,employee_name\n1,E1,Ada\nAda,E1,Ada\n"),
    ("activities.csv", "external_activity,activity_id,activity_name\nACD,9,Call\n"),
];

fn start() -> Running {
    Running::start_in(folder(&FILES), CONFIG)
}

fn dial(service: &Running, integration: &str, lines: &[&str]) -> TcpStream {
    let mut feed = TcpStream::connect(service.feed_of(integration)).unwrap();
    feed.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    feed
}

/// What an exposition says of one metric.
#[derive(Debug, Default)]
struct Exposed {
    kind: String,
    help: String,
    /// Names of the labels of each series, `le` left out.
    labels: BTreeSet<Vec<String>>,
    suffixes: BTreeSet<String>,
    bounds: BTreeSet<String>,
}

fn parse(exposition: &str) -> BTreeMap<String, Exposed> {
    let mut metrics = BTreeMap::<String, Exposed>::new();
    for line in exposition.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
            let metric = metrics.entry(name.to_owned()).or_default();
            match what {
                "TYPE" => rest.clone_into(&mut metric.kind),
                "HELP" => rest.clone_into(&mut metric.help),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        let (full, labels) =
            series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
        let name = ["_bucket", "_sum", "_count"]
            .into_iter()
            .filter_map(|suffix| full.strip_suffix(suffix))
            .find(|name| metrics.get(*name).is_some_and(|metric| metric.kind == "histogram"))
            .unwrap_or(full);
        let metric = metrics.get_mut(name).unwrap_or_else(|| panic!("{line}: no TYPE before it"));
        let pairs: Vec<(&str, &str)> = labels.split(',').filter_map(|label| label.split_once('=')).collect();
        let names = pairs.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name != "le").collect();
        metric.labels.insert(names);
        metric.suffixes.insert(full[name.len()..].to_owned());
        let bounds =
            pairs.iter().filter(|(name, _)| *name == "le").map(|(_, bound)| bound.trim_matches('"').to_owned());
        metric.bounds.extend(bounds);
    }
    metrics
}

/// The upper bounds of all histograms.
const BOUNDS: [&str; 22] = [
    "0.00001", "0.00002", "0.00005", "0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05",
    "0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "60", "+Inf",
];

fn check(metric: &Metric, exposed: &Exposed) {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    assert_eq!(exposed.kind, kind, "{}", metric.name);
    assert_eq!(exposed.help, metric.help, "{}", metric.name);
    let sorted = |labels: &[&str]| {
        let mut labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        labels.sort_unstable();
        labels
    };
    for labels in &exposed.labels {
        let found: Vec<&str> = labels.iter().map(String::as_str).collect();
        assert_eq!(sorted(&found), sorted(metric.labels), "{}", metric.name);
    }
    assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
    if metric.kind == Kind::Histogram {
        let numbers = |bounds: &mut dyn Iterator<Item = &str>| -> Vec<f64> {
            let mut numbers: Vec<f64> = bounds.map(|bound| bound.parse().unwrap_or(f64::INFINITY)).collect();
            numbers.sort_by(f64::total_cmp);
            numbers
        };
        let expected = numbers(&mut BOUNDS.into_iter());
        assert_eq!(numbers(&mut exposed.bounds.iter().map(String::as_str)), expected, "{}", metric.name);
        let suffixes: Vec<&str> = exposed.suffixes.iter().map(String::as_str).collect();
        assert_eq!(suffixes, ["_bucket", "_count", "_sum"], "{}", metric.name);
    }
}

#[test]
fn metrics_are_those_that_are_listed_and_no_others() {
    let mut service = start();
    let records = ["1|Ada|AVAIL||1767600000", "2|Bo|AUX|3|1767600000", "END", "bad"];
    let mut feed = dial(&service, "ids", &records);
    service.settle(3);
    service.reload(&CONFIG.replace("[\"127.0.0.1\"]", "[\"10.0.0.0/8\"]")).unwrap();
    let _refused = dial(&service, "ids", &[]);
    until_true("a refusal", || service.metric("rtalink_feed_refused_total", "") > 0.0);
    // Statistics of Kafka come every five seconds, and round trips need traffic. How long Bo has been in AUX is looked at as
    // often.
    let mut login_id = 2;
    let exposition = until("round trips to Kafka, and somebody in AUX for long", || {
        login_id += 1;
        feed.write_all(format!("{login_id}|Cy|AVAIL||1767600000\n").as_bytes()).unwrap();
        let answer = service.get("/metrics");
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
        let series = support::http::series(&answer.body);
        let windows = ["broker_rtt", "outbuf_latency", "internal_latency"];
        let is_measured = |window: &&str| series[&format!("rtalink_kafka_{window}_seconds{{quantile=\"0.99\"}}")] > 0.0;
        let is_looked_at = series["rtalink_agents_in_aux{integration=\"ids\",over=\"1h\"}"] == 1.0;
        Some(answer.body).filter(|_| is_looked_at && windows.iter().all(is_measured))
    });
    let exposed = parse(&exposition);
    // Nothing was taken out of this configuration.
    let of_removed = [names::REMOVED_PENDING.name, names::REMOVED_AGENTS.name];
    for metric in names::ALL.iter().filter(|metric| !of_removed.contains(&metric.name)) {
        let exposed = exposed.get(metric.name).unwrap_or_else(|| panic!("{} is missing", metric.name));
        check(metric, exposed);
    }
    let listed: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    let unlisted: Vec<&String> = exposed.keys().filter(|name| !listed.contains(name.as_str())).collect();
    assert_eq!(unlisted, Vec::<&String>::new());

    let series = support::http::series(&exposition);
    let version = format!("rtalink_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(series[&version], 1.0);
    assert_eq!(series["rtalink_feed_snapshots_total{integration=\"ids\",complete=\"true\"}"], 1.0);
    assert_eq!(series["rtalink_dead_letters_total{integration=\"ids\",reason=\"too_few_fields\"}"], 1.0);
    assert_eq!(series["rtalink_feed_up{integration=\"names\"}"], 0.0);
    assert!(series["rtalink_feed_clock_skew_seconds{integration=\"ids\"}"] < -1e6);
    let disk = ["free", "size"].map(|what| series[&format!("rtalink_store_disk_{what}_bytes")]);
    assert!(disk[0] <= disk[1] && disk[1] > 0.0, "{disk:?}");
    assert_eq!(series["rtalink_journal_max_bytes"], 1_073_741_824.0);
}

#[test]
fn health_is_about_the_service_and_shows_kafka() {
    let service = start();
    let live = service.get("/health/live");
    assert_eq!((live.status, live.json()), (200, json!({ "status": "live" })));
    let _feed = dial(&service, "ids", &["1|Ada|AVAIL||"]);
    service.settle(1);
    // Of the integration that has published nothing only statistics tell that its producer is connected.
    let body = until("both producers connected", || {
        let ready = service.get("/health/ready");
        assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")), "{}", ready.body);
        Some(ready.json()).filter(|body| body["kafka"]["connected"] == true)
    });
    assert_eq!((&body["listeners"], &body["store"]), (&json!("bound"), &json!("writable")), "{body}");
    assert_eq!(body["kafka"]["pendingMessages"], 0, "{body}");

    assert_eq!(service.metric("rtalink_ready", ""), 1.0);
    fs::remove_dir_all(service.path("data")).unwrap();
    // Nobody has to ask for its health.
    until_true("Prometheus is told", || service.metric("rtalink_ready", "") == 0.0);
    let ready = service.get("/health/ready");
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("not ready")), "{}", ready.body);
    assert_eq!(service.get("/health/live").status, 200);
}

/// Integration and login id of each agent in an answer.
fn agents(answer: &Value) -> Vec<String> {
    let agents = answer["agents"].as_array().unwrap();
    let name =
        |agent: &Value| format!("{}/{}", agent["integration"].as_str().unwrap(), agent["loginId"].as_str().unwrap());
    agents.iter().map(name).collect()
}

#[test]
fn agents_are_filtered_and_wrong_questions_are_answered() {
    let service = start();
    let _ids = dial(&service, "ids", &["1|Ada|AVAIL||", "2|Bo|AUX|3|", "3|Cy|ACD||", "END", "3|Cy|UNSTAFF||"]);
    let _names = dial(&service, "names", &["1|Ada|AVAIL||"]);
    service.settle(5);
    until_true("the read model", || agents(&service.get("/api/v1/agents").json()).len() == 4);
    let questions: [(&str, &[&str]); 8] = [
        ("", &["ids/1", "ids/2", "ids/3", "names/1"]),
        ("?integration=names", &["names/1"]),
        ("?mode=AVAIL", &["ids/1", "names/1"]),
        ("?mode=UNSTAFF", &["ids/3"]),
        ("?integration=ids&mode=AUX", &["ids/2"]),
        ("?mode=DACW", &[]),
        ("?login_id=2", &["ids/2"]),
        ("?integration=ids&login_id=%201%C2%A0", &["ids/1"]),
    ];
    for (question, expected) in questions {
        let answer = service.get(&format!("/api/v1/agents{question}"));
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"), "{question}");
        assert_eq!(agents(&answer.json()), expected, "{question}");
    }
    let agent = &service.get("/api/v1/agents?mode=AUX").json()["agents"][0];
    assert_eq!((&agent["sequence"], &agent["externalActivity"]), (&json!("1"), &json!("AUX:3")), "{agent}");
    let wrong = [
        ("/api/v1/agents?mode=avail", 400, "unknown mode \"avail\": expected one of UNKNOWN"),
        ("/api/v1/agents?integration=nobody", 404, "/api/v1/integrations"),
        ("/api/v1/agents?agent=1", 400, "agent"),
        ("/api/v2", 404, "/api/v1/agents"),
    ];
    for (path, status, hint) in wrong {
        let answer = service.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(hint), "{path}: {}", answer.body);
    }
}

#[test]
fn the_root_says_what_is_there_in_the_form_that_is_asked_for() {
    let service = start();
    let asked = |accept: &str| {
        let mut stream = TcpStream::connect(service.http_address()).unwrap();
        write!(stream, "GET / HTTP/1.0\r\nHost: localhost\r\n{accept}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200 ") || head.starts_with("HTTP/1.1 200 "), "{head}");
        (head.to_lowercase(), body.to_owned())
    };
    let (head, text) = asked("");
    assert!(head.contains("content-type: text/plain") && text.starts_with("rtalink: "), "{head}\n{text}");
    let (head, page) = asked("Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n");
    assert!(head.contains("content-type: text/html"), "{head}");
    let (head, document) = asked("Accept: application/json\r\n");
    assert!(head.contains("content-type: application/json"), "{head}");
    let document: Value = serde_json::from_str(&document).unwrap();
    let pages = document["pages"].as_array().unwrap();
    for listed in pages {
        let path = listed["path"].as_str().unwrap();
        assert!(text.contains(path), "{path} in {text}");
        if listed["method"] == "GET" {
            assert!(page.contains(&format!("<a href=\"{path}\">")), "{path} in {page}");
            assert_ne!(service.get(path).status, 404, "{path}");
        }
    }
    assert!(pages.len() >= 15, "{pages:?}");
}

#[test]
fn integrations_tell_how_their_feeds_stand() {
    let service = start();
    let _feed = dial(&service, "ids", &["1|Ada|AVAIL||", "2|Bo|AVAIL||", "END", "2|Bo|UNSTAFF||"]);
    service.settle(3);
    let integrations = until("the read model", || {
        let integrations = service.get("/api/v1/integrations").json()["integrations"].clone();
        Some(integrations).filter(|integrations| integrations[0]["agentsLoggedIn"] == 1)
    });
    let ids = &integrations[0];
    let told = [&ids["id"], &ids["name"], &ids["layout"], &ids["listen"], &ids["lastStatus"]["kind"]];
    let listen = service.feed_of("ids").to_string();
    assert_eq!(told, ["ids", "By login id", "short", listen.as_str(), "CONNECTED"]);
    let figures = [&ids["connections"], &ids["agents"], &ids["mappingVersion"], &ids["pendingMessages"]];
    assert_eq!(figures, [1, 2, 1, 0]);
    for time in ["lastRecordAt", "lastCompleteSnapshotAt"] {
        assert!(ids[time].as_str().is_some_and(|time| time.ends_with('Z')), "{time}: {ids}");
    }
    let names = &integrations[1];
    assert_eq!((&names["name"], &names["peer"], &names["lastRecordAt"]), (&json!("names"), &Value::Null, &Value::Null));
}

#[test]
fn what_nobody_has_mapped_is_listed_with_how_often() {
    let mut service = start();
    let mut ids =
        dial(&service, "ids", &["1|Ada|AVAIL||", "2|Bo|ACD||", "2|Bo|AVAIL||", "3|Cy|AUX|3|", "3|Cy|UNSTAFF||"]);
    let _names = dial(&service, "names", &["1|Ada|ACD||", "2|Ada|ACD||", "3|Eve|ACD||"]);
    service.settle(8);
    let told = |list: &Value, key: &str| -> Vec<String> {
        let tell = |entry: &Value| {
            let (first, last) = (entry["firstSeen"].as_str().unwrap(), entry["lastSeen"].as_str().unwrap());
            assert!(first <= last, "{entry}");
            let reason = entry["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{} x{}{reason}", entry[key].as_str().unwrap(), entry["count"])
        };
        list.as_array().unwrap().iter().map(tell).collect()
    };
    let unmapped = until("the read model", || {
        let list = service.get("/api/v1/unmapped").json()["integrations"].clone();
        Some(list).filter(|list| list[0]["users"].as_array().unwrap().len() == 2 && list[1]["users"][1].is_object())
    });
    assert_eq!(unmapped[0]["integration"], "ids");
    assert_eq!(told(&unmapped[0]["users"], "externalUser"), ["2 x2 unmapped", "3 x2 unmapped"]);
    assert_eq!(told(&unmapped[0]["activities"], "externalActivity"), ["AVAIL x2", "AUX:3 x1"]);
    assert_eq!(unmapped[0]["notListed"], 0);
    let by_name = told(&unmapped[1]["users"], "externalUser");
    assert!(by_name.iter().any(|user| user.starts_with("Ada x") && user.ends_with(" ambiguous")), "{by_name:?}");
    assert!(by_name.contains(&"Eve x1 unmapped".to_owned()), "{by_name:?}");
    assert_eq!(service.metric("rtalink_unmapped_users", "\"ids\""), 2.0);

    // What is mapped leaves the list.
    fs::write(service.path("users.csv"), "external_user,employee_id,employee_name\n1,E1,Ada\n2,E2,Bo\n").unwrap();
    service.reload(CONFIG).unwrap();
    until_true("a shorter list", || {
        told(&service.get("/api/v1/unmapped").json()["integrations"][0]["users"], "externalUser") == ["3 x2 unmapped"]
    });
    ids.write_all(b"3|Cy|ACD||\n").unwrap();
    service.settle(9);
    until_true("a higher count", || {
        told(&service.get("/api/v1/unmapped").json()["integrations"][0]["users"], "externalUser") == ["3 x3 unmapped"]
    });
}

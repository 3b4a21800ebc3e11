//! `docs/metrics.md` lists exactly the metrics that the service exports, each with its kind, its labels and, where they are
//! a closed set, the values of these.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rdkafka::mocking::MockCluster;
use regex::Regex;
use rtalink::telemetry::names::{self, Kind};

use crate::support;

use support::kafka::free_port;
use support::process::{Process, rtalink};
use support::service::{Running, folder};
use support::wait::{until, until_true};

/// A line of the page.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    kind: String,
    labels: String,
    meaning: String,
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap()
}

fn described() -> BTreeMap<String, Described> {
    let mut metrics = BTreeMap::new();
    let page = page();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning, ..] = cells[..] else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        if !name.starts_with("rtalink_") && !name.starts_with("process_") {
            continue;
        }
        assert!(!meaning.is_empty(), "{name} has no meaning");
        let [kind, labels, meaning] = [kind, labels, meaning].map(str::to_owned);
        let before = metrics.insert(name.to_owned(), Described { kind, labels, meaning });
        assert!(before.is_none(), "{name} is listed twice");
    }
    metrics
}

#[test]
fn the_page_and_the_code_list_the_same_metrics() {
    let described = described();
    for metric in names::ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels = match metric.labels {
            [] => "none".to_owned(),
            labels => labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", "),
        };
        let told = described.get(metric.name).map(|told| (told.kind.as_str(), told.labels.as_str()));
        assert_eq!(told, Some((kind, labels.as_str())), "{}: left is docs/metrics.md, right is the code", metric.name);
    }
    let listed: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    let unknown: Vec<&String> = described.keys().filter(|name| !listed.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "in docs/metrics.md, but nothing exports it: {unknown:?}");
}

const CONFIG: &str = r#"
    [kafka]
    bootstrap_servers = "embedded"
    partitions = 1
    [http]
    listen = "127.0.0.1:0"
    [[integration]]
    id = "site"
    kind = "avaya-cms"
    acd = 1
    [integration.realtime]
    port = 0
    bind = "127.0.0.1"
    layout = "cisco-icm-20"
    shortest_refresh = "0s"
"#;

/// Labels and values of each series of an exposition, by metric; `le` and the suffixes of histograms left out.
fn series(exposition: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
    let histograms: BTreeSet<&str> =
        exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram")).collect();
    let mut series = BTreeMap::<String, Vec<(String, String)>>::new();
    for sample in exposition.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let name = histogram.filter(|name| histograms.contains(name)).unwrap_or(name);
        let labels = label.captures_iter(sample).map(|found| (found[1].to_owned(), found[2].to_owned()));
        series.entry(name.to_owned()).or_default().extend(labels.filter(|(name, _)| name != "le"));
    }
    series
}

#[test]
fn a_service_that_nobody_has_dialled_exports_every_metric_with_every_value_of_its_page() {
    let service = Running::start(CONFIG);
    let exposition = service.get("/metrics").body;
    let (described, series) = (described(), series(&exposition));
    let listed: BTreeSet<&str> = names::ALL.iter().map(|metric| metric.name).collect();
    let unlisted: Vec<&String> = series.keys().filter(|name| !listed.contains(name.as_str())).collect();
    assert!(unlisted.is_empty(), "exported, but not listed: {unlisted:?}");
    let missing: Vec<&str> = listed.into_iter().filter(|name| !series.contains_key(*name)).collect();
    let later: Vec<&str> = described
        .iter()
        .filter(|(_, told)| told.meaning.contains("There once"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(missing, later, "left: not exported at first; right: docs/metrics.md says that they come later");

    let page = page();
    let (_, reasons) = page.split_once("### Reasons").unwrap();
    let (reasons, _) = reasons.split_once("## ").unwrap();
    for (name, labels) in &series {
        for (label, value) in labels.iter().filter(|(label, _)| label != "integration" && label != "version") {
            // Reasons of dead letters have a table of their own.
            let told = if name == "rtalink_dead_letters_total" { reasons } else { &described[name].meaning };
            assert!(told.contains(&format!("`{value}`")), "{name}: docs/metrics.md does not say {label} `{value}`");
        }
    }
    let counted = support::http::series(&exposition);
    let is_news = |(series, value): &(&String, &f64)| {
        // The log is the process's, and other tests write to it.
        let is_of_the_log = series.starts_with("rtalink_log_");
        series.starts_with("rtalink_") && series.contains("_total") && **value != 0.0 && !is_of_the_log
    };
    let counted: Vec<_> = counted.iter().filter(is_news).collect();
    assert!(counted.is_empty(), "counters begin at 0: {counted:?}");
}

#[test]
fn a_silent_feed_is_stale_with_those_who_are_logged_in_until_it_is_restored() {
    let service = Running::start(&CONFIG.replace("layout =", "stale_after = \"1s\"\n    layout ="));
    let stale = || ["rtalink_feed_stale", "rtalink_feed_stale_agents"].map(|name| service.metric(name, ""));
    let status = |kind: &str| service.metric("rtalink_feed_status_total", &format!("kind=\"{kind}\""));
    let snapshot = |states: [u32; 3]| -> String {
        let skills = " 0 0".repeat(20);
        (1..).zip(states).map(|(login_id, state)| format!("{login_id} {state} 0 0 0 0 0 0 70{skills}\n")).collect()
    };
    let mut feed = service.dial();
    let mut send = |text: &str| std::io::Write::write_all(&mut feed, text.as_bytes()).unwrap();
    // Number 3 logs out with the repeat of number 1.
    send(&snapshot([20, 30, 20]));
    send(&snapshot([20, 30, 10]));
    until_true("silence", || status("STALE") == 1.0 && stale()[0] == 1.0);
    assert_eq!(stale(), [1.0, 2.0]);
    assert_eq!(status("RESTORED"), 0.0);
    until_true("the end of the silence", || {
        send(&snapshot([20, 30, 10]));
        status("RESTORED") == 1.0 && stale() == [0.0, 0.0]
    });
    assert_eq!([status("CONNECTED"), status("DISCONNECTED"), status("HEARTBEAT")], [1.0, 0.0, 0.0]);
}

#[test]
fn a_new_machine_is_not_ready_from_its_first_scrape_until_kafka_is_there() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["rta.agent-state.events", "rta.agent-state.current", "rta.feed-status", "rta.dead-letter"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    cluster.broker_down(-1).unwrap();
    let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let folder = folder(&[]);
    let file = folder.path().join("rtalink.toml");
    let toml = CONFIG.replace("127.0.0.1:0", &http.to_string()).replace("embedded", &cluster.bootstrap_servers());
    fs::write(&file, toml.replace("partitions = 1", "create_topics = false")).unwrap();
    let mut command = rtalink();
    command.args(["run", "--config"]).arg(&file);
    let _process = Process::spawn(command);
    let ready = || {
        let exposition = support::http::try_get(http, "/metrics")?.body;
        Some(support::http::series(&exposition)["rtalink_ready"])
    };
    assert_eq!(until("the first scrape", ready), 0.0);
    // That nobody is known is not that nobody is there.
    for page in ["/api/v1/agents", "/api/v1/agents?mode=ACD", "/api/v1/unmapped"] {
        let answer = support::http::get(http, page);
        assert_eq!(answer.status, 503, "{page}: {}", answer.body);
        assert!(answer.body.contains("being recovered"), "{page}: {}", answer.body);
    }
    let integration = &support::http::get(http, "/api/v1/integrations").json()["integrations"][0];
    assert!(integration["agents"].is_null() && integration["agentsLoggedIn"].is_null(), "{integration}");
    let of_agents = [
        "rtalink_agents{",
        "rtalink_agents_in_aux{",
        "rtalink_agents_by_activity{",
        "rtalink_unmapped_users{",
        "rtalink_unmapped_activities{",
    ];
    let told = |name: &str| support::http::get(http, "/metrics").body.lines().any(|line| line.starts_with(name));
    assert!(!of_agents.into_iter().any(told));
    let health = support::http::get(http, "/health/ready");
    assert_eq!((health.status, &health.json()["agentTable"]), (503, &"being recovered".into()), "{}", health.body);
    assert_eq!(ready(), Some(0.0));
    cluster.broker_up(-1).unwrap();
    // Nobody asks for its health.
    until_true("Kafka has answered", || ready() == Some(1.0));
    assert_eq!(support::http::get(http, "/health/ready").status, 200);
    until_true("the agents are told", || support::http::get(http, "/api/v1/agents").status == 200);
    assert_eq!(support::http::get(http, "/api/v1/unmapped").status, 200);
    assert!(of_agents.into_iter().all(told));
}

#[test]
fn a_service_whose_store_is_in_memory_is_not_ready() {
    let folder = folder(&[]);
    // SQLite cannot make what it shares between connections.
    fs::create_dir_all(folder.path().join("data/journal.db-shm")).unwrap();
    let service = Running::start_in(folder, CONFIG);
    let health = service.get("/health/ready");
    let trouble = health.json()["store"].as_str().unwrap().to_owned();
    assert!(health.status == 503 && trouble.starts_with("in memory"), "{}", health.body);
    assert_eq!(service.metric("rtalink_ready", ""), 0.0);
    assert_eq!(service.metric("rtalink_store_errors_total", "not_writable"), 1.0);
}

//! The dashboards under `deploy/grafana` are what they are built from, what Grafana's published types allow, and what
//! people rely on: words on every panel, one data source to choose, selectors for every variable, no ranking of persons.
#![allow(clippy::unwrap_used)]

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use rtalink::tracker::event::StatusKind;
use serde_json::Value;
use support::prometheus::Prometheus;
use support::python::python;
use tempfile::TempDir;

const DASHBOARDS: [&str; 2] = ["service.json", "contact-centre.json"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> PathBuf {
    root().join("deploy/grafana/dashboards").join(name)
}

fn dashboards() -> impl Iterator<Item = (&'static str, Value)> {
    DASHBOARDS.iter().map(|name| (*name, serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Panels that show figures: all but the heads of rows.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "/panels").iter().filter(|panel| text(panel, "/type") != "row")
}

/// Every expression of a dashboard, with where it stands.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let of_panel = |panel: &Value| {
        let title = text(panel, "/title").to_owned();
        list(panel, "/targets").iter().map(move |target| (title.clone(), text(target, "/expr").to_owned())).collect()
    };
    let of_annotation =
        |annotation: &Value| (text(annotation, "/name").to_owned(), text(annotation, "/target/expr").to_owned());
    let annotations = list(dashboard, "/annotations/list").iter().map(of_annotation);
    panels(dashboard).flat_map::<Vec<_>, _>(of_panel).chain(annotations).collect()
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

#[test]
fn what_is_committed_is_what_is_built() {
    let mut build = python("deploy");
    build.args(["deploy/grafana/build", "--check"]);
    succeeds(build);
}

#[test]
fn published_types_allow_them_and_refuse_every_mutation() {
    let mut check = Command::new(root().join("tests/tools/node.sh"));
    check.current_dir(root()).args(["run", "grafana", "tests/grafana/check.cjs"]).args(DASHBOARDS.map(file));
    let said = succeeds(check);
    let refused: usize = Regex::new(r"(\d+) spoilt").unwrap().captures(&said).unwrap()[1].parse().unwrap();
    assert!(refused >= 90, "{said}");
}

#[test]
fn every_panel_says_what_it_shows() {
    let titles = ["/title", "/description", "/fieldConfig/defaults/unit", "/fieldConfig/defaults/noValue", "/interval"];
    for (name, dashboard) in dashboards() {
        assert!(panels(&dashboard).count() > 10, "{name}");
        for panel in panels(&dashboard) {
            let title = text(panel, "/title");
            for pointer in titles {
                assert!(!text(panel, pointer).is_empty(), "{name}, {title}: no {pointer}");
            }
            assert!(text(panel, "/description").ends_with('.'), "{name}, {title}: a description is a sentence");
            assert!(!list(panel, "/targets").is_empty(), "{name}, {title}: asks nothing");
            let sources = list(panel, "/targets").iter().chain([panel]);
            for source in sources.map(|asker| text(asker, "/datasource/uid")) {
                assert_eq!(source, "${datasource}", "{name}, {title}");
            }
            let refs: BTreeSet<_> = list(panel, "/targets").iter().map(|target| text(target, "/refId")).collect();
            assert_eq!(refs.len(), list(panel, "/targets").len(), "{name}, {title}: letters of queries are unique");
        }
    }
}

#[test]
fn panels_fill_the_grid_and_do_not_overlap() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard, "/panels") {
            let title = text(panel, "/title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}, {title}: its id is another's, too");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}, {title}: not in the grid");
            for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (row, column))) {
                let before = taken.insert(cell, title);
                assert_eq!(before, None, "{name}: {title} lies on it at {cell:?}");
            }
        }
        let height = taken.keys().map(|(row, _)| row + 1).max().unwrap();
        assert_eq!(taken.len() as u64, height * 24, "{name}: there are holes");
    }
}

#[test]
fn they_can_be_imported_anywhere_and_lead_to_each_other() {
    let uids: Vec<String> = dashboards().map(|(_, dashboard)| text(&dashboard, "/uid").to_owned()).collect();
    assert_eq!(uids, ["rtalink-service", "rtalink-contact-centre"], "bookmarks hang on them");
    for (name, dashboard) in dashboards() {
        assert!(dashboard.get("id").is_none() && dashboard.get("__inputs").is_none(), "{name}");
        let pairs = [("/refresh", "10s"), ("/timezone", "browser"), ("/tags/0", "rtalink")];
        for (pointer, expected) in pairs {
            assert_eq!(text(&dashboard, pointer), expected, "{name}: {pointer}");
        }
        let variables: Vec<&str> =
            list(&dashboard, "/templating/list").iter().map(|variable| text(variable, "/name")).collect();
        assert_eq!(variables, ["datasource", "instance", "integration"], "{name}");
        let links = list(&dashboard, "/links");
        assert!(!links.is_empty(), "{name}");
        for link in links {
            let target = text(link, "/url").strip_prefix("/d/").unwrap().to_owned();
            assert!(uids.contains(&target) && target != text(&dashboard, "/uid"), "{name}: {target}");
            assert_eq!((&link["includeVars"], &link["keepTime"]), (&Value::Bool(true), &Value::Bool(true)), "{name}");
        }
        let marks: Vec<&str> = list(&dashboard, "/annotations/list").iter().map(|mark| text(mark, "/name")).collect();
        assert_eq!(marks, ["Feed lost", "Feed back", "Feed doubtful", "Publishing paused, resumed"], "{name}");
    }
}

/// A mark says what happened: what is only doubtful or held back is no loss of the feed. Each kind of status has one mark.
#[test]
fn marks_say_what_happened_and_when() {
    let kind = Regex::new(r#"kind=~"([A-Z_|]+)""#).unwrap();
    let (_, dashboard) = dashboards().next().unwrap();
    let mut marked = BTreeMap::new();
    for mark in list(&dashboard, "/annotations/list") {
        assert_eq!(mark["useValueForTime"], true, "{mark}");
        for kind in kind.captures(text(mark, "/target/expr")).unwrap()[1].split('|') {
            assert_eq!(marked.insert(kind.to_owned(), text(mark, "/name")), None, "{kind}");
        }
    }
    for (kind, mark) in &marked {
        let is_lost = ["DISCONNECTED", "STALE", "LINK_DOWN"].contains(&kind.as_str());
        assert_eq!(*mark == "Feed lost", is_lost, "{kind}: {mark}");
    }
    let known = StatusKind::NAMES.into_iter().filter(|kind| *kind != "CONNECTED");
    assert_eq!(marked.keys().map(String::as_str).collect::<BTreeSet<_>>(), known.collect());
}

/// Metrics without the label `integration`.
fn is_of_the_process(metric: &str) -> bool {
    let names = [
        "rtalink_build_info",
        "rtalink_ready",
        "rtalink_log_suppressed_total",
        "rtalink_journal_bytes",
        "rtalink_journal_max_bytes",
    ];
    let prefixes = ["process_", "rtalink_kafka_", "rtalink_store_"];
    names.contains(&metric) || prefixes.iter().any(|prefix| metric.starts_with(prefix))
}

#[test]
fn every_selector_follows_the_variables() {
    let selector = Regex::new(r"\b((?:rtalink|process)_[a-z_]+)(\{[^}]*\})?").unwrap();
    let variable = Regex::new(r"\$\{?(\w+)").unwrap();
    for (name, dashboard) in dashboards() {
        for (title, expression) in expressions(&dashboard) {
            let mut seen = 0;
            for found in selector.captures_iter(&expression) {
                let labels = found.get(2).map_or("", |labels| labels.as_str());
                assert!(labels.contains(r#"instance=~"$instance""#), "{name}, {title}: {}", &found[0]);
                let follows = labels.contains(r#"integration=~"$integration""#);
                assert_eq!(follows, !is_of_the_process(&found[1]), "{name}, {title}: {}", &found[0]);
                seen += 1;
            }
            assert!(seen > 0, "{name}, {title}: no metric in {expression}");
            for found in variable.captures_iter(&expression) {
                let known = ["instance", "integration", "__rate_interval"].contains(&&found[1]);
                assert!(known, "{name}, {title}: ${} is not filled in by the tests", &found[1]);
            }
        }
    }
}

#[test]
fn persons_are_counted_never_ranked() {
    let ranking = Regex::new(r"\b(topk|bottomk|sort|sort_desc|login_id|employee|agent_id)\b").unwrap();
    for (name, dashboard) in dashboards() {
        for (title, expression) in expressions(&dashboard) {
            assert!(!ranking.is_match(&expression), "{name}, {title}: {expression}");
        }
    }
}

/// The figures of a feed that is not live are old. Every count of agents leaves them out.
#[test]
fn a_gap_shows_as_no_data() {
    let (_, contact_centre) = dashboards().nth(1).unwrap();
    let counts = Regex::new("rtalink_agents|rtalink_events_total").unwrap();
    let mut seen = 0;
    for (title, expression) in expressions(&contact_centre).iter().filter(|(_, text)| counts.is_match(text)) {
        for needed in ["rtalink_feed_up{", "unless rtalink_feed_stale{", "unless rtalink_feed_link_down{"] {
            assert!(expression.contains(needed), "{title}: {needed} is missing");
        }
        assert!(!expression.contains("vector(0)") && !expression.contains("(0 *"), "{title}: 0 is not no data");
        seen += 1;
    }
    assert!(seen > 15, "only {seen}");
    for panel in panels(&contact_centre).filter(|panel| text(panel, "/type") == "timeseries") {
        assert_eq!(panel["fieldConfig"]["defaults"]["custom"]["spanNulls"], Value::Bool(false), "{}", panel["title"]);
    }
}

#[test]
fn a_mode_has_one_colour() {
    let (_, dashboard) = dashboards().nth(1).unwrap();
    let by_title = |title: &str| panels(&dashboard).find(|panel| text(panel, "/title") == title).unwrap().clone();
    let stack = by_title("Agents by what they do");
    let colours: BTreeMap<&str, &str> = list(&stack, "/fieldConfig/overrides")
        .iter()
        .map(|change| (text(change, "/matcher/options"), text(change, "/properties/0/value/fixedColor")))
        .collect();
    assert_eq!(colours.values().collect::<BTreeSet<_>>().len(), 7, "all differ: {colours:?}");
    for mode in ["On a call", "After-call work", "Available", "AUX"] {
        let now = by_title(&format!("{mode} now"));
        assert_eq!(text(&now, "/fieldConfig/defaults/color/fixedColor"), colours[mode], "{mode}");
    }
}

#[test]
fn provisioning_names_the_folders_of_a_container() {
    let folder = root().join("deploy/grafana/provisioning");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(read("dashboards/rtalink.yml").contains("path: /var/lib/grafana/dashboards\n"));
    assert!(read("datasources/prometheus.yml").contains("type: prometheus\n"));
}

/// Without figures every expression is asked all the same, and every panel says that it has none.
#[test]
fn the_drawing_asks_everything_and_fails_with_any_expression() {
    let prometheus = Prometheus::start(&[], &[], "1s");
    let folder = TempDir::new().unwrap();
    let picture = folder.path().join("drawn.png");
    for (name, dashboard) in dashboards() {
        let said = succeeds(prometheus.draw(&file(name), &picture));
        let without = said.trim_end().rsplit_once("without figures: ").unwrap().1.to_owned();
        for panel in panels(&dashboard) {
            assert!(without.contains(text(panel, "/title")), "{name}: {} has figures: {without}", panel["title"]);
        }
        assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG"), "{name}");
    }

    let (_, mut spoilt) = dashboards().nth(1).unwrap();
    spoilt["panels"][2]["targets"][0]["expr"] = "sum(".into();
    let wrong = folder.path().join("spoilt.json");
    fs::write(&wrong, spoilt.to_string()).unwrap();
    let output = prometheus.draw(&wrong, &picture).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("parse error"), "{output:?}");
}

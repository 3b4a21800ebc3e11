//! Dashboards, rules and alerts ask only for metrics that the service exports, with labels that these have.
//!
//! Every file below `deploy/prometheus` (`.yml`) and `deploy/grafana` (`.json`) is read as text, with its comments and
//! descriptions: what they name must be there too. Whether an expression is well formed, and what it gives, is for other
//! tests.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use rtalink::telemetry::names::{self, Kind};

/// Labels that Prometheus adds, and those of alerts.
const OF_PROMETHEUS: [&str; 6] = ["job", "instance", "alertname", "alertstate", "severity", "team"];

fn below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            below(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), extension, &mut found);
    assert!(!found.is_empty(), "no .{extension} below {folder}");
    found.sort();
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Every name that a sample can have, with its labels.
fn exported() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut exported = BTreeMap::new();
    for metric in names::ALL {
        let labels = || metric.labels.iter().copied().collect::<BTreeSet<_>>();
        if metric.kind == Kind::Histogram {
            let mut with_bound = labels();
            with_bound.insert("le");
            exported.insert(format!("{}_bucket", metric.name), with_bound);
            exported.extend(["_sum", "_count"].map(|suffix| (format!("{}{suffix}", metric.name), labels())));
        } else {
            exported.insert(metric.name.to_owned(), labels());
        }
    }
    exported
}

/// What a text names: metrics of ours, results of recording rules, and labels.
struct Used<'a> {
    text: &'a str,
}

impl<'a> Used<'a> {
    fn all(&self, pattern: &str) -> Vec<&'a str> {
        let found = Regex::new(pattern).unwrap();
        found.captures_iter(self.text).map(|captures| captures.get(1).unwrap().as_str()).collect()
    }

    /// What has a colon at either side is part of a recording rule, and what has a star behind it a family; the rest are paths
    /// and the like.
    fn metrics(&self) -> Vec<&'a str> {
        let followed = Regex::new(r"\b((?:rtalink|process)_[a-z0-9_]+)([:*/.-]?)").unwrap();
        let word_before = |at: usize| self.text[..at].ends_with([':', '/', '-', '.']);
        followed
            .captures_iter(self.text)
            .filter(|found| found[2].is_empty() || found[2] == *".")
            .map(|found| found.get(1).unwrap())
            .filter(|name| !word_before(name.start()))
            .map(|name| name.as_str())
            .collect()
    }

    /// `level:metric:operation`.
    fn recorded(&self) -> Vec<&'a str> {
        self.all(r"\b([a-z_][a-z0-9_]*:(?:rtalink|process)_[a-z0-9_]+:[a-z0-9_]+)\b")
    }

    /// Metrics with the labels that are matched of them.
    fn matched(&self) -> Vec<(&'a str, Vec<&'a str>)> {
        let selector = Regex::new(r"\b((?:rtalink|process)_[a-z0-9_]+)\{([^}]*)\}").unwrap();
        let label = Regex::new(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)").unwrap();
        let labels = |text: &'a str| label.captures_iter(text).map(|found| found.get(1).unwrap().as_str()).collect();
        let found = selector.captures_iter(self.text);
        found.map(|found| (found.get(1).unwrap().as_str(), labels(found.get(2).unwrap().as_str()))).collect()
    }

    /// Labels that are grouped by, matched on, or shown.
    fn grouped(&self) -> Vec<&'a str> {
        let lists = self.all(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([a-z_, ]*)\)");
        let shown = self.all(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}");
        lists
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .chain(shown)
            .filter(|label| !label.is_empty())
            .collect()
    }
}

/// What is wrong with a file.
fn problems(text: &str, recorded: &BTreeSet<&str>) -> Vec<String> {
    let exported = exported();
    let used = Used { text };
    let mut problems = Vec::new();
    // Descriptions may speak of a histogram as a whole.
    let is_known = |name: &str| exported.contains_key(name) || names::ALL.iter().any(|metric| metric.name == name);
    problems
        .extend(used.metrics().iter().filter(|name| !is_known(name)).map(|name| format!("{name}: nothing exports it")));
    let rules = used.recorded();
    problems.extend(
        rules.iter().filter(|name| !recorded.contains(*name)).map(|name| format!("{name}: no rule records it")),
    );
    for (name, labels) in used.matched() {
        let Some(known) = exported.get(name) else { continue };
        let is_there = |label: &&str| known.contains(label) || OF_PROMETHEUS.contains(label);
        problems
            .extend(labels.iter().filter(|label| !is_there(label)).map(|label| format!("{name} has no label {label}")));
    }
    let known: BTreeSet<&str> = exported.values().flatten().copied().chain(OF_PROMETHEUS).collect();
    problems.extend(
        used.grouped()
            .iter()
            .filter(|label| !known.contains(*label))
            .map(|label| format!("no metric has a label {label}")),
    );
    problems
}

#[test]
fn dashboards_and_rules_ask_for_what_is_exported() {
    let rules = files("deploy/prometheus", "yml");
    let dashboards = files("deploy/grafana", "json");
    let record = Regex::new(r"record:\s*(\S+)").unwrap();
    let recorded: BTreeSet<&str> = rules
        .iter()
        .flat_map(|(_, text)| record.captures_iter(text))
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    let mut wrong = Vec::new();
    let mut metrics = BTreeSet::new();
    for (path, text) in rules.iter().chain(&dashboards) {
        wrong.extend(problems(text, &recorded).into_iter().map(|problem| format!("{}: {problem}", path.display())));
        metrics.extend(Used { text }.metrics());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(metrics.len() >= 20, "only {} metrics are asked for: {metrics:?}", metrics.len());
}

#[test]
fn what_is_not_there_is_found() {
    let recorded = BTreeSet::from(["instance:rtalink_events:rate5m"]);
    let good = [
        "expr: sum by (integration, cause) (increase(rtalink_events_total{job=\"rtalink\", cause!=\"CHANGED\"}[5m]))",
        "histogram_quantile(0.99, sum by (le) (rate(rtalink_event_latency_seconds_bucket{le=~\"1|2\"}[5m])))",
        "instance:rtalink_events:rate5m > 5, {{ $labels.integration }} and {{reason}}; see rtalink_paused.",
        "\"expr\": \"rtalink_agents{integration=~\\\"$integration\\\", mode=\\\"AUX\\\"}\", \"uid\": \"rtalink-service\"",
        "process_open_fds / process_max_fds",
    ];
    for text in good {
        assert_eq!(problems(text, &recorded), Vec::<String>::new(), "{text}");
    }
    let bad = [
        ("rate(rtalink_event_total[5m])", "rtalink_event_total: nothing exports it"),
        ("process_cpu_seconds", "process_cpu_seconds: nothing exports it"),
        ("rtalink_paused_bucket", "rtalink_paused_bucket: nothing exports it"),
        ("instance:rtalink_events:rate1m", "instance:rtalink_events:rate1m: no rule records it"),
        ("rtalink_paused{mode=\\\"AUX\\\"}", "rtalink_paused has no label mode"),
        ("sum by (site) (rtalink_paused)", "no metric has a label site"),
        ("{{ $labels.login_id }}", "no metric has a label login_id"),
    ];
    for (text, problem) in bad {
        assert_eq!(problems(text, &recorded), [problem], "{text}");
    }
}

//! The rules under `deploy/prometheus`: promtool takes them and plays their tests; every alert says whom it calls, why
//! and what to do first, and has a test in which it fires and one in which it stays silent.
#![allow(clippy::unwrap_used)]

mod files;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use rtalink::telemetry::names;
use serde::Deserialize;

use files::{Case, Rule, cases, folder, parsed, rules, yaml_files};

/// Runs a tool in `deploy/prometheus`; what it says is shown where it fails.
fn passes(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).current_dir(folder()).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{tool}: {error}; `make tools` installs it"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {}\n{told}", arguments.join(" "));
    told
}

/// The alerts by name.
fn alerts() -> Vec<(String, Rule)> {
    let named = |mut rule: Rule| rule.alert.take().map(|name| (name, rule));
    let alerts: Vec<_> = rules().into_iter().filter_map(named).collect();
    assert!(alerts.len() >= 20, "only {} alerts were found", alerts.len());
    alerts
}

fn runbook() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook.md")).unwrap()
}

#[test]
fn promtool_takes_configuration_and_rules() {
    let told = passes("promtool", &["check", "config", "prometheus.yml"]);
    for file in yaml_files("rules") {
        let name = format!("rules/{}", file.file_name().unwrap().display());
        assert!(told.contains(&name), "prometheus.yml does not load {name}:\n{told}");
    }
}

#[test]
fn rules_do_what_their_tests_say() {
    // All at once: each waits for its disk most of the time.
    std::thread::scope(|scope| {
        for file in yaml_files("tests") {
            scope.spawn(move || passes("promtool", &["test", "rules", &file.display().to_string()]));
        }
    });
}

#[test]
fn every_alert_says_whom_it_calls_and_what_to_do() {
    let (alerts, runbook) = (alerts(), runbook());
    let names: BTreeSet<&String> = alerts.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), alerts.len(), "two alerts have one name");
    for (name, alert) in &alerts {
        let severities: &[&str] = match alert.labels["team"].as_str() {
            "operations" => &["page", "ticket"],
            "planning" => &["ticket", "info"],
            other => panic!("{name}: no team {other}"),
        };
        assert!(severities.contains(&alert.labels["severity"].as_str()), "{name}: {:?}", alert.labels);
        assert!(!alert.annotations["summary"].is_empty(), "{name} has no summary");
        assert!(alert.annotations["description"].contains("First: "), "{name}: the description has no first step");
        let link = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(alert.annotations["runbook_url"], link, "{name}");
        assert!(runbook.lines().any(|line| line == format!("### {name}")), "docs/runbook.md has no section {name}");
    }
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("### "));
    for section in sections {
        assert!(
            names.contains(&section.to_owned()),
            "docs/runbook.md has a section {section}, but there is no such alert"
        );
    }
}

#[test]
fn rules_ask_for_metrics_that_are_exported_or_recorded() {
    let series = Regex::new(r"[a-z_]*:?rtalink_[a-z0-9_:]+|process_[a-z_]+").unwrap();
    let recorded: BTreeSet<String> = rules().into_iter().filter_map(|rule| rule.record).collect();
    let parts = ["", "_bucket", "_sum", "_count"];
    let exported: BTreeSet<String> =
        names::ALL.iter().flat_map(|metric| parts.map(|part| metric.name.to_owned() + part)).collect();
    let mut seen = 0;
    for rule in rules() {
        for found in series.find_iter(&rule.expr).map(|found| found.as_str()) {
            seen += 1;
            let is_known = exported.contains(found) || recorded.contains(found);
            assert!(is_known, "nothing exports or records {found}, which this asks for:\n{}", rule.expr);
        }
    }
    assert!(seen > 50, "only {seen} names were found");
}

/// The firing cases of an alert ask for it at a moment, the silent ones count it over all the time of a scenario.
fn cases_of<'a>(name: &str, cases: &'a [Case]) -> (Vec<&'a Case>, Vec<&'a Case>) {
    let firing = format!(r#"ALERTS{{alertname="{name}", alertstate="firing"}}"#);
    let silent = format!("count_over_time({firing}[");
    (
        cases.iter().filter(|case| case.expr == firing && !case.exp_samples.is_empty()).collect(),
        cases.iter().filter(|case| case.expr.starts_with(&silent) && case.exp_samples.is_empty()).collect(),
    )
}

#[test]
fn every_alert_is_seen_firing_and_silent() {
    let label = Regex::new(r"\$labels\.([a-z_]+)").unwrap();
    let cases = cases();
    for (name, alert) in alerts() {
        let (firing, silent) = cases_of(&name, &cases);
        assert!(!firing.is_empty(), "no test sees {name} firing");
        assert!(!silent.is_empty(), "no test sees {name} silent all the time");
        // A label that is not there would be an empty place in the text.
        for text in alert.annotations.values() {
            for used in label.captures_iter(text) {
                let written = format!("{}=\"", &used[1]);
                let is_there = |case: &&Case| case.exp_samples.iter().all(|sample| sample.labels.contains(&written));
                assert!(firing.iter().all(is_there), "{name} speaks of {}, which it does not have", &used[0]);
            }
        }
    }
}

#[test]
fn recorded_figures_are_named_by_level_metric_and_operation_and_explained() {
    let name = Regex::new(r"^instance(_[a-z]+)*:rtalink_[a-z_]+:[a-z0-9_]+$").unwrap();
    let runbook = runbook();
    let mut seen = 0;
    for record in rules().into_iter().filter_map(|rule| rule.record) {
        seen += 1;
        assert!(name.is_match(&record), "{record} is not level:metric:operation");
        assert!(runbook.contains(&format!("| `{record}` |")), "docs/runbook.md does not say what {record} is for");
    }
    assert!(seen > 0, "nothing is recorded");
}

#[derive(Deserialize)]
struct Alertmanager {
    route: Route,
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Deserialize)]
struct Route {
    receiver: String,
    #[serde(default)]
    matchers: Vec<String>,
    #[serde(default)]
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
}

#[test]
fn the_example_for_alertmanager_names_alerts_that_exist() {
    let alertmanager: Alertmanager = parsed(&[folder().join("alertmanager.yml")]).remove(0);
    let word = Regex::new(r"Rtalink[A-Za-z]+").unwrap();
    let known: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    let inhibitions = alertmanager.inhibit_rules.iter();
    let routes = alertmanager.route.routes.iter();
    let matchers = inhibitions
        .flat_map(|rule| rule.source_matchers.iter().chain(&rule.target_matchers))
        .chain(routes.flat_map(|route| &route.matchers));
    let mut seen = 0;
    for matcher in matchers {
        for found in word.find_iter(matcher) {
            seen += 1;
            assert!(known.contains(found.as_str()), "alertmanager.yml: there is no alert {}", found.as_str());
        }
    }
    assert!(seen > 20, "only {seen} names were found");
    // Routes are tried in order: nothing comes before that of the planners.
    let first = &alertmanager.route.routes[0];
    assert_eq!((first.matchers.join(","), &*first.receiver), (r#"team="planning""#.to_owned(), "planning-mail"));
    assert_ne!(alertmanager.route.receiver, "operations-page", "what nobody has thought of pages");
}

/// Alertmanager's own tool, where it is installed.
#[test]
fn alertmanager_takes_the_example_and_pages_no_planner() {
    if Command::new("amtool").arg("--version").output().is_err() {
        println!("not played: amtool is not installed");
        return;
    }
    passes("amtool", &["check-config", "alertmanager.yml"]);
    for (name, alert) in alerts() {
        let mut arguments = vec!["config", "routes", "test", "--config.file", "alertmanager.yml"];
        let labels: Vec<String> = alert.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let name = format!("alertname={name}");
        arguments.push(&name);
        arguments.extend(labels.iter().map(String::as_str));
        let receivers = passes("amtool", &arguments);
        let pages = receivers.contains("operations-page");
        let may_page = alert.labels["team"] == "operations";
        assert!(may_page || !pages, "{name} pages: {receivers}");
        assert!(pages || alert.labels["severity"] != "page", "{name} does not page: {receivers}");
    }
}

//! `docs/metrics.md` lists exactly the metrics that the service exports, each with its kind and labels.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rtalink::telemetry::names::{self, Kind};

/// Kind and labels, as the page writes them.
type Described = (String, String);

fn described() -> BTreeMap<String, Described> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let mut metrics = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning, ..] = cells[..] else { continue };
        let Some(name) = name.strip_prefix("`rtalink_").and_then(|name| name.strip_suffix('`')) else { continue };
        assert!(!meaning.is_empty(), "rtalink_{name} has no meaning");
        let before = metrics.insert(format!("rtalink_{name}"), (kind.to_owned(), labels.to_owned()));
        assert!(before.is_none(), "rtalink_{name} is listed twice");
    }
    metrics
}

fn exported() -> BTreeMap<String, Described> {
    let labels = |labels: &[&str]| match labels {
        [] => "none".to_owned(),
        labels => labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", "),
    };
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let describe = |metric: &names::Metric| (kind(metric.kind).to_owned(), labels(metric.labels));
    names::ALL.iter().map(|metric| (metric.name.to_owned(), describe(metric))).collect()
}

#[test]
fn the_page_and_the_code_list_the_same_metrics() {
    let (described, exported) = (described(), exported());
    for (name, metric) in &exported {
        assert_eq!(described.get(name), Some(metric), "{name}: left is docs/metrics.md, right is telemetry::names");
    }
    for name in described.keys() {
        assert!(exported.contains_key(name), "{name} is in docs/metrics.md, but nothing exports it");
    }
}

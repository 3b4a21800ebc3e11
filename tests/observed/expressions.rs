//! Every PromQL expression of the dashboards.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// An expression, and where it stands.
#[derive(Debug)]
pub(crate) struct Expression {
    /// Dashboard, panel and target.
    pub(crate) place: String,
    pub(crate) text: String,
    /// What the panel shows where there is no data.
    pub(crate) no_value: Option<String>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Panel,
    Annotation,
    Variable,
}

/// Files of the dashboards.
pub(crate) fn dashboards() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/dashboards");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder that can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

/// All of them; variables stand for everything, and rates are taken over `rate_interval`.
pub(crate) fn of_dashboards(rate_interval: &str) -> Vec<Expression> {
    let mut all = Vec::new();
    for file in dashboards() {
        let text = fs::read_to_string(&file).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        let title = dashboard["title"].as_str().expect("a title");
        panels(&dashboard, title, &mut all);
        for annotation in array(&dashboard["annotations"]["list"]) {
            all.extend(expression(
                &annotation["target"],
                format!("{title} / annotation {}", annotation["name"]),
                Kind::Annotation,
            ));
        }
        for variable in array(&dashboard["templating"]["list"]) {
            all.extend(variable_query(variable).map(|text| Expression {
                place: format!("{title} / variable {}", variable["name"]),
                text,
                no_value: None,
                kind: Kind::Variable,
            }));
        }
    }
    for kind in [Kind::Panel, Kind::Annotation, Kind::Variable] {
        assert!(all.iter().any(|expression| expression.kind == kind), "{kind:?}s are looked for in the wrong place");
    }
    for expression in &mut all {
        expression.text = substituted(&expression.text, rate_interval);
    }
    all
}

fn panels(parent: &Value, title: &str, all: &mut Vec<Expression>) {
    for panel in array(&parent["panels"]) {
        let place = format!("{title} / {}", panel["title"].as_str().unwrap_or("?"));
        let no_value = panel["fieldConfig"]["defaults"]["noValue"].as_str().map(str::to_owned);
        for target in array(&panel["targets"]) {
            let place = format!("{place} / {}", target["refId"].as_str().unwrap_or("?"));
            let found = expression(target, place, Kind::Panel);
            all.extend(found.map(|expression| Expression { no_value: no_value.clone(), ..expression }));
        }
        panels(panel, title, all); // of a collapsed row
    }
}

fn expression(target: &Value, place: String, kind: Kind) -> Option<Expression> {
    Some(Expression { place, text: target["expr"].as_str()?.to_owned(), no_value: None, kind })
}

/// `label_values(METRIC, LABEL)`: the metric.
fn variable_query(variable: &Value) -> Option<String> {
    let query = variable["query"]["query"].as_str().or_else(|| variable["query"].as_str())?;
    let (selector, _label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(',')?;
    Some(selector.to_owned())
}

fn substituted(text: &str, rate_interval: &str) -> String {
    let durations = [("__rate_interval", rate_interval), ("__interval", rate_interval), ("__range", rate_interval)];
    let everything = [("integration", ".*"), ("instance", ".*"), ("job", ".*")];
    durations.iter().chain(&everything).fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
            .replace(&format!("${{{name}:regex}}"), value)
            .replace(&format!("${name}"), value)
    })
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

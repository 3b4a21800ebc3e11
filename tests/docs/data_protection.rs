//! `docs/data-protection.md` has a word on every field that is published or stored, and on every label of a metric: a new one cannot
//! come in without.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use rtalink::config;
use rtalink::config::topics::Topic;
use rtalink::telemetry::names;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What stands in code in the tables of a section of the page.
fn words(heading: &str) -> BTreeSet<String> {
    let page = read("docs/data-protection.md");
    let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading:?}"));
    let level = format!("\n{} ", heading.split(' ').next().unwrap());
    let section = section.split(&level).next().unwrap();
    let code = Regex::new("`([^`]+)`").unwrap();
    let tables: String = section.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n");
    code.captures_iter(&tables).map(|found| found[1].to_owned()).collect()
}

/// Fields of the messages of a file in `proto`, as `Message.field`; values of enums are in capitals.
fn fields(proto: &str) -> Vec<(String, String)> {
    let message = Regex::new(r"^message (\w+) \{").unwrap();
    let field = Regex::new(r"^  (?:optional |repeated )?[\w.]+ ([a-z_]+) = \d+;").unwrap();
    let mut found = Vec::new();
    let mut current = String::new();
    for line in read(&format!("proto/{proto}")).lines() {
        if let Some(message) = message.captures(line) {
            current = message[1].to_owned();
        } else if let Some(field) = field.captures(line) {
            found.push((current.clone(), field[1].to_owned()));
        }
    }
    found
}

/// `employee_id` is `employeeId` in JSON.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |name, part| name + &part[..1].to_uppercase() + &part[1..])
}

fn assert_told(section: &str, names: impl IntoIterator<Item = String>) {
    let known = words(section);
    let names: Vec<String> = names.into_iter().collect();
    assert!(!names.is_empty(), "{section}: nothing to look for");
    let missing: Vec<&String> = names.iter().filter(|name| !known.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/data-protection.md, {section:?}, says nothing of {missing:?}");
}

#[test]
fn every_field_that_is_published_is_told() {
    let cases = [
        ("### About an agent", "rtalink/v1/agent_state.proto", 40),
        ("### About a feed", "rtalink/v1/feed_status.proto", 15),
        ("### About those who look", "rtalink/v1/audit.proto", 8),
    ];
    for (section, proto, least) in cases {
        let fields = fields(proto);
        assert!(fields.len() >= least, "{proto}: only {} fields were found", fields.len());
        let name = |(message, field): (String, String)| match message.as_str() {
            // Both of its fields are words that others have too.
            "Mapped" => format!("mapped.{field}"),
            _ => camel(&field),
        };
        assert_told(section, fields.into_iter().map(name));
    }
}

#[test]
fn every_field_that_is_stored_of_an_agent_is_told() {
    let of_agents = ["AgentMemory", "Absence", "Published"];
    let fields = fields("rtalink/store/v1/store.proto");
    let fields: Vec<String> =
        fields.into_iter().filter(|(message, _)| of_agents.contains(&&**message)).map(|(_, field)| field).collect();
    assert!(fields.len() >= 20, "{fields:?}");
    assert_told("### In the store", fields);

    let page = read("docs/data-protection.md");
    let schema = read("src/journal/store/schema.rs");
    let mut columns = Vec::new();
    for table in schema.split("CREATE TABLE agent (").skip(1) {
        let lines = table.lines().skip(1).take_while(|line| !line.starts_with(')'));
        let names = lines.filter_map(|line| line.trim().split(' ').next());
        columns.extend(names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    }
    // What a later step adds to it.
    let added = Regex::new(r"ALTER TABLE agent ADD COLUMN (\w+)").unwrap();
    let added: Vec<String> = added.captures_iter(&schema).map(|found| found[1].to_owned()).collect();
    columns.extend(added.iter().map(String::as_str));
    assert!(columns.len() >= 5, "{columns:?}");
    for column in columns {
        assert!(page.contains(&format!("`{column}`")), "the page says nothing of column {column:?} of table agent");
    }
}

#[test]
fn every_label_of_a_metric_is_told() {
    let labels: BTreeSet<&str> = names::ALL.iter().flat_map(|metric| metric.labels).copied().collect();
    assert!(labels.len() > 8, "{labels:?}");
    assert_told("### In metrics", labels.into_iter().map(str::to_owned));
}

#[test]
fn every_topic_and_every_role_is_told() {
    let topics = config::topics::Topics::default();
    let is_for_consumers = |topic: &Topic| topic.spec().argument.is_some();
    let places = Topic::ALL.into_iter().filter(is_for_consumers).map(|topic| topics[topic].to_owned());
    assert_told("## Where it lies", places);
    let page = read("docs/data-protection.md");
    for role in config::model::Role::ALL {
        assert!(page.contains(&format!("\n| {} |", role.name())), "{role:?}");
    }
}

#[test]
fn what_is_recommended_is_a_valid_configuration() {
    let page = read("docs/data-protection.md");
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let text = format!("[kafka]\nbootstrap_servers = \"localhost:9092\"\n{block}");
    let loaded = config::parse(&text, Path::new("nowhere/rtalink.toml"), []);
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    let config = loaded.config.unwrap_or_else(|| panic!("{problems:?}"));
    assert!(!config.privacy.event_names && !config.integrations[0].settings.fixed.details);
}

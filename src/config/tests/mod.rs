//! Scenarios: a configuration in, problems out.

mod environment;
mod layouts;
mod never_panics;
mod service;

use std::path::Path;

use super::*;

/// A valid beginning that scenarios extend: `[layout.mine]` comes last, so that its keys can follow.
const KAFKA: &str = "[kafka]\nbootstrap_servers = \"k:9092\"\n";

/// An integration without anything to warn about, for tables that follow its keys.
const INTEGRATION: &str = "[[integration]]\nid = \"a\"\nkind = \"avaya-cms\"\nacd = 1\n";

const REALTIME: &str = "[integration.realtime]\nport = 7001\nbind = \"127.0.0.1\"\nlayout = \"cisco-icm-20\"\n";

fn valid() -> String {
    [KAFKA, INTEGRATION, REALTIME].concat()
}

/// The configuration of `text`, in a folder without mapping files.
fn parsed(text: &str, environment: &[(&str, &str)]) -> Loaded {
    let owned = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse(text, Path::new("nowhere/r.toml"), owned)
}

/// All problems as text.
#[track_caller]
fn report(text: &str, environment: &[(&str, &str)]) -> String {
    let loaded = parsed(text, environment);
    assert_eq!(loaded.config.is_some(), !loaded.problems.iter().any(Problem::is_error));
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    lines.join("\n").replace("nowhere/r.toml", "r.toml")
}

#[track_caller]
fn config(text: &str, environment: &[(&str, &str)]) -> Config {
    let loaded = parsed(text, environment);
    loaded.config.unwrap_or_else(|| panic!("{}", report(text, environment)))
}

/// Every line of `expected` must be part of the report, and every error of the report must be expected.
#[track_caller]
fn assert_problems(text: &str, expected: &[&str]) {
    let report = report(text, &[]);
    for line in expected {
        assert!(report.contains(line), "expected {line:?} in\n{report}\n\n{text}");
    }
    let count = report.matches("error: ").count() + report.matches("warning: ").count();
    let messages = expected.iter().filter(|line| !line.starts_with("hint: ")).count();
    assert_eq!(count, messages, "other problems than expected:\n{report}\n\n{text}");
}

#[test]
fn what_others_find_counts() {
    let mut loaded = parsed(&valid(), &[]);
    assert_eq!(loaded.problems, []);
    loaded.add([Problem::warning(Origin::line(Path::new("users.csv"), 3), "twice")]);
    assert!(loaded.config.is_some());
    loaded.add([Problem::error(Origin::line(Path::new("users.csv"), 4), "no employee").hint("add one")]);
    assert!(loaded.config.is_none());
    let last = loaded.problems.last().unwrap();
    assert_eq!(last.to_string(), "error: users.csv:4: no employee\n  hint: add one");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let loaded = load(Path::new("nowhere/r.toml"), []);
    let text = loaded.problems[0].to_string();
    assert!(text.starts_with("error: nowhere/r.toml: cannot read the configuration"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latin.toml");
    std::fs::write(&file, b"[kafka]\n# M\xFCller\n").unwrap();
    let text = load(&file, []).problems[0].to_string();
    assert!(text.ends_with("latin.toml:2: not valid TOML: the file must be UTF-8"), "{text}");
}

#[test]
fn the_example_loads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rtalink.toml");
    let loaded = load(&file, []);
    let problems: Vec<String> = loaded.problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(problems, ["anybody who reaches this machine may connect: bind is 0.0.0.0 and allow is empty"]);
    let config = loaded.config.unwrap();
    assert!(config.integrations[0].mapping.users.as_ref().unwrap().is_file());
    assert_eq!(config.layouts["acme"].columns.len(), 9);
}

#[test]
fn every_key_is_documented_and_in_the_example() {
    let page = include_str!("../../../docs/configuration.md");
    let example = include_str!("../../../deploy/rtalink.toml");
    for section in schema::SECTIONS {
        for key in section.keys {
            assert!(page.contains(&format!("`{key}`")), "docs/configuration.md lacks `{key}` of {}", section.heading);
            let is_in_example = section.heading == "a column" || section.heading == "skills" || example.contains(key);
            assert!(is_in_example, "deploy/rtalink.toml lacks {key} of {}", section.heading);
        }
    }
}

#[test]
fn documented_configurations_are_valid() {
    let pages = [include_str!("../../../docs/layouts.md"), include_str!("../../../docs/configuration.md")];
    let blocks: Vec<&str> = pages
        .iter()
        .flat_map(|page| page.split("```toml\n").skip(1))
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(blocks.len() >= 8);
    for block in blocks {
        let text = match block {
            complete if complete.contains("[[integration]]") => complete.to_owned(),
            part => valid() + part,
        };
        let errors: Vec<_> = parsed(&text, &[]).problems.into_iter().filter(Problem::is_error).collect();
        assert_eq!(errors, [], "{text}");
    }
}

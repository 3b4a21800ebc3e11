//! What the documents point at exists: files, headings, commands and their flags.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
        .map(|name| root().join(name));
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> =
        top.into_iter().chain(docs.filter(|path| path.extension() == Some("md".as_ref()))).collect();
    all.sort();
    all
}

/// Lines of a document, each with whether it stands in a fenced block.
fn lines(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut is_fenced = false;
    text.lines().filter_map(move |line| {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            return None;
        }
        Some((is_fenced, line))
    })
}

/// The anchors of a document's headings, as a forge makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = lines(text).filter(|(is_fenced, line)| !is_fenced && line.starts_with('#'));
    let kept = |letter: char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    headings
        .map(|(_, line)| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.chars().filter(|letter| kept(*letter)).collect::<String>().replace(' ', "-"))
        .collect()
}

fn is_resolved(document: &Path, text: &str, target: &str) -> bool {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file = document.parent().unwrap().join(path);
    let other = match (path, anchor) {
        ("", _) => Some(text.to_owned()),
        (_, Some(_)) => fs::read_to_string(&file).ok(),
        (_, None) => return file.exists(),
    };
    other.is_some_and(|text| anchor.is_none_or(|anchor| anchors(&text).iter().any(|known| known == anchor)))
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let code = Regex::new("`[^`]*`").unwrap();
    let mut broken = Vec::new();
    let mut seen = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (_, line) in lines(&text).filter(|(is_fenced, _)| !is_fenced) {
            // Code may look like a link, and the text of a link may be code.
            let line = code.replace_all(line, "code");
            for found in link.captures_iter(&line) {
                let target = &found[1];
                let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
                seen += 1;
                if !is_elsewhere && !is_resolved(&document, &text, target) {
                    broken.push(format!("{}: {target}", document.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(seen > 50, "only {seen} links were found: does the search still work?");
}

/// Every `rtalink …` in code, as command and arguments.
fn command_lines(text: &str) -> Vec<(String, String)> {
    let call = Regex::new(r"\brtalink ([a-z]+)([^`|\n]*)").unwrap();
    let inline = Regex::new("`([^`]+)`").unwrap();
    let mut code = Vec::new();
    for (is_fenced, line) in lines(text) {
        if is_fenced {
            code.push(line.to_owned());
        } else {
            code.extend(inline.captures_iter(line).map(|found| found[1].to_owned()));
        }
    }
    let calls = |code: &String| call.captures_iter(code).map(|found| (found[1].into(), found[2].into())).collect();
    code.iter().flat_map::<Vec<_>, _>(calls).collect()
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rtalink")).args(arguments).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Commands and the options that their help lists.
fn known_commands() -> BTreeMap<String, Vec<String>> {
    let name = Regex::new(r"(?m)^  ([a-z]+) ").unwrap();
    let option = Regex::new(r"--[a-z][a-z-]*").unwrap();
    let top = help(&[]);
    let commands = top.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let names = name.captures_iter(commands).map(|found| found[1].to_owned()).filter(|name| name != "help");
    names
        .map(|name| {
            let text = help(&[&name]);
            let options = option.find_iter(&text).map(|found| found.as_str().to_owned()).collect();
            (name, options)
        })
        .collect()
}

#[test]
fn command_lines_use_commands_and_options_that_exist() {
    let option = Regex::new(r"(?:^|\s)(--[a-z][a-z-]*)").unwrap();
    let known = known_commands();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for document in documents() {
        for (command, arguments) in command_lines(&fs::read_to_string(&document).unwrap()) {
            seen += 1;
            let Some(options) = known.get(&command) else {
                wrong.push(format!("{}: there is no command `rtalink {command}`", document.display()));
                continue;
            };
            for found in option.captures_iter(&arguments).filter(|found| !options.contains(&found[1].to_owned())) {
                wrong.push(format!("{}: `rtalink {command}` has no option {}", document.display(), &found[1]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "only {seen} command lines were found: does the search still work?");
}

#[test]
fn every_command_is_on_the_page_of_commands() {
    let page = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    for command in known_commands().keys() {
        assert!(page.contains(&format!("| `rtalink {command}")), "docs/commands.md does not list `rtalink {command}`");
    }
}

#[test]
fn every_page_is_linked_from_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for document in documents().iter().filter(|document| !document.ends_with("README.md")) {
        let name = document.strip_prefix(root()).unwrap().display().to_string();
        assert!(readme.contains(&format!("({name})")), "the README has no link to {name}");
    }
}

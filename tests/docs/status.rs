//! The states of `rtalink status` are those of the runbook.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use rtalink::views::advice::{STATES, State, Urgency, WELL};

/// A state as the table of the runbook has it.
fn row(state: &State) -> String {
    let urgency = match state.urgency {
        Urgency::Now => "now",
        Urgency::Today => "today",
        Urgency::Never => "never",
    };
    format!("| [`{}`](#{}) | {urgency} | {} |", state.name, state.anchor, state.advice)
}

#[test]
fn the_runbook_has_every_state_in_its_order_with_its_sentence() {
    let runbook = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook.md")).unwrap();
    let section = runbook.split_once("## What `rtalink status` says").unwrap().1;
    let written: Vec<&str> = section.lines().filter(|line| line.starts_with("| [`")).collect();
    let expected: Vec<String> = STATES.iter().chain([&WELL]).map(row).collect();
    assert_eq!(written.join("\n"), expected.join("\n"));
}

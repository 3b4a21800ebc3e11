//! Feeds made by hand, whose layouts are found: `tests/inspect/NAME.capture`, perhaps `NAME.steps.csv`, and the layout in
//! `NAME.toml`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use rtalink::capture::{CaptureEntry, Happening};
use rtalink::inspect::text::{self, Remarks};
use rtalink::inspect::{Feed, Inspection, Step, inspect, parse_steps};
use rtalink::time::Timestamp;
use rtalink::wire::decode::Decoder;
use rtalink::wire::encoding::Encoding;
use rtalink::wire::layout::{LayoutSpec, builtin};
use rtalink::wire::plan::Plan;
use rtalink::wire::states::Mode;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inspect").join(name)
}

fn feed(name: &str) -> Feed {
    let text = fs::read_to_string(file(&format!("{name}.capture"))).unwrap();
    let mut feed = Feed::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        feed.take(&CaptureEntry::parse(line, Encoding::Utf8).unwrap());
    }
    feed
}

fn steps(name: &str) -> Vec<Step> {
    fs::read_to_string(file(&format!("{name}.steps.csv")))
        .map_or_else(|_| Vec::new(), |text| parse_steps(&text).unwrap())
}

fn inspected(name: &str) -> Inspection {
    inspect(&feed(name), &steps(name)).unwrap()
}

#[test]
fn layouts_of_feeds_made_by_hand_are_found() {
    let mut wrong = Vec::new();
    for name in ["pipes", "fixed", "rows", "blanks", "csv"] {
        let found = inspected(name);
        let layout = found.layout.as_ref().map(|layout| text::layout("found", layout, &Remarks::default()));
        let layout = layout.unwrap_or_else(|| "no layout".to_owned());
        let end = format!("# mode {:?}, snapshot_end {:?}\n", found.snapshots.mode, found.snapshots.end);
        let expected = fs::read_to_string(file(&format!("{name}.toml"))).unwrap_or_default();
        if expected != format!("{end}{layout}") {
            wrong.push(format!("== {name}\n{end}{layout}-- {}", found.to_text()));
        }
        assert_eq!(found.fit.map(|fit| fit.invalid), Some(0), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The one record of Generic RTA that is public (Cisco PG log), with nine fields and 20 pairs of skill and level.
const CISCO: &str = "301204 80 0 0 0 232 0 1 801326 232 1";

/// Returns a line as that record has it: who, in which state, with which reason, on which split.
fn cisco(login: usize, code: &str, reason: usize, split: &str) -> String {
    let mut fields: Vec<String> = CISCO.split(' ').map(str::to_owned).collect();
    let extension = format!("80{}", 1326 + login * 7);
    for (index, value) in
        [(0, (301_204 + login).to_string()), (1, code.to_owned()), (2, reason.to_string()), (5, split.to_owned())]
    {
        fields[index] = value;
    }
    fields[8] = extension;
    // Everybody has another number of skills; the rest is filled with noughts, as in the public record.
    for skill in 1..=login % 4 {
        fields.extend([(232 + skill * 8).to_string(), (1 + skill % 3).to_string()]);
    }
    fields.resize(49, "0".to_owned());
    fields.join(" ")
}

/// Returns ten minutes of a dozen agents, a snapshot every 10 s. Who does what is a matter of the numbers alone.
fn cisco_feed() -> Vec<String> {
    let states = [("20", 0, "0"), ("80", 0, "232"), ("32", 0, "232"), ("42", 0, "232"), ("50", 3, "0"), ("51", 7, "0")];
    let snapshot = |number: usize| {
        (0..12).map(move |login| {
            let step = (number + login * 5) / (2 + login % 3);
            let (code, reason, split) = states[(step * (login + 1) + step / 4) % states.len()];
            cisco(login, code, if reason == 0 { 0 } else { reason + login % 3 }, split)
        })
    };
    (0..60).flat_map(snapshot).collect()
}

#[test]
fn the_public_record_is_understood_as_the_built_in_layout_understands_it() {
    let lines = cisco_feed();
    let mut feed = Feed::default();
    for (number, snapshot) in (0..).zip(lines.chunks(12)) {
        let at = Timestamp::from_millis(1_767_600_000_000 + number * 10_000);
        let bytes = format!("{}\n", snapshot.join("\n")).into_bytes();
        feed.take(&CaptureEntry { at, connection: 0, happening: Happening::Data(bytes) });
    }
    let found = inspect(&feed, &[]).unwrap();
    let told = |layout: &LayoutSpec| -> Vec<String> {
        let plan = Plan::compile(layout, "UTC").unwrap();
        let mut decoder = Decoder::default();
        let decode = |line: &String| {
            let decoded = decoder.decode(&plan, line.as_bytes(), Timestamp::from_millis(0)).unwrap();
            let record = &decoded.record;
            let reason = record.aux_reason.filter(|_| record.mode == Mode::Aux);
            let skills = record.skills.iter().map(|skill| (skill.skill.text().into_owned(), skill.level));
            let split = record.work_split.map(|split| split.text().into_owned());
            let extension = record.extension.map(|extension| extension.text().into_owned());
            let state = (record.mode, record.direction, reason);
            format!("{} {state:?} {split:?} {extension:?} {:?}", record.login_id, skills.collect::<Vec<_>>())
        };
        lines.iter().map(decode).collect()
    };
    let builtin = builtin::get("cisco-icm-20").unwrap();
    let (is, was) = (told(found.layout.as_ref().unwrap()), told(&builtin));
    let differing = is.iter().zip(&was).find(|(is, was)| is != was);
    assert_eq!(differing, None, "{}", found.to_text());
    assert_eq!((found.snapshots.agents, found.fit.unwrap().valid), (12, 720));
}

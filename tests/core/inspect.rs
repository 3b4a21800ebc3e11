//! Feeds made by hand, whose layouts are found: `tests/inspect/NAME.capture`, perhaps `NAME.steps.csv`, and the layout in
//! `NAME.toml`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use rtalink::capture::CaptureEntry;
use rtalink::inspect::text::{self, Remarks};
use rtalink::inspect::{Feed, Inspection, Step, inspect, parse_steps};
use rtalink::wire::encoding::Encoding;

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

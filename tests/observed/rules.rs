//! The rules and alerts of `deploy/prometheus`, as they are and in fast motion.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// So many times faster than in life do the rules' durations pass in a test.
const SPEED: u64 = 60;
/// No duration takes longer than that.
const LONGEST_SECONDS: u64 = 60;

static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?P<before>\[|(?:for|keep_firing_for): |offset )(?P<number>\d+)(?P<unit>[smhd])\b")
        .expect("a good expression")
});

/// Texts of the rule files.
pub(crate) fn as_they_are() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/rules");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let texts: Vec<_> =
        entries.map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a rule file")).collect();
    assert!(!texts.is_empty(), "no rules in {}", folder.display());
    texts
}

/// The same, each `for`, range and offset a sixtieth of what it is: their own tests have the true ones.
pub(crate) fn in_fast_motion() -> Vec<String> {
    as_they_are().iter().map(|text| faster(text)).collect()
}

fn faster(text: &str) -> String {
    let shorter = |found: &Captures<'_>| {
        let number: u64 = found["number"].parse().expect("digits");
        let unit = match &found["unit"] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => 86_400,
        };
        let seconds = number * unit;
        let millis = (seconds * 1000 / SPEED).min(LONGEST_SECONDS * 1000);
        format!("{}{millis}ms", &found["before"])
    };
    DURATION.replace_all(text, shorter).into_owned()
}

#[test]
fn durations_are_shortened_wherever_they_stand() {
    let rule = "  for: 2m\n  expr: rate(x[5m] offset 1h) > 30 and y_5m > 0\n";
    assert_eq!(faster(rule), "  for: 2000ms\n  expr: rate(x[5000ms] offset 60000ms) > 30 and y_5m > 0\n");
}

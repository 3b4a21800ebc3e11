//! `docs/limits.md` and the code say the same: values, reasons, tests. What the code bounds is on the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

use crate::support::http;
use crate::support::service::{Running, folder};
use crate::support::short;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A row of a table: what, limit, set by, beyond it, test.
struct Row(Vec<String>);

impl Row {
    fn what(&self) -> &str {
        &self.0[0]
    }

    /// Links in a cell to a file of that folder: text and path from the root.
    fn links(&self, cell: usize, folder: &str) -> Vec<(String, PathBuf)> {
        let link = Regex::new(r"\[`([^`]+)`\]\(\.\./([^)]+)\)").unwrap();
        let found = link.captures_iter(&self.0[cell]).map(|found| (found[1].to_owned(), PathBuf::from(&found[2])));
        found.filter(|(_, path)| path.starts_with(folder)).collect()
    }
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("|--") && !line.starts_with("| what |");
    let rows: Vec<Row> = page.lines().filter(is_row).map(|line| Row(cells(line))).collect();
    assert!(rows.len() > 40, "only {} rows", rows.len());
    for row in &rows {
        assert_eq!(row.0.len(), 5, "{}", row.what());
    }
    rows
}

/// A number, or a time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Amount {
    Number(u64),
    Time(u64),
}

/// The value of `const NAME` in a source file: products and shifts of numbers, perhaps as a [`Duration`].
fn constant(path: &Path, name: &str) -> Option<Amount> {
    let source = fs::read_to_string(root().join(path)).ok()?;
    let declared = Regex::new(&format!(r"const {name}: [A-Za-z0-9_:]+ =\s*([^;]+);")).unwrap();
    let value = declared.captures(&source)?[1].to_owned();
    let number = |text: &str| -> Option<u64> {
        let shift: Vec<&str> = text.split("<<").collect();
        let product = |text: &str| {
            text.split('*')
                .try_fold(1, |product: u64, factor| Some(product * factor.trim().replace('_', "").parse::<u64>().ok()?))
        };
        match shift[..] {
            [one] => product(one),
            [one, by] => Some(product(one)? << product(by)?),
            _ => None,
        }
    };
    let units = [("from_millis", 1), ("from_secs", 1_000), ("from_mins", 60_000), ("from_hours", 3_600_000)];
    for (unit, millis) in units {
        let prefix = format!("Duration::{unit}(");
        if let Some(inner) = value.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(')')) {
            return Some(Amount::Time(number(inner)? * millis));
        }
    }
    number(&value).map(Amount::Number)
}

/// The amounts that a cell names: `64 KiB`, `1,000`, `10 s`.
fn amounts(cell: &str) -> BTreeSet<Amount> {
    let amount = Regex::new(r"(\d[\d,]*)(?: (KiB|MiB|GiB|ms|s|min|h)\b)?").unwrap();
    amount
        .captures_iter(cell)
        .map(|found| {
            let number: u64 = found[1].replace(',', "").parse().unwrap();
            match found.get(2).map(|unit| unit.as_str()) {
                None => Amount::Number(number),
                Some("KiB") => Amount::Number(number << 10),
                Some("MiB") => Amount::Number(number << 20),
                Some("GiB") => Amount::Number(number << 30),
                Some("ms") => Amount::Time(number),
                Some("s") => Amount::Time(number * 1_000),
                Some("min") => Amount::Time(number * 60_000),
                Some(_) => Amount::Time(number * 3_600_000),
            }
        })
        .collect()
}

#[test]
fn every_constant_on_the_page_has_the_value_that_the_page_says() {
    let mut seen = 0;
    for row in rows() {
        let constants = row.links(2, "src");
        let is_configured = row.0[2].contains("configuration.md");
        assert!(is_configured || !constants.is_empty(), "{}: nobody knows what sets it", row.what());
        let said = amounts(&row.0[1]);
        let mut found = BTreeSet::new();
        for (name, path) in constants {
            let value = constant(&path, &name).unwrap_or_else(|| panic!("{}: no constant {name}", path.display()));
            assert!(said.contains(&value), "{}: {name} is {value:?}, the page says {:?}", row.what(), row.0[1]);
            found.insert(value);
            seen += 1;
        }
        if !is_configured {
            assert_eq!(said, found, "{}: what stands there is said by no constant", row.what());
        }
    }
    assert!(seen > 50, "only {seen} constants");
    // The reader of values reads.
    assert_eq!(
        amounts("64 KiB, 1,000 or 2 min"),
        [1_000, 65_536].map(Amount::Number).into_iter().chain([Amount::Time(120_000)]).collect()
    );
    assert_eq!(
        constant(Path::new("src/http/limits.rs"), "STALL_TIME"),
        Some(Amount::Time(Duration::from_secs(10).as_millis() as u64))
    );
}

/// How the code goes about its work: pauses between attempts, and the largest number that a library takes.
const NO_LIMITS: [&str; 2] = ["LONGEST_BACKOFF", "LONGEST_TIMEOUT_MS"];

#[test]
fn every_bound_of_the_code_is_on_the_page() {
    let declared = Regex::new(r"const ((?:MOST|MAX|LARGEST|LONGEST)_[A-Z_]+):").unwrap();
    let on_page: BTreeSet<(String, PathBuf)> = rows().iter().flat_map(|row| row.links(2, "src")).collect();
    let mut missing = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && !entry.ends_with("simulate") {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&entry).unwrap();
                let path = entry.strip_prefix(root()).unwrap();
                let names = declared.captures_iter(&source).map(|found| found[1].to_owned());
                let unknown = names.filter(|name| !NO_LIMITS.contains(&name.as_str()));
                missing.extend(unknown.map(|name| (name, path.to_owned())).filter(|bound| !on_page.contains(bound)));
            }
        }
    }
    assert!(missing.is_empty(), "docs/limits.md lacks {missing:?}");
}

#[test]
fn every_test_on_the_page_exists() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        let tests: Vec<(String, PathBuf)> = row.links(4, "tests").into_iter().chain(row.links(4, "src")).collect();
        assert!(!tests.is_empty(), "{}: no test drives it over", row.what());
        for (name, path) in tests {
            let source = fs::read_to_string(root().join(&path)).unwrap_or_default();
            let is_test = Regex::new(&format!(
                r"#\[(?:test|tokio::test(?:\([^\n]*\))?)\]\n(?:\s*#\[.*\n)*\s*(?:async )?fn {name}\("
            ))
            .unwrap()
            .is_match(&source);
            assert!(is_test, "{}: {} has no test {name}", row.what(), path.display());
            seen.insert(name);
        }
    }
    assert!(seen.len() > 30, "only {} tests", seen.len());
}

/// What the page explains of these metrics, by label.
const EXPLAINED: [(&str, &str); 6] = [
    ("rtalink_feed_refused_total", "reason"),
    ("rtalink_feed_forward_dropped_bytes_total", "reason"),
    ("rtalink_http_refused_total", "reason"),
    ("rtalink_dead_letters_total", "reason"),
    ("rtalink_journal_dropped_total", "kind"),
    ("rtalink_audit_events_total", "outcome"),
];

#[test]
fn every_reason_of_the_code_is_on_the_page_and_every_one_on_the_page_is_one() {
    let service = Running::start_in(folder(&[]), &short::config(short::EMBEDDED, "forward = [\"127.0.0.1:1\"]", ""));
    let series = http::series(&service.get("/metrics").body);
    let mut reasons: BTreeMap<String, &str> = BTreeMap::new();
    for (metric, label) in EXPLAINED {
        let value = Regex::new(&format!(r#"^{metric}\{{.*{label}="([^"]+)""#)).unwrap();
        let found = series.keys().filter_map(|series| Some(value.captures(series)?[1].to_owned()));
        let before = reasons.len();
        reasons.extend(found.map(|reason| (reason, metric)));
        assert!(reasons.len() > before, "{metric}");
    }
    let quoted = Regex::new("`([^`]+)`").unwrap();
    let is_word = Regex::new("^[a-z]+(_[a-z]+)*$").unwrap();
    let rows = rows();
    let on_page: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| quoted.captures_iter(&row.0[3]).map(|found| found[1].to_owned()).collect::<Vec<_>>())
        .filter(|word| is_word.is_match(word) && !word.starts_with("rtalink_"))
        .collect();
    let missing: Vec<_> = reasons.iter().filter(|(reason, _)| !on_page.contains(*reason)).collect();
    assert!(missing.is_empty(), "docs/limits.md lacks {missing:?}");
    let invented: Vec<_> = on_page.iter().filter(|word| !reasons.contains_key(*word)).collect();
    assert!(invented.is_empty(), "nothing is counted as {invented:?}");
}

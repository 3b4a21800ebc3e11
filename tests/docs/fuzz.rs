//! The fuzz targets: they build, and each runs so often without a finding, from the fixtures alone and from a fixed seed.
//! Longer runs: `make fuzz`.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Executions of each target, a few seconds: counted, so that every run is the same one, however fast the machine is.
const EXECUTIONS: [(&str, &[&str]); 4] = [
    ("50", &["inspect"]),
    ("1000", &["tracker", "store_file", "config"]),
    ("4000", &["framing", "decode", "mask"]),
    ("15000", &["capture", "mapping", "store_rows", "events"]),
];

/// No target takes so long.
const SECONDS: &str = "300";

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Names of the binaries of `fuzz/Cargo.toml`.
fn targets() -> BTreeSet<String> {
    let manifest: toml::Table = text("fuzz/Cargo.toml").parse().unwrap();
    let targets = manifest["bin"].as_array().unwrap().iter();
    targets.map(|target| target["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_target_runs_without_a_finding() {
    let ran: BTreeSet<String> = EXECUTIONS.iter().flat_map(|(executions, targets)| run(executions, targets)).collect();
    assert_eq!(ran, targets());
}

/// Those that had no finding.
fn run(executions: &str, targets: &[&str]) -> BTreeSet<String> {
    let cache = tempfile::tempdir().unwrap();
    let mut run = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/run.sh"));
    // Cargo has set variables for this test that are not meant for a build.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
    {
        run.env_remove(name);
    }
    run.env("XDG_CACHE_HOME", cache.path()).env("FUZZ_SEED", "1").env("FUZZ_RUNS", executions).env("FUZZ_OPT", "1");
    let output = run.arg(SECONDS).args(targets).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines = said.lines().filter(|line| line.ends_with("no finding"));
    lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// What is fuzzed is what is shipped: each crate that both locks have is there in the same versions.
#[test]
fn what_is_fuzzed_has_the_dependencies_of_the_service() {
    let versions = |file: &str| {
        let lock: toml::Table = text(file).parse().unwrap();
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in lock["package"].as_array().unwrap() {
            let of = |key: &str| package[key].as_str().unwrap().to_owned();
            versions.entry(of("name")).or_default().insert(of("version"));
        }
        versions
    };
    let (ours, fuzzed) = (versions("Cargo.lock"), versions("fuzz/Cargo.lock"));
    let others: Vec<String> = fuzzed
        .iter()
        .filter_map(|(name, versions)| Some((name, versions, ours.get(name)?)))
        .filter(|(_, versions, ours)| !versions.is_subset(ours))
        .map(|(name, versions, ours)| format!("{name} {versions:?}, and {ours:?} in the service"))
        .collect();
    assert_eq!(others, [""; 0], "`cargo update` in fuzz/ brings them together");
    assert!(fuzzed.contains_key("rtalink"));
}

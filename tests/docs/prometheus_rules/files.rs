//! What the YAML files under `deploy/prometheus` say.
#![allow(clippy::unwrap_used)] // a panic here is a failed test

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::support::python::python;

/// The folder that is tested.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// A rule, of one of the two kinds.
#[derive(Deserialize)]
pub(crate) struct Rule {
    pub(crate) alert: Option<String>,
    pub(crate) record: Option<String>,
    pub(crate) expr: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// An expression with what it must give.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) expr: String,
    pub(crate) exp_samples: Vec<Sample>,
}

#[derive(Deserialize)]
pub(crate) struct Sample {
    pub(crate) labels: String,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    promql_expr_test: Vec<Case>,
}

/// All rules of all files.
pub(crate) fn rules() -> Vec<Rule> {
    let files: Vec<Rules> = parsed(&yaml_files("rules"));
    files.into_iter().flat_map(|file| file.groups).flat_map(|group| group.rules).collect()
}

/// All expressions of all test files.
pub(crate) fn cases() -> Vec<Case> {
    let files: Vec<Tests> = parsed(&yaml_files("tests"));
    files.into_iter().flat_map(|file| file.tests).flat_map(|test| test.promql_expr_test).collect()
}

/// The YAML files of a folder in it, in order.
pub(crate) fn yaml_files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder().join(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension() == Some("yml".as_ref())).collect();
    files.sort();
    assert!(!files.is_empty(), "no YAML files in {name}");
    files
}

/// What YAML files hold, one value per file.
pub(crate) fn parsed<T: DeserializeOwned>(files: &[PathBuf]) -> Vec<T> {
    let to_json =
        "import json, sys, yaml; json.dump([yaml.safe_load(open(file)) for file in sys.argv[1:]], sys.stdout)";
    let output = python("deploy").args(["-c", to_json]).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

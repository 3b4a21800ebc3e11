//! What the files under `deploy/` say, as data.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::files::{root, text, text_of, well};
use crate::support::python::python;

/// The documents of a YAML file, merges and aliases resolved.
pub(crate) fn yaml(path: &Path) -> Vec<Value> {
    let output = well(python("deploy").arg("tests/deployment/as_json.py").arg(path));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The composition.
pub(crate) fn compose() -> Value {
    yaml(&root().join("deploy/compose/compose.yaml")).remove(0)
}

/// The manifests that a folder under `deploy/kubernetes` comes to.
pub(crate) struct Manifests {
    pub(crate) yaml: Vec<u8>,
    documents: Vec<Value>,
}

impl Manifests {
    pub(crate) fn of(folder: &str) -> Self {
        let mut kustomize = Command::new(root().join("tests/tools/kustomize.sh"));
        let yaml = well(kustomize.arg("build").arg(root().join("deploy/kubernetes").join(folder))).stdout;
        let mut child = python("deploy")
            .arg("tests/deployment/as_json.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        child.stdin.take().expect("its stdin").write_all(&yaml).expect("python reads");
        let output = child.wait_with_output().expect("python ends");
        Self { documents: serde_json::from_slice(&output.stdout).expect("JSON"), yaml }
    }

    /// The only document of a kind, or the one whose name has been added: `Service/rtalink-feed`.
    pub(crate) fn get(&self, which: &str) -> &Value {
        let (kind, name) = which.split_once('/').map_or((which, None), |(kind, name)| (kind, Some(name)));
        let mut found = self.documents.iter().filter(|document| {
            document["kind"] == kind && name.is_none_or(|name| document["metadata"]["name"] == name)
        });
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "more than one {which}");
        first.unwrap_or_else(|| panic!("no {which}"))
    }

    /// The names of the documents, by kind.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.documents.iter().map(|one| text_of(&one["kind"])).collect();
        kinds.sort();
        kinds
    }

    pub(crate) fn container(&self) -> &Value {
        &self.get("StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    }

    /// Writes the files of a generated ConfigMap to `folder`.
    pub(crate) fn write_config_map(&self, prefix: &str, folder: &Path) {
        let is_it = |document: &&Value| {
            document["kind"] == "ConfigMap" && text_of(&document["metadata"]["name"]).starts_with(prefix)
        };
        let found = self.documents.iter().find(is_it).unwrap_or_else(|| panic!("no ConfigMap {prefix}"));
        for (name, content) in found["data"].as_object().expect("data") {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), text_of(content)).unwrap();
        }
    }
}

/// The instructions of the last stage of the Containerfile, continued lines joined, by name.
pub(crate) fn containerfile() -> BTreeMap<String, Vec<String>> {
    let whole = text("deploy/container/Containerfile").replace("\\\n", " ");
    let last = whole.rsplit_once("\nFROM ").expect("stages").1;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in last.lines().skip(1).filter(|line| !line.starts_with('#')) {
        if let Some((name, rest)) = line.split_once(' ') {
            found.entry(name.to_owned()).or_default().push(rest.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

/// What the image sets in the environment.
pub(crate) fn image_environment() -> Vec<(String, String)> {
    let pairs = containerfile()["ENV"].join(" ");
    pairs.split(' ').map(|pair| pair.split_once('=').expect("NAME=VALUE")).map(|(a, b)| (a.into(), b.into())).collect()
}

/// The values of a key of the systemd unit, in order.
pub(crate) fn unit(key: &str) -> Vec<String> {
    let unit = text("deploy/systemd/rtalink.service");
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// A file for as long as the test runs.
pub(crate) fn saved(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

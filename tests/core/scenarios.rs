//! The rules of the tracker as scenarios: a capture goes in, what is published comes out.
//!
//! Each scenario is two text files, `tests/scenarios/FOLDER/NAME.capture` and `NAME.events`. The folder names the
//! integration of `tests/scenarios/rtalink.toml` that it is replayed with. Lines of a capture that begin with `#` say
//! what the scenario is about. A `NAME.restarts` is a capture with lines `{"at":"…","restart":true}`, which only these
//! tests understand: the process is killed, and another is started with what it has saved.
//!
//! Each is a test of its own, so that `cargo test --test core scenarios::marker` plays one folder. Their list is
//! `scenarios/list.rs`. `RTALINK_BLESS=1 cargo test --test core scenarios::` writes the `.events` files and the list anew.
#![allow(clippy::unwrap_used)]

use crate::support::player;
mod restarts;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};

use player::{load_config, play, root, scenarios};
use rtalink::config::model::Config;

const FEWEST: usize = 300;

/// A test that plays one scenario.
macro_rules! scenario {
    ($test:ident, $name:literal) => {
        #[test]
        fn $test() {
            super::super::publishes_what_its_file_says($name);
        }
    };
}

#[rustfmt::skip]
mod list;

fn is_blessing() -> bool {
    env::var_os("RTALINK_BLESS").is_some()
}

fn publishes_what_its_file_says(name: &str) {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    let config = CONFIG.get_or_init(load_config);
    let (id, _) = name.split_once('/').unwrap();
    let file = |extension: &str| root().join(format!("{name}.{extension}"));
    let path = ["capture", "restarts"].map(file).into_iter().find(|file| file.exists()).unwrap();
    let capture = fs::read_to_string(&path).unwrap();
    let published = play(config, id, &capture);
    let expected = path.with_extension("events");
    if is_blessing() {
        fs::write(&expected, &published).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    assert!(wanted == published, "{name}\n-- expected\n{wanted}-- published\n{published}");
}

/// The list as it should be: a module for each folder, a test for each file.
fn list() -> String {
    let mut list =
        "//! A test for each scenario. Written by `RTALINK_BLESS=1 cargo test --test core scenarios::`.\n".to_owned();
    let mut folder = String::new();
    for name in scenarios().keys() {
        let (of, file) = name.split_once('/').unwrap();
        if folder != of {
            let end = if folder.is_empty() { "" } else { "}\n" };
            folder = of.to_owned();
            write!(list, "{end}\nmod {} {{\n", of.replace('-', "_")).unwrap();
        }
        writeln!(list, "    scenario!({}, \"{name}\");", file.replace('-', "_")).unwrap();
    }
    list + "}\n"
}

fn list_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/scenarios/list.rs")
}

#[test]
fn every_scenario_is_in_the_list() {
    if is_blessing() {
        return fs::write(list_file(), list()).unwrap();
    }
    let is_same = fs::read_to_string(list_file()).unwrap() == list();
    assert!(
        is_same,
        "a scenario has come or gone: `RTALINK_BLESS=1 cargo test --test core scenarios::` writes the list"
    );
}

#[test]
fn there_are_enough_scenarios_and_no_stray_files() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= FEWEST, "{} scenarios", scenarios.len());
    for path in scenarios.values() {
        let capture = fs::read_to_string(path).unwrap();
        assert!(capture.starts_with('#'), "{} does not say what it is about", path.display());
    }
    for folder in fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for events in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let has_capture =
                ["capture", "restarts"].map(|name| events.with_extension(name)).iter().any(|f| f.exists());
            assert!(has_capture, "{} has no capture", events.display());
        }
    }
}

#[test]
fn playing_a_capture_twice_publishes_the_same() {
    let config = load_config();
    for (name, path) in scenarios() {
        let (id, _) = name.split_once('/').unwrap();
        let capture = fs::read_to_string(path).unwrap();
        assert_eq!(play(&config, id, &capture), play(&config, id, &capture), "{name}");
    }
}

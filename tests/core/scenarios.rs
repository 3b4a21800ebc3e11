//! The rules of the tracker as scenarios: a capture goes in, what is published comes out.
//!
//! Each scenario is two text files, `tests/scenarios/FOLDER/NAME.capture` and `NAME.events`. The folder names the
//! integration of `tests/scenarios/rtalink.toml` that it is replayed with. Lines of a capture that begin with `#` say
//! what the scenario is about. A `NAME.restarts` is a capture with lines `{"at":"…","restart":true}`, which only these
//! tests understand: the process is killed, and another is started with what it has saved.
//!
//! `RTALINK_BLESS=1 cargo test --test core scenarios::` writes the `.events` files anew.
#![allow(clippy::unwrap_used)]

use crate::support::player;
mod restarts;

use std::{env, fs};

use player::{load_config, play, root, scenarios};

const FEWEST: usize = 300;

#[test]
fn every_scenario_publishes_what_its_file_says() {
    let config = load_config();
    let scenarios = scenarios();
    let is_blessing = env::var_os("RTALINK_BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, path) in &scenarios {
        let (id, _) = name.split_once('/').unwrap();
        let capture = fs::read_to_string(path).unwrap();
        let published = play(&config, id, &capture);
        let expected = path.with_extension("events");
        if is_blessing {
            fs::write(&expected, &published).unwrap();
            continue;
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if wanted != published {
            wrong.push(format!("== {name}\n-- expected\n{wanted}-- published\n{published}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} scenarios\n{}", wrong.len(), scenarios.len(), wrong.join("\n"));
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

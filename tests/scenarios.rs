//! The rules of the tracker as scenarios: a capture goes in, what is published comes out.
//!
//! Each scenario is two text files, `tests/scenarios/FOLDER/NAME.capture` and `NAME.events`. The folder names the
//! integration of `tests/scenarios/rtalink.toml` that it is replayed with. Lines of a capture that begin with `#` say
//! what the scenario is about. `RTALINK_BLESS=1 cargo test --test scenarios` writes the `.events` files anew.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use rtalink::config::{self, model::Config};
use rtalink::feed::capture::Entry;
use rtalink::mapping::annotate::{Annotation, NoUser};
use rtalink::mapping::tables::MappingTables;
use rtalink::pipeline::engine::{Engine, Finding};
use rtalink::pipeline::mapping_files;
use rtalink::pipeline::replay::Replay;
use rtalink::state::agent_state::AgentState;
use rtalink::state::event::{AgentEvent, Evidence, StatusKind};
use rtalink::state::since::Quality;
use rtalink::time::Timestamp;
use rtalink::wire::encoding::Encoding;
use rtalink::wire::escape::escape;
use rtalink::wire::plan::Plan;

const FEWEST: usize = 40;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn load_config() -> Config {
    let loaded = config::load(&root().join("rtalink.toml"), []);
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    loaded.config.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

fn replay_for(config: &Config, id: &str) -> (Replay, Encoding) {
    let integration = config.integrations.iter().find(|integration| *integration.id == *id);
    let integration = integration.unwrap_or_else(|| panic!("rtalink.toml has no integration {id:?}"));
    let realtime = integration.realtime.as_ref().unwrap();
    let plan = Plan::compile(&realtime.layout, &integration.time_zone).unwrap();
    let tables = Arc::new(MappingTables { version: 1, ..mapping_files::read(&integration.mapping).unwrap() });
    let engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    (Replay::new(engine, plan, integration.settings.snapshot_idle), realtime.layout.encoding)
}

/// What comes out of a capture, one line each.
fn play(config: &Config, id: &str, capture: &str) -> String {
    let (mut replay, encoding) = replay_for(config, id);
    let mut findings = Vec::new();
    let mut text = String::new();
    for (number, line) in (1..).zip(capture.lines()) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let entry = Entry::parse(line, encoding).unwrap_or_else(|error| panic!("line {number}: {error}"));
        replay.play(&entry, &mut findings);
        findings.drain(..).for_each(|finding| tell(&finding, &mut text));
    }
    replay.finish(&mut findings);
    findings.drain(..).for_each(|finding| tell(&finding, &mut text));
    text
}

/// Time of day, microseconds only where there are any.
fn clock(at: Timestamp) -> String {
    at.to_string().trim_end_matches('Z').split_once('T').map_or_else(|| at.to_string(), |(_, time)| time.to_owned())
}

fn tell(finding: &Finding, text: &mut String) {
    match finding {
        Finding::Event(event, annotation) => tell_event(event, annotation, text),
        Finding::Status(status) => {
            let peer = status.figures.peer.as_deref().filter(|peer| !peer.is_empty());
            write!(text, "{} feed {}", clock(status.event.at), status.event.kind.name()).unwrap();
            if let StatusKind::Restored { gap_from, gap_to } = status.event.kind {
                write!(text, " gap {} to {}", clock(gap_from), clock(gap_to)).unwrap();
            }
            if status.event.affected > 0 {
                write!(text, " affected {}", status.event.affected).unwrap();
            }
            let is_about_peer =
                matches!(status.event.kind, StatusKind::Connected | StatusKind::Disconnected | StatusKind::Flapping);
            if let Some(peer) = peer.filter(|_| is_about_peer) {
                write!(text, " peer {peer}").unwrap();
            }
            text.push('\n');
        }
        Finding::DeadLetter(letter) => {
            let at = clock(letter.received_at);
            writeln!(text, "{at} dead-letter {} at {}: {}", letter.reason.label(), letter.offset, escape(&letter.raw))
                .unwrap();
        }
        Finding::Close(connection, reason) => {
            writeln!(text, "             close connection {connection}: {}", reason.label()).unwrap();
        }
        Finding::Snapshot(_) => {}
    }
}

fn state(state: &AgentState) -> String {
    let mut text = rtalink::mapping::key::ActivityKey::of(state).full().to_owned();
    if !state.skills.is_empty() {
        let skills: Vec<String> = state.skills.iter().map(|(skill, level)| format!("{skill}/{level}")).collect();
        write!(text, " [{}]", skills.join(" ")).unwrap();
    }
    text
}

/// `observed ACD/login #sequence CAUSE previous -> state since … QUALITY …`.
fn tell_event(event: &AgentEvent, annotation: &Annotation, text: &mut String) {
    write!(text, "{} {}/{} #{} ", clock(event.observed_at), event.acd, event.login_id, event.sequence).unwrap();
    text.push_str(event.cause.name());
    match event.evidence {
        Some(Evidence::Row) => write!(text, " by row {:?}", &*event.state.raw_state).unwrap(),
        Some(Evidence::Absence) => text.push_str(" by absence"),
        None => {}
    }
    if let Some(previous) = &event.previous {
        write!(
            text,
            " {} (since {}, seen {}) ->",
            state(&previous.state),
            clock(previous.since),
            clock(previous.last_seen)
        )
        .unwrap();
    }
    write!(text, " {} since {}", state(&event.state), clock(event.since)).unwrap();
    text.push_str(match event.quality {
        Quality::Exact => " EXACT",
        Quality::WithinRefresh => " WITHIN_REFRESH",
        Quality::AfterGap => " AFTER_GAP",
    });
    if event.after_gap {
        text.push_str(" afterGap");
    }
    if annotation.activity_since != event.since {
        write!(text, " activity since {}", clock(annotation.activity_since)).unwrap();
    }
    let ride_along = &event.ride_along;
    let details = [
        ("name", &ride_along.name),
        ("extension", &ride_along.extension),
        ("role", &ride_along.role),
        ("location", &ride_along.location),
        ("logout reason", &ride_along.logout_reason),
    ];
    for (label, value) in details {
        if let Some(value) = value {
            write!(text, " {label} {value:?}").unwrap();
        }
    }
    // Mappings are told where the integration has some.
    match &annotation.user {
        Ok(user) => write!(text, " user {}", user.employee_id).unwrap(),
        Err(NoUser::Ambiguous) => text.push_str(" user ambiguous"),
        Err(NoUser::Unmapped | NoUser::Nameless) => {}
    }
    if let Some(activity) = annotation.activity.as_ref().filter(|activity| activity.activity_id != "1") {
        write!(text, " activity {} {:?}", activity.activity_id, annotation.level).unwrap();
    }
    text.push('\n');
}

/// Scenarios by folder and name: their captures.
fn scenarios() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for folder in fs::read_dir(root()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let id = folder.file_name().into_string().unwrap();
        for file in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "capture") {
                found.insert(format!("{id}/{}", file.file_stem().unwrap().to_str().unwrap()), file);
            }
        }
    }
    found
}

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
            assert!(events.with_extension("capture").exists(), "{} has no capture", events.display());
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

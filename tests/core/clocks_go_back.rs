//! The nights in which clocks show an hour twice, or skip one: a feed with local times tells what happened, and nothing else.
//!
//! Ten agents, a refresh every 10 s, from an hour before the clocks of Berlin go back on 25 October 2026, or forward on 28
//! March 2027, to more than an hour after. What each of them does is made up from a fixed seed, and so is known.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::config;
use rtalink::config::mapping as mapping_files;
use rtalink::engine::replay::Replay;
use rtalink::engine::{Engine, Finding};
use rtalink::mapping::tables::MappingTables;
use rtalink::time::Timestamp;
use rtalink::tracker::event::{AgentEvent, Cause};
use rtalink::tracker::since::Quality;
use rtalink::wire::plan::Plan;

const AGENTS: usize = 10;
const REFRESH: Duration = Duration::from_secs(10);
const STATES: [&str; 5] = ["AVAIL", "ACD", "ACW", "AUX", "OTHER"];

/// 02:00 for the first time, less an hour; an hour before 02:00 becomes 03:00.
const NIGHTS: [&str; 2] = ["2026-10-24T23:00:00.400Z", "2027-03-28T00:00:00.400Z"];
const REFRESHES: u32 = 4 * 3_600 / 10;

/// A stay of an agent in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stay {
    state: &'static str,
    since: Timestamp,
}

/// What an agent does in the night: stays of 20 s to half an hour, and sometimes the same state twice, with a moment of
/// another between two refreshes, which nobody sees.
fn night(random: &mut ChaCha8Rng, begin: Timestamp) -> Vec<Stay> {
    let end = begin.plus(REFRESH * REFRESHES);
    let begin = whole_second(begin);
    let mut stays =
        vec![Stay { state: "AVAIL", since: begin.minus(Duration::from_secs(random.random_range(60..4_000))) }];
    let mut since = begin;
    loop {
        since = since.plus(Duration::from_secs(random.random_range(20..1_800)));
        if since >= end {
            return stays;
        }
        let before = stays[stays.len() - 1].state;
        let state = STATES[random.random_range(0..STATES.len())];
        if state != before || random.random_bool(0.5) {
            stays.push(Stay { state, since });
        }
    }
}

/// Feeds tell no more.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_micros() / 1_000_000 * 1_000)
}

fn local(at: Timestamp, format: &str) -> String {
    let instant = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap();
    instant.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).strftime(format).to_string()
}

/// A refresh as the layout has it.
fn rows(agents: &[Vec<Stay>], at: Timestamp, columns: &[&str], format: &str) -> String {
    let mut text = String::new();
    for (number, stays) in agents.iter().enumerate() {
        let now = whole_second(at);
        let stay = stays.iter().rev().find(|stay| stay.since <= now).unwrap();
        let fields: Vec<String> = columns
            .iter()
            .map(|column| match *column {
                "login_id" => format!("{}", 4_710 + number),
                "state" => stay.state.to_owned(),
                "duration" => now.since(stay.since).as_secs().to_string(),
                "timestamp" => local(now, format),
                _ => local(stay.since, format),
            })
            .collect();
        text += &format!("{}\n", fields.join(";"));
    }
    text + "END\n"
}

fn play(columns: &[&str], format: &str, agents: &[Vec<Stay>], begin: Timestamp) -> Vec<AgentEvent> {
    let listed: Vec<String> = columns
        .iter()
        .map(|column| match *column {
            "timestamp" | "state_start" => format!("{{ field = \"{column}\", format = \"{format}\" }}"),
            _ => format!("\"{column}\""),
        })
        .collect();
    let text = format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\n[[integration]]\nid = \"night\"\nkind = \"avaya-cms\"\nacd = 1\n\
         time_zone = \"Europe/Berlin\"\n[integration.realtime]\nport = 7001\nbind = \"127.0.0.1\"\nlayout = \"local\"\n\
         snapshot_end = \"marker\"\n[layout.local]\nseparator = \";\"\nmarker = \"^END$\"\nstates = \"cms-names\"\n\
         columns = [{}]\n",
        listed.join(", ")
    );
    let integration = config::parse(&text, Path::new("night.toml"), []).config.unwrap().integrations.remove(0);
    let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap();
    let tables = Arc::new(MappingTables { version: 1, ..mapping_files::read(&integration.mapping).unwrap() });
    let engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    let mut replay = Replay::new(engine, plan, integration.settings.thresholds.snapshot_idle);
    let mut findings = Vec::new();
    for refresh in 0..REFRESHES {
        let at = begin.plus(REFRESH * refresh);
        let data = rows(agents, at, columns, format).into_bytes();
        replay.play(&CaptureEntry { at, connection: 0, happening: Happening::Data(data) }, &mut findings);
    }
    let event = |finding| if let Finding::Event(event, _) = finding { Some(*event) } else { None };
    findings.into_iter().filter_map(event).collect()
}

#[test]
fn nothing_is_published_that_did_not_happen_and_nothing_is_moved() {
    for line in NIGHTS.into_iter().flat_map(nothing_moves_in_the_night_from) {
        println!("{line}");
    }
}

/// Returns what was found of each layout.
fn nothing_moves_in_the_night_from(begin: &str) -> Vec<String> {
    let begin = Timestamp::parse_rfc3339(begin).unwrap();
    let mut lines = Vec::new();
    let (dated, clock) = ("%d.%m.%Y %H:%M:%S", "%H:%M:%S");
    let layouts: [(&[&str], &str); 6] = [
        (&["login_id", "state", "duration", "timestamp"], dated),
        (&["login_id", "state", "duration", "timestamp"], clock),
        (&["login_id", "state", "state_start"], dated),
        (&["login_id", "state", "state_start"], clock),
        (&["login_id", "state", "duration", "timestamp", "state_start"], dated),
        (&["login_id", "state", "duration"], dated),
    ];
    let mut random = ChaCha8Rng::seed_from_u64(20_261_025);
    let agents: Vec<Vec<Stay>> = (0..AGENTS).map(|_| night(&mut random, begin)).collect();
    for (columns, format) in layouts {
        let events = play(columns, format, &agents, begin);
        let (mut exact, mut reentered) = (0, 0);
        for (number, stays) in agents.iter().enumerate() {
            let login_id = (4_710 + number).to_string();
            let told: Vec<&AgentEvent> = events.iter().filter(|event| *event.login_id == *login_id).collect();
            let what = format!("{columns:?} {format} {login_id}");
            let states: Vec<&str> = told.iter().map(|event| event.state.mode.name()).collect();
            let wanted: Vec<&str> = stays.iter().map(|stay| stay.state).collect();
            assert_eq!(states, wanted, "{what}");
            for (event, stay) in told.iter().zip(stays) {
                let seen = event.observed_at;
                assert!(
                    stay.since <= seen && seen.since(stay.since) < REFRESH || event.cause == Cause::Observed,
                    "{what}"
                );
                let late = event.state_since.since(stay.since).max(stay.since.since(event.state_since));
                if event.quality == Quality::Exact {
                    // The second of the feed's clock is the only one that is known.
                    assert!(late < Duration::from_secs(1), "{what}: {event:?} {stay:?}");
                    exact += 1;
                } else {
                    assert!(late < REFRESH || event.cause == Cause::Observed, "{what}: {event:?} {stay:?}");
                }
                reentered += usize::from(event.cause == Cause::Reentered);
            }
        }
        lines.push(format!("{columns:?} {format}: {} events, {exact} EXACT, {reentered} REENTERED", events.len()));
        assert!(exact > events.len() / 3 && reentered > 5, "{columns:?} {format}: {exact} of {}", events.len());
    }
    lines
}
